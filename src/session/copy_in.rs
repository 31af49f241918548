//! The data of COPY FROM STDIN on its way to PostgreSQL: in UTF-8, and its tokens decoded.
//!
//! Deliberately absent: what the data means (`plan::CopyDecoder`), and when it may come (`mod`).

use super::encoding::unreadable;
use super::{Fatal, Io, Session, to_upstream};
use crate::pg::encoding::Unconvertible;
use crate::plan::Refusal;

impl Session {
    /// A piece of a COPY's data, which need not end with a character.
    pub(super) fn copy_data(&mut self, data: &[u8], io: &mut Io<'_>) -> Result<(), Fatal> {
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
    pub(super) fn copy_done(&mut self, io: &mut Io<'_>) -> Result<(), Fatal> {
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
