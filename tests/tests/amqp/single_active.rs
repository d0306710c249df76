//! x-single-active-consumer.

use lapin::Consumer;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use leveret_tests::{Client, TestBroker, eventually, expect_reply, next, nothing_more, run, text};

async fn declare(client: &Client) {
    let mut arguments = FieldTable::default();
    let yes = AMQPValue::Boolean(true);
    arguments.insert("x-single-active-consumer".into(), yes);
    client
        .queue_declare("q".into(), QueueDeclareOptions::durable(), arguments)
        .await
        .expect("declare-ok");
}

async fn consume(client: &Client, tag: &str, priority: i32) -> Consumer {
    let mut arguments = FieldTable::default();
    arguments.insert("x-priority".into(), AMQPValue::LongInt(priority));
    let options = BasicConsumeOptions::default();
    client
        .basic_consume("q".into(), tag.into(), options, arguments)
        .await
        .expect("consume-ok")
}

#[test]
fn who_is_next_takes_over_with_the_messages_in_order() {
    run(async {
        let broker = TestBroker::start().await;
        let publisher = broker.client().await;
        declare(&publisher).await;
        let (a, b, c) = (
            broker.client().await,
            broker.client().await,
            broker.client().await,
        );
        a.prefetch(2, false).await;
        let mut active = consume(&a, "a", 0).await;
        let mut second = consume(&b, "b", 0).await;
        let mut favourite = consume(&c, "c", 3).await;
        for n in 1..=4 {
            publisher.put("q", n.to_string()).await;
        }
        assert_eq!(text(&next(&mut active).await), "1");
        assert_eq!(text(&next(&mut active).await), "2");
        nothing_more(&mut second).await;
        nothing_more(&mut favourite).await;
        a.close().await;
        // Those that it held come first: order is what such a queue is for.
        for n in 1..=4 {
            let delivery = next(&mut favourite).await;
            assert_eq!(text(&delivery), n.to_string());
            assert_eq!(delivery.redelivered, n <= 2);
            delivery.ack(BasicAckOptions::default()).await.unwrap();
        }
        c.close().await;
        publisher.put("q", "5").await;
        assert_eq!(text(&next(&mut second).await), "5");
    });
}

#[test]
fn what_the_cancelled_one_holds_stays_with_it() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        declare(&client).await;
        client.prefetch(1, false).await;
        let mut active = consume(&client, "a", 0).await;
        let mut waiting = consume(&client, "b", 0).await;
        for n in 1..=2 {
            client.put("q", n.to_string()).await;
        }
        let held = next(&mut active).await;
        client
            .basic_cancel("a".into(), Default::default())
            .await
            .unwrap();
        assert_eq!(text(&next(&mut waiting).await), "2");
        held.ack(BasicAckOptions::default()).await.unwrap();
        nothing_more(&mut waiting).await;
        client.counts_become("q", 0, 1).await;
    });
}

#[test]
fn nobody_may_have_it_exclusively() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        declare(&client).await;
        let options = BasicConsumeOptions {
            exclusive: true,
            ..BasicConsumeOptions::default()
        };
        let refused = client
            .basic_consume("q".into(), "".into(), options, FieldTable::default())
            .await;
        let text = "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use";
        expect_reply(refused, 403, text);
    });
}

#[test]
fn listings_say_who_is_active() {
    run(async {
        let Some(broker) = TestBroker::start_with_ctl().await else {
            return;
        };
        let client = broker.client().await;
        declare(&client).await;
        let _consumers = [
            consume(&client, "a", 0).await,
            consume(&client, "b", 0).await,
        ];
        let columns = ["consumer_tag", "active", "activity_status"];
        let list = |verb| [&[verb, "-q", "--no-table-headers"][..], &columns].concat();
        let table = broker.ctl(&list("list_consumers")).await;
        let mut rows: Vec<&str> = table.lines().collect();
        rows.sort_unstable();
        assert_eq!(rows, ["a\ttrue\tsingle_active", "b\tfalse\twaiting"]);
        let holder = [
            "list_queues",
            "-q",
            "--no-table-headers",
            "single_active_consumer_tag",
        ];
        assert_eq!(broker.ctl(&holder).await.trim(), "a");
        client
            .basic_cancel("a".into(), Default::default())
            .await
            .unwrap();
        eventually("b is active", async || {
            (broker.ctl(&holder).await.trim() == "b").then_some(())
        })
        .await;
    });
}
