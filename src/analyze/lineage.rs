//! Lineage: for every reference to a relation, how each of its columns is used; for every output
//! column, which base columns reach it unchanged.
//!
//! The lattice is a set of uses per column reference, joined by union, so `analyze` is monotone:
//! wrapping a query in a subquery or CTE can add uses, never lose one. Deliberately absent:
//! treatments; what a use means for a role is `plan::decide`'s business.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::alike::Alike;
use super::object_name::ObjectKind;
use crate::catalog::allow::Unheeded;
use crate::catalog::{Column, Relation};
use crate::ident::Ident;
use crate::mask::{BareNames, Transform};
use crate::pg::types::oid;
use crate::pg::{AttrNumber, Oid};
use crate::sql::tree::{Constant, HeldId, ListId, RelationId};

/// Where a value comes from, unchanged.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// A column of one reference to a base relation.
    Column {
        /// Which reference.
        relation: RelationId,
        /// Which column.
        attnum: AttrNumber,
    },
    /// Constants the client wrote: tokens, perhaps.
    List(ListId),
}

/// A constant or parameter as the client wrote it. No `Debug`: it holds a value.
#[derive(Clone)]
pub struct Member {
    /// What it says.
    pub value: Value,
    /// The type it was cast to, of the element if it is an array.
    pub cast: Option<Oid>,
    /// It is an array.
    pub array: bool,
    /// The typmod it is cut to, where it is.
    pub length: Option<i32>,
}

impl Member {
    /// Is it NULL, or an array of NULLs, or something that may turn out to be?
    pub fn may_be_null(&self) -> bool {
        match &self.value {
            Value::Param(_) => true,
            Value::Text(text) => self.array && only_nulls(text.value()),
            Value::Number { .. } => false,
        }
    }
}

/// Is it an array of NULLs?
fn only_nulls(array: &str) -> bool {
    let elements = array
        .trim()
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    elements.is_some_and(|all| {
        let mut each = all.split(',').map(str::trim);
        each.all(|one| one.eq_ignore_ascii_case("null"))
    })
}

/// What a [`Member`] says.
#[derive(Clone)]
pub enum Value {
    /// A string constant.
    Text(Constant),
    /// An int4 or int8 constant, below zero with a sign before it.
    Number {
        /// There is one.
        negative: bool,
        /// Its digits.
        digits: Constant,
    },
    /// `$n`
    Param(u16),
}

/// Constants that stand for one column of values: the one beside an `=`, the members of an IN list, a
/// column of VALUES.
pub struct List {
    /// In the order of the text.
    pub members: Vec<Member>,
    /// How its values are used.
    pub uses: Uses,
    /// It stands where a type is settled without a look at what it is compared with: in VALUES, a
    /// select list, `unnest()`.
    pub placed: bool,
    /// They are elements of arrays that `unnest()` takes apart.
    pub unnested: bool,
    /// The columns its values are stored in.
    pub stored: Vec<(Arc<Relation>, AttrNumber)>,
    /// Nothing is done with it but that something is looked for in it: by `=` and `<>`, by IN, `= ANY`
    /// and `<> ALL`. A member may as well be several texts then, one of which is looked for.
    pub searched: bool,
}

impl List {
    /// One without members, which is all NULL.
    pub(super) fn new(placed: bool) -> Self {
        Self {
            members: Vec::new(),
            uses: Uses::NONE,
            placed,
            unnested: false,
            stored: Vec::new(),
            searched: false,
        }
    }

    /// Are its values stored, and neither shown nor compared?
    pub fn is_only_stored(&self) -> bool {
        !self.stored.is_empty() && self.uses.within(Uses::PRESENCE)
    }

    /// Remembers a column its values are stored in.
    pub(super) fn store(&mut self, relation: &Arc<Relation>, attnum: AttrNumber) {
        let is_it = |(r, a): &(Arc<Relation>, AttrNumber)| Arc::ptr_eq(r, relation) && *a == attnum;
        if !self.stored.iter().any(is_it) {
            self.stored.push((Arc::clone(relation), attnum));
        }
    }
}

/// How a column reference is used: a set, from weakest to strongest.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Uses(u8);

