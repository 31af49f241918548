//! Names of the extended protocol that lead nowhere (any more), or are taken, in PostgreSQL's words.

use crate::ident::Ident;
use crate::pg::sqlstate;
use crate::plan::Refusal;

/// A name as a client sends it in the extended protocol: compared as it is, not folded.
pub(super) fn ident(name: &[u8]) -> Result<Ident, Refusal> {
    let name = crate::wire::utf8(name).map_err(|_| {
        Refusal::error(
            sqlstate::CHARACTER_NOT_IN_REPERTOIRE,
            "invalid byte sequence for encoding \"UTF8\"",
        )
    })?;
    Ok(Ident::exact(name))
}

/// No prepared statement has this name.
pub(super) fn missing_statement(name: &Ident) -> Refusal {
    let message = if name.as_str().is_empty() {
        "unnamed prepared statement does not exist".to_owned()
    } else {
        format!("prepared statement \"{name}\" does not exist")
    };
    Refusal::error(sqlstate::INVALID_STATEMENT_NAME, message)
}

/// No portal has this name.
pub(super) fn missing_portal(name: &[u8]) -> Refusal {
    let name = String::from_utf8_lossy(name);
    Refusal::error(
        sqlstate::INVALID_CURSOR_NAME,
        format!("portal \"{name}\" does not exist"),
    )
}

/// A portal or cursor has this name already.
pub(super) fn duplicate_portal(name: &[u8]) -> Refusal {
    let name = String::from_utf8_lossy(name);
    let message = format!("cursor \"{name}\" already exists");
    Refusal::error(sqlstate::DUPLICATE_CURSOR, message)
}

/// The statement has to be prepared again.
pub(super) fn outdated() -> Refusal {
    // PostgreSQL's words for a statement whose ground has moved; drivers know to prepare it again.
    Refusal::error(
        sqlstate::FEATURE_NOT_SUPPORTED,
        "cached plan must not change result type",
    )
}
