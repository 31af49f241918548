//! Rows that UPDATE and DELETE change, and calls that number rows.
//!
//! Neither has a place for a key: PostgreSQL changes rows in the order in which it finds them, and calls
//! a function for each as it comes by. So what would tell that order is refused. Deliberately absent:
//! calls of an outermost select list, which come after the sort.

use super::super::decide::Place;
use super::super::hidden::is_builtin;
use super::identity::{self, Base, Identity};
use super::key::as_items;
use super::{Order, Reader, any, raising, returned};
use crate::analyze::lineage::Source;
use crate::catalog::RelationKind;
use crate::ident::Ident;
use crate::pg::sqlstate;
use crate::refusal::Refusal;
use crate::sql::tree::{
    Assignment, AssignmentTarget, Expr, InsertSource, Node, Part, Query, RelationId, RelationRef,
    SelectItem, SetExpr, Statement, TableRef, Walked,
};

/// How a statement finds the rows that it changes.
pub(super) struct Found {
    /// There is one at most, by a key.
    pub(super) one: bool,
    /// By no token: by conditions over other columns of their own.
    by_no_token: bool,
}

impl Order<'_> {
    /// Of the rows of a target.
    pub(super) fn finds(
        &self,
        target: &RelationRef,
        from: &[TableRef],
        filter: &mut Option<Expr>,
    ) -> Found {
        let looks = |filter: &mut Expr| {
            filter.any_within(&mut |node| match node {
                Node::Expr(Expr::Column(c)) => c.base.is_none_or(|base| !self.is_no_token(base)),
                Node::Expr(Expr::WholeRow { .. } | Expr::CurrentOf(_))
                | Node::Table(_)
                | Node::Change(_)
                | Node::Query(_) => true,
                Node::Expr(_) | Node::Item(_) => false,
            })
        };
        Found {
            by_no_token: from.is_empty() && !filter.as_mut().is_some_and(looks),
            one: from.is_empty() && self.is_one_by_index(target, filter.as_ref()),
        }
    }

    /// Is a column compared as what the role sees?
    fn is_no_token(&self, (relation, attnum): Base) -> bool {
        let source = Source::Column { relation, attnum };
        let decided = self.decisions.columns.get(&source);
        decided.is_some_and(|d| matches!(d.place, Place::Stored | Place::Source))
    }

    /// Rows that are changed, in an order for which there is no key: refuses to number them in any that
    /// tells. What was met since `first` is read beside them, and `calls` were counted before.
    pub(super) fn changes(
        &self,
        (first, calls): (usize, usize),
        found: &Found,
        whole: bool,
    ) -> Result<Changed, Refusal> {
        let met = self.met.get(first..).unwrap_or_default();
        let several = |side: &[Source], other: &[Source]| {
            let compared = side.iter().any(|s| {
                matches!(s, Source::Column { relation, .. } if any(&self.compared, &[*relation]))
            });
            compared && !self.is_one_constant(other)
        };
        let compared = !(found.one || found.by_no_token)
            && (self.compares(met)
                || (self.lineage.equalities.iter())
                    .any(|e| several(&e.left, &e.right) || several(&e.right, &e.left)));
        let numbered = self.counting.get() > calls;
        if numbered && (compared || self.indexed.iter().any(|e| *e)) {
            return Err(counted());
        }
        Ok(Changed {
            compared,
            one: found.one,
            whole,
        })
    }

    /// The FROM items of a write, the first matching row of which is what a row is changed with.
    pub(super) fn sources(&mut self, from: &mut [TableRef]) -> Result<bool, Refusal> {
        self.tables(from, Reader::Sequence)
    }

    /// Is one row all that a statement looks at, found by a key, by conditions that do not fail?
    pub(super) fn is_one(&self, statement: &mut Statement) -> bool {
        let mut queries = 0_usize;
        let _all: bool = statement.any_within(&mut |node| {
            queries = queries.saturating_add(usize::from(matches!(node, Node::Query(_))));
            false
        });
        let (target, filter, own) = match statement {
            Statement::Update(u) if u.from.is_empty() => (&u.target, &mut u.filter, 0),
            Statement::Delete(d) if d.using.is_empty() => (&d.target, &mut d.filter, 0),
            Statement::Query(q) => match &mut q.body {
                SetExpr::Select(s) => match s.from.as_slice() {
                    [TableRef::Relation(r)] => (&**r, &mut s.filter, 1),
                    _ => return false,
                },
                _ => return false,
            },
            _ => return false,
        };
        let Some(condition) = filter.as_mut().filter(|_| queries == own) else {
            return false;
        };
        if raising::expr(condition) || raising::everywhere(self.lineage) {
            return false;
        }
        self.is_one_by_index(target, filter.as_ref())
    }

    /// Could several rows of FROM match one of the target, and which of them is first tell?
    pub(super) fn told_by_match(
        &self,
        target: &RelationRef,
        from: &[TableRef],
        filter: Option<&Expr>,
    ) -> bool {
        let mut read = Vec::new();
        let mut derived = false;
        for table in from {
            relations(table, &mut read, &mut derived);
        }
        let clear = |b| self.clear(b);
        let reader = identity::Reader {
            lineage: self.lineage,
            clear: &clear,
        };
        let mut identity = Identity::of(from, filter, reader);
        identity.extend(target.id);
        let exposed = any(&self.indexed, &read) || derived;
        let one = |r: &RelationRef| self.is_one_by_index(r, filter);
        let unique = matches!(from, [TableRef::Relation(r)] if one(r));
        exposed && !identity.fixed_by(&[]) && !unique
    }

    /// Do conditions that must all hold leave one row of it at most, by a unique index over columns as
    /// they are stored?
    fn is_one_by_index(&self, r: &RelationRef, filter: Option<&Expr>) -> bool {
        let used = r.id.and_then(|id| Some((id, self.lineage.relation(id)?)));
        let (Some((id, used)), Some(alias), Some(filter)) = (used, &r.alias, filter) else {
            return false;
        };
        let table = &used.relation;
        if table.kind != RelationKind::Table || !(r.only || table.children.is_empty()) {
            return false;
        }
        let mut equal = Vec::new();
        for condition in filter.conjuncts() {
            let Expr::Binary(left, op, right) = condition else {
                continue;
            };
            let [l, r] = op.decides;
            for (one, other, decides) in [(left, right, l), (right, left, r)] {
                let stored = identity::base(one).filter(|(relation, attnum)| {
                    let source = Source::Column {
                        relation: *relation,
                        attnum: *attnum,
                    };
                    let decided = self.decisions.columns.get(&source);
                    *relation == id
                        && decided.is_some_and(|d| matches!(d.place, Place::Stored | Place::Output))
                });
                let is_one = decides && self.is_the_same(&mut Expr::clone(other), &alias.name);
                if let Some((_, attnum)) =
                    stored.filter(|_| is_builtin(op) && *op.symbol == *"=" && is_one)
                {
                    equal.push(attnum);
                }
            }
        }
        table.indexes.iter().any(|index| {
            let keys = index.columns.get(..index.keys).unwrap_or_default();
            index.tells_apart
                && index.immediate
                && index.predicate.is_empty()
                && keys.iter().all(|a| equal.contains(a))
        })
    }

    /// Is it one value for all rows of what has this alias?
    fn is_the_same(&self, e: &mut Expr, alias: &Ident) -> bool {
        let draws = e.any_within(&mut |node| match node {
            Node::Expr(Expr::Call(call)) => {
                (self.grounds.catalog).is_volatile(&call.function.parts)
            }
            Node::Expr(Expr::Param(n)) => !identity::is_of_one_type(*n, self.lineage),
            _ => false,
        });
        !draws && !reads(e, &[alias])
    }

    /// Refuses values of FROM where [`Order::told_by_match`].
    pub(super) fn no_match_told<'e>(
        &self,
        from: &[TableRef],
        values: impl Iterator<Item = &'e mut Expr>,
    ) -> Walked {
        let aliases: Vec<&Ident> = from.iter().flat_map(TableRef::aliases).collect();
        for value in values {
            if reads(value, &aliases) {
                return Err(matched());
            }
        }
        Ok(())
    }

    /// RETURNING. The client gets all the rows as they are changed, or by way of a SELECT; who reads them in
    /// WITH is told whose order they come in.
    pub(super) fn returning(
        &mut self,
        target: &RelationRef,
        items: &mut [SelectItem],
        reader: Reader,
        of: Changed,
    ) -> Walked {
        let calls = self.counting.get();
        let Changed { compared, .. } = of;
        let mut reader = reader;
        let several = !of.one && !items.is_empty();
        if several && (compared || self.placing && reader != Reader::Set) {
            if !of.whole {
                return Err(if compared {
                    returned_in_order()
                } else {
                    placed()
                });
            }
            self.returned = true;
            reader = Reader::Set;
        }
        self.loose(returned(items))?;
        self.met.extend(target.id);
        let exposed = compared || self.indexed.iter().any(|e| *e);
        if reader != Reader::Client && exposed && self.counting.get() > calls {
            return Err(counted());
        }
        Ok(())
    }

    /// Counts what SET … = DEFAULT calls for each row. Of a temporary table's columns and of a view's
    /// nobody knows.
    pub(super) fn defaults(&self, target: &RelationRef, assignments: &[Assignment]) {
        let relation = target.id.and_then(|id| self.lineage.relation(id));
        let known = relation
            .map(|r| &*r.relation)
            .filter(|r| !r.temporary && r.kind != RelationKind::View);
        let counts = |t: &AssignmentTarget| {
            let column = known.and_then(|r| r.column(&t.column));
            column.is_none_or(|c| c.counting_default)
        };
        let count = assignments
            .iter()
            .map(|a| match a {
                Assignment::One(target, None) => usize::from(counts(target)),
                Assignment::Row(targets, values) => targets
                    .iter()
                    .zip(values)
                    .filter(|(target, value)| value.is_none() && counts(target))
                    .count(),
                Assignment::One(_, Some(_)) | Assignment::Query(..) => 0,
            })
            .sum();
        self.count(count);
    }

    /// Is one row all it has, whose values are those of constants and calls?
    pub(super) fn is_one_row(&self, statement: &Statement) -> bool {
        match statement {
            Statement::Query(q) => self.is_one_row_query(q),
            Statement::Insert(i) => {
                matches!(&i.source, InsertSource::Values(rows) if rows.len() == 1)
            }
            _ => false,
        }
    }

    /// The same of a query.
    pub(super) fn is_one_row_query(&self, q: &Query) -> bool {
        match &q.body {
            SetExpr::Select(s) => {
                q.with.is_none()
                    && s.from.is_empty()
                    && s.filter.is_none()
                    && as_items(&s.items).all(|e| self.is_constant(e))
            }
            _ => false,
        }
    }

    /// Is it one value, whatever the row it stands beside, as far as its calls' arguments tell?
    pub(super) fn is_constant(&self, e: &Expr) -> bool {
        match e {
            Expr::Literal(_) | Expr::Param(_) | Expr::SystemValue(_) => true,
            Expr::Cast(inner, _) | Expr::Constant { expr: inner, .. } | Expr::Unary(_, inner) => {
                self.is_constant(inner)
            }
            Expr::Binary(left, _, right) => self.is_constant(left) && self.is_constant(right),
            Expr::Call(call) => {
                let mut overloads = self.grounds.catalog.overloads(&call.function.parts);
                call.args.iter().all(|a| self.is_constant(&a.value))
                    && call.filter.is_none()
                    && call.over.is_none()
                    && !overloads.any(|f| f.returns_set)
            }
            _ => false,
        }
    }

    /// Is it one constant, and no array?
    fn is_one_constant(&self, side: &[Source]) -> bool {
        let [Source::List(id)] = side else {
            return false;
        };
        self.lineage
            .list(*id)
            .is_some_and(|list| matches!(list.members.as_slice(), [member] if !member.array))
    }
}