impl Uses {
    /// Mentioned, nothing more yet.
    pub const NONE: Self = Self(0);
    /// Reaches, unchanged, a column of a result sent to the client.
    pub const IDENTITY: Self = Self(1);
    /// `IS [NOT] NULL`, `count(col)`.
    pub const PRESENCE: Self = Self(2);
    /// Looked for in a list of constants, and compared with nothing else: the weaker half of
    /// [`Uses::EQUALITY`].
    pub const SEARCH: Self = Self(4);
    /// Compared for equality, grouped, made distinct.
    pub const EQUALITY: Self = Self(4 | 64);
    /// Compared for order, sorted, `min`, `max`.
    pub const ORDER: Self = Self(8);
    /// Anything else.
    pub const COMPUTE: Self = Self(16);
    /// First argument of `pg_get_expr`: the one place where a node tree may be read.
    pub const NODE_TREE: Self = Self(32);

    /// Both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Is every use of `self` among those of `allowed`?
    pub const fn within(self, allowed: Self) -> bool {
        self.0 & !allowed.0 == 0
    }

    /// Do they share a use?
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// One reference to a base relation.
pub struct RelationUse {
    /// The relation.
    pub relation: Arc<Relation>,
    /// Columns mentioned, and how they are used.
    pub columns: BTreeMap<AttrNumber, Uses>,
    /// The whole row is used as a value.
    pub whole_row: bool,
    /// How often its type may show, and not its fields' names and values alone.
    pub typed_rows: usize,
    /// Masks go in place of each reference, because a derived table does not fit here: the primary
    /// key is grouped by, and other columns depend on it.
    pub in_place: bool,
    /// The target of a write.
    pub written: bool,
    /// Rows of it may be new: the target of INSERT, MERGE or COPY.
    pub inserted: bool,
    /// Columns of the target that are assigned.
    pub assigned: Vec<AttrNumber>,
}

/// Two sides compared for equality; an empty side is neither column nor constant (an expression).
pub struct Equality {
    /// Sources of the left side.
    pub left: Vec<Source>,
    /// Sources of the right side.
    pub right: Vec<Source>,
    /// One side is what temporary tables hold, and the other a column of tokens.
    pub held: Option<HeldId>,
}

/// What temporary tables of the session hold, compared with a column of tokens.
pub struct Held {
    /// Columns of temporary tables, one of which it comes from, unchanged.
    pub sources: Vec<Source>,
    /// What it is compared with.
    pub beside: Vec<Source>,
}

/// A column of a query's result.
#[derive(Clone)]
pub struct OutputColumn {
    /// Its name.
    pub name: Ident,
    /// What reaches it unchanged; several when set operations merge them.
    pub sources: Vec<Source>,
    /// A column the role does not see clearly went into it.
    pub tainted: bool,
    /// Its type, when known.
    pub ty: Option<Oid>,
    /// It is the constant NULL.
    pub null: bool,
    /// Are equal values of it one?
    pub alike: Alike,
    /// How many digits every value has behind the point, if it is a number and that is known.
    pub scale: Option<u16>,
    /// PostgreSQL names its one source in `RowDescription`: a chain of bare references leads there.
    pub named: bool,
}

impl OutputColumn {
    /// Does a NULL in this column's place leave the other's type as it is, in a set operation? (text and
    /// varchar are the same on the wire.)
    pub(super) fn is_neutral_to(&self, other: &Self) -> bool {
        let is_text = |ty: Option<Oid>| matches!(ty, Some(oid::TEXT | oid::VARCHAR));
        self.ty.is_none() || self.ty == other.ty || is_text(self.ty) && is_text(other.ty)
    }

