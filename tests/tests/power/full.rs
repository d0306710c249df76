//! A broker with a full disk: publishers wait, consumers continue, nothing confirmed is lost, and everything resumes by
//! itself when there is space again.

use std::fs;
use std::path::Path;
use std::time::Duration;

use lapin::options::{BasicAckOptions, BasicPublishOptions};
use lapin::{BasicProperties, PublisherConfirm};
use leveret_tests::power::programs;
use leveret_tests::{Client, TestBroker, eventually, next, run_within};
use tempfile::TempDir;

/// Every write, growth and new file below the store fails with "no space left on device".
const FULL: &str = "28 0 1000000000 wlo /store/";

#[test]
fn a_full_disk_holds_publishers_and_nobody_else() {
    if std::env::var_os("LEVERET_TEST_ADDRESS").is_some() {
        eprintln!("skipped: this test needs a broker of its own");
        return;
    }
    programs();
    run_within(Duration::from_secs(120), async {
        let data = TempDir::with_prefix("leveret-test-").expect("a temporary directory");
        let faults = data.path().with_extension("faults");
        let environment = programs().failing(data.path(), &faults);
        let mut broker = TestBroker::start_in(data, &[], environment).await;
        let client = broker.client().await;
        client.channel.durable_queue("full").await;
        let channel = client.open_confirming().await;
        for number in 0..100u32 {
            channel.put_persistent("full", number.to_be_bytes()).await;
        }

        fs::write(&faults, FULL).expect("a file");
        let mut waiting = Vec::new();
        for number in 100..120u32 {
            waiting.push(publish(&channel, number).await);
        }
        // Consumers continue with what was stored before.
        let other = broker.client().await;
        let mut consumer = other.channel.consume("full", "reader").await;
        for number in 0..50u32 {
            let delivery = next(&mut consumer).await;
            assert_eq!(delivery.data, number.to_be_bytes());
            delivery
                .ack(BasicAckOptions::default())
                .await
                .expect("acked");
        }
        said_so(&mut broker).await;
        let mut first = waiting.remove(0);
        let early = tokio::time::timeout(Duration::from_millis(50), &mut first).await;
        assert!(early.is_err(), "confirmed on a full disk: {early:?}");

        fs::write(&faults, "").expect("a file");
        first.await.expect("a confirm");
        for confirm in waiting {
            confirm.await.expect("a confirm");
        }

        // The disk is full again and the broker is killed: confirmed messages are still there.
        fs::write(&faults, FULL).expect("a file");
        let lost = publish(&channel, 120).await;
        said_so(&mut broker).await;
        broker.kill();
        drop((lost, client, other));
        fs::write(&faults, "").expect("a file");
        broker.start_again().await;
        let client = broker.client().await;
        let found = numbers(&client).await;
        let must: Vec<u32> = (50..120).collect();
        // Acknowledged but not flushed, so these may be delivered again.
        let found: Vec<u32> = found.into_iter().filter(|number| *number >= 50).collect();
        assert_eq!(found, must);
        client.close().await;
        remove(&faults);
    });
}

fn remove(path: &Path) {
    fs::remove_file(path).expect("removed");
}

async fn publish(channel: &lapin::Channel, number: u32) -> PublisherConfirm {
    let properties = BasicProperties::default().with_delivery_mode(2);
    let (options, body) = (BasicPublishOptions::default(), number.to_be_bytes());
    let publish = channel.basic_publish("".into(), "full".into(), options, &body, properties);
    publish.await.expect("sent")
}

/// Waits until the log of the broker says that it cannot write.
async fn said_so(broker: &mut TestBroker) {
    eventually("the broker says that its disk is full", async || {
        let lines = broker.process().lines();
        let last = lines
            .iter()
            .rev()
            .find(|line| line.contains("writing the commit log"));
        last.filter(|line| line.contains("No space left"))
            .map(|_| ())
    })
    .await;
}

async fn numbers(client: &Client) -> Vec<u32> {
    let mut numbers = Vec::new();
    while let Some(delivery) = client.channel.take("full").await {
        let number: [u8; 4] = delivery.data.as_slice().try_into().expect("a number");
        numbers.push(u32::from_be_bytes(number));
    }
    numbers
}
