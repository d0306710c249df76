//! One client that holds much and says nothing, while memory is low.

use super::honest::Honest;
use super::{ALARM_ENDS, start};
use leveret_tests::raw::{self, Raw, frame, short_string};
use leveret_tests::{TestBroker, eventually_within, resident_bytes, run};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What it holds: less than it may.
const HELD: usize = 24_000_000;

/// A client with an unfinished message.
async fn holder(broker: &TestBroker) -> Raw {
    let mut raw = Raw::connect(broker).await;
    for channel in 1..=3 {
        raw.open_channel(channel).await;
        raw.publish_method(channel, "nowhere").await;
        raw.content_header(channel, 10_000_000).await;
        for _ in 0..HELD / 3 / 100_000 {
            raw.bytes(&frame(3, channel, &[b'x'; 100_000])).await;
        }
    }
    let pid = broker.pid().expect("its own");
    eventually_within(Duration::from_secs(20), "it is held", async || {
        (resident_bytes(pid) > HELD as u64).then_some(())
    })
    .await;
    raw
}

/// Sets the mark so that memory is low until the holder has gone.
async fn lower_the_mark(broker: &TestBroker) {
    let used = resident_bytes(broker.pid().expect("its own"));
    let mark = (used - HELD as u64 / 2).to_string();
    broker
        .ctl(&["set_vm_memory_high_watermark", "absolute", &mark])
        .await;
}

#[test]
fn an_alarm_that_one_client_causes_ends_with_that_client() {
    run(async {
        let Some(broker) = start().await else { return };
        let mut silent = holder(&broker).await;
        let stop = Arc::<AtomicBool>::default();
        let honest = Honest::start(&broker, stop.clone()).await;
        lower_the_mark(&broker).await;
        let (code, text) = silent.closed().await;
        assert_eq!(code, 320);
        let start = "CONNECTION_FORCED - memory is low and this connection holds most of it: ";
        assert!(text.starts_with(start), "{text}");
        assert!(text.contains(" bytes of unfinished messages"), "{text}");
        eventually_within(ALARM_ENDS, "the alarm is over", async || {
            (!super::is_alarmed(&broker).await).then_some(())
        })
        .await;
        stop.store(true, Ordering::Relaxed);
        let seen = honest.ended().await;
        assert!(
            seen.blocked > 0 && seen.blocked == seen.unblocked,
            "{seen:?}"
        );
        assert!(seen.longest < ALARM_ENDS, "{seen:?}");
    });
}

/// A client that neither reads nor acknowledges: its deliveries go back and its socket is closed.
#[test]
fn one_that_does_not_read_is_closed_as_well() {
    run(async {
        let Some(broker) = start().await else { return };
        let mut deaf = Raw::connect(&broker).await;
        deaf.open_channel(1).await;
        let queue = deaf.declare(1, "q").await;
        let message = raw::publish_bytes(1, &queue, false, &[b'd'; 100_000]);
        for _ in 0..400 {
            deaf.bytes(&message).await;
        }
        let mut consume = vec![0, 0];
        consume.extend(short_string("q"));
        consume.extend(short_string("t"));
        consume.push(0);
        consume.extend(raw::table(&[]));
        deaf.bytes(&raw::method(1, 60, 20, &consume)).await;
        let unacknowledged = async || -> u64 {
            let rows = broker.list_queues(&["messages_unacknowledged"]).await;
            rows[0][1].parse().expect("a number")
        };
        eventually_within(Duration::from_secs(20), "deliveries are out", async || {
            (unacknowledged().await > 10).then_some(())
        })
        .await;
        lower_the_mark(&broker).await;
        eventually_within(ALARM_ENDS, "they go back", async || {
            (unacknowledged().await == 0).then_some(())
        })
        .await;
        let gone = Duration::from_secs(20);
        eventually_within(gone, "the connection is gone", async || {
            let listed = broker.ctl(&["list_connections", "-q", "name"]).await;
            (listed.lines().count() <= 1).then_some(())
        })
        .await;
    });
}
