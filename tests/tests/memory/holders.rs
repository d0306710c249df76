//! One client that holds much memory and sends nothing, while memory is low.

use super::honest::Honest;
use super::{ALARM_ENDS, start};
use leveret_tests::raw::{Raw, frame};
use leveret_tests::{TestBroker, eventually_within, resident_bytes, run, settled_bytes};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How much it holds: less than it may.
const HELD: usize = 24_000_000;

/// Starts a client with unfinished messages, and returns the watermark at which memory is low for
/// as long as it stays.
async fn holder(broker: &TestBroker) -> (Raw, u64) {
    let pid = broker.pid().expect("its own");
    let before = settled_bytes(pid).await;
    let mut raw = Raw::connect(broker).await;
    for channel in 1..=3 {
        raw.open_channel(channel).await;
        raw.publish_method(channel, "nowhere").await;
        raw.content_header(channel, 10_000_000).await;
        for _ in 0..HELD / 3 / 100_000 {
            raw.bytes(&frame(3, channel, &[b'x'; 100_000])).await;
        }
    }
    eventually_within(Duration::from_secs(20), "it is held", async || {
        (resident_bytes(pid) > before + HELD as u64 * 3 / 4).then_some(())
    })
    .await;
    (raw, before + HELD as u64 / 2)
}

async fn lower_the_mark(broker: &TestBroker, mark: u64) {
    let mark = mark.to_string();
    broker
        .ctl(&["set_vm_memory_high_watermark", "absolute", &mark])
        .await;
}

#[test]
fn an_alarm_that_one_client_causes_ends_with_that_client() {
    run(async {
        let Some(broker) = start().await else { return };
        let (mut silent, mark) = holder(&broker).await;
        let stop = Arc::<AtomicBool>::default();
        let honest = Honest::start(&broker, stop.clone()).await;
        lower_the_mark(&broker, mark).await;
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

#[test]
fn one_that_does_not_read_is_closed_as_well() {
    run(async {
        let Some(broker) = start().await else { return };
        let (_deaf, mark) = holder(&broker).await;
        lower_the_mark(&broker, mark).await;
        eventually_within(ALARM_ENDS, "the alarm is over", async || {
            (!super::is_alarmed(&broker).await).then_some(())
        })
        .await;
        eventually_within(ALARM_ENDS, "the connection is gone", async || {
            let listed = broker.ctl(&["list_connections", "-q", "name"]).await;
            (listed.lines().count() <= 1).then_some(())
        })
        .await;
    });
}

#[test]
fn who_parks_unfinished_messages_does_not_keep_others_from_publishing() {
    run(async {
        let Some(broker) = start().await else { return };
        let mut silent = Vec::new();
        for _ in 0..16 {
            let mut raw = Raw::connect(&broker).await;
            raw.open_channel(1).await;
            raw.publish_method(1, "nowhere").await;
            raw.content_header(1, 16_000_000).await;
            // All of them together: most of what clients may have sent and not finished.
            raw.bytes(&frame(3, 1, &[b'x'; 100_000]).repeat(26)).await;
            silent.push(raw);
        }
        let body = vec![b'x'; 12_000_000];
        eventually_within(ALARM_ENDS, "a large message is taken", async || {
            let client = broker.client().await;
            let channel = client.open_confirming().await;
            let published = channel.basic_publish(
                "".into(),
                "q".into(),
                Default::default(),
                &body,
                Default::default(),
            );
            let confirm = published.await.ok()?.await.ok()?;
            confirm.is_ack().then_some(())
        })
        .await;
    });
}
