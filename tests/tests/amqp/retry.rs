//! Messages that come back and wait before they are ready again (`x-delayed-retry-*`).

use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::options::{
    BasicNackOptions, BasicRejectOptions, QueueDeclareOptions, QueueDeleteOptions,
    QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use leveret_tests::{
    Client, TestBroker, TestChannel, eventually, expect_reply, next, nothing_more, run, text,
};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A delay that no test waits for.
const LONG: i64 = 3_600_000;

fn string(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

fn delays(kind: &str, min: i64, max: i64) -> [(&'static str, AMQPValue); 3] {
    [
        ("x-delayed-retry-type", string(kind)),
        ("x-delayed-retry-min", AMQPValue::LongLongInt(min)),
        ("x-delayed-retry-max", AMQPValue::LongLongInt(max)),
    ]
}

/// Declares a durable queue `q` of this type.
async fn declare(
    channel: &TestChannel,
    queue_type: &str,
    more: &[(&str, AMQPValue)],
) -> lapin::Result<()> {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), string(queue_type));
    for (name, value) in more {
        arguments.insert((*name).into(), value.clone());
    }
    let options = QueueDeclareOptions::durable();
    let declared = channel.queue_declare("q".into(), options, arguments);
    declared.await.map(drop)
}

/// Publishes persistent messages to `q`.
async fn put(client: &Client, bodies: &[&str]) {
    let channel = client.open_confirming().await;
    for body in bodies {
        channel.put_persistent("q", body).await;
    }
}

async fn get(channel: &TestChannel) -> Delivery {
    channel.get("q").await.expect("a message")
}

async fn reject(delivery: &Delivery) {
    let options = BasicRejectOptions { requeue: true };
    delivery.reject(options).await.unwrap();
}

async fn nack(delivery: &Delivery) {
    let options = BasicNackOptions {
        requeue: true,
        multiple: false,
    };
    delivery.nack(options).await.unwrap();
}

/// Gets a message as soon as it is ready.
async fn get_in_time(channel: &TestChannel) -> Delivery {
    eventually("the message is ready", async || channel.get("q").await).await
}

fn header(delivery: &Delivery, name: &str) -> Option<i64> {
    let headers = delivery.properties.headers().as_ref()?;
    match headers.inner().get(name)? {
        AMQPValue::LongLongInt(number) => Some(*number),
        other => panic!("{other:?}"),
    }
}

/// How many messages wait, are ready, and are there in all.
async fn numbers(broker: &TestBroker) -> Vec<String> {
    let columns = ["messages_delayed", "messages_ready", "messages"];
    broker.list_queues(&columns).await.remove(0).split_off(1)
}

async fn waits_longer_with_each_failure(queue_type: &str) {
    let broker = TestBroker::start().await;
    let client = broker.client().await;
    declare(&client, queue_type, &delays("all", 300, 500))
        .await
        .unwrap();
    put(&client, &["m"]).await;
    let mut delivery = get(&client).await;
    // 300 for each failure, 500 at most; what is given back waits as it last did.
    for (failed, wait) in [(1, 300), (2, 500), (3, 500)] {
        let since = Instant::now();
        reject(&delivery).await;
        assert!(client.get("q").await.is_none(), "it waits");
        delivery = get_in_time(&client).await;
        assert!(since.elapsed() >= Duration::from_millis(wait));
        assert!(delivery.redelivered);
        assert_eq!(header(&delivery, "x-delivery-count"), Some(failed));
        assert_eq!(header(&delivery, "x-acquired-count"), Some(failed));
    }
    let since = Instant::now();
    nack(&delivery).await;
    let delivery = get_in_time(&client).await;
    assert!(since.elapsed() >= Duration::from_millis(500));
    assert_eq!(header(&delivery, "x-delivery-count"), Some(3));
    assert_eq!(header(&delivery, "x-acquired-count"), Some(4));
}

#[test]
fn a_message_of_a_quorum_queue_waits_longer_with_each_failure() {
    run(waits_longer_with_each_failure("quorum"));
}

#[test]
fn a_message_of_a_classic_queue_waits_longer_with_each_failure() {
    run(waits_longer_with_each_failure("classic"));
}

#[test]
fn the_type_says_what_waits() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        for (kind, ready) in [
            ("failed", vec!["nacked"]),
            ("returned", vec!["rejected"]),
            ("all", vec![]),
            ("disabled", vec!["rejected", "nacked"]),
        ] {
            declare(&client, "quorum", &delays(kind, LONG, LONG))
                .await
                .unwrap();
            put(&client, &["rejected", "nacked"]).await;
            let (first, second) = (get(&client).await, get(&client).await);
            reject(&first).await;
            nack(&second).await;
            assert_eq!(client.drain("q").await, ready, "{kind}");
            let delete = client.queue_delete("q".into(), QueueDeleteOptions::default());
            delete.await.unwrap();
        }
    });
}

