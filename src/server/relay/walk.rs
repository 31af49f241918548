//! Walks a stream of frames without holding them: which bytes at the front may be forwarded, and
//! what the few frames say that matter here.

use crate::wire::frame::{FrameError, Limits, body, header};

/// Where in the stream we are.
pub(super) struct Walk {
    limits: Limits,
    /// Bytes of the current frame still to come.
    left: usize,
}

impl Walk {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, left: 0 }
    }

    /// Between two frames: a message may be put in here.
    pub(super) fn at_boundary(&self) -> bool {
        self.left == 0
    }

    /// How many of `bytes` may be forwarded. `seen` is called for each frame that begins in them;
    /// with its body if `whole` asks for it, and then the frame is forwarded only when all of it is
    /// there.
    pub(super) fn advance(
        &mut self,
        bytes: &[u8],
        whole: impl Fn(u8) -> bool,
        mut seen: impl FnMut(u8, Option<&[u8]>),
    ) -> Result<usize, FrameError> {
        let mut at = self.left.min(bytes.len());
        self.left = self.left.saturating_sub(at);
        while self.left == 0 {
            let rest = bytes.get(at..).unwrap_or_default();
            let Some((tag, total)) = header(rest, &self.limits)? else {
                break;
            };
            if whole(tag) {
                let Some(frame) = rest.get(..total) else {
                    break;
                };
                seen(tag, Some(body(frame)));
            } else {
                seen(tag, None);
            }
            let here = total.min(rest.len());
            at = at.saturating_add(here);
            self.left = total.saturating_sub(here);
        }
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use super::Walk;
    use crate::wire::frame::Limits;

    #[test]
    fn any_chunking_forwards_every_byte_once_and_sees_every_frame() {
        let stream = b"D\0\0\0\x09abcdeC\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I";
        for chunk in 1..=stream.len() {
            let mut walk = Walk::new(Limits::BACKEND);
            let (mut waiting, mut out, mut seen) = (Vec::new(), Vec::new(), Vec::new());
            for part in stream.chunks(chunk) {
                waiting.extend_from_slice(part);
                let n = walk
                    .advance(
                        &waiting,
                        |t| t != b'D',
                        |t, b| seen.push((t, b.map(<[u8]>::to_vec))),
                    )
                    .unwrap();
                out.extend(waiting.drain(..n));
            }
            assert_eq!(out, stream, "chunks of {chunk}");
            assert!(walk.at_boundary());
            assert_eq!(
                seen,
                [
                    (b'D', None),
                    (b'C', Some(b"SELECT 1\0".to_vec())),
                    (b'Z', Some(b"I".to_vec()))
                ]
            );
        }
    }

    #[test]
    fn a_frame_that_cannot_be_ends_the_walk() {
        let mut walk = Walk::new(Limits::FRONTEND);
        assert!(
            walk.advance(b"\xff\0\0\0\x04", |_| false, |_, _| {})
                .is_err()
        );
    }
}