/// What is known of a change where it comes to RETURNING.
#[derive(Clone, Copy)]
pub(super) struct Changed {
    /// Its rows are found by comparing tokens.
    pub(super) compared: bool,
    /// It is one row.
    pub(super) one: bool,
    /// It is the statement itself.
    pub(super) whole: bool,
}

/// The values an assignment has in its own text.
pub(in crate::plan) fn assigned(assignment: &mut Assignment) -> Vec<&mut Expr> {
    match assignment {
        Assignment::One(_, value) => value.iter_mut().collect(),
        Assignment::Row(_, values) => values.iter_mut().flatten().collect(),
        Assignment::Query(..) => Vec::new(),
    }
}

/// The base relations of a FROM item, and whether there is anything else.
fn relations(table: &TableRef, read: &mut Vec<RelationId>, other: &mut bool) {
    match table {
        TableRef::Relation(r) => match r.id {
            Some(id) => read.push(id),
            None => *other = true,
        },
        TableRef::Join { left, right, .. } => {
            relations(left, read, other);
            relations(right, read, other);
        }
        TableRef::Derived { .. } => *other = true,
        TableRef::Function(_) | TableRef::Keyword(_) => {}
    }
}

/// Does an expression read a column of one of these?
fn reads(e: &mut Expr, aliases: &[&Ident]) -> bool {
    let qualifier = match e {
        Expr::Column(column) => column.qualifier.as_ref(),
        Expr::WholeRow { qualifier, .. } => Some(&*qualifier),
        _ => {
            return e.any_part(|part| match part {
                Part::Expr(inner) => reads(inner, aliases),
                Part::Query(_) => true,
            });
        }
    };
    qualifier.is_none_or(|qualifier| aliases.contains(&qualifier))
}

