//! What messages and definitions hold, so that whoever reads them knows whether they are right.

use std::path::Path;
use std::time::Duration;

use leveret_storage::Options;

/// Small segments and bounds, so that little work reaches every part.
pub(crate) fn options(dir: &Path) -> Options {
    Options {
        segment_size: 256 << 10,
        log_bound: 1 << 20,
        fold_delay_bytes: 0,
        commit_size: 128 << 10,
        fast_sync: Duration::MAX,
        volume_size: 3 << 20,
        waste: 4 << 20,
        // When things are done must not depend on how fast the machine is.
        busy: u64::MAX,
        ..Options::new(dir)
    }
}

/// The bytes that follow from two numbers: random to the eye.
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

/// The bytes of a message of several queues, which follow from their number alone.
pub(crate) fn shared_filling(len: usize) -> Vec<u8> {
    filling(1 << 20, len as u64, len)
}

/// A definition's value: its version, then what follows from it.
pub(crate) fn definition(key: u64, version: u64, len: usize) -> Vec<u8> {
    let mut out = version.to_be_bytes().to_vec();
    out.extend(filling(key, version, len));
    out
}
