//! Lineage + grants → Plan or Refusal.
//!
//! [`Plan`] is sealed: only `decide` makes one, and only a plan can become an upstream request.

mod plan;
mod refusal;

pub use self::plan::{
    CursorEntry, Effect, Facts, Plan, PlanContext, PreparedEntry, plan_statement, plan_verbatim,
};
pub use self::refusal::Refusal;
