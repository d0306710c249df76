//! The limits that operators set for users and virtual hosts, and on how long a consumer may hold a
//! delivery.

use lapin::options::{BasicConsumeOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use leveret_tests::raw::Raw;
use leveret_tests::{Client, TestBroker, expect_reply, next, run};

/// Adds the user u/p and the virtual host v, which u may use.
async fn world() -> Option<TestBroker> {
    let broker = TestBroker::start_with_ctl().await?;
    // May be left over on a shared broker.
    broker.try_ctl(&["delete_user", "u"]).await;
    broker.try_ctl(&["delete_vhost", "v"]).await;
    broker.ctl(&["add_user", "u", "p"]).await;
    broker.ctl(&["add_vhost", "v"]).await;
    broker
        .ctl(&["set_permissions", "-p", "v", "u", ".*", ".*", ".*"])
        .await;
    Some(broker)
}

async fn login(broker: &TestBroker) -> lapin::Result<Client> {
    Client::login(broker, "u", "p", "v").await
}

#[test]
fn a_virtual_host_takes_so_many_connections_and_queues() {
    run(async {
        let Some(broker) = world().await else { return };
        let limits = r#"{"max-connections": 1, "max-queues": 1}"#;
        broker.ctl(&["set_vhost_limits", "-p", "v", limits]).await;
        assert_eq!(
            broker.ctl(&["list_vhost_limits", "-q", "-p", "v"]).await,
            "{\"max-connections\":1,\"max-queues\":1}\n"
        );
        let client = login(&broker).await.expect("the first");
        let text = "NOT_ALLOWED - access to vhost 'v' refused for user 'u': connection limit (1) \
                    is reached";
        expect_reply(login(&broker).await, 530, text);
        client.queue("a").await;
        client.queue("a").await;
        let declared = client.open().await;
        let declared = declared
            .queue_declare(
                "b".into(),
                QueueDeclareOptions::default(),
                FieldTable::default(),
            )
            .await;
        let text = "PRECONDITION_FAILED - cannot declare queue 'b': queue limit in vhost 'v' (1) \
                    is reached";
        expect_reply(declared, 406, text);
        broker.ctl(&["clear_vhost_limits", "-p", "v"]).await;
        client.queue("b").await;
        login(&broker)
            .await
            .expect("no limit any more")
            .close()
            .await;
        client.close().await;
        broker.ctl(&["delete_vhost", "v"]).await;
    });
}

#[test]
fn a_place_is_free_as_soon_as_close_is_answered() {
    run(async {
        let Some(broker) = world().await else { return };
        if broker.pid().is_none() {
            // RabbitMQ stops counting a connection a moment after it has answered.
            return;
        }
        let limits = r#"{"max-connections": 1}"#;
        broker.ctl(&["set_vhost_limits", "-p", "v", limits]).await;
        for _ in 0..20 {
            login(&broker).await.expect("a place").close().await;
        }
    });
}

#[test]
fn a_user_has_so_many_connections_and_channels() {
    run(async {
        let Some(broker) = world().await else { return };
        let limits = r#"{"max-connections": 1, "max-channels": 2}"#;
        broker.ctl(&["set_user_limits", "u", limits]).await;
        assert_eq!(
            broker.ctl(&["list_user_limits", "-q", "--global"]).await,
            "user\tlimits\nu\t{\"max-channels\":2,\"max-connections\":1}\n"
        );
        let client = login(&broker).await.expect("the first");
        let text =
            "NOT_ALLOWED - connection refused for user 'u': user connection limit (1) is reached";
        expect_reply(login(&broker).await, 530, text);
        let _second = client.open().await;
        // RabbitMQ before 4.3 puts the number in brackets.
        let limit = if broker.pid().is_some() { "2" } else { "(2)" };
        let text = format!(
            "NOT_ALLOWED - number of channels opened for user 'u' has reached the maximum allowed \
             user limit of {limit}"
        );
        expect_reply(client.connection.create_channel().await, 530, &text);
        broker.ctl(&["clear_user_limits", "u", "all"]).await;
        assert_eq!(
            broker.ctl(&["list_user_limits", "-q", "--user", "u"]).await,
            "{}\n"
        );
        broker.ctl(&["delete_user", "u"]).await;
    });
}

#[test]
fn what_is_no_limit_is_refused() {
    run(async {
        let Some(broker) = world().await else { return };
        let set = broker
            .try_ctl(&["set_vhost_limits", "-q", "-p", "v", r#"{"nope": 1}"#])
            .await;
        assert_eq!(set.status, Some(69), "{set:?}");
        assert!(set.stderr.contains("Validation failed"), "{set:?}");
        let clear = broker.try_ctl(&["clear_vhost_limits", "-p", "v"]).await;
        assert_eq!(
            (clear.status, clear.stderr.as_str()),
            (Some(69), "Error:\nParameter does not exist\n")
        );
        let list = broker
            .try_ctl(&["list_vhost_limits", "-p", "nowhere"])
            .await;
        assert_eq!(list.status, Some(65), "{list:?}");
    });
}

#[test]
fn the_broker_takes_so_many_connections_channels_and_consumers() {
    run(async {
        let broker = TestBroker::start_with(&[
            "--connection-max=2",
            "--channel-max-per-node=3",
            "--consumer-max-per-channel=1",
        ])
        .await;
        let (first, second) = (broker.client().await, broker.client().await);
        let refused = Client::login(&broker, "guest", "guest", "%2f").await;
        let text = "NOT_ALLOWED - connection refused: node connection limit (2) is reached";
        expect_reply(refused, 530, text);
        let _third = second.open().await;
        let text = "NOT_ALLOWED - number of channels opened on node 'leveret@localhost' has \
                    reached the maximum allowed limit of 3";
        expect_reply(second.connection.create_channel().await, 530, text);
        first.queue("q").await;
        let _consumer = first.consume("q", "a").await;
        let options = BasicConsumeOptions::default();
        let consumed = first
            .basic_consume("q".into(), "b".into(), options, FieldTable::default())
            .await;
        let text = "NOT_ALLOWED - reached maximum (1) of consumers per channel";
        expect_reply(consumed, 530, text);
    });
}

#[test]
fn a_delivery_held_too_long_closes_its_channel_and_goes_to_another() {
    run(async {
        let broker = TestBroker::start_with(&["--consumer-timeout", "1000"]).await;
        let mut raw = Raw::connect(&broker).await;
        raw.open_channel(1).await;
        raw.declare(1, "q").await;
        raw.consume(1, "q", "c").await;
        let client = broker.client().await;
        client.put("q", "m").await;
        let text = "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. \
                    Timeout value used: 1000 ms. This timeout value can be configured, see \
                    consumers doc guide to learn more";
        raw.method_on(1).await;
        raw.content().await;
        assert_eq!(raw.channel_closed(1).await, (406, text.to_owned()));
        client.counts_become("q", 1, 0).await;
        assert!(client.take("q").await.expect("it came back").redelivered);
        // The connection stays open.
        raw.open_channel(2).await;
    });
}

#[test]
fn a_queues_own_timeout_counts_for_its_consumers() {
    run(async {
        let broker = TestBroker::start_with(&[]).await;
        let client = broker.client().await;
        let mut arguments = FieldTable::default();
        arguments.insert("x-consumer-timeout".into(), AMQPValue::LongInt(500));
        let options = QueueDeclareOptions::default();
        client
            .queue_declare("short".into(), options, arguments)
            .await
            .expect("declare-ok");
        let channel = client.open().await;
        let mut consumer = channel.consume("short", "c").await;
        client.put("short", "m").await;
        let _held = next(&mut consumer).await;
        client.counts_become("short", 1, 0).await;
    });
}
