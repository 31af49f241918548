//! Columns of masked relations that a query in FROM, or of WITH, hands on as they are: dbt and BI tools
//! put one around every table. A question about such a column is answered by the relation's hidden
//! column, which the query then hands on as well.
//!
//! Deliberately absent: queries that group or say DISTINCT, whose rows another column would change, and
//! statements that read whole rows of queries, of which it would be seen.

use std::collections::BTreeMap;

use super::hidden::Hidden;
use crate::ident::Ident;
use crate::pg::AttrNumber;
use crate::sql::tree::{
    Column, Cte, Expr, JoinConstraint, Node, Query, RelationId, SelectItem, SetExpr, Statement,
    TableAlias, TableRef, With,
};

/// What may be asked about at one place.
#[derive(Clone, Default)]
pub(super) struct Open {
    /// Masked relations, with their aliases.
    pub(super) relations: BTreeMap<RelationId, Ident>,
    /// Queries that hand something on, by alias.
    queries: BTreeMap<Ident, Seen>,
    /// The same of WITH, by name.
    ctes: BTreeMap<Ident, Seen>,
    /// Masks of one FROM item were compared with another.
    pub(super) joins: bool,
}

/// A query that hands something on, under an alias.
#[derive(Clone)]
struct Seen {
    /// Its place in [`Hidden::handed`].
    query: usize,
    /// What the alias calls its columns, from the first.
    names: Vec<Ident>,
}

/// Where a column comes from: the place of a query, and of a column in its select list.
type Origin = (usize, usize);

/// A query that hands columns on.
pub(super) struct Handed {
    /// Where it is in the tree, whose queries stay where they are.
    at: usize,
    /// Its columns, those that are handed on: as they are named in it, and from where if they are handed on to
    /// it.
    columns: Vec<Option<(Column, Option<Origin>)>>,
    /// What they are called.
    names: Vec<Ident>,
    /// What some alias calls them, too.
    taken: Vec<Ident>,
    /// What it is to hand on besides.
    added: Vec<(Ident, Expr)>,
    /// How many of these are in its select list.
    written: usize,
}

fn place(q: &Query) -> usize {
    std::ptr::from_ref(q).addr()
}

impl Open {
    /// Names the queries of a WITH, from which those around it are not seen.
    pub(super) fn forget(&mut self, with: &With) {
        for cte in &with.ctes {
            self.ctes.remove(&cte.name);
        }
    }

    /// Of a query with these FROM items.
    pub(super) fn within(&self, from: &[TableRef]) -> Self {
        let mut rows = self.clone();
        for alias in from.iter().flat_map(TableRef::aliases) {
            rows.queries.remove(alias);
        }
        rows
    }
}

