//! tx.select, tx.commit, tx.rollback.

use amq_protocol::protocol::{AMQPClass, basic, tx};
use lapin::BasicProperties;
use lapin::options::{BasicAckOptions, BasicNackOptions, BasicPublishOptions};
use leveret_tests::raw::Raw;
use leveret_tests::{Client, TestBroker, TestChannel, eventually, expect_reply, next, run, text};

async fn transactional(client: &Client) -> TestChannel {
    let channel = client.open().await;
    channel.tx_select().await.expect("select-ok");
    channel
}

#[test]
fn publishes_and_acks_take_effect_with_the_commit() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("in").await;
        client.queue("out").await;
        for body in ["1", "2"] {
            client.put("in", body).await;
        }
        let channel = transactional(&client).await;
        let mut consumer = channel.consume("in", "c").await;
        for _ in 0..2 {
            let delivery = next(&mut consumer).await;
            channel.put("out", &delivery.data).await;
            delivery.ack(BasicAckOptions::default()).await.unwrap();
        }
        // Answered behind all of that on the same channel.
        assert_eq!(channel.counts("out").await, (0, 0));
        channel.tx_commit().await.expect("commit-ok");
        assert_eq!(client.drain("out").await, ["1", "2"]);
        client.connection.close(200, "bye".into()).await.unwrap();
        let after = broker.client().await;
        assert_eq!(after.counts("in").await, (0, 0));
    });
}

#[test]
fn a_rollback_drops_publishes_and_gives_acks_back_to_the_channel() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("q").await;
        for body in ["1", "2", "3"] {
            client.put("q", body).await;
        }
        let channel = transactional(&client).await;
        let mut consumer = channel.consume("q", "c").await;
        let first = next(&mut consumer).await;
        next(&mut consumer).await;
        let third = next(&mut consumer).await;
        channel.put("q", "never").await;
        let nack = BasicNackOptions {
            multiple: true,
            requeue: false,
        };
        channel.basic_nack(third.delivery_tag, nack).await.unwrap();
        channel.tx_rollback().await.expect("rollback-ok");
        // They are the channel's to acknowledge once more.
        let ack = BasicAckOptions::default();
        channel.basic_ack(first.delivery_tag, ack).await.unwrap();
        channel.tx_commit().await.expect("commit-ok");
        channel.close(200, "done".into()).await.unwrap();
        let mut again = client.consume("q", "again").await;
        for body in ["2", "3"] {
            let delivery = next(&mut again).await;
            assert_eq!(
                (text(&delivery).as_str(), delivery.redelivered),
                (body, true)
            );
        }
        assert_eq!(client.counts("q").await, (0, 1));
    });
}

#[test]
fn a_channel_or_connection_that_ends_has_committed_nothing() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("q").await;
        client.put("q", "1").await;
        for whole_connection in [false, true] {
            let other = broker.client().await;
            let channel = transactional(&other).await;
            let taken = channel.get("q").await.expect("a message");
            channel.put("q", "never").await;
            taken.ack(BasicAckOptions::default()).await.unwrap();
            assert_eq!(channel.counts("q").await, (0, 0));
            if whole_connection {
                other.close().await;
            } else {
                channel.close(200, "done".into()).await.unwrap();
            }
            client.counts_become("q", 1, 0).await;
        }
        let back = client.take("q").await.expect("the message");
        assert_eq!((text(&back).as_str(), back.redelivered), ("1", true));
    });
}

#[test]
fn a_mandatory_message_comes_back_before_commit_ok() {
    run(async {
        let broker = TestBroker::start().await;
        let mut raw = Raw::connect(&broker).await;
        raw.open_channel(1).await;
        let select = AMQPClass::Tx(tx::AMQPMethod::Select(tx::Select {}));
        raw.send(1, select).await;
        raw.method_on(1).await;
        let publish = basic::Publish {
            routing_key: "nowhere".into(),
            mandatory: true,
            ..basic::Publish::default()
        };
        raw.send(1, AMQPClass::Basic(basic::AMQPMethod::Publish(publish)))
            .await;
        raw.empty_content(1).await;
        // Nothing comes of it before the commit: the answer to this is the next thing heard.
        raw.declare(1, "q").await;
        let commit = AMQPClass::Tx(tx::AMQPMethod::Commit(tx::Commit {}));
        raw.send(1, commit).await;
        let returned = raw.method_on(1).await;
        assert!(
            matches!(returned, AMQPClass::Basic(basic::AMQPMethod::Return(_))),
            "{returned:?}"
        );
        raw.content().await;
        let ok = raw.method_on(1).await;
        assert!(
            matches!(ok, AMQPClass::Tx(tx::AMQPMethod::CommitOk(_))),
            "{ok:?}"
        );
    });
}

