//! What is in a stream after its broker stopped, or was killed.

use super::{consume, declare, expect, filled, long, publish};
use lapin::BasicProperties;
use lapin::types::AMQPValue;
use leveret_tests::{TestBroker, next, run, text};
use rand::Rng;
use std::time::Duration;

#[test]
fn offsets_go_on_over_restarts_and_a_consumer_finds_its_place() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        filled(&client, "s", 3000).await;
        for round in 1..4 {
            if round % 2 == 0 {
                broker.kill();
                broker.start_again().await;
            } else {
                broker.restart().await;
            }
            let client = broker.client().await;
            let messages = round * 3000;
            assert_eq!(client.counts("s").await, (messages as u32, 0));
            let (_one, mut from_number) =
                consume(&client, "s", AMQPValue::LongLongInt(messages as i64 - 7)).await;
            let (_two, mut from_last) = consume(&client, "s", long("last")).await;
            let (_three, mut from_next) = consume(&client, "s", long("next")).await;
            let (_four, mut from_time) = consume(&client, "s", long("1h")).await;
            expect(&mut from_number, messages - 7..messages).await;
            expect(&mut from_last, messages - 1..messages).await;
            let channel = client.open_confirming().await;
            publish(&channel, "s", messages..messages + 3000).await;
            expect(&mut from_number, messages..messages + 3000).await;
            expect(&mut from_next, messages..messages + 10).await;
            expect(&mut from_time, 0..messages + 3000).await;
        }
    });
}

#[test]
fn what_is_confirmed_outlives_a_crash_and_offsets_stay_the_same() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        declare(&client, "s", &[]).await;
        let mut known: Vec<String> = Vec::new();
        for round in 0..5 {
            let mut publishers = Vec::new();
            for publisher in 0..3 {
                let client = broker.client().await;
                let channel = client.open_confirming().await;
                publishers.push(tokio::spawn(async move {
                    let mut confirmed = Vec::new();
                    for number in 0.. {
                        let body = format!("{round}-{publisher}-{number}");
                        let properties = BasicProperties::default();
                        let (x, s, options) = ("".into(), "s".into(), Default::default());
                        let sent =
                            channel.basic_publish(x, s, options, body.as_bytes(), properties);
                        let Ok(confirm) = sent.await else { break };
                        match confirm.await {
                            Ok(confirm) if confirm.is_ack() => confirmed.push(body),
                            _ => break,
                        }
                    }
                    drop(client);
                    confirmed
                }));
            }
            // Not a wait for anything: the crash comes at a random moment.
            let moment = rand::rng().random_range(20..250);
            tokio::time::sleep(Duration::from_millis(moment)).await;
            broker.kill();
            let mut confirmed = Vec::new();
            for publisher in publishers {
                confirmed.extend(publisher.await.unwrap());
            }
            broker.start_again().await;
            let found = read_all(&broker).await;
            assert_eq!(found[..known.len()], known, "offsets and order stay");
            for body in &confirmed {
                let times = found.iter().filter(|found| *found == body).count();
                assert_eq!(times, 1, "{body}, round {round}");
            }
            known = found;
        }
    });
}

/// Everything in the stream, from offset 0 without a gap.
async fn read_all(broker: &TestBroker) -> Vec<String> {
    let client = broker.client().await;
    let (messages, _) = client.counts("s").await;
    let (_channel, mut consumer) = consume(&client, "s", long("first")).await;
    let mut found = Vec::new();
    for number in 0..messages {
        let delivery = next(&mut consumer).await;
        assert_eq!(super::offset(&delivery), i64::from(number));
        found.push(text(&delivery));
        delivery.ack(Default::default()).await.unwrap();
    }
    found
}

#[test]
fn a_deleted_stream_is_gone_for_good() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        filled(&client, "s", 100).await;
        client
            .queue_delete("s".into(), Default::default())
            .await
            .unwrap();
        filled(&client, "s", 3).await;
        broker.restart().await;
        let client = broker.client().await;
        let (_channel, mut consumer) = consume(&client, "s", long("first")).await;
        expect(&mut consumer, 0..3).await;
        assert_eq!(client.counts("s").await, (3, 0));
    });
}