impl Hidden<'_> {
    /// What a query hands on to the one that reads it.
    pub(super) fn hands(&mut self, q: &Query, rows: &Open) -> Option<usize> {
        let SetExpr::Select(s) = &q.body else {
            return None;
        };
        let plain =
            s.distinct.is_none() && s.group_by.is_empty() && s.having.is_none() && s.into.is_none();
        if !self.hands || !plain {
            return None;
        }
        let aliases: Vec<&Ident> = s.from.iter().flat_map(TableRef::aliases).collect();
        let mut columns = Vec::new();
        let mut names = Vec::new();
        for item in &s.items {
            let SelectItem::Expr {
                expr,
                alias: Some(name),
            } = item
            else {
                return None;
            };
            names.push(name.clone());
            columns.push(match expr {
                Expr::Column(c) if c.qualifier.as_ref().is_some_and(|q| aliases.contains(&q)) => {
                    match c.base {
                        Some((id, _)) => (rows.relations.get(&id) == c.qualifier.as_ref())
                            .then(|| (c.clone(), None)),
                        None => self.from(c, rows).map(|from| (c.clone(), Some(from))),
                    }
                }
                _ => None,
            });
        }
        if columns.iter().all(Option::is_none) {
            return None;
        }
        self.handed.push(Handed {
            at: place(q),
            columns,
            names,
            taken: Vec::new(),
            added: Vec::new(),
            written: 0,
        });
        self.handed.len().checked_sub(1)
    }

    /// Gives a query of WITH its name.
    pub(super) fn name(&mut self, cte: &Cte, handed: Option<usize>, seen: &mut Open) {
        let handed = handed.and_then(|query| {
            let names = self.handed.get(query)?.names.clone();
            Some(self.renamed(Seen { query, names }, &cte.columns))
        });
        match handed {
            Some(handed) => seen.ctes.insert(cte.name.clone(), handed),
            None => seen.ctes.remove(&cte.name),
        };
    }

    /// Gives a query in FROM its alias.
    pub(super) fn call(&mut self, alias: &TableAlias, handed: Option<usize>, rows: &mut Open) {
        let names = handed.and_then(|query| Some((query, self.handed.get(query)?.names.clone())));
        if let Some((query, names)) = names {
            let seen = self.renamed(Seen { query, names }, &alias.columns);
            rows.queries.insert(alias.name.clone(), seen);
        }
    }

    /// The same of a name of WITH.
    pub(super) fn refer(&mut self, cte: &Ident, alias: &TableAlias, rows: &mut Open) {
        if let Some(seen) = rows.ctes.get(cte).cloned() {
            let seen = self.renamed(seen, &alias.columns);
            rows.queries.insert(alias.name.clone(), seen);
        }
    }

    /// With other names for its first columns.
    fn renamed(&mut self, mut seen: Seen, columns: &[Ident]) -> Seen {
        for (name, new) in seen.names.iter_mut().zip(columns) {
            name.clone_from(new);
        }
        if let Some(handed) = self.handed.get_mut(seen.query) {
            handed.taken.extend(columns.iter().cloned());
        }
        seen
    }

    /// Where a column of a query in FROM comes from.
    fn from(&self, c: &Column, open: &Open) -> Option<Origin> {
        let seen = open.queries.get(c.qualifier.as_ref()?)?;
        let mut named = (0_usize..)
            .zip(&seen.names)
            .filter(|(_, name)| **name == c.name);
        match (named.next(), named.next()) {
            (Some((position, _)), None) => Some((seen.query, position)),
            _ => None,
        }
    }

    fn handed_on(&self, (query, position): Origin) -> Option<&(Column, Option<Origin>)> {
        self.handed.get(query)?.columns.get(position)?.as_ref()
    }

    /// The column of a masked relation that `c` is.
    pub(super) fn origin(&self, c: &Column, open: &Open) -> Option<(RelationId, AttrNumber)> {
        if let Some((id, attnum)) = c.base {
            return (open.relations.get(&id) == c.qualifier.as_ref()).then_some((id, attnum));
        }
        let (mut c, mut from) = (c, Some(self.from(c, open)?));
        while let Some(at) = from {
            let (inner, next) = self.handed_on(at)?;
            (c, from) = (inner, *next);
        }
        c.base
    }

    /// The masked relations of a query that hands columns on, of which `c` is none.
    pub(super) fn behind(&self, c: &Column, open: &Open) -> Vec<RelationId> {
        let query = c.qualifier.as_ref().and_then(|q| open.queries.get(q));
        let mut found = Vec::new();
        let mut from: Vec<usize> = query.map(|seen| seen.query).into_iter().collect();
        while let Some(at) = from.pop() {
            let columns = self.handed.get(at).into_iter().flat_map(|h| &h.columns);
            for (inner, next) in columns.flatten() {
                found.extend(inner.base.map(|(id, _)| id));
                from.extend(next.map(|(query, _)| query));
            }
        }
        found
    }

    /// A hidden column of the relation `c` is of, wherever that is.
    pub(super) fn carried(
        &mut self,
        c: &Column,
        open: &Open,
        sql: &dyn Fn(&str) -> String,
    ) -> Option<Expr> {
        if c.base.is_some() {
            return self.column(c, open, |x| Some(sql(x)));
        }
        let from = self.from(c, open)?;
        self.carry(c, from, sql)
    }

    fn carry(&mut self, c: &Column, from: Origin, sql: &dyn Fn(&str) -> String) -> Option<Expr> {
        let (inner, next) = self.handed_on(from)?.clone();
        let hidden = match next {
            Some(next) => self.carry(&inner, next, sql)?,
            None => self.made(&inner, |x| Some(sql(x)))?,
        };
        let Expr::Column(wanted) = &hidden else {
            return None;
        };
        let handed = self.handed.get_mut(from.0)?;
        let known = handed
            .added
            .iter()
            .find(|(_, e)| matches!(e, Expr::Column(c) if c == wanted));
        let name = known.map(|(name, _)| name.clone());
        let name = name.unwrap_or_else(|| {
            let mut number = 0_u32;
            let mut name = wanted.name.clone();
            while handed.names.contains(&name) || handed.taken.contains(&name) {
                name = Ident::exact(&format!("pgveil {number}"));
                number = number.saturating_add(1);
            }
            handed.names.push(name.clone());
            handed.added.push((name.clone(), hidden.clone()));
            name
        });
        Some(Expr::Column(Column {
            qualifier: c.qualifier.clone(),
            name,
            base: None,
            position: c.position,
        }))
    }

    /// Writes what the queries of a WITH, or of FROM, hand on besides, and those inside them.
    pub(super) fn write_with(&mut self, with: &mut With) {
        for cte in &mut with.ctes {
            if let Statement::Query(q) = &mut *cte.body {
                self.write_query(q);
            }
        }
    }

    pub(super) fn write_table(&mut self, table: &mut TableRef) {
        match table {
            TableRef::Derived { query, .. } => self.write_query(query),
            TableRef::Join { left, right, .. } => {
                self.write_table(left);
                self.write_table(right);
            }
            TableRef::Relation(_) | TableRef::Function(_) | TableRef::Keyword(_) => {}
        }
    }

    fn write_query(&mut self, q: &mut Query) {
        if let Some(with) = &mut q.with {
            self.write_with(with);
        }
        let at = place(q);
        let SetExpr::Select(s) = &mut q.body else {
            return;
        };
        for table in &mut s.from {
            self.write_table(table);
        }
        if let Some(handed) = self.handed.iter_mut().find(|h| h.at == at) {
            let new = handed.added.get(handed.written..).unwrap_or_default();
            s.items
                .extend(new.iter().map(|(name, expr)| SelectItem::Expr {
                    expr: expr.clone(),
                    alias: Some(name.clone()),
                }));
            handed.written = handed.added.len();
        }
    }
}

/// Is there a whole row of something that is no relation?
pub(super) fn whole_rows(q: &mut Query) -> bool {
    q.any_within(&mut |node| match node {
        Node::Expr(e) => matches!(e, Expr::WholeRow { base: None, .. }),
        Node::Item(item) => !matches!(item, SelectItem::Expr { .. }),
        // NATURAL may call a column that no one else does.
        Node::Table(table) => matches!(
            table,
            TableRef::Keyword(_)
                | TableRef::Join {
                    constraint: JoinConstraint::Natural,
                    ..
                }
        ),
        Node::Change(_) => true,
        Node::Query(_) => false,
    })
}
