//! Names in expressions: a column, a system column, the value of `t.*`.

use std::sync::Arc;

use super::alike::Alike;
use super::expr::Info;
use super::lineage::{Source, Uses};
use super::scope::{Found, Item, ItemKind, Scope, Visible};
use super::{Analyzer, Resolve};
use crate::ident::Ident;
use crate::pg::{AttrNumber, sqlstate};
use crate::refusal::Refusal;
use crate::sql::tree::{Expr, Name};

/// `TableOidAttributeNumber`
const TABLEOID: AttrNumber = -6;
const CTID: AttrNumber = -1;
/// `cmin`, `xmax`, `cmax`: who locked a row is among them.
const LOCKS: [AttrNumber; 3] = [-3, -4, -5];

impl Analyzer<'_> {
    pub(super) fn name(&mut self, e: &mut Expr, name: &Name, scope: &Scope<'_>) -> Resolve<Info> {
        // A system column is not in the lists; it belongs to a base relation only.
        if let Some(info) = self.system_column(e, name, scope)? {
            return Ok(info);
        }
        match scope.find(name)? {
            Found::Column(c) => {
                let info = self.visible(c);
                *e = c.expr_at(name.position);
                Ok(info)
            }
            Found::WholeRow(item) => self.item_row(e, item),
        }
    }

    /// `t.*` as one value: the whole row.
    pub(super) fn star_value(
        &mut self,
        e: &mut Expr,
        name: &Name,
        scope: &Scope<'_>,
    ) -> Resolve<Info> {
        self.item_row(e, scope.find_item(name)?)
    }

    /// A FROM item as one value.
    fn item_row(&mut self, e: &mut Expr, item: &Item) -> Resolve<Info> {
        let twins = || (item.columns.iter()).any(|c| c.reference.name != c.name);
        if item.kind != ItemKind::Plain || item.fields && item.relation.is_none() && twins() {
            return Err(Refusal::error(
                sqlstate::FEATURE_NOT_SUPPORTED,
                format!(
                    "\"{}\" as one value is not supported for restricted roles",
                    item.alias
                ),
            )
            .hint("Name the columns you need."));
        }
        if let ([value], true) = (item.columns.as_slice(), item.scalar) {
            let info = self.visible(value);
            self.lineage.mark_all(&info.sources, Uses::COMPUTE);
            *e = Expr::WholeRow {
                qualifier: item.printed.clone(),
                base: None,
            };
            return Ok(Info {
                named: false,
                ..info
            });
        }
        let mut info = self.whole_row(&item.columns, item.relation)?;
        let stored = |c: &Visible| matches!(c.alike, Alike::Stored | Alike::Made);
        if item.relation.is_some() && item.columns.iter().all(stored) {
            info.alike = Alike::Stored;
        }
        *e = Expr::WholeRow {
            qualifier: item.printed.clone(),
            base: item.relation,
        };
        Ok(info)
    }

    /// A reference to a visible column: mentioned, its use still open.
    pub(super) fn visible(&mut self, c: &Visible) -> Info {
        self.lineage.mark_all(&c.sources, Uses::NONE);
        self.mentioned(c);
        Info {
            sources: c.sources.clone(),
            tainted: c.tainted,
            ty: c.ty,
            null: false,
            alike: c.alike,
            scale: c.scale,
            named: c.named && c.merged.is_none(),
            row: Vec::new(),
        }
    }

    /// Counts the mention of a column the role does not see clearly.
    pub(super) fn mentioned(&mut self, c: &Visible) {
        if let Some((id, attnum)) = c.reference.base {
            let relation = self
                .lineage
                .relation(id)
                .map(|used| Arc::clone(&used.relation));
            if let Some(relation) = relation
                && let Some(column) = relation.attribute(attnum)
            {
                // What is refused, is refused where it is read.
                let fails = super::plain::generated_may_fail(&relation, column, self.grounds);
                self.lineage.failing |= fails.unwrap_or(true);
                self.lineage.collated |= !column.deterministic;
                self.lineage.collations |= column.collation.is_some();
            }
        }
        self.hidden = self.hidden.saturating_add(u64::from(c.tainted));
    }

    pub(super) fn system_column(
        &mut self,
        e: &mut Expr,
        name: &Name,
        scope: &Scope<'_>,
    ) -> Resolve<Option<Info>> {
        let Some((column, attnum, item)) = find_system_column(name, scope) else {
            return Ok(None);
        };
        let Some(relation) = item.relation else {
            return Ok(None);
        };
        if let Some(used) = self.lineage.relation(relation) {
            let used = Arc::clone(&used.relation);
            let what = format!("column {column}");
            match attnum {
                TABLEOID => self.no_partition_told(&used, &what, name.position)?,
                CTID => self.no_place_told(&used, &what, name.position)?,
                _ if LOCKS.contains(&attnum) => self.no_lock_told(&used, column, name.position)?,
                _ => {}
            }
        }
        self.lineage
            .mark(Source::Column { relation, attnum }, Uses::NONE);
        *e = Expr::Column(crate::sql::tree::Column {
            qualifier: Some(item.printed.clone()),
            name: column.clone(),
            base: Some((relation, attnum)),
            position: name.position,
        });
        Ok(Some(Info::computed(false, None)))
    }
}

/// The system column a name means, and whose it is.
fn find_system_column<'n, 's>(
    name: &'n Name,
    scope: &'s Scope<'_>,
) -> Option<(&'n Ident, AttrNumber, &'s Item)> {
    let (column, qualifier) = name.parts.split_last()?;
    let attnum = match column.as_str() {
        "ctid" => CTID,
        "xmin" => -2,
        "cmin" => -3,
        "xmax" => -4,
        "cmax" => -5,
        "tableoid" => TABLEOID,
        _ => return None,
    };
    let item = match qualifier {
        [] => {
            // As for any name: the nearest query with exactly one base relation has it.
            if scope.columns.iter().any(|c| c.name == *column) {
                return None;
            }
            let mut with_relation = scope
                .items
                .iter()
                .filter(|i| i.relation.is_some() && i.kind == ItemKind::Plain);
            let first = with_relation.next()?;
            if with_relation.next().is_some() {
                return None;
            }
            first
        }
        [alias] => scope.item_opt(alias)?,
        _ => return None,
    };
    if item.columns.iter().any(|c| c.name == *column) {
        return None;
    }
    Some((column, attnum, item))
}
