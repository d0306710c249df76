//! What clients can make the broker keep: little while they are idle, and no more than is stated
//! when they misbehave, while others are served.

mod deaf;
mod files;
mod flood;
mod greedy;
mod idle;
mod slow;

use leveret_tests::raw::Raw;
use leveret_tests::{TestBroker, resident_bytes};
use std::time::Duration;

/// Octets by which a broker's memory has grown.
fn grown(broker: &TestBroker, before: u64) -> u64 {
    let pid = broker.pid().expect("a broker of its own");
    resident_bytes(pid).saturating_sub(before)
}

/// Connections as guest, each with channel 1.
async fn connections(broker: &TestBroker, count: usize) -> Vec<Raw> {
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let mut raw = Raw::connect(broker).await;
        raw.open_channel(1).await;
        all.push(raw);
    }
    all
}

/// Sends on and on and reads nothing, until the broker takes no more for a while or has taken
/// enough.
async fn send_without_reading(raw: &mut Raw, bytes: &[u8], rounds: usize) {
    for _ in 0..rounds {
        let sent = tokio::time::timeout(Duration::from_millis(300), raw.bytes(bytes)).await;
        if sent.is_err() {
            return;
        }
    }
}
