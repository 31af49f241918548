//! RETURNING of rows whose order tells: it is read by a SELECT, in a random order, since PostgreSQL has no place for
//! a key in a change itself.
//!
//! Deliberately absent: MERGE, and a change that stands in WITH already, whose reader has the order.

use super::key::{alone, item_names, order_key, reading, rows};
use crate::sql::tree::{Cte, Name, Position, RelationRef, Statement, TableRef, Walked, With};

/// `WITH …, rows AS (UPDATE … RETURNING …) SELECT … FROM rows ORDER BY key`
pub(super) fn shuffle(statement: &mut Statement) -> Walked {
    let (with, returning) = match statement {
        Statement::Update(u) => (&mut u.with, &u.returning),
        Statement::Delete(d) => (&mut d.with, &d.returning),
        _ => return Ok(()),
    };
    let names = item_names(returning)?;
    // PostgreSQL takes changes in the WITH of the whole statement only.
    let mut with = with.take().unwrap_or_else(|| With {
        recursive: false,
        ctes: Vec::new(),
    });
    let rows = rows(names.len());
    let from = TableRef::Relation(Box::new(RelationRef {
        name: Name {
            parts: vec![rows.name.clone()],
            position: Position::default(),
        },
        only: false,
        alias: Some(rows.clone()),
        sample: None,
        id: None,
    }));
    let mut query = Box::new(alone(reading(from, &names)));
    query.order_by.push(order_key());
    let read = std::mem::replace(statement, Statement::Query(query));
    with.ctes.push(Cte {
        name: rows.name,
        columns: Vec::new(),
        materialized: None,
        body: Box::new(read),
        search: None,
        cycle: None,
    });
    if let Statement::Query(query) = statement {
        query.with = Some(with);
    }
    Ok(())
}
