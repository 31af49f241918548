//! Going through the frames of a buffer, and writing only once something has to differ.

use crate::wire::frame::{FrameError, Limits, header};

/// Goes through the frames of what came in, and writes to `out` only once something has to differ.
pub(super) struct Walk<'b> {
    bytes: &'b [u8],
    at: usize,
    /// Up to here it went to `out`, or was left out.
    written: usize,
    differs: bool,
    left: usize,
}

impl<'b> Walk<'b> {
    pub(super) fn new(bytes: &'b [u8], left: &mut usize) -> Self {
        let at = (*left).min(bytes.len());
        Self {
            bytes,
            at,
            written: 0,
            differs: false,
            left: left.saturating_sub(at),
        }
    }

    pub(super) fn rest(&self) -> &'b [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    pub(super) fn next(&self, limits: Limits) -> Result<Option<(u8, usize)>, FrameError> {
        if self.left > 0 {
            return Ok(None);
        }
        header(self.rest(), &limits)
    }

    /// The rest of a frame is still to come.
    pub(super) fn is_within(&self) -> bool {
        self.left > 0
    }

    /// The frame goes on as it is, as far as it is here.
    pub(super) fn pass(&mut self, total: usize) {
        let here = total.min(self.rest().len());
        self.at = self.at.saturating_add(here);
        self.left = total.saturating_sub(here);
    }

    /// Something is put in before the frame.
    pub(super) fn flush(&mut self, out: &mut Vec<u8>) {
        let before = self.bytes.get(self.written..self.at).unwrap_or_default();
        out.extend_from_slice(before);
        self.written = self.at;
        self.differs = true;
    }

    /// The whole frame is left out; what stands for it is written by the caller.
    pub(super) fn replace(&mut self, total: usize, out: &mut Vec<u8>) {
        self.flush(out);
        self.at = self.at.saturating_add(total);
        self.written = self.at;
    }

    /// The first bytes of the frame are left out (after [`Walk::flush`]).
    pub(super) fn cut(&mut self, first: usize, total: usize) {
        self.written = self.at.saturating_add(first);
        self.pass(total);
    }

    /// How much was used up, and whether it goes on as it is.
    pub(super) fn finish(self, left: &mut usize, out: &mut Vec<u8>) -> (usize, bool) {
        *left = self.left;
        if self.differs {
            let rest = self.bytes.get(self.written..self.at).unwrap_or_default();
            out.extend_from_slice(rest);
        }
        (self.at, !self.differs)
    }
}
