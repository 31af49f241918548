//! The data of COPY FROM STDIN on its way to PostgreSQL: in UTF-8, and its tokens decoded.
//!
//! Deliberately absent: what the data means (`plan::CopyDecoder`).

use super::encoding::unreadable;
use super::replies::Expected;
use super::{Fatal, Io, Session, to_upstream};
use crate::pg::encoding::Unconvertible;
use crate::pg::sqlstate;
use crate::plan::Refusal;
use crate::wire::frontend::FrontendMessage;

/// What is none of a COPY's messages.
pub(super) const UNEXPECTED_IN_COPY: &str = "unexpected message type during COPY from stdin";

/// What of a COPY's data came last.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    /// None has come, or all.
    Nothing,
    Data,
    /// Data, and so many Syncs behind it, which PostgreSQL ignores while it copies. If it has failed by
    /// then, it answers each, and skips up to the first where the COPY was executed.
    Syncs(usize),
}

impl Came {
    fn then_sync(self) -> Self {
        match self {
            Self::Nothing => Self::Nothing,
            Self::Data => Self::Syncs(1),
            Self::Syncs(n) => Self::Syncs(n.saturating_add(1)),
        }
    }
}

impl Session {
    /// Between CopyInResponse and its end only COPY's own messages mean something.
    pub(super) fn on_copy(
        &mut self,
        message: &FrontendMessage<'_>,
        io: &mut Io<'_>,
    ) -> Result<(), Fatal> {
        match message {
            FrontendMessage::CopyData(data) => {
                self.copy_last = Came::Data;
                self.copy_data(data, io)?;
            }
            FrontendMessage::CopyDone => {
                self.copy_last = Came::Nothing;
                self.copy_done(io)?;
            }
            FrontendMessage::CopyFail(_) => {
                self.copy_last = Came::Nothing;
                self.copy_in = false;
                self.copy_tokens = None;
                to_upstream::copy_fail(io.upstream, "COPY was cancelled by the client")?;
            }
            // PostgreSQL ignores these two; the client means them for after the copy.
            FrontendMessage::Flush => {}
            FrontendMessage::Sync => self.copy_last = self.copy_last.then_sync(),
            FrontendMessage::Query(_)
            | FrontendMessage::Parse(_)
            | FrontendMessage::Bind(_)
            | FrontendMessage::Describe(_)
            | FrontendMessage::Execute(_)
            | FrontendMessage::Close(_)
            | FrontendMessage::FunctionCall(_)
            | FrontendMessage::Terminate => {
                return Err(Fatal::protocol(UNEXPECTED_IN_COPY));
            }
        }
        Ok(())
    }

    /// PostgreSQL failed the COPY: the Syncs that came behind its data are answered. Where time was up, or
    /// somebody cancelled it, it had ignored them.
    pub(super) fn copy_failed(&mut self, sqlstate: &str, io: &mut Io<'_>) {
        let last = std::mem::replace(&mut self.copy_last, Came::Nothing);
        let of_data = !matches!(
            sqlstate,
            sqlstate::QUERY_CANCELED | sqlstate::LOCK_NOT_AVAILABLE
        );
        let count = match last {
            Came::Syncs(count) if of_data => count,
            Came::Syncs(_) | Came::Data | Came::Nothing => 0,
        };
        for _ in 0..count {
            self.skipping = false;
            to_upstream::sync(io.upstream);
            let segment = self.next_segment();
            self.replies.push(Expected::Sync { segment });
        }
    }

    /// A piece of a COPY's data, which need not end with a character.
    fn copy_data(&mut self, data: &[u8], io: &mut Io<'_>) -> Result<(), Fatal> {
        let Some(encoding) = self.copy_encoding else {
            return self.copy_decoded(data, io);
        };
        let mut bytes = std::mem::take(&mut self.copy_rest);
        bytes.extend_from_slice(data);
        let mut text = String::with_capacity(bytes.len());
        match encoding.decode_part(&bytes, &mut text) {
            Ok(used) => {
                self.copy_rest = bytes.split_off(used);
                self.copy_decoded(text.as_bytes(), io)
            }
            Err(why) => self.copy_fails(unreadable(encoding, why), io),
        }
    }

    /// The end of a COPY's data.
    fn copy_done(&mut self, io: &mut Io<'_>) -> Result<(), Fatal> {
        if let Some(encoding) = self.copy_encoding
            && !self.copy_rest.is_empty()
        {
            return self.copy_fails(unreadable(encoding, Unconvertible::Invalid), io);
        }
        if let Some(mut tokens) = self.copy_tokens.take() {
            match tokens.finish() {
                Ok(data) => copy_on(&data, io)?,
                Err(refusal) => return self.copy_fails(refusal, io),
            }
        }
        self.copy_in = false;
        to_upstream::copy_done(io.upstream);
        Ok(())
    }

    fn copy_decoded(&mut self, data: &[u8], io: &mut Io<'_>) -> Result<(), Fatal> {
        match self.copy_tokens.as_mut().map(|tokens| tokens.push(data)) {
            None => copy_on(data, io),
            Some(Ok(data)) => copy_on(&data, io),
            Some(Err(refusal)) => self.copy_fails(refusal, io),
        }
    }

    /// PostgreSQL fails the COPY, and the client is told why.
    fn copy_fails(&mut self, why: Refusal, io: &mut Io<'_>) -> Result<(), Fatal> {
        self.copy_in = false;
        self.copy_rest.clear();
        self.copy_tokens = None;
        self.copy_fault = Some(why);
        Ok(to_upstream::copy_fail(
            io.upstream,
            "its data cannot be read",
        )?)
    }
}

fn copy_on(data: &[u8], io: &mut Io<'_>) -> Result<(), Fatal> {
    if !data.is_empty() {
        to_upstream::copy_data(io.upstream, data)?;
    }
    Ok(())
}
