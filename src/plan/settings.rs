//! Values of settings that are parameters: read when they are bound.
//!
//! Deliberately absent: which settings these are (`catalog::allow`).

use std::sync::Arc;

use super::decide::Delivery;
use super::param::Parameters;
use crate::analyze::lineage::Lineage;
use crate::catalog::allow::Unheeded;
use crate::pg::sqlstate;
use crate::refusal::Refusal;
use crate::sql::tree::{Expr, Literal};

/// Parameters some of which are values of settings.
pub(super) fn parameters(
    placed: Option<Arc<Parameters>>,
    lineage: &Lineage,
    delivery: Delivery,
) -> Result<Option<Arc<Parameters>>, Refusal> {
    if lineage.settings.is_empty() {
        return Ok(placed);
    }
    let plain = placed.is_none() && matches!(delivery, Delivery::Rows);
    if !plain {
        return Err(not_bound());
    }
    let mut parameters = Parameters::number(lineage, Vec::new(), 0)?.parameters;
    for (n, setting) in &lineage.settings {
        if lineage.params.get(n) != Some(&1) {
            return Err(shared(setting.name));
        }
        parameters.set(*n, setting)?;
    }
    Ok(Some(Arc::new(parameters)))
}

/// The value for PostgreSQL of an argument of EXECUTE.
pub(super) fn argument(setting: &Unheeded, arg: &Expr) -> Result<Expr, Refusal> {
    match arg {
        Expr::Literal(Literal::String(text)) => {
            let shown = setting.shown(text.value())?;
            Ok(Expr::Literal(Literal::String(shown.into())))
        }
        Expr::Literal(Literal::Null) => Ok(arg.clone()),
        _ => Err(not_bound()),
    }
}

pub(super) fn shared(name: &str) -> Refusal {
    Refusal::error(
        sqlstate::FEATURE_NOT_SUPPORTED,
        format!("the parameter with the value of \"{name}\" is used for something else, too"),
    )
    .hint("Bind the value twice, or write it into the statement.")
}

fn not_bound() -> Refusal {
    Refusal::error(
        sqlstate::FEATURE_NOT_SUPPORTED,
        "a setting's value is a parameter of a SELECT that is sent with it only",
    )
    .hint("Use SET, or write the value into the statement as a string.")
}