    /// One that is computed: no column reaches it unchanged.
    pub(super) fn computed(name: Ident, ty: Option<Oid>, tainted: bool) -> Self {
        Self {
            name,
            sources: Vec::new(),
            tainted,
            ty,
            null: false,
            alike: Alike::Unknown,
            scale: None,
            named: false,
        }
    }
}

/// What a statement reads and returns.
#[derive(Default)]
pub struct Lineage {
    /// References to base relations, by [`RelationId`].
    pub relations: Vec<RelationUse>,
    /// Columns whose stored values a constraint compares with what is written.
    pub probed: BTreeSet<(RelationId, AttrNumber)>,
    /// A call is answered otherwise than PostgreSQL would.
    pub rewritten: bool,
    /// Rows are grouped by values of which equal ones differ (`alike`).
    pub apart: bool,
    /// The same of keys of which one can be shown that tells of no order (`Select::spelled`).
    pub spelled: bool,
    /// Outputs that may be such a key.
    pub respelled: BTreeSet<usize>,
    /// The same of DISTINCT and set operations.
    pub mixed: bool,
    /// Texts may be compared under a collation of which equal ones differ.
    pub collated: bool,
    /// Texts have collations that are not the database's.
    pub collations: bool,
    /// Values are compared, or become of one type, which may fail for one row and not for the next.
    pub failing: bool,
    /// Values that a column the role does not see clearly went into are written to a permanent table.
    pub keeps_tainted: bool,
    /// A function is called that may write.
    pub acts: bool,
    /// An error may name no table: a partition's name would tell the key.
    pub nameless: bool,
    /// Equality comparisons between columns.
    pub equalities: Vec<Equality>,
    /// Columns of the result.
    pub outputs: Vec<OutputColumn>,
    /// Constants by [`ListId`].
    pub lists: Vec<List>,
    /// Values of temporary tables by [`HeldId`].
    pub held: Vec<Held>,
    /// How often each parameter is written.
    pub params: BTreeMap<u16, u32>,
    /// Those whose type PostgreSQL finds, by where they stand first.
    pub open_params: BTreeSet<u16>,
    /// To which types they are cast.
    pub cast_params: Vec<(u16, Oid)>,
    /// Parameters that are values for settings which are kept and not obeyed.
    pub settings: Vec<(u16, &'static Unheeded)>,
    /// What parameters name where they are of an OID type, and how often.
    pub named: BTreeMap<u16, (ObjectKind, u32)>,
    /// What names are shown without, of each kind that is shown.
    pub bare: HashMap<ObjectKind, Arc<BareNames>>,
}

impl Lineage {
    /// One relation reference.
    pub fn relation(&self, id: RelationId) -> Option<&RelationUse> {
        self.relations.get(usize::try_from(id.0).ok()?)
    }

    /// One relation reference, to add to.
    pub fn relation_mut(&mut self, id: RelationId) -> Option<&mut RelationUse> {
        self.relations.get_mut(usize::try_from(id.0).ok()?)
    }

    /// Adds a use of a column.
    pub fn mark(&mut self, source: Source, uses: Uses) {
        match source {
            Source::Column { relation, attnum } => {
                if let Some(r) = self.relation_mut(relation) {
                    let u = r.columns.entry(attnum).or_default();
                    *u = u.with(uses);
                }
            }
            Source::List(id) => {
                if let Some(l) = self.list_mut(id) {
                    l.uses = l.uses.with(uses);
                }
            }
        }
    }

    /// One list of constants.
    pub fn list(&self, id: ListId) -> Option<&List> {
        self.lists.get(usize::try_from(id.0).ok()?)
    }

    /// One list of constants, to add to.
    pub fn list_mut(&mut self, id: ListId) -> Option<&mut List> {
        self.lists.get_mut(usize::try_from(id.0).ok()?)
    }

    /// What is done to a column of the result that nothing is hidden of: names lose schemas that the
    /// client's path finds them in.
    pub fn shown(&self, output: &OutputColumn) -> Transform {
        let kind = output.ty.and_then(ObjectKind::of);
        let names = kind.and_then(|kind| self.bare.get(&kind));
        match names.filter(|names| !names.is_empty()) {
            Some(names) => Transform::Name(Arc::clone(names)),
            None => Transform::Pass,
        }
    }

    /// Is one side of a comparison constants that the other is looked for in?
    pub fn is_searched(&self, side: &[Source]) -> bool {
        match side {
            [Source::List(id)] => self.list(*id).is_some_and(|list| list.searched),
            _ => false,
        }
    }

    /// The relation and column a source is, if it is one.
    pub fn column(&self, source: Source) -> Option<(&Arc<Relation>, &Column)> {
        let Source::Column { relation, attnum } = source else {
            return None;
        };
        let relation = &self.relation(relation)?.relation;
        Some((relation, relation.attribute(attnum)?))
    }

    /// Adds a use of several columns.
    pub fn mark_all(&mut self, sources: &[Source], uses: Uses) {
        for s in sources {
            self.mark(*s, uses);
        }
    }
}
