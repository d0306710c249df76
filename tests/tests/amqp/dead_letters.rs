//! x-message-ttl, expiration, x-expires, x-dead-letter-exchange and x-dead-letter-routing-key.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::options::{BasicNackOptions, BasicRejectOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use leveret_tests::{Client, TestBroker, next, run, text};
use tokio::task::JoinSet;

fn long(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

async fn declare(client: &Client, queue: &str, arguments: &[(&str, AMQPValue)]) {
    let mut table = FieldTable::default();
    for (name, value) in arguments {
        table.insert((*name).into(), value.clone());
    }
    client
        .queue_declare(queue.into(), QueueDeclareOptions::durable(), table)
        .await
        .expect("declare-ok");
}

/// A queue whose dead letters go straight to another, which is declared as well.
async fn mortal(client: &Client, queue: &str, heir: &str, more: &[(&str, AMQPValue)]) {
    client.durable_queue(heir).await;
    let mut arguments = vec![
        ("x-dead-letter-exchange", long("")),
        ("x-dead-letter-routing-key", long(heir)),
    ];
    arguments.extend(more.iter().cloned());
    declare(client, queue, &arguments).await;
}

fn header<'a>(delivery: &'a Delivery, name: &str) -> Option<&'a AMQPValue> {
    delivery.properties.headers().as_ref()?.inner().get(name)
}

/// Reason and count of each of its deaths, the latest first.
fn deaths(delivery: &Delivery) -> Vec<(String, i64)> {
    let Some(AMQPValue::FieldArray(deaths)) = header(delivery, "x-death") else {
        return Vec::new();
    };
    let death = |death: &AMQPValue| match death {
        AMQPValue::FieldTable(death) => {
            let reason = match death.inner().get("reason") {
                Some(AMQPValue::LongString(reason)) => reason.to_string(),
                other => panic!("{other:?}"),
            };
            match death.inner().get("count") {
                Some(AMQPValue::LongLongInt(count)) => (reason, *count),
                other => panic!("{other:?}"),
            }
        }
        other => panic!("{other:?}"),
    };
    deaths.as_slice().iter().map(death).collect()
}

fn died(reason: &str, count: i64) -> Vec<(String, i64)> {
    vec![(reason.to_owned(), count)]
}

fn lives(milliseconds: u32) -> BasicProperties {
    BasicProperties::default()
        .with_delivery_mode(2)
        .with_expiration(milliseconds.to_string().into())
}

#[test]
fn messages_die_when_their_time_is_over() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let ttl = [("x-message-ttl", AMQPValue::LongInt(100))];
        mortal(&client, "ttl-mortal", "ttl-heir", &ttl).await;
        mortal(&client, "ttl-own", "ttl-heir", &[]).await;
        let mut heir = client.consume_auto("ttl-heir", "c").await;
        let started = Instant::now();
        client.put("ttl-mortal", "of its queue").await;
        let delivery = next(&mut heir).await;
        assert!(started.elapsed() >= Duration::from_millis(100), "early");
        assert_eq!(text(&delivery), "of its queue");
        assert_eq!(deaths(&delivery), died("expired", 1));
        client.publish("", "ttl-own", "its own", lives(50)).await;
        let delivery = next(&mut heir).await;
        assert_eq!(text(&delivery), "its own");
        assert_eq!(delivery.properties.expiration(), &None);
        let queue = header(&delivery, "x-first-death-queue");
        assert_eq!(queue, Some(&long("ttl-own")));
        assert_eq!(client.counts("ttl-mortal").await, (0, 0));
    });
}

#[test]
fn the_rejected_and_the_superfluous_die() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let channel = client.open_confirming().await;
        mortal(&client, "rejects", "heir", &[]).await;
        for body in ["1", "2", "3"] {
            channel.put_persistent("rejects", body).await;
        }
        for _ in 0..3 {
            client.get("rejects").await.expect("a message");
        }
        let options = BasicRejectOptions { requeue: false };
        client.basic_reject(1, options).await.expect("rejected");
        let options = BasicNackOptions {
            multiple: true,
            requeue: false,
        };
        client.basic_nack(3, options).await.expect("rejected");
        client.counts_become("heir", 3, 0).await;
        for body in ["1", "2", "3"] {
            let delivery = client.take("heir").await.expect("a dead letter");
            assert_eq!(text(&delivery), body);
            assert_eq!(deaths(&delivery), died("rejected", 1));
        }
        for (queue, overflow, body) in [
            ("drops", "drop-head", "1"),
            ("refuses", "reject-publish-dlx", "2"),
        ] {
            let limit = [
                ("x-max-length", AMQPValue::LongInt(1)),
                ("x-overflow", long(overflow)),
            ];
            mortal(&client, queue, "heir", &limit).await;
            for body in ["1", "2"] {
                channel.put_persistent(queue, body).await;
            }
            client.counts_become("heir", 1, 0).await;
            let delivery = client.take("heir").await.expect("a dead letter");
            assert_eq!(text(&delivery), body);
            assert_eq!(deaths(&delivery), died("maxlen", 1));
        }
    });
}

