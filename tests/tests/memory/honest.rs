//! A client that publishes, waits for each confirm, and takes what it has published.

use amq_protocol::frame::AMQPFrame;
use amq_protocol::protocol::{AMQPClass, basic, connection};
use leveret_tests::TestBroker;
use leveret_tests::raw::{self, Raw, Tune, frame, login, short_string};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

const QUEUE: &str = "honest";

/// What it has observed.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) confirmed: u64,
    pub(super) blocked: u64,
    pub(super) unblocked: u64,
    /// The longest wait for a confirm.
    pub(super) longest: Duration,
    /// The longest wait for a confirm while it was not told that it is blocked.
    pub(super) longest_untold: Duration,
}

/// The client while it runs.
pub(super) struct Honest(JoinHandle<Seen>);

impl Honest {
    /// Starts a client that runs until told to stop.
    pub(super) async fn start(broker: &TestBroker, stop: Arc<AtomicBool>) -> Self {
        let mut raw = connect(broker).await;
        raw.open_channel(1).await;
        raw.declare(1, QUEUE).await;
        raw.confirm_select(1).await;
        Honest(tokio::spawn(async move {
            let mut seen = Seen::default();
            while !stop.load(Ordering::Relaxed) {
                publish(&mut raw, &mut seen).await;
                let taken = raw.take(1, QUEUE).await;
                assert!(taken.is_some(), "what is confirmed is there");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            seen
        }))
    }

    pub(super) async fn ended(self) -> Seen {
        self.0.await.expect("it was served to the end")
    }
}

/// Connects as a client that wants to be told when it is blocked.
pub(super) async fn connect(broker: &TestBroker) -> Raw {
    let mut raw = Raw::dial(broker).await;
    raw.start().await;
    let mut capability = short_string("connection.blocked");
    capability.extend(b"t\x01");
    let mut fields = short_string("capabilities");
    fields.push(b'F');
    fields.extend(raw::table(&capability));
    raw.bytes(&login("guest", "guest", &raw::table(&fields)))
        .await;
    raw.method_on(0).await;
    raw.tune_and_open(Tune::default()).await;
    raw.method_on(0).await;
    raw
}

/// Publishes a persistent message of 1 KiB and waits for its confirm.
async fn publish(raw: &mut Raw, seen: &mut Seen) {
    let mut arguments = vec![0, 0];
    arguments.extend(short_string(""));
    arguments.extend(short_string(QUEUE));
    arguments.push(0);
    let mut bytes = raw::method(1, 60, 40, &arguments);
    let body = [b'h'; 1024];
    let mut header = vec![0, 60, 0, 0];
    header.extend((body.len() as u64).to_be_bytes());
    header.extend([0x10, 0, 2]);
    bytes.extend(frame(2, 1, &header));
    bytes.extend(frame(3, 1, &body));
    let since = Instant::now();
    let mut told = false;
    raw.bytes(&bytes).await;
    loop {
        match raw.frame().await {
            Some(AMQPFrame::Method(1, AMQPClass::Basic(basic::AMQPMethod::Ack(_)))) => break,
            Some(AMQPFrame::Method(0, AMQPClass::Connection(method))) => match method {
                connection::AMQPMethod::Blocked(_) => {
                    seen.blocked += 1;
                    told = true;
                }
                connection::AMQPMethod::Unblocked(_) => seen.unblocked += 1,
                other => panic!("an honest client hears {other:?}"),
            },
            other => panic!("an honest client hears {other:?}"),
        }
    }
    let waited = since.elapsed();
    seen.confirmed += 1;
    seen.longest = seen.longest.max(waited);
    if !told {
        seen.longest_untold = seen.longest_untold.max(waited);
    }
}
