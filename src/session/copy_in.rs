//! The data of COPY FROM STDIN on its way to PostgreSQL: in UTF-8, and its tokens decoded.
//!
//! Deliberately absent: what the data means (`plan::CopyDecoder`).

use super::encoding::unreadable;
use super::replies::Expected;
use super::{Fatal, Io, Session, Step, to_upstream};
use crate::pg::encoding::Unconvertible;
use crate::plan::Refusal;
use crate::wire::WriteError;
use crate::wire::frontend::{FrontendMessage, Target};

/// What is none of a COPY's messages.
pub(super) const UNEXPECTED_IN_COPY: &str = "unexpected message type during COPY from stdin";

/// What tells how many of the Syncs among a COPY's data PostgreSQL answers, after it failed: a Sync of the
/// proxy's own, which ends the skipping if none of them did, then a Close, whose answer stands behind those
/// of all Syncs, then another Sync.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Counting {
    /// No ReadyForQuery has come. The first may as well be the own Sync's: they are all alike.
    Own,
    /// What comes now are the client's.
    Theirs,
    /// CloseComplete came: only the last is missing, and nobody's.
    Closed,
}

impl Session {
    /// Between CopyInResponse and its end only COPY's own messages mean something.
    pub(super) fn on_copy(
        &mut self,
        message: &FrontendMessage<'_>,
        io: &mut Io<'_>,
    ) -> Result<Step, Fatal> {
        match message {
            FrontendMessage::CopyData(data) => {
                self.copy_data(data, io)?;
            }
            FrontendMessage::CopyDone => {
                self.copy_done(io)?;
                let executed = matches!(self.replies.head(), Some(Expected::Execute { .. }));
                if self.copy_synced && executed {
                    // Nothing goes on until it has answered.
                    to_upstream::flush(io.upstream);
                }
            }
            FrontendMessage::CopyFail(_) => {
                self.copy_in = false;
                self.copy_tokens = None;
                to_upstream::copy_fail(io.upstream, "COPY was cancelled by the client")?;
            }
            FrontendMessage::Flush => {}
            // Ignored, if PostgreSQL has not failed by now.
            FrontendMessage::Sync => {
                to_upstream::sync(io.upstream);
                self.copy_synced = true;
            }
            FrontendMessage::Query(_)
            | FrontendMessage::Parse(_)
            | FrontendMessage::Bind(_)
            | FrontendMessage::Describe(_)
            | FrontendMessage::Execute(_)
            | FrontendMessage::Close(_)
            | FrontendMessage::FunctionCall(_)
            | FrontendMessage::Terminate => {
                // PostgreSQL has failed by itself, or the next message that is none of a COPY's ends it.
                self.copy_in = false;
                self.copy_synced = false;
                self.count_syncs(io)?;
                return Ok(Step::Later);
            }
        }
        Ok(Step::Continue)
    }

    /// PostgreSQL failed what runs. If Syncs stood among the data of a COPY, it alone knows how many of them
    /// it read after that.
    pub(super) fn copy_failed(&mut self, io: &mut Io<'_>) -> Result<(), WriteError> {
        if std::mem::take(&mut self.copy_synced) {
            self.count_syncs(io)?;
        }
        Ok(())
    }

    fn count_syncs(&mut self, io: &mut Io<'_>) -> Result<(), WriteError> {
        to_upstream::sync(io.upstream);
        let nothing = self.names.fresh();
        to_upstream::close(io.upstream, Target::Portal, nothing.as_str().as_bytes())?;
        to_upstream::sync(io.upstream);
        let segment = self.next_segment();
        self.replies.push(Expected::Counting {
            counting: Counting::Own,
            segment,
        });
        Ok(())
    }

    /// ReadyForQuery while those of the Syncs among a COPY's data are counted: its segment, and whether the
    /// client is told.
    pub(super) fn counted(&mut self) -> Option<(u64, bool)> {
        let Some(Expected::Counting { counting, segment }) = self.replies.head() else {
            return None;
        };
        let segment = *segment;
        match counting {
            Counting::Own => {
                *counting = Counting::Theirs;
                Some((segment, false))
            }
            Counting::Theirs => {
                self.skipping = false;
                self.uploads.open = false;
                Some((segment, true))
            }
            Counting::Closed => {
                self.replies.pop();
                Some((segment, false))
            }
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
        self.fault = Some(why);
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
