//! What PostgreSQL says of a COPY: that it waits for data, and the data of COPY TO STDOUT on its way to the
//! client, where something may be made of its rows.
//!
//! Deliberately absent: what is made of them (`plan::CopyEncoder`).

use std::time::Instant;

use super::answers::unexpected;
use super::{Fatal, Io, Session, to_client};
use crate::limits;
use crate::plan::{CopyTokens, UnplannedRows};
use crate::sql::tree::CopyDirection;
use crate::wire::{BackendMessage, backend, frame};

impl Session {
    pub(super) fn on_copy_message(
        &mut self,
        message: &BackendMessage<'_>,
        whole: &[u8],
        io: &mut Io<'_>,
    ) -> Result<(), Fatal> {
        let running = self.running_head()?;
        let planned = match message {
            BackendMessage::CopyIn(_) => running.plan.copy() == Some(CopyDirection::From),
            _ => running.plan.copy() == Some(CopyDirection::To),
        };
        if !planned {
            return Err(unexpected());
        }
        match message {
            BackendMessage::CopyIn(_) => {
                running.copying = true;
                let utf8 = running.plan.copies_utf8();
                self.copy_tokens = running.plan.copy_tokens().map(CopyTokens::decoder);
                self.copy_in = true;
                let encoding = self.confirmed.settings.encoding();
                self.copy_encoding = Some(encoding).filter(|e| !e.is_same() && !utf8);
                self.copy_rest.clear();
            }
            BackendMessage::CopyOut(_) => {
                let export = running.plan.copy_export();
                self.copy_export = export.map(|export| Box::new(export.encoder()));
            }
            BackendMessage::CopyData(data) => {
                running.count = running.count.saturating_add(1);
                let size = u64::try_from(data.len()).unwrap_or(0);
                running.bytes = running.bytes.saturating_add(size);
            }
            _ => {}
        }
        if !self.copy_made(message, whole, io)? {
            io.client.extend_from_slice(whole);
        }
        Ok(())
    }

    /// Takes the data of COPY TO at the front of `bytes`, as many messages as are there and go out together; says how
    /// many bytes they are. The first is there.
    pub fn on_copied(
        &mut self,
        bytes: &[u8],
        now: Instant,
        io: &mut Io<'_>,
    ) -> Result<usize, Fatal> {
        let frames = frame::frames(bytes, &frame::Limits::BACKEND);
        // Whoever takes the next message says what is wrong with it.
        let mut data = frames
            .map_while(Result::ok)
            .take_while(|frame| frame.tag == backend::COPY_DATA);
        if self.untold.is_some() || self.copy_export.is_none() {
            let frame = data.next().ok_or_else(unexpected)?;
            self.on_upstream(frame.tag, frame.bytes, now, io)?;
            return Ok(frame.end());
        }
        let (before, mut at, mut count) = (io.client.len(), 0_usize, 0_u64);
        if let Some(export) = &mut self.copy_export {
            for frame in data {
                export.push(frame::body(frame.bytes), to(io))?;
                (at, count) = (frame.end(), count.saturating_add(1));
                if io.client.len().saturating_sub(before) >= limits::READ_BYTES {
                    break;
                }
            }
        }
        let size = io.client.len().saturating_sub(before);
        let running = self.running_head()?;
        running.count = running.count.saturating_add(count);
        running.bytes = (running.bytes).saturating_add(u64::try_from(size).unwrap_or(0));
        Ok(at)
    }

    /// Takes a message of a COPY TO whose rows are made here; false if it is to pass as it is.
    fn copy_made(
        &mut self,
        message: &BackendMessage<'_>,
        whole: &[u8],
        io: &mut Io<'_>,
    ) -> Result<bool, Fatal> {
        match (message, &mut self.copy_export) {
            (BackendMessage::CopyData(data), Some(export)) => {
                export.push(data, to(io))?;
            }
            (BackendMessage::CopyDone, Some(export)) => {
                export.finish(to(io))?;
                self.copy_export = None;
                io.client.extend_from_slice(whole);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Sends a row's data to the client.
fn to(io: &mut Io<'_>) -> impl FnMut(&[u8]) -> Result<(), Fatal> {
    |row| Ok(to_client::copy_data(io.client, row)?)
}

impl From<UnplannedRows> for Fatal {
    fn from(_: UnplannedRows) -> Self {
        Self::unexpected("the data of a COPY does not have the shape that was planned")
    }
}
