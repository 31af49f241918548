//! The data of COPY TO STDOUT on its way to the client, where something is made of its rows.
//!
//! Deliberately absent: what is made of them (`plan::CopyEncoder`), and data that passes as it is.

use super::{Fatal, Io, Session, to_client};
use crate::wire::BackendMessage;

impl Session {
    /// Takes a message of a COPY TO whose rows are made here; false if it is to pass as it is.
    pub(super) fn copy_made(
        &mut self,
        message: &BackendMessage<'_>,
        whole: &[u8],
        io: &mut Io<'_>,
    ) -> Result<bool, Fatal> {
        match (message, &mut self.copy_export) {
            (BackendMessage::CopyData(data), Some(export)) => {
                let rows = export.push(data).map_err(|_| unplanned())?;
                send(&rows, io)?;
            }
            (BackendMessage::CopyDone, Some(export)) => {
                let rows = export.finish().map_err(|_| unplanned())?;
                self.copy_export = None;
                send(&rows, io)?;
                io.client.extend_from_slice(whole);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn send(rows: &[Vec<u8>], io: &mut Io<'_>) -> Result<(), Fatal> {
    for row in rows {
        to_client::copy_data(io.client, row)?;
    }
    Ok(())
}

fn unplanned() -> Fatal {
    Fatal::unexpected("the data of a COPY does not have the shape that was planned")
}
