//! What the audit says of a statement: names of relations and columns, and what was done with them.
//!
//! Deliberately absent: values, and the record itself (`audit`).

use std::sync::Arc;

use super::decide::{Decisions, Place};
use super::plan::Facts;
use crate::analyze::ColumnForm;
use crate::analyze::lineage::{Lineage, RelationUse, Source};
use crate::catalog::temp::SCHEMA;
use crate::catalog::{Relation, RelationKind, TempTables};
use crate::mask::TokenColumn;
use crate::mask::token::TokenKind;
use crate::policy::Treatment;
use crate::sql::tree::RelationId;

/// What the audit says of the columns of a statement.
pub(super) fn facts(lineage: &Lineage, decisions: &Decisions) -> Facts {
    let mut facts = Facts {
        nameless: lineage.nameless,
        reads: !lineage.acts && lineage.relations.iter().all(only_reads),
        ..Default::default()
    };
    for (index, r) in (0_u32..).zip(&lineage.relations) {
        let name = format!("{}.{}", r.relation.schema, r.relation.name);
        for attnum in r.columns.keys() {
            let source = Source::Column {
                relation: RelationId(index),
                attnum: *attnum,
            };
            let (Some(d), Some(c)) = (
                decisions.columns.get(&source),
                r.relation.attribute(*attnum),
            ) else {
                continue;
            };
            let what = match (&d.form, d.place) {
                (_, Place::Stored) => continue,
                (ColumnForm::Rule(rule), place) => match (&rule.treatment, place) {
                    (Treatment::Nullify, _) => "nullify",
                    (Treatment::Token(t), _) => word_of(t),
                    (_, Place::Output) => "mask at the output",
                    _ => "mask at the source",
                },
                _ => "hidden",
            };
            let entry = (format!("{name}.{}", c.name), what);
            if !facts.columns.contains(&entry) {
                facts.columns.push(entry);
            }
        }
        if !facts.relations.contains(&name) {
            facts.relations.push(name);
        }
        facts.oids.push(r.relation.oid);
        if r.relation.schema == SCHEMA {
            facts.temporary.push(Arc::clone(&r.relation));
        }
    }
    facts.columns.extend(probes(lineage));
    facts
}

impl Facts {
    /// Are the temporary tables it reads or writes the session's still? Where one is gone, its name may
    /// mean another relation.
    pub fn are_of(&self, temp: &TempTables) -> bool {
        let still = |table: &Arc<Relation>| {
            (temp.get(&table.name)).is_some_and(|now| Arc::ptr_eq(now, table))
        };
        self.temporary.iter().all(still)
    }
}

/// What a view or a policy of the database's owner calls may write.
fn only_reads(used: &RelationUse) -> bool {
    let relation = &used.relation;
    let system = matches!(
        relation.schema.as_str(),
        "pg_catalog" | "information_schema"
    );
    let calls = matches!(
        relation.kind,
        RelationKind::ForeignTable | RelationKind::View
    );
    !used.written && (system || !calls && !relation.row_security)
}

/// What the audit says a column of tokens is shown as.
fn word_of(token: &TokenColumn) -> &'static str {
    match token.kind() {
        TokenKind::Decrypted => "decrypt",
        TokenKind::Masked => "mask at the output",
        TokenKind::Siv
        | TokenKind::Ff1Uuid
        | TokenKind::Ff1Integer
        | TokenKind::Ff1(_)
        | TokenKind::Hmac => "token",
    }
}

/// Columns whose stored values a constraint compares with what the statement writes.
pub(super) fn probes(lineage: &Lineage) -> impl Iterator<Item = (String, &'static str)> {
    lineage.probed.iter().filter_map(|(id, attnum)| {
        let relation = &lineage.relation(*id)?.relation;
        let column = &relation.attribute(*attnum)?.name;
        let name = format!("{}.{}.{column}", relation.schema, relation.name);
        Some((name, "probe"))
    })
}
