//! Consumer priorities.

use lapin::Consumer;
use lapin::options::{BasicAckOptions, BasicConsumeOptions};
use lapin::types::{AMQPValue, FieldTable};
use leveret_tests::{Client, TestBroker, TestChannel, expect_reply, next, nothing_more, run, text};

async fn consume(channel: &TestChannel, tag: &str, priority: AMQPValue) -> lapin::Result<Consumer> {
    let mut arguments = FieldTable::default();
    arguments.insert("x-priority".into(), priority);
    let options = BasicConsumeOptions::default();
    channel
        .basic_consume("q".into(), tag.into(), options, arguments)
        .await
}

/// A consumer on a channel of its own that may have so many unacknowledged.
async fn consumer(client: &Client, tag: &str, priority: i32, prefetch: u16) -> Consumer {
    let channel = client.open().await;
    channel.prefetch(prefetch, false).await;
    let priority = AMQPValue::LongInt(priority);
    consume(&channel, tag, priority).await.expect("consume-ok")
}

#[test]
fn who_has_the_higher_priority_is_served_while_it_can_take_more() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("q").await;
        let mut low = consumer(&client, "low", -1, 0).await;
        let mut middle = client.consume("q", "middle").await;
        let mut high = consumer(&client, "high", 7, 2).await;
        client.prefetch(0, false).await;
        for n in 0..4 {
            client.put("q", n.to_string()).await;
        }
        let first = next(&mut high).await;
        assert_eq!(text(&first), "0");
        assert_eq!(text(&next(&mut high).await), "1");
        for body in ["2", "3"] {
            assert_eq!(text(&next(&mut middle).await), body);
        }
        first.ack(BasicAckOptions::default()).await.unwrap();
        nothing_more(&mut high).await;
        client.put("q", "4").await;
        assert_eq!(text(&next(&mut high).await), "4");
        client
            .basic_cancel("middle".into(), Default::default())
            .await
            .unwrap();
        client.put("q", "5").await;
        assert_eq!(text(&next(&mut low).await), "5");
    });
}

#[test]
fn consumers_of_one_priority_take_turns() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("q").await;
        let mut waiting = consumer(&client, "lower", 1, 0).await;
        let mut one = consumer(&client, "one", 2, 0).await;
        let mut two = consumer(&client, "two", 2, 0).await;
        for n in 0..10 {
            client.put("q", n.to_string()).await;
        }
        for _ in 0..5 {
            next(&mut one).await;
            next(&mut two).await;
        }
        nothing_more(&mut waiting).await;
    });
}

#[test]
fn a_priority_is_an_integer() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("q").await;
        let wrong = AMQPValue::LongString("7".into());
        let channel = client.open().await;
        expect_reply(
            consume(&channel, "c", wrong).await,
            406,
            "PRECONDITION_FAILED - invalid arg 'x-priority' for queue 'q' in vhost '/': \
             \"expected integer, got longstr\"",
        );
    });
}
