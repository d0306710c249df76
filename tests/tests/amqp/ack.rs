//! Acknowledging: ack, reject, nack, recover, and what happens to those who do not.

use amq_protocol::protocol::{AMQPClass, basic};
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicNackOptions, BasicRecoverOptions, BasicRejectOptions};
use leveret_tests::raw::Raw;
use leveret_tests::{Client, TestBroker, next, run, text};

/// Creates a queue `q` with messages `0`, `1`, …, and a client that has got them all.
async fn hold(broker: &TestBroker, messages: usize) -> (Client, Vec<Delivery>) {
    let client = broker.client().await;
    client.queue("q").await;
    for n in 0..messages {
        client.put("q", n.to_string()).await;
    }
    let mut held = Vec::new();
    for _ in 0..messages {
        held.push(client.get("q").await.expect("a message"));
    }
    (client, held)
}

/// Returns what is requeued when the client disconnects.
async fn left_behind(broker: &TestBroker, client: Client, expected: u32) -> Vec<String> {
    client.close().await;
    let other = broker.client().await;
    other.counts_become("q", expected, 0).await;
    let mut bodies = Vec::new();
    while let Some(message) = other.take("q").await {
        assert!(message.redelivered);
        bodies.push(text(&message));
    }
    bodies
}

#[test]
fn ack_takes_one_message() {
    run(async {
        let broker = TestBroker::start().await;
        let (client, held) = hold(&broker, 3).await;
        held[1].ack(BasicAckOptions::default()).await.unwrap();
        assert_eq!(left_behind(&broker, client, 2).await, ["0", "2"]);
    });
}

#[test]
fn ack_multiple_takes_all_up_to_its_tag() {
    run(async {
        let broker = TestBroker::start().await;
        let (client, held) = hold(&broker, 5).await;
        held[2]
            .ack(BasicAckOptions { multiple: true })
            .await
            .unwrap();
        assert_eq!(left_behind(&broker, client, 2).await, ["3", "4"]);
    });
}

#[test]
fn ack_multiple_of_tag_zero_takes_everything() {
    run(async {
        let broker = TestBroker::start().await;
        let (client, _held) = hold(&broker, 5).await;
        client
            .basic_ack(0, BasicAckOptions { multiple: true })
            .await
            .unwrap();
        // With nothing outstanding it is no error either.
        client
            .basic_ack(0, BasicAckOptions { multiple: true })
            .await
            .unwrap();
        client.counts("q").await;
        assert_eq!(left_behind(&broker, client, 0).await, [""; 0]);
    });
}

#[test]
fn tags_count_per_channel() {
    run(async {
        let broker = TestBroker::start().await;
        let (client, held) = hold(&broker, 2).await;
        assert_eq!([held[0].delivery_tag, held[1].delivery_tag], [1, 2]);
        client.put("q", "x").await;
        let other = client.open().await;
        assert_eq!(other.get("q").await.expect("a message").delivery_tag, 1);
    });
}

/// Sends one method with an unknown delivery tag, and expects 406.
async fn unknown_tag(method: basic::AMQPMethod) {
    let broker = TestBroker::start().await;
    let mut raw = Raw::connect(&broker).await;
    raw.open_channel(1).await;
    raw.send(1, AMQPClass::Basic(method)).await;
    let text = "PRECONDITION_FAILED - unknown delivery tag 7";
    assert_eq!(raw.channel_closed(1).await, (406, text.to_owned()));
    // Only the channel closed.
    raw.open_channel(1).await;
}

#[test]
fn ack_of_an_unknown_tag_closes_the_channel() {
    run(unknown_tag(basic::AMQPMethod::Ack(basic::Ack {
        delivery_tag: 7,
        multiple: false,
    })));
}

#[test]
fn multiple_ack_of_an_unknown_tag_closes_the_channel() {
    run(unknown_tag(basic::AMQPMethod::Ack(basic::Ack {
        delivery_tag: 7,
        multiple: true,
    })));
}

#[test]
fn nack_of_an_unknown_tag_closes_the_channel() {
    let nack = basic::Nack {
        delivery_tag: 7,
        multiple: false,
        requeue: true,
    };
    run(unknown_tag(basic::AMQPMethod::Nack(nack)));
}

#[test]
fn reject_of_an_unknown_tag_closes_the_channel() {
    run(unknown_tag(basic::AMQPMethod::Reject(basic::Reject {
        delivery_tag: 7,
        requeue: true,
    })));
}

#[test]
fn acknowledging_twice_closes_the_channel() {
    run(async {
        let broker = TestBroker::start().await;
        let mut raw = Raw::connect(&broker).await;
        raw.open_channel(1).await;
        let queue = raw.declare(1, "").await;
        raw.publish_method(1, &queue).await;
        raw.empty_content(1).await;
        raw.consume(1, &queue, "t").await;
        raw.method_on(1).await;
        raw.content().await;
        for _ in 0..2 {
            let ack = basic::Ack {
                delivery_tag: 1,
                multiple: false,
            };
            raw.send(1, AMQPClass::Basic(basic::AMQPMethod::Ack(ack)))
                .await;
        }
        let text = "PRECONDITION_FAILED - unknown delivery tag 1";
        assert_eq!(raw.channel_closed(1).await, (406, text.to_owned()));
    });
}