#[test]
fn what_a_lost_connection_held_waits_and_what_it_never_saw_does_not() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        declare(&client, "quorum", &delays("failed", LONG, LONG))
            .await
            .unwrap();
        put(&client, &["seen", "unseen"]).await;
        let worker = broker.client().await;
        worker.prefetch(1, false).await;
        let mut consumer = worker.consume("q", "c").await;
        assert_eq!(text(&next(&mut consumer).await), "seen");
        worker.close().await;
        client.counts_become("q", 1, 0).await;
        assert_eq!(client.drain("q").await, ["unseen"]);
    });
}

#[test]
fn waiting_messages_are_counted_and_purged_and_keep_a_queue_from_being_empty() {
    run(async {
        let Some(broker) = TestBroker::start_with_ctl().await else {
            return;
        };
        let client = broker.client().await;
        declare(&client, "classic", &delays("all", LONG, LONG))
            .await
            .unwrap();
        put(&client, &["one", "two!"]).await;
        nack(&get(&client).await).await;
        assert_eq!(client.counts("q").await.0, 1);
        assert_eq!(numbers(&broker).await, ["1", "1", "2"]);
        let columns = [
            "message_bytes",
            "message_bytes_persistent",
            "messages_persistent",
        ];
        assert_eq!(broker.list_queues(&columns).await, [["q", "7", "7", "2"]]);
        let columns = ["delayed_retry", "next_delayed_at", "last_delayed_at"];
        let row = broker.list_queues(&columns).await.remove(0);
        assert_eq!(row[1], format!("all (min: {LONG}ms, max: {LONG}ms)"));
        let due: u128 = row[2].parse().unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        assert!((LONG as u128 - 60_000..=LONG as u128).contains(&(due - now.as_millis())));
        assert_eq!(row[2], row[3]);
        client.take("q").await.expect("the other one");
        let if_empty = QueueDeleteOptions {
            if_empty: true,
            ..QueueDeleteOptions::default()
        };
        let other = client.open().await;
        let deleted = other.queue_delete("q".into(), if_empty).await;
        let text = "PRECONDITION_FAILED - queue 'q' in vhost '/' not empty";
        expect_reply(deleted, 406, text);
        let purged = client.queue_purge("q".into(), QueuePurgeOptions::default());
        assert_eq!(purged.await.unwrap(), 1);
        assert_eq!(numbers(&broker).await, ["0", "0", "0"]);
        let row = broker
            .list_queues(&["next_delayed_at", "delayed_retry"])
            .await;
        assert_eq!(row[0][1], "");
    });
}