#[test]
fn a_channel_is_transactional_or_confirming_or_neither() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let not = "PRECONDITION_FAILED - channel is not transactional";
        expect_reply(client.open().await.tx_commit().await, 406, not);
        expect_reply(client.open().await.tx_rollback().await, 406, not);
        expect_reply(
            client.open_confirming().await.tx_select().await,
            406,
            "PRECONDITION_FAILED - cannot switch from confirm to tx mode",
        );
        let channel = transactional(&client).await;
        channel.tx_select().await.expect("again is fine");
        expect_reply(
            channel.confirm_select(Default::default()).await,
            406,
            "PRECONDITION_FAILED - cannot switch from tx to confirm mode",
        );
    });
}

#[test]
fn what_is_committed_survives_a_crash_and_nothing_else_does() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        for queue in ["in", "a", "b"] {
            client.durable_queue(queue).await;
        }
        for queue in ["a", "b"] {
            client.bind(queue, "amq.fanout", "").await;
        }
        let confirming = client.open_confirming().await;
        for body in ["1", "2"] {
            confirming.put_persistent("in", body).await;
        }
        let persistent = || BasicProperties::default().with_delivery_mode(2);
        let channel = transactional(&client).await;
        for commits in [true, false] {
            let taken = channel.get("in").await.expect("a message");
            channel
                .publish("amq.fanout", "", &taken.data, persistent())
                .await;
            taken.ack(BasicAckOptions::default()).await.unwrap();
            if commits {
                channel.tx_commit().await.expect("commit-ok");
            } else {
                // Answered behind the ack.
                channel.counts("a").await;
            }
        }
        broker.kill();
        broker.start_again().await;
        let client = broker.client().await;
        for (queue, left) in [("in", "2"), ("a", "1"), ("b", "1")] {
            assert_eq!(client.drain(queue).await, [left], "{queue}");
        }
    });
}

#[test]
fn uncommitted_messages_are_limited() {
    run(async {
        if TestBroker::start_own().await.is_none() {
            return;
        }
        let broker = TestBroker::start_with(&["--max-transaction-size", "1MiB"]).await;
        let client = broker.client().await;
        client.queue("q").await;
        let channel = transactional(&client).await;
        let body = vec![0; 300_000];
        let options = BasicPublishOptions::default;
        for _ in 0..4 {
            let put = channel.basic_publish(
                "".into(),
                "q".into(),
                options(),
                &body,
                BasicProperties::default(),
            );
            put.await.expect("sent");
        }
        let error = eventually("the channel is closed", async || {
            channel.tx_commit().await.err()
        })
        .await;
        let reply = leveret_tests::reply_of(&error);
        if let Some((code, text)) = reply {
            assert_eq!(code, 406);
            assert!(text.contains("max_transaction_size 1048576"), "{text}");
        }
        assert_eq!(client.counts("q").await, (0, 0));
        let channel = transactional(&client).await;
        channel.put("q", &body).await;
        channel.tx_commit().await.expect("the room is free again");
        assert_eq!(client.counts("q").await, (1, 0));
    });
}

#[test]
fn operators_see_what_is_uncommitted() {
    run(async {
        let Some(broker) = TestBroker::start_with_ctl().await else {
            return;
        };
        let client = broker.client().await;
        client.queue("q").await;
        for _ in 0..3 {
            client.put("q", "m").await;
        }
        client.channel.close(200, "done".into()).await.unwrap();
        let channel = transactional(&client).await;
        for _ in 0..2 {
            let taken = channel.get("q").await.expect("a message");
            taken.ack(BasicAckOptions::default()).await.unwrap();
            channel.put("q", "new").await;
        }
        channel.put("q", "new").await;
        channel.counts("q").await;
        let columns = ["transactional", "messages_uncommitted", "acks_uncommitted"];
        let mut arguments = vec!["list_channels", "-q", "--no-table-headers"];
        arguments.extend(columns);
        eventually("the transaction is listed", async || {
            let listed = broker.ctl(&arguments).await;
            (listed.trim_end() == "true\t3\t2").then_some(())
        })
        .await;
    });
}
