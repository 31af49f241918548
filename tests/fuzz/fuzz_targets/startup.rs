//! Any startup packet: read or refused, and what is accepted holds no name twice unseen.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgveil::wire::startup::{StartupPacket, body_length};

fuzz_target!(|data: &[u8]| {
    if let Some(length) = data.first_chunk::<4>()
        && let Ok(length) = body_length(*length)
    {
        assert!((4..=10_000).contains(&length));
    }
    if let Ok(StartupPacket::Startup(packet)) = StartupPacket::read(data) {
        let user = packet.get("user");
        assert!(user.is_none_or(|user| !user.contains('\0')));
    }
});
