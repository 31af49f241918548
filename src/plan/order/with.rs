//! WITH: what its queries are to those that read them by name.

use super::level::Reader;
use super::select::names;
use super::{Order, raising};
use crate::ident::Ident;
use crate::sql::tree::{RelationId, RelationRef, SetExpr, Statement, Walked, With};

/// One common table expression in scope.
pub(super) struct Seen {
    pub(super) name: Ident,
    /// Its rows come in an order that tells nothing.
    pub(super) settled: bool,
    /// What it reads.
    pub(super) relations: Vec<RelationId>,
    /// Calls in it whose results may tell when its rows were asked for.
    pub(super) calls: usize,
    /// A row may make it fail.
    pub(super) failing: bool,
}

impl Order<'_> {
    /// WITH, its names put in scope, for a `reader` of all of them; the caller takes them out.
    pub(super) fn with(&mut self, with: Option<&mut With>, reader: Reader) -> Walked {
        let Some(with) = with else { return Ok(()) };
        for cte in &mut with.ctes {
            let before = self.met.len();
            let itself = self.ctes.len();
            let recursive = with.recursive;
            if recursive {
                self.ctes.push(Seen {
                    name: cte.name.clone(),
                    settled: false,
                    relations: Vec::new(),
                    calls: 0,
                    failing: false,
                });
            }
            let before_calls = self.counting.get();
            let failing = match cte.body.as_mut() {
                Statement::Query(q) => {
                    raising::query(q) || q.any_within(&mut |node| self.names_failing(node))
                }
                _ => true,
            };
            let settled = match cte.body.as_mut() {
                Statement::Query(q) => {
                    let chain = matches!(q.body, SetExpr::Chain { .. });
                    let looping = recursive && chain && names(q, &cte.name);
                    self.query(q, if looping { Reader::Loop } else { reader })?
                }
                other => {
                    self.statement(other, Reader::Set)?;
                    false
                }
            };
            // PostgreSQL asks for its rows as they are wanted, and so in the order of what is joined.
            let calls = self.counting.get().saturating_sub(before_calls);
            let calls = if self.is_one_row(&cte.body) { 0 } else { calls };
            self.ctes.truncate(itself);
            self.ctes.push(Seen {
                name: cte.name.clone(),
                settled,
                calls,
                failing,
                relations: self.met.get(before..).unwrap_or_default().to_vec(),
            });
        }
        Ok(())
    }

    /// What is known of a query of WITH.
    pub(super) fn seen(&self, r: &RelationRef) -> Option<&Seen> {
        let name = r.name.parts.last();
        self.ctes.iter().rev().find(|c| Some(&c.name) == name)
    }
}
