//! Canonical SQL from a resolved tree: every identifier quoted, every name qualified, every operator
//! written `OPERATOR("schema".=)` and parenthesised, every literal in one form.
//!
//! What is printed is what was analyzed: PostgreSQL's search path, its keyword list and its operator
//! precedence have no say in it. `OPERATOR()` has one precedence level of its own, so an operand that
//! is not self-delimiting carries its own parentheses. A tree that still holds an unresolved name, a
//! star or an operator without a schema is an error: it never becomes text.
//!
//! The same walk, told to leave out constants and to accept unresolved names, writes the statement's
//! shape (see `sql::fingerprint`).
//!
//! Deliberately absent: deciding anything. Which relations are replaced, and by what, is the
//! planner's ([`Rewrite`]); the printer only refuses what it could not print truthfully.

mod call;
mod compare;
mod expr;
mod from;
mod index;
mod keyword;
pub(super) mod lexical;
mod merge;
mod pinned;
mod query;
mod reads;
mod statement;
mod temp_table;
mod write;

use self::reads::Reads;

pub use self::pinned::{MOVED, UNPROVEN, UNREAD, proven, proven_late};

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::tree::{Expr, HeldId, ListId, Looked, Position, Query, RelationId, Statement, TypeName};
use super::{SqlText, Unsupported};
use crate::ident::Ident;
use crate::pg::AttrNumber;

/// The alias of a base relation inside its derived table, and so the qualifier of the SQL in
/// [`DerivedColumn::sql`].
pub const INNER_ALIAS: &str = "t";

/// What stands for one of [`Rewrite::maps`] in the SQL of a form. It has NULs in it, which no SQL and no
/// name has.
pub fn map_mark(number: usize) -> String {
    format!("\0{number}\0")
}

/// The name of the hidden last column of a derived table that carries whole-row references. A space
/// is in it so that no tool makes such a column by accident; the planner refuses relations that have
/// one all the same.
pub const WHOLE_ROW: &str = "pgveil row";

/// How the base relations of one statement are written. A relation that is not listed is written as
/// itself.
#[derive(Clone, Default)]
pub struct Rewrite {
    /// By the reference's id, so that a self-join may treat its two sides differently.
    pub relations: HashMap<RelationId, RelationForm>,
    /// Whole rows of relations masked in place, from the relation's alias.
    pub rows: HashMap<RelationId, InPlace>,
    /// What must hold of a reference when the statement runs.
    pub pins: HashMap<RelationId, Pin>,
    /// Text columns that are computed at the source, so that PostgreSQL has no statistics of them.
    pub computed: HashSet<(RelationId, AttrNumber)>,
    /// The SQL of constants that are printed otherwise than they were written, by list and number. One
    /// that is looked for in a column may be several.
    pub constants: HashMap<(ListId, u32), Vec<String>>,
    /// How values of temporary tables are written that are compared with tokens.
    pub held: HashMap<HeldId, HeldForm>,
    /// SQL of the jsonb objects that something is looked up in ([`map_mark`]).
    pub maps: Vec<String>,
    /// New numbers of parameters; `None`: they keep theirs.
    pub params: Option<HashMap<u16, u16>>,
}

/// What ties one reference to a base relation to the relation that was analyzed.
#[derive(Clone, Default)]
pub struct Pin {
    /// Its columns in order, which PostgreSQL then binds by position; empty where no list may stand.
    pub columns: Vec<Ident>,
    /// SQL conditions without columns.
    pub checks: Vec<String>,
}

/// What is written for a value of a temporary table: what it stands for, looked up by its text.
#[derive(Clone)]
pub struct HeldForm {
    /// What stands for what: its place among [`Rewrite::maps`].
    pub map: usize,
    /// The collation of the column it is compared with, whatever its own is; none of what is no text.
    pub collation: Option<(Ident, Ident)>,
    /// The type, in `pg_catalog`, of what it stands for; `None` for text.
    pub cast: Option<&'static str>,
}

/// How one reference to a base relation is written.
#[derive(Clone)]
pub enum RelationForm {
    /// `(SELECT <columns> FROM [ONLY] s.r AS "t" [TABLESAMPLE …]) AS alias`
    Derived(DerivedRelation),
    /// The relation stays; each reference to a listed attribute becomes its masked text. For targets
    /// of writes, and where a derived table would lose a functional dependency.
    InPlace(HashMap<AttrNumber, InPlace>),
}

