//! What a move refuses, or is refused.

use std::process::Command;

use lapin::BasicProperties;
use lapin::options::{BasicConsumeOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use leveret_tests::{TestBroker, binaries, run};

use super::{World, ended, output};

async fn declare(broker: &TestBroker, name: &str, arguments: &[(&str, AMQPValue)]) {
    let mut table = FieldTable::default();
    for (name, value) in arguments {
        table.insert((*name).into(), value.clone());
    }
    let client = broker.client().await;
    let options = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    let declared = client.queue_declare(name.into(), options, table);
    declared.await.expect("declare-ok");
}

#[test]
fn a_full_queue_stops_the_move_and_nothing_is_lost() {
    run(async {
        let Some(world) = World::start().await else {
            return;
        };
        world.fill(30).await;
        let full = [
            ("x-max-length", AMQPValue::LongInt(10)),
            ("x-overflow", AMQPValue::LongString("reject-publish".into())),
        ];
        declare(&world.destination, "full", &full).await;
        let to_full = ["--queue", "q", "--destination-queue", "full"];
        let (source, destination) = (
            world.source.client().await,
            world.destination.client().await,
        );
        let mut expected = 0..30;
        for left in [20, 10] {
            ended(&world.shovel(&to_full).await, 75, "it is full");
            assert_eq!(source.counts("q").await.0, left);
            let bodies: Vec<String> = expected.by_ref().take(10).map(|n| n.to_string()).collect();
            assert_eq!(destination.drain("full").await, bodies);
        }
        ended(&world.shovel(&to_full).await, 0, "10 messages moved");
    });
}

#[test]
fn a_missing_queue_is_named_before_anything_moves() {
    run(async {
        let Some(world) = World::start().await else {
            return;
        };
        world.fill(5).await;
        world.source.client().await.durable_queue("only here").await;
        let output = world
            .shovel(&["--queue", "q", "--queue", "only here"])
            .await;
        ended(&output, 69, "import the definitions");
        ended(
            &world.shovel(&["--queue", "nowhere"]).await,
            69,
            "no queue 'nowhere'",
        );
        assert_eq!(world.source.client().await.counts("q").await.0, 5);
    });
}

#[test]
fn a_message_of_another_user_goes_back() {
    run(async {
        let Some(world) = World::start().await else {
            return;
        };
        for arguments in [
            &["add_user", "walker", "walker"][..],
            &["set_permissions", "walker", ".*", ".*", ".*"],
        ] {
            world.source.ctl(arguments).await;
        }
        let walker = leveret_tests::Client::login(&world.source, "walker", "walker", "%2f");
        let channel = walker.await.expect("a login").open_confirming().await;
        channel.put("q", "first").await;
        let properties = BasicProperties::default().with_user_id("walker".into());
        channel.publish("", "q", "second", properties).await;
        ended(&world.shovel(&["--queue", "q"]).await, 69, "impersonator");
        let bodies = world.source.client().await.drain("q").await;
        assert!(bodies.ends_with(&["second".to_owned()]), "{bodies:?}");
        let moved = world.destination.client().await.drain("q").await;
        assert!(
            bodies.len() == 2 || moved == ["first"],
            "{bodies:?} and {moved:?}"
        );
    });
}

#[test]
fn a_stream_is_not_moved() {
    run(async {
        let Some(world) = World::start().await else {
            return;
        };
        let stream = [("x-queue-type", AMQPValue::LongString("stream".into()))];
        declare(&world.source, "s", &stream).await;
        world
            .source
            .client()
            .await
            .open_confirming()
            .await
            .put("s", "1")
            .await;
        let arguments = ["--queue", "s", "--destination-queue", "q"];
        ended(&world.shovel(&arguments).await, 69, "is a stream");
        // A copy of its message in a queue is moved.
        let mut headers = FieldTable::default();
        headers.insert("x-stream-offset".into(), AMQPValue::LongLongInt(0));
        let properties = BasicProperties::default().with_headers(headers);
        let channel = world.source.client().await.open_confirming().await;
        channel.publish("", "q", "copy", properties).await;
        ended(
            &world.shovel(&["--queue", "q"]).await,
            0,
            "1 messages moved",
        );
        assert_eq!(world.destination.client().await.drain("q").await, ["copy"]);
    });
}

#[test]
fn what_others_hold_is_named() {
    run(async {
        let Some(world) = World::start().await else {
            return;
        };
        world.fill(5).await;
        let client = world.source.client().await;
        client.prefetch(2, false).await;
        let _consumer = client.consume("q", "slow").await;
        client.counts_become("q", 3, 1).await;
        let output = world.shovel(&["--queue", "q"]).await;
        ended(&output, 0, "3 messages moved");
        assert!(
            output.stderr.contains("1 other consumer is still there"),
            "{output:?}"
        );
        let exclusive = BasicConsumeOptions {
            exclusive: true,
            ..BasicConsumeOptions::default()
        };
        client.durable_queue("mine").await;
        world.destination.client().await.durable_queue("mine").await;
        let channel = client.open_confirming().await;
        channel.put("mine", "1").await;
        channel.prefetch(1, false).await;
        channel.put("mine", "2").await;
        let _mine = channel.consume_with("mine", "mine", exclusive).await;
        let output = world.shovel(&["--queue", "mine"]).await;
        ended(&output, 69, "has the queue for itself");
    });
}

#[test]
fn what_cannot_be_reached_or_makes_no_sense_is_said() {
    run(async {
        let Some(world) = World::start().await else {
            return;
        };
        let address = world.source.address();
        let uri = format!("amqp://guest:guest@{address}");
        for (from, to, status, mention) in [
            (uri.as_str(), uri.as_str(), 69, "are the same"),
            (
                "amqp://127.0.0.1:1",
                &uri,
                69,
                "cannot connect to 127.0.0.1:1",
            ),
            (
                &uri,
                "amqp://no-such-host.invalid",
                69,
                "cannot be resolved",
            ),
            (
                &uri,
                &format!("amqp://guest:wrong@{}", world.destination.address()),
                69,
                "check user and password",
            ),
        ] {
            let mut command = Command::new(&binaries().leveretctl);
            command.args(["shovel", from, to, "--queue", "q"]);
            let output = output(command).await;
            assert_eq!(output.status, Some(status), "{output:?}");
            assert!(output.stderr.contains(mention), "{mention}: {output:?}");
            assert!(!output.stderr.contains("wrong"), "a password: {output:?}");
        }
    });
}

#[test]
fn an_auto_delete_queue_is_moved_only_if_that_is_wanted() {
    run(async {
        let Some(world) = World::start().await else {
            return;
        };
        let client = world.source.client().await;
        let channel = client.open_confirming().await;
        for durable in [true, false] {
            let options = QueueDeclareOptions {
                durable,
                auto_delete: true,
                ..QueueDeclareOptions::default()
            };
            let declared = client.queue_declare("brief".into(), options, FieldTable::default());
            declared.await.expect("declare-ok");
            for n in 0..5 {
                channel.put("brief", n.to_string()).await;
            }
            let mut arguments = vec!["--queue", "brief", "--destination-queue", "q"];
            ended(&world.shovel(&arguments).await, 69, "--auto-delete-too");
            assert_eq!(client.counts("brief").await, (5, 0));
            arguments.push("--auto-delete-too");
            ended(&world.shovel(&arguments).await, 0, "5 messages moved");
            let moved = world.destination.client().await.drain("q").await;
            assert_eq!(moved, ["0", "1", "2", "3", "4"]);
        }
    });
}

#[test]
fn a_destination_that_takes_nothing_costs_one_delivery_of_one_message() {
    run(async {
        let Some(world) = World::start().await else {
            return;
        };
        let quorum = [
            ("x-queue-type", AMQPValue::LongString("quorum".into())),
            ("x-delivery-limit", AMQPValue::LongInt(3)),
        ];
        declare(&world.source, "limited", &quorum).await;
        let full = [
            ("x-max-length", AMQPValue::LongInt(0)),
            ("x-overflow", AMQPValue::LongString("reject-publish".into())),
        ];
        declare(&world.destination, "full", &full).await;
        let client = world.source.client().await;
        let channel = client.open_confirming().await;
        for n in 0..20 {
            channel.put_persistent("limited", n.to_string()).await;
        }
        for run in 1..=10 {
            let output = world
                .shovel(&["--queue", "limited", "--destination-queue", "full"])
                .await;
            ended(&output, 75, "delivery limit of a quorum queue");
            // Only four failed deliveries of the same message exceed the limit.
            client.counts_become_at_least("limited", 20 - run / 4).await;
        }
    });
}

#[test]
fn no_exchange_is_left_if_the_queue_may_not_be_bound() {
    run(async {
        let Some(world) = World::start().await else {
            return;
        };
        world.fill(3).await;
        let own = "leveretctl.*";
        for arguments in [
            &["add_user", "walker", "walker"][..],
            &["set_permissions", "walker", own, own, ".*"],
        ] {
            world.destination.ctl(arguments).await;
        }
        let mut command = Command::new(&binaries().leveretctl);
        command.args(["shovel", "--queue", "q"]);
        command.arg(format!("amqp://guest:guest@{}", world.source.address()));
        command.arg(format!(
            "amqp://walker:walker@{}",
            world.destination.address()
        ));
        ended(&output(command).await, 69, "and write on 'q'");
        let exchanges = world
            .destination
            .ctl(&["-q", "list_exchanges", "name"])
            .await;
        assert!(!exchanges.contains("shovel"), "{exchanges}");
        assert_eq!(world.source.client().await.counts("q").await.0, 3);
    });
}