async fn waits_over_restarts(queue_type: &str) {
    let Some(mut broker) = TestBroker::start_own().await else {
        return;
    };
    let client = broker.client().await;
    declare(&client, queue_type, &delays("all", LONG, LONG))
        .await
        .unwrap();
    put(&client, &["waits", "is ready", "waits, too"]).await;
    let channel = client.open().await;
    let (first, _, third) = (
        get(&channel).await,
        get(&channel).await,
        get(&channel).await,
    );
    nack(&third).await;
    reject(&first).await;
    // It reaches the disk no later than what is confirmed after it.
    put(&client, &["last"]).await;
    let due = broker
        .list_queues(&["next_delayed_at", "last_delayed_at"])
        .await;
    for crash in [true, false] {
        if crash {
            broker.kill();
            broker.start_again().await;
        } else {
            broker.restart().await;
        }
        assert_eq!(numbers(&broker).await, ["2", "2", "4"]);
        let now = broker
            .list_queues(&["next_delayed_at", "last_delayed_at"])
            .await;
        assert_eq!(now, due, "to the millisecond");
    }
    let client = broker.client().await;
    assert_eq!(client.counts("q").await.0, 2);
    let mut consumer = client.consume("q", "c").await;
    for expected in ["is ready", "last"] {
        assert_eq!(text(&next(&mut consumer).await), expected);
    }
    nothing_more(&mut consumer).await;
    client.close().await;
    // What the consumer held waits with the rest.
    eventually("all wait", async || {
        (numbers(&broker).await == ["4", "0", "4"]).then_some(())
    })
    .await;
    let client = broker.client().await;
    let purged = client.queue_purge("q".into(), QueuePurgeOptions::default());
    assert_eq!(purged.await.unwrap(), 4);
    broker.kill();
    broker.start_again().await;
    assert_eq!(numbers(&broker).await, ["0", "0", "0"]);
}

#[test]
fn a_policy_is_for_what_comes_back_from_now_on() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        declare(&client, "classic", &[]).await.unwrap();
        put(&client, &["one", "two"]).await;
        let (one, two) = (get(&client).await, get(&client).await);
        let delay = r#"{"delayed-retry-type":"all","delayed-retry-min":3600000}"#;
        broker.ctl(&["set_policy", "p", "q", delay]).await;
        nack(&one).await;
        eventually("one waits", async || {
            (numbers(&broker).await == ["1", "0", "2"]).then_some(())
        })
        .await;
        broker.ctl(&["clear_policy", "p"]).await;
        nack(&two).await;
        assert_eq!(text(&get_in_time(&client).await), "two");
        put(&client, &["three"]).await;
        drop(client);
        broker.kill();
        broker.start_again().await;
        assert_eq!(numbers(&broker).await, ["1", "2", "3"]);
        let columns = ["delayed_retry"];
        assert_eq!(broker.list_queues(&columns).await, [["q", "disabled"]]);
    });
}

#[test]
fn messages_of_a_quorum_queue_wait_over_restarts() {
    run(waits_over_restarts("quorum"));
}

#[test]
fn messages_of_a_classic_queue_wait_over_restarts() {
    run(waits_over_restarts("classic"));
}

#[test]
fn a_wait_that_ends_while_the_broker_is_down_has_ended_when_it_is_up() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        declare(&client, "quorum", &delays("all", 1500, 1500))
            .await
            .unwrap();
        put(&client, &["first", "second"]).await;
        let since = Instant::now();
        nack(&get(&client).await).await;
        put(&client, &["third"]).await;
        broker.kill();
        broker.start_again().await;
        let client = broker.client().await;
        let mut consumer = client.consume("q", "c").await;
        for expected in ["second", "third", "first"] {
            assert_eq!(text(&next(&mut consumer).await), expected);
        }
        assert!(since.elapsed() >= Duration::from_millis(1500));
    });
}

#[test]
fn what_waits_counts_against_the_limit_and_expires_when_it_has_waited() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("dead").await;
        let mut arguments = delays("all", 400, 400).to_vec();
        arguments.extend([
            ("x-max-length", AMQPValue::LongInt(1)),
            ("x-overflow", string("reject-publish")),
            ("x-dead-letter-exchange", string("")),
            ("x-dead-letter-routing-key", string("dead")),
        ]);
        declare(&client, "quorum", &arguments).await.unwrap();
        let channel = client.open_confirming().await;
        let short = BasicProperties::default().with_expiration("200".into());
        channel.publish("", "q", "short", short).await;
        let since = Instant::now();
        nack(&get(&client).await).await;
        // A round trip of the channel that gave it back: it waits.
        assert_eq!(client.counts("q").await.0, 0);
        assert!(channel.put("q", "one too many").await.is_nack());
        client.counts_become("dead", 1, 0).await;
        assert!(since.elapsed() >= Duration::from_millis(400));
        let letter = client.take("dead").await.expect("a dead letter");
        let headers = letter.properties.headers().as_ref().expect("headers");
        let reason = headers.inner().get("x-first-death-reason");
        assert_eq!(reason, Some(&string("expired")));
        assert!(channel.put("q", "fits").await.is_ack());
    });
}

