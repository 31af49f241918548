//! The proxy's own statements with parameters: what a command does to a table it was told to change.
//!
//! What a command reads or writes of a table is a parameter or a row, never part of a text. Rows are
//! handed on as they come, because a table does not fit into memory.

use bytes::BytesMut;

use super::connection::UpstreamConnection;
use super::error::{ConnectError, ServerError};
use crate::pg::types::Format;
use crate::wire::frame;
use crate::wire::write::frontend as write;
use crate::wire::{BackendMessage, backend};

/// One row: text values; `None` is NULL.
pub type Values<'a> = [Option<&'a [u8]>];

impl UpstreamConnection {
    /// Runs one statement of a command's own and calls `each` with every row, in text format. Outside a
    /// transaction it is one of its own. Nothing of a client's goes in here.
    pub async fn own_query(
        &mut self,
        sql: &str,
        parameters: &[&[u8]],
        mut each: impl FnMut(&Values<'_>),
    ) -> Result<(), ConnectError> {
        let mut out = BytesMut::new();
        let values = parameters.iter().map(|value| Some(*value));
        write::parse(&mut out, b"", sql, &[])?;
        write::bind(&mut out, b"", b"", &[Format::Text], values, &[Format::Text])?;
        write::execute(&mut out, b"", 0)?;
        write::sync(&mut out);
        self.write(&out).await?;
        let mut failed: Option<ServerError> = None;
        loop {
            let (tag, bytes) = self.next_of_answer(failed.as_ref()).await?;
            if matches!(tag, backend::COPY_IN | backend::COPY_BOTH) {
                return Err(ConnectError::Protocol("a query began a COPY"));
            }
            match BackendMessage::read(tag, frame::body(&bytes))? {
                BackendMessage::DataRow(row) => {
                    let row: Vec<_> = row.values.iter().collect();
                    each(&row);
                }
                BackendMessage::Error(error) => failed = Some(ServerError::new(&error)),
                BackendMessage::ParameterStatus(status) => self.set_parameter(&status),
                BackendMessage::Ready(_) => break,
                _ => {}
            }
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }
}
