//! GROUP BY over equal values that are spelled otherwise, as 1.0 and 1.00: PostgreSQL shows that of the row
//! which came first. So one is shown that all of a group's rows decide, whatever their order: of their texts
//! the greatest, which of numbers has the most digits; of floats, where only 0 and -0 are equal, 0.
//!
//! Deliberately absent: types whose text does not make the same value again, and keys that a subquery looks at.
//! They are refused (`Lineage::apart`).

use super::Order;
use super::calls::apart;
use super::key::{as_items_mut, meant, position, same_text};
use crate::catalog::{TypeInfo, TypeKind};
use crate::ident::Ident;
use crate::pg::Oid;
use crate::pg::types::oid;
use crate::sql::tree::{
    Column, Distinct, Expr, GroupItem, Literal, Name, Node, Operator, OrderItem, Part, Select,
    SetExpr, Statement, TableRef, TypeName, Walked,
};

impl Order<'_> {
    /// Shows such keys of a statement, wherever they are, without telling of an order.
    pub(super) fn show_spelled(&self, statement: &mut Statement) -> Walked {
        let mut refused = None;
        let _: bool = statement.any_within(&mut |node| {
            let walked = match node {
                Node::Query(q) => self.spelled_body(&mut q.body, &mut q.order_by),
                Node::Expr(_) | Node::Table(_) | Node::Item(_) | Node::Change(_) => Ok(()),
            };
            refused = walked.err();
            refused.is_some()
        });
        refused.map_or(Ok(()), Err)
    }

    fn spelled_body(&self, body: &mut SetExpr, order_by: &mut [OrderItem]) -> Walked {
        match body {
            SetExpr::Select(s) => self.spelled_select(s, order_by),
            SetExpr::Chain { first, rest } => {
                self.spelled_body(first, &mut [])?;
                rest.iter_mut()
                    .try_for_each(|(_, _, arm)| self.spelled_body(arm, &mut []))
            }
            // It is met itself.
            SetExpr::Query(_) | SetExpr::Values(_) => Ok(()),
        }
    }

    fn spelled_select(&self, s: &mut Select, order_by: &mut [OrderItem]) -> Walked {
        let spelled = std::mem::take(&mut s.spelled);
        if spelled.is_empty() {
            return Ok(());
        }
        let grouped = s.group_by.iter().all(|i| matches!(i, GroupItem::Expr(_)));
        let mut all = Vec::new();
        for key in keys(&mut s.group_by) {
            // A number would be a place in the select list again.
            let meant = meant(key, &s.items).clone();
            if !matches!(
                meant,
                Expr::Literal(_) | Expr::Constant { .. } | Expr::Param(_)
            ) {
                key.clone_from(&meant);
            }
            all.push(meant);
        }
        let mut done: Vec<Expr> = Vec::new();
        for (at, ty) in spelled {
            let mut written = all.get(at).ok_or_else(apart)?.clone();
            if done.iter().any(|e| same_text(e, &written)) {
                continue;
            }
            let aliases = s
                .from
                .iter()
                .flat_map(TableRef::aliases)
                .collect::<Vec<_>>();
            let columns = self.columns(&mut written, &aliases).ok_or_else(apart)?;
            let shown = self.shown(&written, ty).ok_or_else(apart)?;
            let key = Key {
                shown: if grouped {
                    shown
                } else {
                    if_grouped(&written, shown)
                },
                columns,
                others: all
                    .iter()
                    .filter(|e| !same_text(e, &written))
                    .cloned()
                    .collect(),
                written: written.clone(),
                order: self,
            };
            done.push(written);
            let replace = |e: &mut Expr| key.replace(e);
            as_items_mut(&mut s.items).try_for_each(replace)?;
            s.having.iter_mut().try_for_each(replace)?;
            if let Some(Distinct::On(keys)) = &mut s.distinct {
                let mut keys = keys.iter_mut().filter(|e| position(e).is_none());
                keys.try_for_each(replace)?;
            }
            for (_, window) in &mut s.windows {
                window.parts(&mut |part| key.part(part))?;
            }
            let sorted = order_by.iter_mut().map(|o| &mut o.expr);
            let mut sorted = sorted.filter(|e| position(e).is_none());
            sorted.try_for_each(replace)?;
        }
        Ok(())
    }

    /// The columns a key is made of, if one of them is of these, and nothing else in it differs from row to row.
    fn columns(&self, key: &mut Expr, aliases: &[&Ident]) -> Option<Vec<Column>> {
        let mut names = Vec::new();
        let mut own = false;
        let other = key.any_within(&mut |node| match node {
            Node::Expr(Expr::Column(c)) => {
                own |= c.qualifier.as_ref().is_some_and(|q| aliases.contains(&q));
                names.push(c.clone());
                false
            }
            Node::Expr(Expr::Call(call)) => {
                let name = &call.function.parts;
                let mut overloads = self.grounds.catalog.overloads(name);
                self.is_aggregate(name)
                    || self.grounds.catalog.is_volatile(name)
                    || overloads.any(|f| f.returns_set)
            }
            Node::Expr(e) => matches!(
                e,
                Expr::WholeRow { .. } | Expr::Keyword(_) | Expr::Field(..)
            ),
            Node::Table(_) | Node::Item(_) | Node::Change(_) | Node::Query(_) => true,
        });
        // What cannot be printed yet is not known again.
        (own && !other && same_text(key, key)).then_some(names)
    }
}

/// Types of PostgreSQL's own whose text makes the same value again.
const READ_BACK: &[&str] = &["interval", "jsonb", "nummultirange", "numrange", "numeric"];

