//! Any bytes from either peer: frames are the same on any chunking, and reading a body never panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgveil::wire::frame::{self, FrameBuffer, Limits};
use pgveil::wire::{BackendMessage, DataRow, FrontendMessage};

fuzz_target!(|data: &[u8]| {
    let Some((first, bytes)) = data.split_first() else {
        return;
    };
    for (limits, backend) in [(Limits::FRONTEND, false), (Limits::BACKEND, true)] {
        let whole: Vec<_> = frame::frames(bytes, &limits).collect();
        for found in whole.iter().flatten() {
            if backend {
                drop(BackendMessage::read(found.tag, found.body()));
                drop(DataRow::read(found.body()).map(|row| row.values.iter().count()));
            } else {
                drop(FrontendMessage::read(found.tag, found.body()));
            }
        }
        // The same bytes in small pieces give the same frames.
        let mut buffer = FrameBuffer::new();
        let mut pieces = Vec::new();
        for chunk in bytes.chunks(usize::from(*first % 7) + 1) {
            buffer.buffer_mut().extend_from_slice(chunk);
            while let Ok(Some((tag, bytes))) = buffer.next_frame(&limits) {
                pieces.push((tag, bytes));
            }
        }
        let good: Vec<_> = whole
            .iter()
            .map_while(|frame| frame.as_ref().ok())
            .collect();
        assert_eq!(pieces.len(), good.len());
        for (piece, frame) in pieces.iter().zip(good) {
            assert_eq!((piece.0, &piece.1[..]), (frame.tag, frame.bytes));
        }
    }
});
