//! Lineage + grants → Plan or Refusal.
//!
//! [`Plan`] is sealed: only `decide` makes one, and only a plan can become an upstream request.

mod absent;
mod asked;
mod bound;
mod cache;
mod constraints;
mod copy;
mod copy_in;
mod copy_options;
mod copy_out;
mod decide;
mod decoded;
mod explain;
mod facts;
mod fenced;
mod handed;
mod held;
mod hidden;
mod indexed;
mod joined;
mod like;
mod narrowed;
mod observe;
mod once;
mod order;
mod param;
mod pin;
mod plan;
mod rewrite;
mod served;
mod set_config;
mod settings;
mod statement;
mod subject;
mod tabulated;
mod temp;
mod temp_index;
mod tokens;
mod uploads;
mod utility;

pub use self::bound::{Bound, Qualify};
pub use self::cache::{PlanKey, Planned, Plans, Scope, stands_alone};
pub use self::constraints::SET_CONSTRAINTS;
pub use self::copy_in::{CopyDecoder, CopyTokens};
pub use self::copy_out::{CopyEncoder, CopyExport, UnplannedRows};
pub use self::explain::{ExplainedColumn, explain_statement};
pub use self::observe::observe_statement;
pub use self::param::{Parameters, check_parameter_types};
pub use self::plan::{
    CursorEntry, Effect, Facts, Names, Plan, PlanContext, PreparedEntry, Told, plan_verbatim,
};
pub use self::statement::{plan_statement, qualified_name};
#[cfg(test)]
pub(crate) use self::uploads::tests as upload_tests;
pub use self::uploads::{Given, UploadRow, Uploaded, Uploads};
pub use self::utility::encoding;
pub use crate::catalog::allow::SETTABLE;
pub use crate::refusal::Refusal;
