//! Backlogs that exceed their memory limit: they wait on disk, and come back unchanged.

use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicNackOptions, QueueDeclareOptions, QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Confirmation};
use leveret_tests::{Client, TestBroker, eventually, next, resident_bytes, run, text};
use std::ops::Range;
use std::path::Path;

/// The number of messages of one KiB each: many times the memory.
const COUNT: usize = 8000;
const MEMORY: [&str; 2] = ["--queue-memory", "256KiB"];

async fn start() -> TestBroker {
    TestBroker::start_with(&MEMORY).await
}

fn body(number: usize) -> Vec<u8> {
    let mut body = format!("{number:08}").into_bytes();
    body.resize(1024, b'.');
    body
}

fn number(body: &[u8]) -> usize {
    assert_eq!(body.len(), 1024);
    std::str::from_utf8(&body[..8]).unwrap().parse().unwrap()
}

/// Publishes and waits for all confirms.
async fn fill(client: &Client, queue: &str, numbers: Range<usize>, mode: u8) {
    let properties = |_| BasicProperties::default().with_delivery_mode(mode);
    fill_with(client, queue, numbers, properties).await;
}

/// Like [`fill`], with individual properties for each message.
async fn fill_with(
    client: &Client,
    queue: &str,
    numbers: Range<usize>,
    properties: impl Fn(usize) -> BasicProperties,
) {
    let channel = client.open_confirming().await;
    let mut confirms = Vec::new();
    for number in numbers {
        let (queue, body) = (queue.into(), body(number));
        let (options, properties) = (Default::default(), properties(number));
        let published = channel.basic_publish("".into(), queue, options, &body, properties);
        confirms.push(published.await.unwrap());
    }
    for confirm in confirms {
        assert!(matches!(confirm.await.unwrap(), Confirmation::Ack(None)));
    }
}

/// Consumes and acknowledges messages, and checks that they are the expected ones, in order.
async fn consume(client: &Client, queue: &str, expected: impl Iterator<Item = usize>) {
    let channel = client.open().await;
    channel.prefetch(100, false).await;
    let mut consumer = channel.consume(queue, "c").await;
    for expected in expected {
        let delivery = next(&mut consumer).await;
        assert_eq!(number(&delivery.data), expected);
        delivery.ack(BasicAckOptions::default()).await.unwrap();
    }
    channel.close(200, "done".into()).await.unwrap();
}

/// Returns the bytes that the files in a directory occupy on disk.
fn occupied(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let files = std::fs::read_dir(directory).unwrap();
    files
        .filter_map(|file| Some(file.ok()?.metadata().ok()?.blocks() * 512))
        .sum()
}

#[test]
fn a_transient_backlog_waits_on_disk_and_gives_the_space_back() {
    run(async {
        let broker = start().await;
        let client = broker.client().await;
        client.queue("q").await;
        let pid = broker.pid().unwrap();
        let before = resident_bytes(pid);
        fill(&client, "q", 0..COUNT, 1).await;
        let spill = broker.data_dir().join("spill");
        eventually("the backlog is on disk", async || {
            (occupied(&spill) > COUNT as u64 * 1024 * 3 / 4).then_some(())
        })
        .await;
        let grown = resident_bytes(pid).saturating_sub(before);
        assert!(grown < COUNT as u64 * 1024 / 2, "{grown} bytes more");
        assert_eq!(client.counts("q").await, (COUNT as u32, 0));
        consume(&client, "q", 0..COUNT).await;
        eventually("the space is free again", async || {
            (occupied(&spill) < 1 << 20).then_some(())
        })
        .await;
    });
}

#[test]
fn a_persistent_backlog_is_read_back_from_the_store_over_restarts() {
    run(async {
        let mut broker = start().await;
        let client = broker.client().await;
        client.durable_queue("q").await;
        fill(&client, "q", 0..COUNT, 2).await;
        consume(&client, "q", 0..COUNT / 4).await;
        broker.restart().await;
        let client = broker.client().await;
        assert_eq!(client.counts("q").await.0 as usize, COUNT - COUNT / 4);
        consume(&client, "q", COUNT / 4..COUNT / 2).await;
        fill(&client, "q", COUNT..COUNT + 10, 2).await;
        broker.kill();
        broker.start_again().await;
        let client = broker.client().await;
        // The last acknowledgements may be lost in a crash; messages are not.
        let left = client.counts("q").await.0 as usize;
        let first = COUNT + 10 - left;
        assert!((COUNT / 2 - 200..=COUNT / 2).contains(&first), "{first}");
        let columns = ["messages", "message_bytes", "messages_persistent"];
        let rows = broker.list_queues(&columns).await;
        let (messages, octets) = (left.to_string(), (left * 1024).to_string());
        assert_eq!(rows, [["q", &messages, &octets, &messages]]);
        consume(&client, "q", first..COUNT + 10).await;
        assert_eq!(client.counts("q").await.0, 0);
    });
}

#[test]
fn transient_and_persistent_messages_keep_their_common_order() {
    run(async {
        let mut broker = start().await;
        let client = broker.client().await;
        client.durable_queue("q").await;
        for hundred in 0..40 {
            let numbers = hundred * 100..(hundred + 1) * 100;
            fill(&client, "q", numbers, 1 + (hundred % 2) as u8).await;
        }
        consume(&client, "q", 0..1500).await;
        broker.restart().await;
        let client = broker.client().await;
        let persistent = (1500..4000).filter(|number| number / 100 % 2 == 1);
        consume(&client, "q", persistent).await;
        assert_eq!(client.counts("q").await.0, 0);
    });
}

