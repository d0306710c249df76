//! Clients that make the broker use memory for them.

use super::{connections, grown};
use amq_protocol::frame::AMQPFrame;
use amq_protocol::protocol::{AMQPClass, basic};
use leveret_tests::raw::{self, Raw, publish_bytes, short_string};
use leveret_tests::{TestBroker, resident_bytes, run_within};
use std::time::Duration;

const BODY: usize = 100_000;
const MESSAGES: usize = 3000;
/// The memory watermark, of which a connection may hold a quarter unacknowledged.
const MARK: u64 = 128 << 20;
/// That quarter, plus queues, a mailbox, buffers, and the overhead of the allocator.
const HELD: u64 = (MARK / 4) + (72 << 20);

/// Reads deliveries until none arrives for a while, and returns how many.
async fn read_all(raw: &mut Raw) -> usize {
    let mut read = 0;
    loop {
        let frame = tokio::time::timeout(Duration::from_secs(2), raw.frame()).await;
        let Ok(frame) = frame else {
            return read;
        };
        if let Some(AMQPFrame::Body(..)) = frame {
            read += 1;
        }
        assert!(frame.is_some(), "closed after {read} deliveries");
    }
}

#[test]
fn a_consumer_that_acknowledges_nothing_does_not_empty_the_disk_into_memory() {
    run_within(Duration::from_secs(180), async {
        let mark = MARK.to_string();
        let options = [
            "--vm-memory-high-watermark",
            &mark,
            "--queue-memory",
            "8MiB",
        ];
        let Some(broker) = TestBroker::start_own_with(&options).await else {
            return;
        };
        let client = broker.client().await;
        client.queue("q").await;
        let others = client.queue("").await;
        let before = resident_bytes(broker.pid().expect("its own"));
        let mut publisher = Raw::connect(&broker).await;
        publisher.open_channel(1).await;
        let message = publish_bytes(1, "q", false, &[b'x'; BODY]);
        for _ in 0..MESSAGES {
            publisher.bytes(&message).await;
        }
        client.counts_become("q", MESSAGES as u32, 0).await;
        let mut consumer = Raw::connect(&broker).await;
        consumer.open_channel(1).await;
        consumer.consume(1, "q", "c").await;
        let held = read_all(&mut consumer).await;
        let most = grown(&broker, before);
        assert!(most < HELD, "{most} octets for {held} deliveries");
        assert!(held < MESSAGES / 2, "{held} deliveries");
        client.put(&others, "x").await;
        assert!(client.take(&others).await.is_some());
        // A client that acknowledges gets more.
        let ack = basic::Ack {
            delivery_tag: held as u64,
            multiple: true,
        };
        let ack = AMQPClass::Basic(basic::AMQPMethod::Ack(ack));
        consumer.send(1, ack).await;
        let delivery = consumer.method_on(1).await;
        assert!(matches!(
            delivery,
            AMQPClass::Basic(basic::AMQPMethod::Deliver(_))
        ));
        // And unacknowledged messages are requeued.
        drop(consumer);
        let left = (MESSAGES - held) as u32;
        client.counts_become("q", left, 0).await;
    });
}

/// A table of this many entries: decoded it would take twenty times as much.
fn many_entries(count: usize) -> Vec<u8> {
    let mut fields = Vec::new();
    for number in 0..count {
        fields.extend(short_string(&format!("{number:04x}")));
        fields.push(b'V');
    }
    raw::table(&fields)
}

#[test]
fn arguments_of_consumers_take_no_more_than_is_stated() {
    run_within(Duration::from_secs(120), async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        client.queue("q").await;
        let before = resident_bytes(broker.pid().expect("its own"));
        let connections_count = 10;
        let mut all = connections(&broker, connections_count).await;
        for raw in &mut all {
            let mut bytes = Vec::new();
            for number in 0..30 {
                let mut arguments = vec![0, 0];
                arguments.extend(short_string("q"));
                arguments.extend(short_string(&number.to_string()));
                // no-wait
                arguments.push(0b1000);
                arguments.extend(many_entries(20_000));
                bytes.extend(raw::method(1, 60, 20, &arguments));
            }
            raw.bytes(&bytes).await;
            // Answered when all of that has been processed.
            raw.send_qos(1).await;
            raw.method_on(1).await;
        }
        let each = grown(&broker, before) / connections_count as u64;
        assert!(each < 12 << 20, "{each} octets for each connection");
        let all = client.counts("q").await;
        assert_eq!(all.1, 30 * connections_count as u32);
    });
}
