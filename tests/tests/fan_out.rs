//! A large message that an exchange sends to several durable queues: on disk once, and complete in each queue.

use lapin::options::QueueDeleteOptions;
use lapin::{BasicProperties, Confirmation, ExchangeKind};

use leveret_tests::{Client, TestBroker, eventually_within, run_within};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

const MIB: u64 = 1 << 20;
/// More than a log segment holds, so that some of them end up in a volume.
const COUNT: u64 = 72;
/// How long a segment may take to be folded.
const FOLDED: Duration = Duration::from_secs(120);
const QUEUES: [&str; 4] = ["one", "two", "three", "four"];

fn body(number: u64) -> Vec<u8> {
    let mut body = format!("{number:08};").repeat(1 << 17).into_bytes();
    body.truncate(MIB as usize);
    body
}

/// Takes all messages from a queue and checks that they are the expected ones.
async fn drain(client: &Client, queue: &str) {
    for number in 0..COUNT {
        let delivery = client.take(queue).await;
        let delivery = delivery.unwrap_or_else(|| panic!("{queue} has no message {number}"));
        assert!(delivery.data == body(number), "{queue}, message {number}");
    }
    assert!(client.take(queue).await.is_none(), "{queue} has more");
}

/// Returns the number of the last log segment, counted from 1.
fn last_segment(log: &Path) -> u64 {
    let names = fs::read_dir(log).unwrap().flatten();
    let names = names.map(|entry| entry.file_name().into_string().unwrap());
    let number = |name: String| name.strip_suffix(".log")?.parse().ok();
    names.filter_map(number).max().unwrap()
}

/// Returns the bytes that a directory takes on disk; it may change meanwhile.
fn taken(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else {
        return fs::metadata(path).map_or(0, |meta| meta.blocks() * 512);
    };
    entries.flatten().map(|entry| taken(&entry.path())).sum()
}

#[test]
fn a_large_message_in_four_queues_is_stored_once_and_outlives_every_other_copy() {
    run_within(Duration::from_secs(300), async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        client.exchange("all", ExchangeKind::Fanout).await;
        for queue in QUEUES {
            client.durable_queue(queue).await;
            client.bind(queue, "all", "").await;
        }
        let channel = client.open_confirming().await;
        for number in 0..COUNT {
            let persistent = BasicProperties::default().with_delivery_mode(2);
            let confirm = channel.publish("all", "", body(number), persistent).await;
            assert!(matches!(confirm, Confirmation::Ack(None)), "{confirm:?}");
        }
        let store = broker.data_dir().join("store");
        // It waits for ten seconds, and then for a disk that other tests keep busy.
        eventually_within(FOLDED, "a segment of the log is folded", async || {
            (taken(&store.join("log")) < 20 * MIB).then_some(())
        })
        .await;
        // A segment holds 64 MiB.
        let segments = last_segment(&store.join("log"));
        assert!(segments <= 3, "{segments} segments of log");
        // sled takes about five bytes for each byte written to it at once, varying from run to run; four copies of each
        // body would be twenty.
        let volumes = taken(&store.join("volumes"));
        assert!(volumes < 12 * COUNT * MIB, "{volumes} bytes of volumes");

        drain(&client, "one").await;
        let options = QueueDeleteOptions::default();
        client.queue_delete("two".into(), options).await.unwrap();
        broker.kill();
        broker.start_again().await;
        let client = broker.client().await;
        assert!(client.take("one").await.is_none());
        drain(&client, "three").await;
        broker.restart().await;
        drain(&broker.client().await, "four").await;
        broker.restart().await;
        for queue in ["one", "three", "four"] {
            assert!(broker.client().await.take(queue).await.is_none(), "{queue}");
        }
    });
}
