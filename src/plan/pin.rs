//! What must still be true of a relation when the statement runs: the window between snapshot and
//! execution, closed by PostgreSQL itself.
//!
//! A statement is decided on a snapshot and runs later, some of them (prepared ones) much later. In
//! between another session may rename a column, swap two tables, replace a view or attach a
//! partition, and the names printed would then read something else. When the checks below run,
//! PostgreSQL holds locks on every relation of the statement, so what they find stays true until it
//! ends. They cost two looks into the system caches per relation, once per statement.
//!
//! - *Columns* are bound by position: a FROM item lists all of them (`AS "c"("id", "email")`), so a
//!   rename changes nothing. The positions count live columns, so a new attribute number (which a
//!   dropped and a new column leave behind) fails the check; a dropped column alone leaves the list
//!   too long, which PostgreSQL refuses. The target of a write takes no list: its columns are checked
//!   by name.
//! - *Relations*: the qualified name still leads to the OID.
//! - *Views*: CREATE OR REPLACE VIEW keeps the OID but rewrites the rule's row. That row is read
//!   through the statement's snapshot, which sees a later change only under READ COMMITTED: under
//!   the stricter levels a view is not proven, and the statement fails. COPY, EXECUTE, DECLARE and CREATE
//!   TABLE AS take theirs before they lock what the query in them reads; the row they still see then
//!   has an `xmax`, of the transaction that replaced it.
//! - *Generated columns*: by the default that holds the expression, which another one replaces.
//! - *Partitions and children*: none but the known ones. That a table without children is made a
//!   parent (`ALTER TABLE … INHERIT`) is not seen before the next reading of the catalog.
//!
//! The functions look through the system caches, not the transaction's snapshot, so they see what the
//! parser saw. Deliberately absent: system catalogs and temporary tables, which nobody else changes,
//! and the target of INSERT … VALUES, which reads nothing: a token stored there is tested itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::analyze::lineage::RelationUse;
use crate::catalog::{Catalog, Column, Relation, RelationKind};
use crate::pg::{AttrNumber, Oid, oid_array_sql};
use crate::sql::print::{Pin, UNPROVEN};

/// How many views may be inside each other before nobody believes it.
const VIEWS: usize = 256;

/// What has to hold of one reference to a relation; `None` if nothing can change it.
pub(super) fn pin(used: &RelationUse, catalog: &Catalog) -> Option<Pin> {
    let relation = &used.relation;
    if relation.temporary || crate::analyze::is_system(relation) {
        return None;
    }
    let mut checks = vec![same_oid(relation)];
    let mut columns = Vec::new();
    if used.written {
        let touched = used.columns.keys().chain(&used.assigned);
        let mut touched: Vec<AttrNumber> = touched.copied().filter(|a| *a > 0).collect();
        touched.sort_unstable();
        touched.dedup();
        checks.extend(touched.iter().filter_map(|a| same_name(relation, *a)));
    } else {
        checks.push(no_new_attribute(relation));
        columns = relation.columns.iter().map(|c| c.name.clone()).collect();
    }
    let generated = used.columns.keys().filter_map(|a| relation.attribute(*a));
    checks.extend(generated.filter_map(same_expression));
    same_views(relation, catalog, &mut checks);
    checks.extend(same_children(relation, catalog));
    Some(Pin { columns, checks })
}

/// What has to hold of the target of a COPY whose data is decoded column by column. COPY's WHERE has
/// no room for a subquery, and partitions have their parent's treatments.
pub(super) fn pin_target(used: &RelationUse) -> Option<Pin> {
    let relation = &used.relation;
    if relation.temporary || crate::analyze::is_system(relation) {
        return None;
    }
    let mut checks = vec![same_oid(relation)];
    let assigned: BTreeSet<AttrNumber> = used.assigned.iter().copied().collect();
    checks.extend(assigned.iter().filter_map(|a| same_name(relation, *a)));
    Some(Pin {
        columns: Vec::new(),
        checks,
    })
}

/// What has to hold where a decoded token is about to be stored in all of these.
pub(super) fn stored(columns: &[(Arc<Relation>, AttrNumber)]) -> Vec<String> {
    let checks = columns
        .iter()
        .flat_map(|(relation, attnum)| [Some(same_oid(relation)), same_name(relation, *attnum)]);
    checks.flatten().collect()
}

fn literal(text: &str, ty: &str) -> String {
    format!("'{}'::\"pg_catalog\".\"{ty}\"", text.replace('\'', "''"))
}

fn oid(oid: Oid) -> String {
    format!("'{oid}'::\"pg_catalog\".\"oid\"")
}

/// PostgreSQL looks the name up as it reads the statement, after the FROM items are locked, and finds
/// the comparison true or false as it plans: nothing of it is left to run. A statement that is kept is
/// read again when one of its relations, or any schema, has changed.
fn same_oid(relation: &Relation) -> String {
    let name = format!("{}.{}", relation.schema.quoted(), relation.name.quoted());
    format!(
        "\"pg_catalog\".\"oideq\"({}, {})",
        literal(&name, "regclass"),
        relation.oid
    )
}

