//! The queue class: declare, purge, delete.

use lapin::options::{QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions};
use lapin::types::{AMQPValue, FieldTable};
use leveret_tests::{TestBroker, expect_reply, run};

const DURABLE: QueueDeclareOptions = QueueDeclareOptions {
    passive: false,
    durable: true,
    exclusive: false,
    auto_delete: false,
    nowait: false,
};

#[test]
fn a_passive_declare_tells_messages_and_consumers() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("q").await;
        client.put("q", "one").await;
        client.put("q", "two").await;
        client.counts_become("q", 2, 0).await;
        let _consumer = client.consume_auto("q", "c").await;
        client.counts_become("q", 0, 1).await;
    });
}

#[test]
fn a_passive_declare_of_a_missing_queue_is_not_found() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let options = QueueDeclareOptions::default().passive();
        let declared = client
            .queue_declare("nope".into(), options, FieldTable::default())
            .await;
        expect_reply(declared, 404, "NOT_FOUND - no queue 'nope' in vhost '/'");
    });
}

#[test]
fn a_passive_declare_looks_at_the_name_only() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("q").await;
        let options = DURABLE.passive();
        client
            .queue_declare("q".into(), options, FieldTable::default())
            .await
            .unwrap();
    });
}

#[test]
fn a_queue_without_a_name_is_given_one() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let first = client.queue("").await;
        let second = client.queue("").await;
        assert_ne!(first, second);
        for name in [first, second] {
            let unique = name.strip_prefix("amq.gen-").expect("RabbitMQ's prefix");
            let base64url = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            assert!(
                unique.len() == 22 && unique.chars().all(base64url),
                "{name}"
            );
        }
    });
}

#[test]
fn the_empty_name_means_the_queue_declared_last_on_the_channel() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("first").await;
        client.queue("last").await;
        client.put("last", "x").await;
        let purged = client
            .queue_purge("".into(), QueuePurgeOptions::default())
            .await
            .unwrap();
        assert_eq!(purged, 1);
        client.bind("", "amq.fanout", "").await;
        let body = "to the bound queue";
        client
            .publish("amq.fanout", "", body, lapin::BasicProperties::default())
            .await;
        assert_eq!(client.drain("last").await, [body]);
        client
            .queue_delete("".into(), QueueDeleteOptions::default())
            .await
            .unwrap();
        let options = QueueDeclareOptions::default().passive();
        let gone = client
            .queue_declare("last".into(), options, FieldTable::default())
            .await;
        expect_reply(gone, 404, "NOT_FOUND - no queue 'last' in vhost '/'");
    });
}

#[test]
fn the_empty_name_on_a_fresh_channel_means_nothing() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let purged = client
            .queue_purge("".into(), QueuePurgeOptions::default())
            .await;
        expect_reply(purged, 404, "NOT_FOUND - no previously declared queue");
    });
}

#[test]
fn declaring_again_as_before_changes_nothing() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.durable_queue("q").await;
        client.put("q", "kept").await;
        client.durable_queue("q").await;
        assert_eq!(client.drain("q").await, ["kept"]);
    });
}

#[test]
fn declaring_again_with_another_durability_is_refused() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("pd").await;
        let again = client
            .queue_declare("pd".into(), DURABLE, FieldTable::default())
            .await;
        let text = "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'pd' in vhost '/': \
                    received 'true' but current is 'false'";
        expect_reply(again, 406, text);
    });
}

#[test]
fn declaring_again_with_another_auto_delete_is_refused() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("pa").await;
        let options = QueueDeclareOptions::default().auto_delete();
        let again = client
            .queue_declare("pa".into(), options, FieldTable::default())
            .await;
        let text = "PRECONDITION_FAILED - inequivalent arg 'auto_delete' for queue 'pa' in vhost \
                    '/': received 'true' but current is 'false'";
        expect_reply(again, 406, text);
    });
}

#[test]
fn the_reserved_prefix_is_refused() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let options = QueueDeclareOptions::default();
        let declared = client
            .queue_declare("amq.x".into(), options, FieldTable::default())
            .await;
        let text = "ACCESS_REFUSED - queue name 'amq.x' contains reserved prefix 'amq.*'";
        expect_reply(declared, 403, text);
    });
}

#[test]
fn names_may_be_long_and_in_any_script() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        for name in [
            "x".repeat(255),
            "任务队列".to_owned(),
            "with space/slash.%2f".to_owned(),
        ] {
            assert_eq!(client.durable_queue(&name).await, name);
            client.put(&name, &name).await;
            assert_eq!(client.drain(&name).await, [name]);
        }
    });
}

#[test]
fn purge_removes_what_is_ready_and_counts_it() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("q").await;
        for body in ["one", "two", "three"] {
            client.put("q", body).await;
        }
        let unacknowledged = client.get("q").await.expect("the first message");
        let purged = client
            .queue_purge("q".into(), QueuePurgeOptions::default())
            .await
            .unwrap();
        assert_eq!(purged, 2);
        unacknowledged
            .nack(lapin::options::BasicNackOptions {
                requeue: true,
                multiple: false,
            })
            .await
            .unwrap();
        assert_eq!(client.drain("q").await, ["one"]);
    });
}

