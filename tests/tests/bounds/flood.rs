//! More messages than fit into memory.

use super::grown;
use leveret_tests::raw::{Raw, publish_bytes};
use leveret_tests::{TestBroker, eventually, resident_bytes, run};
use std::time::Duration;

/// The watermark in bytes, and how far memory may exceed it before every publisher is blocked.
const MARK: u64 = 128 << 20;
const BEYOND: u64 = 128 << 20;

async fn alarms(broker: &TestBroker) -> String {
    broker.ctl(&["alarms", "-q"]).await
}

#[test]
fn publishers_are_held_at_the_mark_and_go_on_when_it_is_drained() {
    run(async {
        // More than the watermark, so that queues are not paged out before.
        let options = [
            "--vm-memory-high-watermark",
            "128MiB",
            "--queue-memory",
            "4GiB",
        ];
        let Some(broker) = TestBroker::start_own_with(&options).await else {
            return;
        };
        let client = broker.client().await;
        client.queue("q").await;
        let before = resident_bytes(broker.pid().expect("its own"));
        let mut publishers = Vec::new();
        for _ in 0..4 {
            let mut raw = Raw::connect(&broker).await;
            raw.open_channel(1).await;
            publishers.push(tokio::spawn(async move {
                // 1 GiB each, unless blocked.
                let bytes = publish_bytes(1, "q", false, &vec![b'x'; 120_000]).repeat(8);
                for _ in 0..1024 {
                    let sending = raw.bytes(&bytes);
                    if tokio::time::timeout(Duration::from_secs(5), sending)
                        .await
                        .is_err()
                    {
                        break;
                    }
                }
                raw
            }));
        }
        eventually("the alarm", async || {
            alarms(&broker).await.contains("emory").then_some(())
        })
        .await;
        let mut held = Vec::new();
        for publisher in publishers {
            held.push(publisher.await.expect("no panic"));
        }
        let most = grown(&broker, before);
        assert!(most < MARK + BEYOND, "{most} octets");
        // Consumers are served, and the alarm clears.
        drop(held);
        eventually("a drained queue and no alarm", async || {
            while client.take("q").await.is_some() {}
            (!alarms(&broker).await.contains("emory")).then_some(())
        })
        .await;
        client.put("q", "again").await;
    });
}
