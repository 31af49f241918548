//! Rows that UPDATE and DELETE change, and calls that number rows.
//!
//! Neither has a place for a key: PostgreSQL changes rows in the order in which it finds them, and calls
//! a function for each as it comes by. So what would tell that order is refused. Deliberately absent:
//! calls of an outermost select list, which come after the sort.

use super::{Order, any};
use crate::analyze::lineage::Source;
use crate::pg::sqlstate;
use crate::refusal::Refusal;
use crate::sql::tree::Walked;

impl Order<'_> {
    /// Rows that are changed, in an order for which there is no key: refuses to hand them out in the
    /// order of tokens, and to number them in any that tells. `first`: what was met since is read
    /// beside them; `calls`: what was counted before.
    pub(super) fn changes(&self, first: usize, calls: usize, returning: bool) -> Walked {
        let met = self.met.get(first..).unwrap_or_default();
        let several = |side: &[Source], other: &[Source]| {
            let compared = side.iter().any(|s| {
                matches!(s, Source::Column { relation, .. } if any(&self.compared, &[*relation]))
            });
            compared && !self.is_one_constant(other)
        };
        let compared = self.compares(met)
            || (self.lineage.equalities.iter())
                .any(|e| several(&e.left, &e.right) || several(&e.right, &e.left));
        if returning && compared {
            return Err(returned_in_order());
        }
        let numbered = self.counting.get() > calls;
        if numbered && (compared || self.indexed.iter().any(|e| *e)) {
            return Err(counted());
        }
        Ok(())
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

fn returned_in_order() -> Refusal {
    Refusal::error(
        sqlstate::FEATURE_NOT_SUPPORTED,
        "RETURNING is not supported where rows are found by comparing tokens with each other",
    )
    .detail("Rows are changed in the order in which PostgreSQL finds them, which is that of the stored values.")
    .hint("Leave RETURNING out and SELECT the rows, or compare the column with one constant at a time.")
}

/// A call numbers rows whose order is protected.
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
