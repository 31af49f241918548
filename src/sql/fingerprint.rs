//! A statement's shape without its constants: what audit records, metrics and `policy explain` may
//! show of a text, and what tells two texts of one application query apart from another's.
//!
//! The shape holds names (of tables, columns, functions, settings) and never a value: constants are
//! `?`, a list of constants is one `?`, rows of VALUES after the first are `…`.
//!
//! Deliberately absent: use as a key for decisions. Two statements of one shape may be planned
//! differently (a literal against a token column), so a plan is never looked up by it.

use super::tree::Statement;
use super::{Unsupported, print};

/// A statement's shape.
#[derive(Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// FNV-1a of `shape`: stable across processes and versions of the same printer; 64 bits.
    pub id: u64,
    /// The shape as text.
    pub shape: String,
}

/// The shape of a statement, resolved or not: refused statements have one too.
pub fn fingerprint(statement: &Statement) -> Result<Fingerprint, Unsupported> {
    let shape = print::shape(statement)?;
    let id = fnv1a(shape.as_bytes());
    Ok(Fingerprint { id, shape })
}

/// FNV-1a, 64 bits. Nothing depends on collisions being hard to find.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::Ident;
    use crate::sql::tree::{
        Expr, Insert, InsertSource, Literal, Name, Position, Query, RelationRef, Select,
        SelectItem, SetExpr, Star,
    };

    fn name(part: &str) -> Name {
        Name {
            parts: vec![Ident::exact(part)],
            position: Position::default(),
        }
    }

    fn text(value: &str) -> Expr {
        Expr::Literal(Literal::String(value.into()))
    }

    /// `SELECT *, city IN (…) FROM …`, unresolved.
    fn lookup(members: &[&str]) -> Statement {
        let listed = Expr::InList {
            expr: Box::new(Expr::Name(name("city"))),
            list: members.iter().map(|m| text(m)).collect(),
            negated: false,
        };
        let select = Select {
            distinct: None,
            items: vec![
                SelectItem::Star(Star::All(Position::default())),
                SelectItem::Expr {
                    expr: listed,
                    alias: None,
                },
            ],
            into: None,
            from: Vec::new(),
            filter: None,
            group_by: Vec::new(),
            group_distinct: false,
            having: None,
            windows: Vec::new(),
            spelled: Vec::new(),
        };
        let body = SetExpr::Select(Box::new(select));
        let (order_by, locking) = (Vec::new(), Vec::new());
        Statement::Query(Box::new(Query {
            with: None,
            body,
            order_by,
            limit: None,
            locking,
        }))
    }

    #[test]
    fn a_shape_has_names_and_no_values() {
        let one = fingerprint(&lookup(&["Paris"])).unwrap();
        assert_eq!(one.shape, "SELECT *, (\"city\" IN (?))");
        let many = fingerprint(&lookup(&["Rome", "Oslo", "it's"])).unwrap();
        assert!(one == many, "lists of constants have one shape");
    }

    #[test]
    fn rows_beyond_the_first_do_not_show() {
        let target = RelationRef {
            name: name("t"),
            only: false,
            alias: None,
            sample: None,
            id: None,
        };
        let rows = vec![
            vec![Some(text("a")), None],
            vec![Some(text("secret")), None],
        ];
        let insert = Insert {
            with: None,
            target,
            columns: Vec::new(),
            overriding: None,
            source: InsertSource::Values(rows),
            on_conflict: None,
            returning: Vec::new(),
        };
        let shape = fingerprint(&Statement::Insert(Box::new(insert)))
            .unwrap()
            .shape;
        assert_eq!(shape, "INSERT INTO \"t\" VALUES (?, DEFAULT), …");
    }

    #[test]
    fn the_published_test_vectors() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
