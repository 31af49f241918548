//! The connection of a command that turns cells, and what PostgreSQL's errors become.
//!
//! An error after the startup may quote a value, so only the words of those are shown that speak of
//! names, rights and resources; of the others the SQLSTATE and the constraint.

use std::str;

use thiserror::Error;

use crate::pg::sqlstate;
use crate::upstream::{ConnectError, UpstreamConnection, Values};
use crate::wire::field;

/// A connection that works on one table.
pub(super) struct Database {
    connection: UpstreamConnection,
}

/// PostgreSQL said no, or nothing any more.
#[derive(Debug, Error)]
#[error("{said}")]
pub(super) struct Fault {
    sqlstate: String,
    said: String,
    from_server: bool,
}

impl Fault {
    /// Something else than PostgreSQL is at fault.
    pub(super) fn new(sqlstate: &str, said: impl Into<String>) -> Self {
        Self {
            sqlstate: sqlstate.to_owned(),
            said: said.into(),
            from_server: false,
        }
    }

    /// A moment later it may work.
    pub(super) fn is_passing(&self) -> bool {
        let passing = [
            sqlstate::LOCK_NOT_AVAILABLE,
            sqlstate::DEADLOCK_DETECTED,
            sqlstate::SERIALIZATION_FAILURE,
        ];
        self.from_server && passing.contains(&self.sqlstate.as_str())
    }

    /// It is about a row: what is in it, an index it is too long for, a trigger that raised it.
    pub(super) fn is_of_a_row(&self) -> bool {
        let classes = ["09", "22", "23", "27", "38", "39", "44", "54", "P0"];
        self.from_server && classes.iter().any(|class| self.sqlstate.starts_with(class))
    }
}

impl From<ConnectError> for Fault {
    fn from(error: ConnectError) -> Self {
        let Some(server) = error.server() else {
            return Self::new(error.sqlstate(), error.to_string());
        };
        let state = server.sqlstate();
        // These classes speak of names, rights, locks and resources.
        let wordy = ["0A", "25", "28", "3D", "42", "53", "55", "57", "58"];
        let said = if wordy.iter().any(|class| state.starts_with(class)) {
            server.message()
        } else {
            let name = server.get(field::CONSTRAINT).unwrap_or_default();
            match (state, str::from_utf8(name)) {
                ("54000", Err(_) | Ok("")) => {
                    "its cell is too long for an index (54000)".to_owned()
                }
                (_, Err(_) | Ok("")) => format!("PostgreSQL reported SQLSTATE {state}"),
                ("23505", Ok(name)) => format!("its value is there twice, says {name} (23505)"),
                ("54000", Ok(name)) => format!("its cell is too long for index {name} (54000)"),
                (_, Ok(name)) => format!("{name} does not allow it ({state})"),
            }
        };
        Self {
            sqlstate: state.to_owned(),
            said,
            from_server: true,
        }
    }
}

impl Database {
    pub(super) fn new(connection: UpstreamConnection) -> Self {
        Self { connection }
    }

    /// One statement without parameters or rows, or several.
    pub(super) async fn run(&mut self, sql: &str) -> Result<(), Fault> {
        self.connection.simple_query_text(sql).await?;
        Ok(())
    }

    /// Calls `each` with every row.
    pub(super) async fn each(
        &mut self,
        sql: &str,
        parameters: &[&[u8]],
        each: impl FnMut(&Values<'_>),
    ) -> Result<(), Fault> {
        Ok(self.connection.own_query(sql, parameters, each).await?)
    }

    /// All rows, as text; NULL is the empty one.
    pub(super) async fn rows(
        &mut self,
        sql: &str,
        parameters: &[&str],
    ) -> Result<Vec<Vec<String>>, Fault> {
        let parameters: Vec<&[u8]> = parameters.iter().map(|p| p.as_bytes()).collect();
        let mut rows = Vec::new();
        let text = |v: Option<&[u8]>| String::from_utf8_lossy(v.unwrap_or_default()).into_owned();
        self.each(sql, &parameters, |row| {
            rows.push(row.iter().copied().map(text).collect());
        })
        .await?;
        Ok(rows)
    }

    /// The one value of the one row; empty if there is none.
    pub(super) async fn value(&mut self, sql: &str, parameters: &[&str]) -> Result<String, Fault> {
        let rows = self.rows(sql, parameters).await?;
        Ok(rows.into_iter().flatten().next().unwrap_or_default())
    }
}

/// An array of texts as PostgreSQL reads it.
pub(super) fn array<'a>(values: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = vec![b'{'];
    for value in values {
        if out.len() > 1 {
            out.push(b',');
        }
        out.push(b'"');
        for byte in value {
            if matches!(byte, b'"' | b'\\') {
                out.push(b'\\');
            }
            out.push(*byte);
        }
        out.push(b'"');
    }
    out.push(b'}');
    out
}

#[cfg(test)]
mod tests {
    use super::array;

    #[test]
    fn an_array_holds_any_text() {
        let values: [&[u8]; 4] = [b"a", b"", b"a\"b\\c,{}", "名".as_bytes()];
        let text = String::from_utf8(array(values.into_iter())).unwrap();
        assert_eq!(text, r#"{"a","","a\"b\\c,{}","名"}"#);
        assert_eq!(array([].into_iter()), b"{}");
    }
}
