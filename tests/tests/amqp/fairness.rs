//! Who is served next, and that nobody starves.

use amq_protocol::frame::AMQPFrame;
use amq_protocol::protocol::{AMQPClass, basic};
use lapin::Consumer;
use lapin::options::BasicAckOptions;
use leveret_tests::raw::{Raw, method, short_string};
use leveret_tests::{Client, TestBroker, next, peak_resident_bytes, run, text};

/// Publishes `0`, `1`, … one after the other, and expects each consumer in turn to get one.
async fn expect_turns(publisher: &Client, consumers: &mut [Consumer], messages: usize) {
    for n in 0..messages {
        publisher.put("q", n.to_string()).await;
    }
    let count = consumers.len();
    for (place, consumer) in consumers.iter_mut().enumerate() {
        for n in (place..messages).step_by(count) {
            assert_eq!(
                text(&next(consumer).await),
                n.to_string(),
                "consumer {place}"
            );
        }
    }
}

#[test]
fn consumers_of_one_channel_take_turns() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("q").await;
        let mut consumers = Vec::new();
        for n in 0..3 {
            consumers.push(client.consume_auto("q", &format!("c{n}")).await);
        }
        expect_turns(&client, &mut consumers, 30).await;
    });
}

#[test]
fn consumers_of_several_channels_take_turns() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("q").await;
        let mut consumers = Vec::new();
        for _ in 0..3 {
            consumers.push(client.open().await.consume("q", "c").await);
        }
        expect_turns(&client, &mut consumers, 30).await;
    });
}

#[test]
fn consumers_of_several_connections_take_turns() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("q").await;
        let mut clients = Vec::new();
        let mut consumers = Vec::new();
        for _ in 0..5 {
            let client = broker.client().await;
            consumers.push(client.consume_auto("q", "c").await);
            clients.push(client);
        }
        expect_turns(&client, &mut consumers, 50).await;
    });
}

#[test]
fn with_prefetch_one_each_of_several_connections_gets_its_share() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("q").await;
        let mut clients = Vec::new();
        let mut consumers = Vec::new();
        for _ in 0..4 {
            let client = broker.client().await;
            client.prefetch(1, false).await;
            consumers.push(client.consume("q", "c").await);
            clients.push(client);
        }
        for round in 0..25 {
            for _ in 0..4 {
                client.put("q", round.to_string()).await;
            }
            for (client, consumer) in clients.iter().zip(&mut consumers) {
                let delivery = next(consumer).await;
                assert_eq!(text(&delivery), round.to_string());
                delivery.ack(BasicAckOptions::default()).await.unwrap();
                // A round trip behind the ack: the consumer is free when the next round comes.
                client.counts("q").await;
            }
        }
    });
}

#[test]
fn a_consumer_that_never_reads_does_not_stall_others_nor_fill_memory() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        client.queue("q").await;
        let mut deaf = Raw::connect(&broker).await;
        deaf.open_channel(1).await;
        let consume = basic::Consume {
            queue: "q".into(),
            consumer_tag: "deaf".into(),
            no_ack: true,
            ..basic::Consume::default()
        };
        deaf.send(1, AMQPClass::Basic(basic::AMQPMethod::Consume(consume)))
            .await;
        let mut consumer = client.consume_auto("q", "reads").await;
        client.counts_become("q", 0, 2).await;

        // 256 MiB go by; the reader keeps pace with the publisher.
        let body = vec![7; 64 << 10];
        let rounds = 128;
        let mut read = 0;
        let publisher = broker.client().await.open_confirming().await;
        for round in 1..=rounds {
            for _ in 0..32 {
                publisher.put("q", &body).await;
            }
            // At most this much is stuck on the way to the client that does not read.
            let stuck = 32 << 20;
            while (round * 32 - read) * body.len() > stuck {
                next(&mut consumer).await;
                read += 1;
            }
        }
        let peak = peak_resident_bytes(broker.pid().expect("its own"));
        assert!(peak < 128 << 20, "peak of {} MiB", peak >> 20);
        drop(deaf);
    });
}

#[test]
fn requests_for_more_than_their_client_reads_wait_and_do_not_fill_memory() {
    const ROUNDS: usize = 200;
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        client.queue("q").await;
        for _ in 0..600 {
            client.put("q", vec![7; 2048]).await;
        }
        let mut greedy = Raw::connect(&broker).await;
        greedy.open_channel(1).await;
        // A few bytes that request a megabyte, again and again, in one write.
        let consume = [&[0, 0], &short_string("q")[..], &short_string("t"), &[0; 5]].concat();
        let cancel = [&short_string("t")[..], &[0]].concat();
        let round = [
            method(1, 60, 20, &consume),
            method(1, 60, 30, &cancel),
            method(1, 60, 110, &[1]),
        ];
        greedy.bytes(&round.concat().repeat(ROUNDS)).await;
        let (mut deliveries, mut recovered) = (0, 0);
        while recovered < ROUNDS {
            match greedy.frame().await {
                Some(AMQPFrame::Method(1, AMQPClass::Basic(basic::AMQPMethod::RecoverOk(_)))) => {
                    recovered += 1;
                }
                Some(AMQPFrame::Method(1, AMQPClass::Basic(basic::AMQPMethod::Deliver(_)))) => {
                    deliveries += 1;
                }
                Some(AMQPFrame::Method(0, _)) | None => panic!("the connection stays"),
                _ => {}
            }
        }
        assert!(deliveries > 100 * ROUNDS, "{deliveries} deliveries");
        client.counts_become("q", 600, 0).await;
        let peak = peak_resident_bytes(broker.pid().expect("its own"));
        assert!(peak < 64 << 20, "peak of {} MiB", peak >> 20);
    });
}

#[test]
fn a_consumer_that_never_acknowledges_does_not_stall_others() {
    run(async {
        let broker = TestBroker::start().await;
        let (silent, busy) = (broker.client().await, broker.client().await);
        silent.queue("q").await;
        silent.prefetch(10, false).await;
        let _silent_consumer = silent.consume("q", "silent").await;
        let mut consumer = busy.consume("q", "busy").await;
        for n in 0..200 {
            silent.put("q", n.to_string()).await;
        }
        for _ in 0..190 {
            next(&mut consumer)
                .await
                .ack(BasicAckOptions::default())
                .await
                .unwrap();
        }
    });
}