/// A base relation's masked form.
#[derive(Clone, Default)]
pub struct DerivedRelation {
    /// The columns the statement uses, masked or not; [`print()`] writes those that are read.
    pub columns: Vec<DerivedColumn>,
    /// SQL of the hidden last column for whole-row references, if there are any.
    pub whole_row: Option<String>,
    /// SQL over the relation aliased [`INNER_ALIAS`], of the rows that are shown; all, if there is none.
    pub filter: Option<String>,
    /// Its columns are computed of these rows and no others: PostgreSQL is not to pull it up.
    pub fenced: bool,
}

/// One column of a masked form.
#[derive(Clone)]
pub struct DerivedColumn {
    /// Its name.
    pub name: Ident,
    /// SQL over the relation aliased [`INNER_ALIAS`]: `"t"."email"`, or a mask of it.
    pub sql: String,
}

impl DerivedColumn {
    /// Is it the column as it is stored?
    fn is_stored(&self) -> bool {
        let stored = self.sql.strip_prefix('"').and_then(|sql| {
            let sql = sql.strip_prefix(INNER_ALIAS)?;
            sql.strip_prefix("\".")
        });
        stored.is_some_and(|stored| stored == self.name.quoted())
    }
}

/// A relation's alias, quoted → a masked column, or row, of it. Any expression text will do: it is parenthesised
/// when placed.
#[derive(Clone)]
pub struct InPlace(Arc<dyn Fn(&str) -> String + Send + Sync>);

impl InPlace {
    /// From a function such as `|alias| mask.sql(&format!("{alias}.\"email\""))`.
    pub fn new(mask: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(mask))
    }

    /// The masked text.
    pub fn apply(&self, alias: &str) -> String {
        (self.0)(alias)
    }
}

/// Writes a resolved statement.
///
/// # Errors
/// `XX000` "statement is not resolved: …" when the tree still holds something only PostgreSQL's
/// search path could resolve, or when a rewrite cannot be written truthfully (a whole row of a
/// relation masked in place, a write target as a derived table).
pub fn print(statement: &Statement, rewrite: &Rewrite) -> Result<SqlText, Unsupported> {
    let mut printer = Printer::new(rewrite);
    let derived = |form: &RelationForm| matches!(form, RelationForm::Derived(_));
    if rewrite.relations.values().any(derived) {
        let mut first = Printer::new(rewrite);
        first.gathered = Some(Reads::default());
        // It looks at no constant.
        first.open = true;
        first.statement(statement)?;
        printer.read = first.gathered;
    }
    printer.open = true;
    printer.placing = true;
    printer.statement(statement)?;
    SqlText::filled(&printer.out, &printer.constants, printer.of)
        .ok_or_else(|| unresolved("a lost constant"))
}

/// Writes a query that is not inside another: its CTEs must be its own.
pub fn print_query(query: &Query, rewrite: &Rewrite) -> Result<String, Unsupported> {
    let mut printer = Printer::new(rewrite);
    printer.query(query)?;
    Ok(printer.out)
}

/// Writes one expression, self-delimited: it can be an operand as it stands.
pub fn print_expr(expr: &Expr, rewrite: &Rewrite) -> Result<String, Unsupported> {
    let mut printer = Printer::new(rewrite);
    printer.expr(expr)?;
    Ok(printer.out)
}

/// Writes a string constant.
pub fn quote(text: &str) -> Result<String, Unsupported> {
    let rewrite = Rewrite::default();
    let mut printer = Printer::new(&rewrite);
    printer.string(text)?;
    Ok(printer.out)
}

/// Writes a resolved type name, with typmod and `[]`.
pub fn print_type(ty: &TypeName) -> Result<String, Unsupported> {
    let rewrite = Rewrite::default();
    let mut printer = Printer::new(&rewrite);
    printer.type_name(ty)?;
    Ok(printer.out)
}

/// The statement with `?` for every constant, as it was written: names need not be resolved.
pub(super) fn shape(statement: &Statement) -> Result<String, Unsupported> {
    let rewrite = Rewrite::default();
    let mut printer = Printer::new(&rewrite);
    printer.shape = true;
    printer.statement(statement)?;
    Ok(printer.out)
}

/// The statement as it was read: names as written, constants and all. For the test that asks whether
/// PostgreSQL's parser reads this as it reads the client's text; not an `SqlText`, so it can never be
/// sent.
#[cfg(feature = "internals")]
pub fn as_written(statement: &Statement) -> Result<String, Unsupported> {
    let rewrite = Rewrite::default();
    let mut printer = Printer::new(&rewrite);
    printer.written = true;
    printer.statement(statement)?;
    Ok(printer.out)
}

