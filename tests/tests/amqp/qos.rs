//! basic.qos: prefetch per consumer and per channel.

use futures_lite::StreamExt;
use lapin::Consumer;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicNackOptions};
use leveret_tests::raw::{Raw, method};
use leveret_tests::{Client, TestBroker, eventually, next, nothing_more, run, text};

async fn fill(client: &Client, queue: &str, messages: usize) {
    client.queue(queue).await;
    for n in 0..messages {
        client.put(queue, n.to_string()).await;
    }
}

async fn next_n(consumer: &mut Consumer, count: usize) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    for _ in 0..count {
        deliveries.push(next(consumer).await);
    }
    deliveries
}

#[test]
fn a_consumer_has_at_most_prefetch_unacknowledged() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        fill(&client, "q", 10).await;
        client.prefetch(3, false).await;
        let mut consumer = client.consume("q", "c").await;
        let held = next_n(&mut consumer, 3).await;
        nothing_more(&mut consumer).await;
        held[1].ack(BasicAckOptions::default()).await.unwrap();
        assert_eq!(text(&next(&mut consumer).await), "3");
        nothing_more(&mut consumer).await;
        held[0]
            .nack(BasicNackOptions {
                requeue: false,
                multiple: false,
            })
            .await
            .unwrap();
        assert_eq!(text(&next(&mut consumer).await), "4");
        held[2].reject(Default::default()).await.unwrap();
        assert_eq!(text(&next(&mut consumer).await), "5");
        client.counts_become("q", 4, 1).await;
    });
}

#[test]
fn prefetch_is_for_each_consumer_that_starts_after_it() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        for queue in ["a", "b", "c"] {
            fill(&client, queue, 10).await;
        }
        client.prefetch(1, false).await;
        let mut one = client.consume("a", "one").await;
        client.prefetch(2, false).await;
        let mut two = client.consume("b", "two").await;
        client.prefetch(0, false).await;
        let mut all = client.consume("c", "all").await;
        let _held = (
            next_n(&mut one, 1).await,
            next_n(&mut two, 2).await,
            next_n(&mut all, 10).await,
        );
        nothing_more(&mut one).await;
        nothing_more(&mut two).await;
    });
}

#[test]
fn a_global_prefetch_is_shared_by_the_channel() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        fill(&client, "a", 10).await;
        fill(&client, "b", 10).await;
        client.prefetch(4, true).await;
        let mut first = client.consume("a", "first").await;
        let held = next_n(&mut first, 4).await;
        let mut second = client.consume("b", "second").await;
        nothing_more(&mut first).await;
        nothing_more(&mut second).await;
        // Another channel has its own.
        let other = client.open().await;
        let mut elsewhere = other.consume("b", "elsewhere").await;
        next_n(&mut elsewhere, 10).await;
        held[3]
            .ack(BasicAckOptions { multiple: true })
            .await
            .unwrap();
        next_n(&mut first, 4).await;
    });
}

#[test]
fn both_limits_hold_at_once() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        fill(&client, "a", 10).await;
        fill(&client, "b", 10).await;
        client.prefetch(2, false).await;
        client.prefetch(3, true).await;
        let mut first = client.consume("a", "first").await;
        let held = next_n(&mut first, 2).await;
        nothing_more(&mut first).await;
        let mut second = client.consume("b", "second").await;
        next_n(&mut second, 1).await;
        nothing_more(&mut second).await;
        held[0].ack(BasicAckOptions::default()).await.unwrap();
        // One credit of the channel is free: it goes to one of the two.
        eventually("one more delivery", async || {
            let ready = client.counts("a").await.0 + client.counts("b").await.0;
            (ready == 16).then_some(())
        })
        .await;
    });
}

#[test]
fn prefetch_does_not_hold_back_a_consumer_that_acknowledges_nothing() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        fill(&client, "q", 10).await;
        client.prefetch(1, false).await;
        let mut consumer = client.consume_auto("q", "c").await;
        next_n(&mut consumer, 10).await;
    });
}

#[test]
fn get_is_not_limited() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        fill(&client, "q", 3).await;
        client.prefetch(1, true).await;
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(client.get("q").await.expect("a message"));
        }
    });
}

