//! `encrypt`: columns whose values PostgreSQL stores encrypted, and the key of each.
//!
//! ```yaml
//! encrypt:
//!   crm.customers.email: cells                          # a key of the ring
//!   crm.customers.phone: {key: cells, backfill: true}   # `pgveil encrypt` has not ended yet
//! ```
//!
//! It says how a column is stored, not who sees it: that stays with `treat`, and a role that sees the
//! column clear has it decrypted. So no role's statements go through as they are.

use super::error::{Faults, PolicyError};
use super::names::ColumnName;
use super::read::{Fields, boolean, text};
use super::source::{Span, shown};
use super::yaml::{Key, Node, Value};

/// One entry of `encrypt`.
#[derive(Clone, Debug)]
pub struct EncryptedColumn {
    /// The column.
    pub column: ColumnName,
    /// Where it is named.
    pub span: Span,
    /// `key`: a name in the key ring.
    pub key: String,
    pub(crate) key_span: Span,
    /// `backfill`: values and cells of several keys stand side by side, and are not compared.
    pub backfill: bool,
}

/// Reads one entry.
pub(super) fn read(at: &Key, node: &Node, faults: &mut Faults) -> Option<EncryptedColumn> {
    let Some(column) = ColumnName::parse(&at.text) else {
        let message = format!("`{}` is not a column", shown(&at.text));
        let error = PolicyError::at(&at.span, message);
        faults.push(error.help("write schema.table.column, and quote a part that holds a dot"));
        return None;
    };
    let (key, backfill) = if let Value::Map(_) = &node.value {
        let mut fields = Fields::open(node, &format!("encrypted column {column}"), faults)?;
        let key = fields.require("key", faults);
        let backfill = fields.take("backfill");
        fields.finish(faults);
        (key?, backfill)
    } else {
        (node, None)
    };
    Some(EncryptedColumn {
        column,
        span: at.span.clone(),
        key: text(key, "a key's name", faults)?.to_owned(),
        key_span: key.span.clone(),
        backfill: backfill
            .and_then(|n| boolean(n, "backfill", faults))
            .unwrap_or(false),
    })
}
