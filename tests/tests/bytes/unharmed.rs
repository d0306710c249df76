//! The check at the end of every test here.

use leveret_tests::raw::Raw;
use leveret_tests::{TestBroker, resident_bytes};

/// How much a broker's memory may grow over a test of bad input.
const FLAT: u64 = 32 << 20;

/// Runs `harm` against a broker, then checks that the broker serves a new client and that its
/// memory has not grown.
pub(super) async fn unharmed(harm: impl AsyncFnOnce(&TestBroker)) {
    let broker = TestBroker::start().await;
    serves(&broker).await;
    let before = broker.pid().map(resident_bytes);
    harm(&broker).await;
    serves(&broker).await;
    if let (Some(before), Some(after)) = (before, broker.pid().map(resident_bytes)) {
        let grown = after.saturating_sub(before);
        assert!(grown < FLAT, "memory grew by {} KiB", grown >> 10);
    }
}

/// Sends one message through a queue, with a new client.
async fn serves(broker: &TestBroker) {
    let client = broker.client().await;
    let queue = client.queue("").await;
    client.put(&queue, "x").await;
    assert_eq!(client.drain(&queue).await, ["x"]);
    client.close().await;
}

/// Expects the connection to be closed with this code and text.
pub(super) async fn closed_with(raw: &mut Raw, code: u16, text: &str) {
    assert_eq!(raw.closed().await, (code, text.to_owned()));
}

/// Expects FRAME_ERROR. What follows the name is a dump in Erlang terms with RabbitMQ, and no
/// client reads it.
pub(super) async fn frame_error(raw: &mut Raw) {
    let (code, text) = raw.closed().await;
    assert!(
        code == 501 && text.starts_with("FRAME_ERROR - "),
        "{code} {text}"
    );
}

/// Expects the connection to be closed: RabbitMQ drops the socket without a reason; a reply that
/// names the error is also accepted.
pub(super) async fn dropped(raw: &mut Raw) {
    if let Some((code, text)) = raw.closed_or_ended().await {
        assert!([501, 502, 503, 505, 540].contains(&code), "{code} {text}");
    }
}