/// What every writing step returns.
type Printed = Result<(), Unsupported>;

/// One statement on its way to text.
struct Printer<'a> {
    out: String,
    rewrite: &'a Rewrite,
    /// Names of the CTEs in scope: a one-part relation name must be one of them.
    ctes: Vec<Ident>,
    /// Columns are written bare and unmasked: in `ON CONFLICT (…)`, where PostgreSQL sees only
    /// unqualified columns, and where they name an index rather than read a row.
    bare: bool,
    /// Write the shape: `?` for constants, unresolved names as they are.
    shape: bool,
    /// Write unresolved names as they are.
    written: bool,
    /// Leave the client's constants open: what is printed will remember where they went. Texts that
    /// are only parts of a statement close them, and so look at them.
    open: bool,
    /// Say where what is printed was written, of what the client will hear errors about.
    placing: bool,
    /// The open ones that were met, by their place among the client's constants.
    constants: HashMap<usize, String>,
    /// Whose constants they are.
    of: Option<Looked>,
    /// Relations met since the outermost SELECT, UPDATE or DELETE began that carries their checks.
    met: Option<Vec<RelationId>>,
    /// The target of the INSERT around, whose checks its query and its DO UPDATE carry.
    target: Option<RelationId>,
    /// Gather the columns that are read.
    gathered: Option<Reads>,
    /// The columns that are read, if that is known.
    read: Option<Reads>,
}

impl<'a> Printer<'a> {
    fn new(rewrite: &'a Rewrite) -> Self {
        Self {
            out: String::with_capacity(256),
            rewrite,
            ctes: Vec::new(),
            bare: false,
            shape: false,
            written: false,
            open: false,
            placing: false,
            constants: HashMap::new(),
            of: None,
            met: None,
            target: None,
            gathered: None,
            read: None,
        }
    }

    fn push(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn map(&mut self, number: usize) -> Printed {
        let rewrite = self.rewrite;
        let map = rewrite.maps.get(number);
        let map = map.ok_or_else(|| unresolved("a lookup in nothing"))?;
        self.push(map);
        Ok(())
    }

    /// The SQL of a form, with the maps it looks something up in.
    fn form(&mut self, sql: &str) -> Printed {
        self.ours();
        for (n, piece) in sql.split('\0').enumerate() {
            if n & 1 == 0 {
                self.push(piece);
            } else {
                let number = piece.parse().map_err(|_| unresolved("a mark"))?;
                self.map(number)?;
            }
        }
        self.theirs();
        Ok(())
    }

    /// What follows was written there: what is printed will remember it, as it does of constants.
    fn mark(&mut self, position: Position) {
        if let Some(token) = position.token().filter(|_| self.placing) {
            self.push("\0@");
            self.push(&token.to_string());
            self.push("\0");
        }
    }

    /// Nothing of what follows, up to [`Self::theirs`], is the client's but what is marked.
    fn ours(&mut self) {
        if self.placing {
            self.push("\0(\0");
        }
    }

    fn theirs(&mut self) {
        if self.placing {
            self.push("\0)\0");
        }
    }

    /// Leaves room for a constant. The mark has NULs in it, which nothing else that is printed can have,
    /// so it survives whatever the text around it goes through.
    fn opening(&mut self, place: usize, of: &Looked, sql: String) -> Printed {
        if !self.of.get_or_insert_with(|| of.clone()).is(of) {
            return Err(unresolved("constants of two texts"));
        }
        self.constants.insert(place, sql);
        self.push("\0");
        self.push(&place.to_string());
        self.push("\0");
        Ok(())
    }

    /// Writes items with a separator between them.
    fn separated<T>(
        &mut self,
        items: &[T],
        separator: &str,
        mut write: impl FnMut(&mut Self, &T) -> Printed,
    ) -> Printed {
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.push(separator);
            }
            write(self, item)?;
        }
        Ok(())
    }

    /// Something that resolution must have removed is still there, unless only the shape is wanted.
    fn resolved(&self, holds: bool, what: &str) -> Printed {
        if holds || self.shape || self.written {
            Ok(())
        } else {
            Err(unresolved(what))
        }
    }
}

/// The tree is not fit to print. An internal error: some stage before this one let it through.
fn unresolved(what: &str) -> Unsupported {
    Unsupported {
        sqlstate: crate::pg::sqlstate::INTERNAL_ERROR,
        ..Unsupported::form(format!("statement is not resolved: {what}"), None)
    }
}

#[cfg(test)]
mod tests;