#[test]
fn purging_a_missing_queue_is_not_found() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let purged = client
            .queue_purge("nope".into(), QueuePurgeOptions::default())
            .await;
        expect_reply(purged, 404, "NOT_FOUND - no queue 'nope' in vhost '/'");
    });
}

#[test]
fn delete_counts_the_messages_that_go() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("q").await;
        client.put("q", "one").await;
        client.put("q", "two").await;
        let options = QueueDeleteOptions::default();
        assert_eq!(client.queue_delete("q".into(), options).await.unwrap(), 2);
        assert_eq!(client.queue_delete("q".into(), options).await.unwrap(), 0);
        // Declared anew it is empty.
        client.queue("q").await;
        assert_eq!(client.drain("q").await, [""; 0]);
    });
}

#[test]
fn delete_if_empty_spares_a_queue_with_messages() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let options = QueueDeleteOptions {
            if_empty: true,
            ..QueueDeleteOptions::default()
        };
        client.queue("pne").await;
        client.put("pne", "x").await;
        let deleted = client.queue_delete("pne".into(), options).await;
        expect_reply(
            deleted,
            406,
            "PRECONDITION_FAILED - queue 'pne' in vhost '/' not empty",
        );
        let channel = client.open().await;
        assert_eq!(channel.drain("pne").await, ["x"]);
        assert_eq!(
            channel.queue_delete("pne".into(), options).await.unwrap(),
            0
        );
    });
}

#[test]
fn delete_if_unused_spares_a_queue_with_consumers() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let options = QueueDeleteOptions {
            if_unused: true,
            ..QueueDeleteOptions::default()
        };
        client.queue("pu").await;
        let consuming = client.open().await;
        let _consumer = consuming.consume_auto("pu", "c").await;
        let deleted = client.queue_delete("pu".into(), options).await;
        expect_reply(
            deleted,
            406,
            "PRECONDITION_FAILED - queue 'pu' in vhost '/' in use",
        );
        consuming
            .basic_cancel("c".into(), Default::default())
            .await
            .unwrap();
        let channel = client.open().await;
        assert_eq!(channel.queue_delete("pu".into(), options).await.unwrap(), 0);
    });
}

#[test]
fn an_auto_delete_queue_goes_with_its_last_consumer_and_never_before_the_first() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let options = QueueDeclareOptions::default().auto_delete();
        client.declare("q", options).await;
        client.put("q", "waits for the first consumer").await;
        client.counts_become("q", 1, 0).await;
        let _one = client.consume_auto("q", "one").await;
        let _two = client.consume_auto("q", "two").await;
        client
            .basic_cancel("one".into(), Default::default())
            .await
            .unwrap();
        assert_eq!(client.counts("q").await, (0, 1));
        client
            .basic_cancel("two".into(), Default::default())
            .await
            .unwrap();
        let passive = QueueDeclareOptions::default().passive();
        let gone = client
            .queue_declare("q".into(), passive, FieldTable::default())
            .await;
        expect_reply(gone, 404, "NOT_FOUND - no queue 'q' in vhost '/'");
    });
}

#[test]
fn a_client_says_how_the_name_begins_that_it_is_given() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let declare = async |name: &str, prefix: AMQPValue| {
            let channel = client.open().await;
            let mut arguments = FieldTable::default();
            arguments.insert("x-name-prefix".into(), prefix);
            let options = QueueDeclareOptions {
                exclusive: true,
                ..QueueDeclareOptions::default()
            };
            let declared = channel.queue_declare(name.into(), options, arguments).await;
            declared.map(|queue| queue.name().as_str().to_owned())
        };
        let text = |text: &str| AMQPValue::LongString(text.into());
        let name = declare("", text("mail.app")).await.unwrap();
        assert!(
            name.starts_with("mail.app-") && name.len() == 9 + 22,
            "{name}"
        );
        let longest = "x".repeat(64);
        let name = declare("", text(&longest)).await.unwrap();
        assert!(
            name.starts_with(&longest) && name.len() == 65 + 22,
            "{name}"
        );
        for prefix in [text(""), AMQPValue::LongInt(1)] {
            assert!(declare("", prefix).await.unwrap().starts_with("amq.gen-"));
        }
        let beyond = "x".repeat(65);
        expect_reply(
            declare("", text(&beyond)).await,
            406,
            &format!(
                "PRECONDITION_FAILED - Queue name prefix '{beyond}' exceeds the 64-byte limit"
            ),
        );
        // It is no argument of the queue.
        for prefix in [text(&beyond), text("other")] {
            assert_eq!(declare("named", prefix).await.unwrap(), "named");
        }
    });
}