#[test]
fn a_rejected_message_is_gone_unless_it_is_to_be_requeued() {
    run(async {
        let broker = TestBroker::start().await;
        let (client, held) = hold(&broker, 3).await;
        held[0]
            .reject(BasicRejectOptions { requeue: false })
            .await
            .unwrap();
        held[1]
            .reject(BasicRejectOptions { requeue: true })
            .await
            .unwrap();
        let again = client.take("q").await.expect("the requeued message");
        assert_eq!((text(&again).as_str(), again.redelivered), ("1", true));
        assert_eq!(left_behind(&broker, client, 1).await, ["2"]);
    });
}

#[test]
fn nack_multiple_requeues_all_up_to_its_tag() {
    run(async {
        let broker = TestBroker::start().await;
        let (client, held) = hold(&broker, 4).await;
        held[0]
            .nack(BasicNackOptions {
                requeue: false,
                multiple: false,
            })
            .await
            .unwrap();
        held[2]
            .nack(BasicNackOptions {
                requeue: true,
                multiple: true,
            })
            .await
            .unwrap();
        assert_eq!(client.drain("q").await, ["1", "2"]);
        assert_eq!(left_behind(&broker, client, 1).await, ["3"]);
    });
}

#[test]
fn requeued_messages_return_to_their_old_place() {
    run(async {
        let broker = TestBroker::start().await;
        let (client, held) = hold(&broker, 4).await;
        client.put("q", "4").await;
        // The last first: the order of requeueing is not the order of the queue.
        for n in [3, 1, 0, 2] {
            held[n]
                .reject(BasicRejectOptions { requeue: true })
                .await
                .unwrap();
        }
        assert_eq!(client.drain("q").await, ["0", "1", "2", "3", "4"]);
    });
}

#[test]
fn recover_redelivers_what_is_unacknowledged() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("q").await;
        for n in 0..3 {
            client.put("q", n.to_string()).await;
        }
        let mut consumer = client.consume("q", "c").await;
        let first = next(&mut consumer).await;
        next(&mut consumer).await;
        next(&mut consumer).await;
        first.ack(BasicAckOptions::default()).await.unwrap();
        client
            .basic_recover(BasicRecoverOptions { requeue: true })
            .await
            .unwrap();
        for body in ["1", "2"] {
            let again = next(&mut consumer).await;
            assert_eq!((text(&again).as_str(), again.redelivered), (body, true));
        }
    });
}

#[test]
fn recover_async_does_the_same_without_an_answer() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("q").await;
        client.put("q", "m").await;
        let mut raw = Raw::connect(&broker).await;
        raw.open_channel(1).await;
        raw.consume(1, "q", "c").await;
        for redelivered in [false, true, true] {
            let method = raw.method_on(1).await;
            let AMQPClass::Basic(basic::AMQPMethod::Deliver(deliver)) = method else {
                panic!("expected basic.deliver, got {method:?}");
            };
            assert_eq!(deliver.redelivered, redelivered);
            raw.content().await;
            let recover = basic::RecoverAsync { requeue: true };
            raw.send(
                1,
                AMQPClass::Basic(basic::AMQPMethod::RecoverAsync(recover)),
            )
            .await;
        }
    });
}

#[test]
fn recover_without_requeue_is_not_implemented() {
    run(async {
        let broker = TestBroker::start().await;
        let mut raw = Raw::connect(&broker).await;
        raw.open_channel(1).await;
        let recover = basic::Recover { requeue: false };
        raw.send(1, AMQPClass::Basic(basic::AMQPMethod::Recover(recover)))
            .await;
        let text = "NOT_IMPLEMENTED - requeue=false";
        assert_eq!(raw.closed().await, (540, text.to_owned()));
    });
}

#[test]
fn a_closed_channel_gives_its_messages_back_in_order() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("q").await;
        for n in 0..100 {
            client.put("q", n.to_string()).await;
        }
        let channel = client.open().await;
        let mut consumer = channel.consume("q", "c").await;
        for _ in 0..100 {
            next(&mut consumer).await;
        }
        client.put("q", "100").await;
        channel.close(200, "done".into()).await.unwrap();
        let other = client.open().await;
        other.counts_become("q", 101, 0).await;
        for n in 0..=100 {
            let message = other.take("q").await.expect("a message");
            assert_eq!(text(&message), n.to_string());
        }
    });
}

#[test]
fn a_lost_connection_gives_its_messages_back() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("q").await;
        client.put("q", "x").await;
        let mut raw = Raw::connect(&broker).await;
        raw.open_channel(1).await;
        raw.consume(1, "q", "t").await;
        raw.method_on(1).await;
        raw.content().await;
        // No close: the socket is just dropped.
        drop(raw);
        client.counts_become("q", 1, 0).await;
        let message = client.take("q").await.expect("the message again");
        assert!(message.redelivered);
    });
}