#[test]
fn a_retry_topology_goes_on_for_as_long_as_somebody_rejects() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let to = |queue: &str| {
            [
                ("x-dead-letter-exchange", long("")),
                ("x-dead-letter-routing-key", long(queue)),
            ]
        };
        declare(&client, "retry-work", &to("retry-wait")).await;
        let ttl = [("x-message-ttl", AMQPValue::LongInt(5))];
        declare(
            &client,
            "retry-wait",
            &[&to("retry-work")[..], &ttl].concat(),
        )
        .await;
        let mut worker = client.consume("retry-work", "c").await;
        client.put("retry-work", "again").await;
        for round in 0..50 {
            let delivery = next(&mut worker).await;
            assert_eq!(text(&delivery), "again");
            let expected = match round {
                0 => Vec::new(),
                round => [died("expired", round), died("rejected", round)].concat(),
            };
            assert_eq!(deaths(&delivery), expected);
            let options = BasicRejectOptions { requeue: false };
            delivery.reject(options).await.expect("rejected");
        }
    });
}

#[test]
fn dead_letters_of_many_publishers_keep_their_order() {
    const PUBLISHERS: usize = 4;
    const MESSAGES: usize = 10_000;
    const ROOM: usize = 5;
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        for (rule, number, stay) in [("x-max-length", ROOM as i32, ROOM), ("x-message-ttl", 5, 0)] {
            let (queue, heir) = (format!("order{rule}"), format!("heir{rule}"));
            mortal(
                &client,
                &queue,
                &heir,
                &[(rule, AMQPValue::LongInt(number))],
            )
            .await;
            let mut publishers = JoinSet::new();
            for publisher in 0..PUBLISHERS {
                let (client, queue) = (broker.client().await, queue.clone());
                publishers.spawn(async move {
                    for number in 0..MESSAGES {
                        let body = format!("{publisher} {number}");
                        let (queue, options) = (queue.as_str().into(), Default::default());
                        let properties = BasicProperties::default();
                        let (channel, body) = (&client.channel, body.as_bytes());
                        let sent = channel
                            .basic_publish("".into(), queue, options, body, properties)
                            .await;
                        sent.expect("sent");
                    }
                    // What it has sent is read before its connection goes.
                    client.close().await;
                });
            }
            let mut heir = client.consume_auto(&heir, "c").await;
            let mut next_of = [0; PUBLISHERS];
            for _ in 0..PUBLISHERS * MESSAGES - stay {
                let body = text(&next(&mut heir).await);
                let (publisher, number) = body.split_once(' ').expect("two numbers");
                let publisher: usize = publisher.parse().expect("a publisher");
                let number: usize = number.parse().expect("a number");
                assert_eq!(number, next_of[publisher], "{rule}, publisher {publisher}");
                next_of[publisher] += 1;
            }
            while let Some(ended) = publishers.join_next().await {
                ended.expect("a publisher");
            }
        }
    });
}

#[test]
fn a_cycle_that_drops_messages_is_told_once_a_minute() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        let ttl = [("x-message-ttl", AMQPValue::LongInt(1))];
        let round = |queue: &str| {
            let [ttl] = ttl.clone();
            let exchange = ("x-dead-letter-exchange", long(""));
            [ttl, exchange, ("x-dead-letter-routing-key", long(queue))]
        };
        declare(&client, "round", &round("round")).await;
        for body in ["1", "2", "3"] {
            client.put("round", body).await;
            client.counts_become("round", 0, 0).await;
        }
        // The log of these comes before that of a queue that is told of for the first time.
        declare(&client, "again", &round("again")).await;
        client.put("again", "4").await;
        let is_last = |line: &str| line.contains("dead letter cycle") && line.contains("again");
        let log = broker.process();
        log.line("the last cycle", |line| is_last(line).then_some(()))
            .await;
        let told = RefCell::new(Vec::new());
        let note = |line: &str| {
            if line.contains("dead letter cycle") {
                told.borrow_mut().push(line.to_owned());
            }
            is_last(line).then_some(())
        };
        log.line("all cycles", note).await;
        let told = told.take();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains(r#"\"round\", \"round\""#), "{}", told[0]);
        assert!(told[0].contains(r#""times":1"#), "{}", told[0]);
    });
}

#[test]
fn an_unused_queue_goes() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let expires = [("x-expires", AMQPValue::LongInt(300))];
        declare(&client, "leased", &expires).await;
        client.put("leased", "is no use").await;
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_millis(150)).await;
            declare(&client, "leased", &expires).await;
        }
        // Not looked at in between: that would be a use.
        tokio::time::sleep(Duration::from_millis(900)).await;
        client.queue_goes("leased").await;
    });
}

#[test]
fn restarts_keep_the_time_and_the_dead() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        let channel = client.open_confirming().await;
        mortal(&client, "mortal", "heir", &[]).await;
        for (milliseconds, body) in [(1, "before"), (1500, "after"), (600_000, "never")] {
            let lives = lives(milliseconds);
            channel.publish("", "mortal", body, lives).await;
            if body == "before" {
                client.counts_become("heir", 1, 0).await;
            }
        }
        broker.kill();
        broker.start_again().await;
        let client = broker.client().await;
        let mut heir = client.consume_auto("heir", "c").await;
        assert_eq!(text(&next(&mut heir).await), "before");
        assert_eq!(text(&next(&mut heir).await), "after");
        assert_eq!(client.drain("mortal").await, ["never"]);
    });
}