#[test]
fn delays_are_checked_and_compared() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let refused = async |arguments: &[(&str, AMQPValue)], name: &str, detail: &str| {
            let channel = client.open().await;
            let declared = declare(&channel, "quorum", arguments).await;
            let text = format!(
                "PRECONDITION_FAILED - invalid arg '{name}' for queue 'q' in vhost '/': {detail}"
            );
            expect_reply(declared, 406, &text);
        };
        let kind = "x-delayed-retry-type";
        refused(
            &[(kind, string("often"))],
            kind,
            "invalid_delayed_retry_type",
        )
        .await;
        let min = "x-delayed-retry-min";
        refused(&[(min, AMQPValue::LongInt(0))], min, "{value_zero,0}").await;
        let max = "x-delayed-retry-max";
        refused(
            &delays("all", 2, 1),
            max,
            "\"delayed-retry-max (1) must not be smaller than delayed-retry-min (2)\"",
        )
        .await;
        let away = "x-consumer-disconnected-timeout";
        refused(
            &[(away, AMQPValue::LongInt(-1))],
            away,
            "{value_negative,-1}",
        )
        .await;
        declare(&client, "quorum", &delays("all", 1, 2))
            .await
            .unwrap();
        let channel = client.open().await;
        let text = "PRECONDITION_FAILED - inequivalent arg 'x-delayed-retry-max' for queue 'q' in \
                    vhost '/': received '3' but current is '2'";
        expect_reply(
            declare(&channel, "quorum", &delays("all", 1, 3)).await,
            406,
            text,
        );
    });
}

#[test]
fn what_waits_need_not_be_in_memory() {
    run(async {
        let memory = ["--queue-memory", "1MiB"];
        let Some(mut broker) = TestBroker::start_own_with(&memory).await else {
            return;
        };
        let client = broker.client().await;
        declare(&client, "quorum", &delays("all", LONG, LONG))
            .await
            .unwrap();
        let channel = client.open_confirming().await;
        for n in 0..200 {
            let body = format!("{n:020000}");
            channel.put_persistent("q", body).await;
        }
        let worker = client.open().await;
        for _ in 0..200 {
            get(&worker).await;
        }
        worker.close(200, "done".into()).await.unwrap();
        eventually("they wait on disk", async || {
            let columns = ["messages_delayed", "message_bytes", "message_bytes_ram"];
            let row = broker.list_queues(&columns).await.remove(0);
            let in_memory: u64 = row[3].parse().unwrap();
            let all = (row[1].as_str(), row[2].as_str()) == ("200", "4000000");
            (all && in_memory < 2_000_000).then_some(())
        })
        .await;
        broker.restart().await;
        assert_eq!(numbers(&broker).await, ["200", "0", "200"]);
        let client = broker.client().await;
        let purged = client.queue_purge("q".into(), QueuePurgeOptions::default());
        assert_eq!(purged.await.unwrap(), 200);
    });
}

#[test]
fn what_waits_on_disk_comes_when_it_is_due_in_its_order() {
    run(async {
        let memory = ["--queue-memory", "1MiB"];
        let Some(broker) = TestBroker::start_own_with(&memory).await else {
            return;
        };
        let client = broker.client().await;
        declare(&client, "classic", &delays("all", 2000, 2000))
            .await
            .unwrap();
        for n in 0..200 {
            client.put("q", format!("{n:020000}")).await;
        }
        client.counts_become("q", 200, 0).await;
        let worker = client.open().await;
        for _ in 0..200 {
            get(&worker).await;
        }
        let since = Instant::now();
        worker.close(200, "done".into()).await.unwrap();
        client.counts_become("q", 200, 0).await;
        assert!(since.elapsed() >= Duration::from_secs(2));
        let bodies = client.drain("q").await;
        let numbers: Vec<u32> = bodies.iter().map(|body| body.parse().unwrap()).collect();
        assert_eq!(numbers, (0..200).collect::<Vec<u32>>());
    });
}