/// NULL is `has_column_privilege`'s answer for an attribute number that was never given.
fn no_new_attribute(relation: &Relation) -> String {
    format!(
        "\"pg_catalog\".\"has_column_privilege\"({}, '{}'::\"pg_catalog\".\"int2\", 'SELECT') IS NULL",
        relation.oid,
        relation.attributes.saturating_add(1)
    )
}

/// The attribute still has its name. `1259` is `pg_class` among the catalogs.
fn same_name(relation: &Relation, attnum: AttrNumber) -> Option<String> {
    let column = relation.attribute(attnum)?;
    let parts = [&relation.schema, &relation.name, &column.name];
    let parts = parts.map(|p| literal(p.as_str(), "text"));
    Some(format!(
        "(\"pg_catalog\".\"pg_identify_object_as_address\"({}, {}, {attnum})).\"object_names\" \
         OPERATOR(\"pg_catalog\".=) ARRAY[{}]",
        oid(1259),
        oid(relation.oid),
        parts.join(", ")
    ))
}

/// A generated column is still computed as it was: `ALTER COLUMN … SET EXPRESSION`, PostgreSQL 17, puts
/// another default in the place of its own. `2604` is `pg_attrdef` among the catalogs.
fn same_expression(column: &Column) -> Option<String> {
    column.generated.as_ref()?;
    Some(format!(
        "(\"pg_catalog\".\"pg_identify_object_as_address\"({}, {}, 0)).\"object_names\" IS NOT NULL",
        oid(2604),
        oid(column.default_oid)
    ))
}

/// The view's rule, and those of the views in it.
fn same_views(relation: &Relation, catalog: &Catalog, checks: &mut Vec<String>) {
    if relation.kind != RelationKind::View {
        return;
    }
    let mut seen = vec![relation.oid];
    let mut rules = Vec::new();
    let mut at = 0;
    while let Some(view) = seen.get(at).and_then(|o| catalog.relations.get(o)) {
        at = at.saturating_add(1);
        if let Some([xmin, xmax]) = &view.rule_row {
            rules.push(format!(
                "r.\"ev_class\" OPERATOR(\"pg_catalog\".=) {} AND r.\"xmin\" \
                 OPERATOR(\"pg_catalog\".=) {} AND r.\"xmax\" OPERATOR(\"pg_catalog\".=) {}",
                oid(view.oid),
                literal(xmin, "xid"),
                literal(xmax, "xid")
            ));
        }
        for inner in &view.inner_views {
            if !seen.contains(inner) && seen.len() < VIEWS {
                seen.push(*inner);
            }
        }
    }
    checks.push(format!(
        "CASE WHEN \"pg_catalog\".\"current_setting\"({}) OPERATOR(\"pg_catalog\".=) \
         ANY (ARRAY[{}, {}]) THEN true ELSE \"pg_catalog\".\"current_setting\"('{UNPROVEN}') IS NULL END",
        literal("transaction_isolation", "text"),
        literal("read committed", "text"),
        literal("read uncommitted", "text")
    ));
    // One scan by index for each view: a join of them would be planned at length.
    checks.extend(rules.iter().map(|rule| {
        format!("EXISTS (SELECT FROM \"pg_catalog\".\"pg_rewrite\" AS r WHERE {rule})")
    }));
}

/// No table was attached or made to inherit that the snapshot does not know.
fn same_children(relation: &Relation, catalog: &Catalog) -> Option<String> {
    let known = descendants(relation, catalog);
    match relation.kind {
        // It reads `pg_inherits` as the executor does, not through the transaction's snapshot.
        RelationKind::PartitionedTable => Some(format!(
            "NOT EXISTS (SELECT FROM \"pg_catalog\".\"pg_partition_tree\"({}::\"pg_catalog\".\
             \"regclass\") AS p WHERE p.\"relid\"::\"pg_catalog\".\"oid\" \
             OPERATOR(\"pg_catalog\".<>) ALL ({}))",
            oid(relation.oid),
            oid_array_sql(&known)
        )),
        // Planning this check takes longer than all the others together.
        RelationKind::Table if known.len() > 1 => Some(format!(
            "NOT EXISTS (SELECT FROM \"pg_catalog\".\"pg_inherits\" AS i WHERE i.\"inhparent\" \
             OPERATOR(\"pg_catalog\".=) ANY ({known}) AND i.\"inhrelid\" \
             OPERATOR(\"pg_catalog\".<>) ALL ({known}))",
            known = oid_array_sql(&known)
        )),
        RelationKind::Table
        | RelationKind::View
        | RelationKind::MaterializedView
        | RelationKind::ForeignTable
        | RelationKind::Sequence
        | RelationKind::CompositeType => None,
    }
}

/// The relation and what inherits from it, in OID order.
fn descendants(relation: &Relation, catalog: &Catalog) -> Vec<Oid> {
    let mut found = BTreeSet::from([relation.oid]);
    let mut open = vec![relation.oid];
    while let Some(next) = open.pop() {
        let children = catalog.relations.get(&next).map(|r| &r.children);
        open.extend(children.into_iter().flatten().filter(|c| found.insert(**c)));
    }
    found.into_iter().collect()
}
