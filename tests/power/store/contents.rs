//! The contents of messages and definitions, which readers can verify.

use std::path::Path;
use std::time::Duration;

use leveret_storage::Options;

/// Small segments and limits, so that a little work reaches every part.
pub(crate) fn options(dir: &Path) -> Options {
    Options {
        segment_size: 256 << 10,
        log_bound: 1 << 20,
        fold_delay_bytes: 0,
        commit_size: 128 << 10,
        fast_sync: Duration::MAX,
        volume_size: 3 << 20,
        waste: 4 << 20,
        // Timing must not depend on the speed of the machine.
        busy: u64::MAX,
        ..Options::new(dir)
    }
}

/// Generates pseudo-random bytes from two numbers.
pub(crate) fn filling(one: u64, two: u64, len: usize) -> Vec<u8> {
    let mut state = (one << 40 ^ two).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut out = Vec::with_capacity(len + 8);
    while out.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(len);
    out
}

/// Generates the bytes of a message in several queues from its number alone.
pub(crate) fn shared_filling(len: usize) -> Vec<u8> {
    filling(1 << 20, len as u64, len)
}

/// Returns the value of a definition: its version, then bytes derived from it.
pub(crate) fn definition(key: u64, version: u64, len: usize) -> Vec<u8> {
    let mut out = version.to_be_bytes().to_vec();
    out.extend(filling(key, version, len));
    out
}
