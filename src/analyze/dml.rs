//! INSERT, UPDATE, DELETE of restricted roles. Refused in this version; reading comes first.

use super::lineage::OutputColumn;
use super::scope::Env;
use super::{Analyzer, Resolve};
use crate::refusal::Refusal;
use crate::sql::tree::{Delete, Insert, Update};

impl Analyzer<'_> {
    pub(super) fn insert(&mut self, _i: &mut Insert, _env: Env<'_>) -> Resolve<Vec<OutputColumn>> {
        Err(no_writes("INSERT"))
    }

    pub(super) fn update(&mut self, _u: &mut Update, _env: Env<'_>) -> Resolve<Vec<OutputColumn>> {
        Err(no_writes("UPDATE"))
    }

    pub(super) fn delete(&mut self, _d: &mut Delete, _env: Env<'_>) -> Resolve<Vec<OutputColumn>> {
        Err(no_writes("DELETE"))
    }
}

fn no_writes(what: &str) -> Refusal {
    Refusal::denied(format!("{what} is not available to a restricted role"))
        .detail("This version lets restricted roles read; writes are refused whole.")
        .hint("Write as an unrestricted role.")
}
