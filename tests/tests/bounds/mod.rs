//! How much memory clients can make the broker use: little while they are idle, and no more than
//! documented when they misbehave, while others are served.

mod deaf;
mod files;
mod flood;
mod greedy;
mod idle;
mod slow;

use leveret_tests::raw::Raw;
use leveret_tests::{TestBroker, resident_bytes};
use std::time::Duration;

/// Returns by how many bytes the broker's memory has grown.
fn grown(broker: &TestBroker, before: u64) -> u64 {
    let pid = broker.pid().expect("a broker of its own");
    resident_bytes(pid).saturating_sub(before)
}

/// Opens connections as guest, each with channel 1.
async fn connections(broker: &TestBroker, count: usize) -> Vec<Raw> {
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let mut raw = Raw::connect(broker).await;
        raw.open_channel(1).await;
        all.push(raw);
    }
    all
}

/// Keeps sending and reads nothing, until the broker accepts nothing for a while or has accepted
/// enough.
async fn send_without_reading(raw: &mut Raw, bytes: &[u8], rounds: usize) {
    for _ in 0..rounds {
        let sent = tokio::time::timeout(Duration::from_millis(300), raw.bytes(bytes)).await;
        if sent.is_err() {
            return;
        }
    }
}
