//! Idle connections and queues.

use super::{connections, grown};
use amq_protocol::protocol::{AMQPClass, basic};
use leveret_tests::raw::{Raw, publish_bytes};
use leveret_tests::{TestBroker, eventually, resident_bytes, run};

/// The limits for 10 000, in bytes each; the measured figures are in docs/develop/performance.md.
/// Fewer are enough to check them.
const PROMISED: u64 = 20 << 10;
const COUNT: u64 = 1000;

async fn consumers(broker: &TestBroker, count: u64) -> Vec<Raw> {
    let mut all = connections(broker, count as usize).await;
    for (i, raw) in all.iter_mut().enumerate() {
        let queue = raw.declare(1, &format!("q{i}")).await;
        raw.consume(1, &queue, "c").await;
    }
    all
}

/// Reads this many deliveries and acknowledges them all.
async fn take(raw: &mut Raw, count: usize) {
    for _ in 0..count {
        let method = raw.method_on(1).await;
        assert!(matches!(
            method,
            AMQPClass::Basic(basic::AMQPMethod::Deliver(_))
        ));
        raw.content().await;
    }
    let ack = basic::Ack {
        delivery_tag: 0,
        multiple: true,
    };
    raw.send(1, AMQPClass::Basic(basic::AMQPMethod::Ack(ack)))
        .await;
}

#[test]
fn a_connection_with_a_consumer_costs_less_than_20_kib_before_and_after_a_burst() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let before = resident_bytes(broker.pid().expect("its own"));
        let mut all = consumers(&broker, COUNT).await;
        let idle = grown(&broker, before) / COUNT;
        assert!(idle < PROMISED, "{idle} octets apiece");
        // Half a megabyte each in buffers, if they were kept.
        let burst = 2000;
        for (i, raw) in all.iter_mut().take(200).enumerate() {
            let message = publish_bytes(1, &format!("q{i}"), false, b"0123456789abcdef");
            raw.bytes(&message.repeat(burst)).await;
            take(raw, burst).await;
        }
        eventually("buffers are given back", async || {
            (grown(&broker, before) / COUNT < PROMISED + (16 << 10)).then_some(())
        })
        .await;
    });
}

#[test]
fn a_queue_that_was_used_once_costs_less_than_20_kib() {
    run(async {
        for durable in [false, true] {
            let Some(broker) = TestBroker::start_own().await else {
                return;
            };
            let client = broker.client().await;
            let before = resident_bytes(broker.pid().expect("its own"));
            for i in 0..COUNT {
                let name = format!("queue-{i}");
                match durable {
                    true => client.durable_queue(&name).await,
                    false => client.queue(&name).await,
                };
                client.put_persistent(&name, "x".repeat(100)).await;
                assert!(client.take(&name).await.is_some());
            }
            let each = grown(&broker, before) / COUNT;
            assert!(each < PROMISED, "durable {durable}: {each} octets apiece");
        }
    });
}
