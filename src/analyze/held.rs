//! Values of the session's temporary tables that are compared with a column of reversible tokens: what a
//! client may have uploaded as tokens.
//!
//! Each is wrapped in the tree ([`Expr::Held`]), so that the planner can have what it stands for
//! printed in its place. In `x IN (query)` it is an output of the query, which becomes
//! `x IN (SELECT … FROM (query))`. Deliberately absent: whether that may be done, and how, which is
//! `plan::uploads`; and tables that are not the session's own, because others write them meanwhile.

use super::expr::Info;
use super::lineage::{Held, OutputColumn, Source};
use super::{Analyzer, ColumnForm, Resolve, column_form};
use crate::ident::Ident;
use crate::policy::Treatment;
use crate::sql::tree::{
    Column, Expr, HeldId, Literal, Position, Query, Select, SelectItem, SetExpr, TableAlias,
    TableRef,
};

/// The alias of a query whose outputs are looked up. Nothing in the query sees it.
const ALIAS: &str = "held";

impl Analyzer<'_> {
    /// Two compared operands, and what is known of them.
    pub(super) fn compare_held(
        &mut self,
        operands: [&mut Expr; 2],
        infos: [&Info; 2],
    ) -> Resolve<()> {
        let [left, right] = infos;
        let before = self.lineage.equalities.len();
        self.compare_infos(left, right);
        let compared = self.lineage.equalities.len() > before;
        if !compared || self.keyword_operator("=", left.ty, right.ty)?.is_some() {
            return Ok(());
        }
        let [l, r] = operands;
        if self.is_held(&left.sources, &right.sources) {
            let id = self.held(&left.sources, &right.sources);
            hold(l, id);
        } else if self.is_held(&right.sources, &left.sources) {
            let id = self.held(&right.sources, &left.sources);
            hold(r, id);
        }
        Ok(())
    }

    /// What is looked for in a subquery, and the output it is compared with. The latter, if it is held.
    pub(super) fn compare_output(
        &mut self,
        left: &mut Expr,
        info: &Info,
        output: &OutputColumn,
    ) -> Resolve<Option<HeldId>> {
        self.compare(&info.sources, &output.sources);
        if self.keyword_operator("=", info.ty, output.ty)?.is_some() {
            return Ok(None);
        }
        if self.is_held(&info.sources, &output.sources) {
            let id = self.held(&info.sources, &output.sources);
            hold(left, id);
        } else if self.is_held(&output.sources, &info.sources) {
            return Ok(Some(self.held(&output.sources, &info.sources)));
        }
        Ok(None)
    }

    /// Is it what temporary tables hold, and nothing else, beside tokens PostgreSQL cannot compute?
    fn is_held(&self, sources: &[Source], beside: &[Source]) -> bool {
        let temporary =
            |s: &Source| (self.lineage.column(*s)).is_some_and(|(relation, _)| relation.temporary);
        let token = |s: &Source| {
            let Some((relation, column)) = self.lineage.column(*s) else {
                return false;
            };
            let form = column_form(relation, column.attnum, self.grounds);
            matches!(form, Ok(ColumnForm::Rule(rule)) if matches!(&rule.treatment,
                Treatment::Token(token) if token.is_reversible()))
        };
        !sources.is_empty() && sources.iter().all(temporary) && beside.iter().any(token)
    }

    /// Remembers what the last comparison compares.
    fn held(&mut self, sources: &[Source], beside: &[Source]) -> HeldId {
        let id = HeldId(u32::try_from(self.lineage.held.len()).unwrap_or(u32::MAX));
        self.lineage.held.push(Held {
            sources: sources.to_vec(),
            beside: beside.to_vec(),
        });
        if let Some(last) = self.lineage.equalities.last_mut() {
            last.held = Some(id);
        }
        id
    }
}

fn hold(e: &mut Expr, held: HeldId) {
    let expr = std::mem::replace(e, Expr::Literal(Literal::Null));
    *e = Expr::Held {
        held,
        expr: Box::new(expr),
    };
}

/// `query` as `SELECT … FROM (query)`, where some of its outputs are held.
pub(super) fn hold_outputs(query: &mut Query, held: &[Option<HeldId>]) {
    if held.iter().all(Option::is_none) {
        return;
    }
    let alias = Ident::exact(ALIAS);
    let names: Vec<Ident> = (1..=held.len())
        .map(|n| Ident::exact(&format!("{ALIAS} {n}")))
        .collect();
    let item = |(name, held): (&Ident, &Option<HeldId>)| {
        let mut expr = Expr::Column(Column {
            qualifier: Some(alias.clone()),
            name: name.clone(),
            base: None,
            position: Position::default(),
        });
        if let Some(held) = held {
            hold(&mut expr, *held);
        }
        SelectItem::Expr {
            expr,
            alias: Some(name.clone()),
        }
    };
    let select = Select {
        items: names.iter().zip(held).map(item).collect(),
        ..Select::default()
    };
    let mut outer = Query {
        with: None,
        body: SetExpr::Select(Box::new(select)),
        order_by: Vec::new(),
        limit: None,
        locking: Vec::new(),
    };
    std::mem::swap(query, &mut outer);
    if let SetExpr::Select(select) = &mut query.body {
        select.from.push(TableRef::Derived {
            lateral: false,
            query: Box::new(outer),
            alias: Some(TableAlias {
                name: alias,
                columns: names,
            }),
        });
    }
}