impl Order<'_> {
    /// What a value of this type is shown as, made of a group's rows.
    fn shown(&self, key: &Expr, ty: Oid) -> Option<Expr> {
        if matches!(ty, oid::FLOAT4 | oid::FLOAT8) {
            return Some(unsigned_zero(key, ty));
        }
        let found = self.grounds.catalog.types.get(&ty)?;
        if !self.is_read_back(found) {
            return None;
        }
        let text = Expr::Cast(Box::new(key.clone()), TypeName::builtin("text", 0));
        let text = Expr::Collate(Box::new(text), Name::builtin("C"));
        let name = Name::made(vec![found.schema.clone(), found.name.clone()]);
        let ty = TypeName {
            name,
            ..TypeName::builtin("text", 0)
        };
        Some(Expr::Cast(Box::new(Expr::builtin_call("max", [text])), ty))
    }

    fn is_read_back(&self, ty: &TypeInfo) -> bool {
        let element = ty.array_element.map(|e| self.grounds.catalog.types.get(&e));
        match element {
            Some(element) => element.is_some_and(|e| self.is_read_back(e)),
            None if ty.schema == "pg_catalog" => READ_BACK.contains(&ty.name.as_str()),
            None => ty.kind == TypeKind::Base && ty.name == "citext",
        }
    }
}

/// A float without the sign that 0 may have.
pub(super) fn unsigned_zero(e: &Expr, ty: Oid) -> Expr {
    let name = if ty == oid::FLOAT4 {
        "float4"
    } else {
        "float8"
    };
    let zero = Expr::Literal(Literal::Number("0".into()));
    let zero = Expr::Cast(Box::new(zero), TypeName::builtin(name, 0));
    Expr::Binary(Box::new(e.clone()), Operator::builtin("+"), Box::new(zero))
}

/// A key, in the SELECT it groups.
struct Key<'k> {
    written: Expr,
    shown: Expr,
    /// The columns in it.
    columns: Vec<Column>,
    /// What else the SELECT groups by.
    others: Vec<Expr>,
    order: &'k Order<'k>,
}

impl Key<'_> {
    /// Puts what is shown where the key is looked at as that of a group. What an aggregate is given are rows.
    /// PostgreSQL may know the key in another spelling: then a column of it is left.
    fn replace(&self, e: &mut Expr) -> Walked {
        if same_text(e, &self.written) {
            *e = self.shown.clone();
            return Ok(());
        }
        if self.others.iter().any(|other| same_text(e, other)) {
            return Ok(());
        }
        match e {
            // It asks which keys these are, and for none of their values.
            Expr::Grouping(_) => Ok(()),
            Expr::Call(call)
                if call.over.is_none() && self.order.is_aggregate(&call.function.parts) =>
            {
                // The arguments before WITHIN GROUP are a group's, and take no aggregate.
                let mut direct = call.args.iter_mut().filter(|_| call.within_group);
                unread(direct.any(|a| a.value.any_within(&mut |node| self.is_read(node))))
            }
            // Some gather rows.
            Expr::Keyword(form) => form.parts(&mut |part| match part {
                Part::Expr(e) => unread(e.any_within(&mut |node| self.is_read(node))),
                Part::Query(_) => self.part(part),
            }),
            Expr::Column(c) if self.has(c) => Err(apart()),
            // A window function's rows are groups, but its FILTER takes no aggregate.
            Expr::Call(call) => {
                let filter = call.filter.as_deref_mut();
                unread(filter.is_some_and(|e| e.any_within(&mut |node| self.is_read(node))))?;
                e.parts(&mut |part| self.part(part))
            }
            _ => e.parts(&mut |part| self.part(part)),
        }
    }

    fn part(&self, part: Part<'_>) -> Walked {
        match part {
            Part::Expr(e) => self.replace(e),
            Part::Query(q) => unread(q.any_within(&mut |node| self.is_read(node))),
        }
    }

    fn is_read(&self, node: Node<'_>) -> bool {
        matches!(node, Node::Expr(Expr::Column(c)) if self.has(c))
    }

    /// Is it one of the columns in it? What USING merged has no qualifier.
    fn has(&self, c: &Column) -> bool {
        self.columns.iter().any(|own| {
            let differ =
                own.qualifier.is_some() && c.qualifier.is_some() && own.qualifier != c.qualifier;
            own.name == c.name && !differ
        })
    }
}

fn unread(read: bool) -> Walked {
    if read { Err(apart()) } else { Ok(()) }
}

/// What is shown of a key where some rows are grouped by it and others are not.
fn if_grouped(key: &Expr, shown: Expr) -> Expr {
    let grouping = Expr::Grouping(vec![key.clone()]);
    let zero = Expr::Literal(Literal::Number("0".into()));
    let grouped = Expr::Binary(Box::new(grouping), Operator::builtin("="), Box::new(zero));
    Expr::Case {
        operand: None,
        branches: vec![(grouped, shown)],
        otherwise: None,
    }
}

/// The expressions rows are grouped by.
fn keys(items: &mut [GroupItem]) -> Vec<&mut Expr> {
    let mut all = Vec::new();
    for item in items {
        match item {
            GroupItem::Empty => {}
            GroupItem::Expr(e) => all.push(e),
            GroupItem::List(list) => all.extend(list),
            GroupItem::Rollup(sets) | GroupItem::Cube(sets) => {
                all.extend(sets.iter_mut().flatten());
            }
            GroupItem::Sets(sets) => all.extend(keys(sets)),
        }
    }
    all
}