fn matched() -> Refusal {
    Refusal::error(
        sqlstate::FEATURE_NOT_SUPPORTED,
        "cannot take values of the first of several rows that match, where the order of rows is protected",
    )
    .detail("PostgreSQL changes a row with the first row of FROM that matches, and which that is tells the order in which values are stored.")
    .hint("Make it one row by its primary key, as in WHERE s.id = t.s_id, or have one subquery in FROM.")
}

fn returned_in_order() -> Refusal {
    Refusal::error(
        sqlstate::FEATURE_NOT_SUPPORTED,
        "RETURNING in WITH is not supported where rows are found by comparing tokens with each other",
    )
    .detail("Rows are changed in the order in which PostgreSQL finds them, which is that of the stored values.")
    .hint("Let the change be the statement itself, leave RETURNING out, or compare the column with one constant at a time.")
}

/// A call numbers rows whose order is protected.
fn placed() -> Refusal {
    Refusal::error(
        sqlstate::FEATURE_NOT_SUPPORTED,
        "RETURNING of several rows is not supported where the role may put rows among them in a protected order",
    )
    .detail("Where its own row came would tell of the values of the others.")
    .hint(
        "Find one row by its key, read them by a SELECT afterwards, or WITH c AS (… RETURNING …) SELECT … FROM c; or \
         the policy's write section may allow it: probe(column).",
    )
}

pub(super) fn counted() -> Refusal {
    Refusal::error(
        sqlstate::FEATURE_NOT_SUPPORTED,
        "a function that tells one call from the next is not supported where the order of rows is protected",
    )
    .detail("Its results would number the rows in the order of stored values.")
    .hint(
        "Call it in the outermost select list, or use now() or gen_random_uuid(). A function of the \
         database's own whose calls are alike may be declared STABLE.",
    )
}