#[test]
fn get_finds_every_message_wherever_it_is() {
    run(async {
        let broker = start().await;
        let client = broker.client().await;
        for (queue, mode) in [("transient", 1), ("persistent", 2)] {
            client.durable_queue(queue).await;
            fill(&client, queue, 0..3000, mode).await;
            for expected in 0..3000 {
                let delivery = client.take(queue).await.expect("a message");
                assert_eq!(number(&delivery.data), expected);
            }
            assert!(client.take(queue).await.is_none());
        }
    });
}

#[test]
fn what_comes_back_is_delivered_before_what_waits_on_disk() {
    run(async {
        let broker = start().await;
        let client = broker.client().await;
        client.durable_queue("q").await;
        fill(&client, "q", 0..3000, 1).await;
        let worker = client.open().await;
        worker.prefetch(50, false).await;
        let mut consumer = worker.consume("q", "c").await;
        for expected in 0..50 {
            assert_eq!(number(&next(&mut consumer).await.data), expected);
        }
        let options = BasicNackOptions {
            multiple: true,
            requeue: true,
        };
        worker.basic_nack(0, options).await.unwrap();
        for expected in 0..50 {
            let delivery = next(&mut consumer).await;
            assert_eq!(
                (number(&delivery.data), delivery.redelivered),
                (expected, true)
            );
        }
        worker.close(200, "done".into()).await.unwrap();
        eventually("all are back", async || {
            (client.counts("q").await == (3000, 0)).then_some(())
        })
        .await;
        consume(&client, "q", 0..3000).await;
    });
}

#[test]
fn a_purge_and_a_deletion_take_what_is_on_disk_too() {
    run(async {
        let mut broker = start().await;
        let client = broker.client().await;
        for queue in ["purged", "deleted"] {
            client.durable_queue(queue).await;
            fill(&client, queue, 0..2000, 1).await;
            fill(&client, queue, 2000..4000, 2).await;
        }
        let kept = client.open().await;
        kept.prefetch(3, false).await;
        let mut consumer = kept.consume("purged", "c").await;
        for expected in 0..3 {
            assert_eq!(number(&next(&mut consumer).await.data), expected);
        }
        let purged = client.queue_purge("purged".into(), QueuePurgeOptions::default());
        assert_eq!(purged.await.unwrap(), 3997);
        let deleted = client.queue_delete("deleted".into(), Default::default());
        assert_eq!(deleted.await.unwrap(), 4000);
        let spill = broker.data_dir().join("spill");
        eventually("the space is free again", async || {
            (occupied(&spill) < 1 << 20).then_some(())
        })
        .await;
        // Anything confirmed now comes after the purge in the log.
        fill(&client, "purged", 5000..5001, 2).await;
        broker.kill();
        broker.start_again().await;
        let client = broker.client().await;
        assert_eq!(
            client.counts("purged").await.0,
            1,
            "what was purged is back"
        );
        consume(&client, "purged", 5000..5001).await;
    });
}

#[test]
fn priorities_hold_among_messages_on_disk() {
    run(async {
        let mut broker = start().await;
        let client = broker.client().await;
        let mut arguments = FieldTable::default();
        arguments.insert("x-max-priority".into(), AMQPValue::LongInt(4));
        let durable = QueueDeclareOptions {
            durable: true,
            ..Default::default()
        };
        client
            .queue_declare("q".into(), durable, arguments)
            .await
            .unwrap();
        let properties = |number| {
            BasicProperties::default()
                .with_delivery_mode(2)
                .with_priority((number % 5) as u8)
        };
        fill_with(&client, "q", 0..4000, properties).await;
        let of = |priority: usize| (0..4000).filter(move |number| number % 5 == priority);
        consume(&client, "q", of(4).chain(of(3)).take(1000)).await;
        broker.restart().await;
        let client = broker.client().await;
        let rest = of(3).skip(200).chain(of(2)).chain(of(1)).chain(of(0));
        consume(&client, "q", rest).await;
        assert_eq!(client.counts("q").await.0, 0);
    });
}

#[test]
fn what_expires_on_disk_is_not_delivered() {
    run(async {
        let mut broker = start().await;
        let client = broker.client().await;
        client.durable_queue("q").await;
        let properties = |number| {
            let properties = BasicProperties::default().with_delivery_mode(2);
            match number {
                1000..2000 => properties.with_expiration("1".into()),
                _ => properties,
            }
        };
        fill_with(&client, "q", 0..3000, properties).await;
        consume(&client, "q", 0..500).await;
        broker.restart().await;
        let client = broker.client().await;
        consume(&client, "q", (500..1000).chain(2000..3000)).await;
        assert_eq!(client.counts("q").await.0, 0);
    });
}

#[test]
fn a_consumer_that_acknowledges_nothing_gets_every_message_once() {
    run(async {
        let broker = start().await;
        let client = broker.client().await;
        client.queue("q").await;
        fill(&client, "q", 0..COUNT, 1).await;
        let worker = client.open().await;
        let options = BasicConsumeOptions {
            no_ack: true,
            ..Default::default()
        };
        let mut consumer = worker.consume_with("q", "c", options).await;
        for expected in 0..COUNT {
            assert_eq!(number(&next(&mut consumer).await.data), expected);
        }
        assert_eq!(client.counts("q").await, (0, 1));
        client.put("q", "one more").await;
        assert_eq!(text(&next(&mut consumer).await), "one more");
    });
}