#[test]
fn the_next_task_goes_to_whoever_is_free() {
    run(async {
        let broker = TestBroker::start().await;
        let (busy, idle) = (broker.client().await, broker.client().await);
        busy.queue("q").await;
        busy.prefetch(1, false).await;
        idle.prefetch(1, false).await;
        let mut busy_consumer = busy.consume("q", "busy").await;
        let mut idle_consumer = idle.consume("q", "idle").await;
        let publisher = broker.client().await;
        for n in 0..10 {
            publisher.put("q", n.to_string()).await;
        }
        let long_task = next(&mut busy_consumer).await;
        assert_eq!(text(&long_task), "0");
        for n in 1..10 {
            let task = next(&mut idle_consumer).await;
            assert_eq!(text(&task), n.to_string());
            task.ack(BasicAckOptions::default()).await.unwrap();
        }
        nothing_more(&mut busy_consumer).await;
    });
}

#[test]
fn a_prefetch_size_is_not_implemented() {
    run(async {
        let broker = TestBroker::start().await;
        let mut raw = Raw::connect(&broker).await;
        raw.open_channel(1).await;
        // prefetch_size 10, prefetch_count 1, global false
        raw.bytes(&method(1, 60, 10, &[0, 0, 0, 10, 0, 1, 0])).await;
        let text = "NOT_IMPLEMENTED - prefetch_size!=0 (10)";
        assert_eq!(raw.closed().await, (540, text.to_owned()));
    });
}

#[test]
fn a_prefetch_for_consumers_lifts_the_channels() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        fill(&client, "q", 10).await;
        client.prefetch(2, true).await;
        let mut consumer = client.consume("q", "c").await;
        let _held = next_n(&mut consumer, 2).await;
        nothing_more(&mut consumer).await;
        client.prefetch(1, false).await;
        let _held = next_n(&mut consumer, 8).await;
    });
}

#[test]
fn room_on_a_channel_is_shared_by_its_consumers() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        fill(&client, "q", 20).await;
        client.prefetch(4, true).await;
        let mut one = client.consume("q", "one").await;
        let last = next_n(&mut one, 4).await.pop().unwrap();
        let mut two = client.consume("q", "two").await;
        nothing_more(&mut two).await;
        let multiple = BasicAckOptions { multiple: true };
        last.ack(multiple).await.unwrap();
        let _held = (next_n(&mut one, 2).await, next_n(&mut two, 2).await);
    });
}

/// Acknowledges so many deliveries to consumers of one channel, each as soon as it is there, and
/// counts them by consumer.
async fn work_off(consumers: Vec<Consumer>, mut left: usize) -> Vec<usize> {
    let mut counts = vec![0; consumers.len()];
    let (sender, mut deliveries) = tokio::sync::mpsc::unbounded_channel();
    for (place, mut consumer) in consumers.into_iter().enumerate() {
        let sender = sender.clone();
        tokio::spawn(async move {
            while let Some(Ok(delivery)) = consumer.next().await {
                let _ = sender.send((place, delivery));
            }
        });
    }
    while left > 0 {
        let (place, delivery) = deliveries.recv().await.expect("the consumers are there");
        delivery.ack(BasicAckOptions::default()).await.unwrap();
        counts[place] += 1;
        left -= 1;
    }
    counts
}

#[test]
fn queues_that_share_a_prefetch_are_served_in_turn() {
    run(async {
        let broker = TestBroker::start().await;
        for prefetch in [1, 5] {
            let client = broker.client().await;
            client.prefetch(prefetch, true).await;
            let mut consumers = Vec::new();
            for queue in ["a", "b", "c"] {
                fill(&client, queue, 100).await;
                client.counts_become(queue, 100, 0).await;
                consumers.push(client.consume(queue, queue).await);
            }
            let counts = work_off(consumers, 99).await;
            // RabbitMQ, which draws lots, has 33 on average, and hardly ever less than this.
            assert!(counts.iter().all(|count| *count >= 15), "{counts:?}");
            client.close().await;
            let client = broker.client().await;
            for queue in ["a", "b", "c"] {
                client.drain(queue).await;
            }
        }
    });
}

#[test]
fn who_acknowledges_nothing_waits_for_a_prefetch_of_the_channel() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        fill(&client, "a", 1).await;
        fill(&client, "b", 10).await;
        client.prefetch(1, true).await;
        let mut holds = client.consume("a", "holds").await;
        let held = next_n(&mut holds, 1).await;
        let mut waits = client.consume_auto("b", "waits").await;
        nothing_more(&mut waits).await;
        held[0].ack(BasicAckOptions::default()).await.unwrap();
        next_n(&mut waits, 10).await;
    });
}
