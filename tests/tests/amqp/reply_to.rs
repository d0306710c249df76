//! Direct reply-to.

use lapin::BasicProperties;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions};
use leveret_tests::{
    Client, TestBroker, TestChannel, eventually, expect_reply, next, nothing_more, reply_of, run,
    text,
};

const REPLY_TO: &str = "amq.rabbitmq.reply-to";

fn request() -> BasicProperties {
    BasicProperties::default()
        .with_reply_to(REPLY_TO.into())
        .with_correlation_id("7".into())
}

async fn replies(channel: &TestChannel, no_ack: bool) -> lapin::Result<lapin::Consumer> {
    let options = BasicConsumeOptions {
        no_ack,
        ..BasicConsumeOptions::default()
    };
    channel
        .basic_consume(REPLY_TO.into(), "".into(), options, Default::default())
        .await
}

/// The address of a channel that waits for replies, as who is asked sees it.
async fn address_of(channel: &TestChannel, serving: &TestChannel) -> String {
    send(channel, "rpc", "ping", request()).await;
    let asked = eventually("the request", async || serving.take("rpc").await).await;
    let address = asked.properties.reply_to().as_ref().expect("an address");
    address.as_str().to_owned()
}

/// The reply to a declaration of an address, on a channel of its own.
async fn declared(client: &Client, address: &str) -> Option<u16> {
    let passive = QueueDeclareOptions::default().passive();
    let channel = client.open().await;
    let declared = channel.queue_declare(address.into(), passive, Default::default());
    let error = declared.await.err()?;
    reply_of(&error).map(|(code, _)| code)
}

async fn send(client: &TestChannel, key: &str, body: &str, properties: BasicProperties) {
    client
        .basic_publish(
            "".into(),
            key.into(),
            BasicPublishOptions::default(),
            body.as_bytes(),
            properties,
        )
        .await
        .unwrap();
}

#[test]
fn a_reply_goes_straight_to_who_asked() {
    run(async {
        let broker = TestBroker::start().await;
        let (asking, serving) = (broker.client().await, broker.client().await);
        serving.queue("rpc").await;
        let mut inbox = replies(&asking, true).await.unwrap();
        send(&asking, "rpc", "ping", request()).await;
        serving.counts_become("rpc", 1, 0).await;
        let asked = serving.get("rpc").await.expect("the request");
        let address = asked.properties.reply_to().clone().expect("an address");
        assert!(address.as_str().starts_with("amq.rabbitmq.reply-to."));
        let passive = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let alive = serving
            .queue_declare(address.clone(), passive, Default::default())
            .await
            .unwrap();
        assert_eq!((alive.message_count(), alive.consumer_count()), (0, 1));
        let correlated = BasicProperties::default().with_correlation_id("7".into());
        send(&serving, address.as_str(), "pong", correlated).await;
        let reply = next(&mut inbox).await;
        assert_eq!(text(&reply), "pong");
        assert_eq!(reply.routing_key, address);
        assert_eq!(
            reply
                .properties
                .correlation_id()
                .as_ref()
                .map(|id| id.as_str()),
            Some("7")
        );
        // An address that was guessed leads nowhere.
        send(&serving, &format!("{address}x"), "forged", request_free()).await;
        nothing_more(&mut inbox).await;
    });
}

fn request_free() -> BasicProperties {
    BasicProperties::default()
}

#[test]
fn replies_cannot_be_acknowledged() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        expect_reply(
            replies(&client, false).await,
            406,
            "PRECONDITION_FAILED - reply consumer cannot acknowledge",
        );
    });
}

#[test]
fn a_channel_has_one_consumer_of_replies() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let _first = replies(&client, true).await.unwrap();
        expect_reply(
            replies(&client, true).await,
            406,
            "PRECONDITION_FAILED - reply consumer already set",
        );
    });
}

#[test]
fn an_address_lives_as_long_as_its_consumer() {
    run(async {
        let broker = TestBroker::start().await;
        let (asking, serving) = (broker.client().await, broker.client().await);
        serving.queue("rpc").await;
        let consumer = replies(&asking, true).await.unwrap();
        let first = address_of(&asking, &serving).await;
        assert_eq!(declared(&serving, &first).await, None);
        assert_eq!(declared(&serving, REPLY_TO).await, None);
        for wrong in [format!("{first}x"), format!("{REPLY_TO}x")] {
            assert_eq!(declared(&serving, &wrong).await, Some(404), "{wrong}");
        }
        asking
            .basic_cancel(consumer.tag(), Default::default())
            .await
            .unwrap();
        assert_eq!(declared(&serving, &first).await, Some(404));
        let _again = replies(&asking, true).await.unwrap();
        let second = address_of(&asking, &serving).await;
        assert_ne!(first, second);
        asking.channel.close(200, "done".into()).await.unwrap();
        assert_eq!(declared(&serving, &second).await, Some(404));
        let other = asking.open().await;
        let _again = replies(&other, true).await.unwrap();
        let third = address_of(&other, &serving).await;
        asking.close().await;
        eventually("the address is gone", async || {
            (declared(&serving, &third).await == Some(404)).then_some(())
        })
        .await;
    });
}

#[test]
fn a_request_needs_a_consumer_of_replies_on_its_channel() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let _elsewhere = replies(&client, true).await.unwrap();
        let channel = client.open().await;
        send(&channel, "nowhere", "ping", request()).await;
        let error = eventually("the channel is closed", async || {
            let passive = QueueDeclareOptions::default().passive();
            let declared = channel.queue_declare(REPLY_TO.into(), passive, Default::default());
            declared.await.err()
        })
        .await;
        if let Some(reply) = reply_of(&error) {
            let text = "PRECONDITION_FAILED - fast reply consumer does not exist";
            assert_eq!(reply, (406, text.to_owned()));
        }
    });
}

#[test]
fn replies_come_through_the_default_exchange_alone() {
    run(async {
        let broker = TestBroker::start().await;
        let (asking, serving) = (broker.client().await, broker.client().await);
        serving.queue("rpc").await;
        let mut inbox = replies(&asking, true).await.unwrap();
        let address = address_of(&asking, &serving).await;
        for exchange in ["amq.direct", "amq.fanout", ""] {
            let properties = BasicProperties::default();
            serving
                .publish(exchange, &address, exchange, properties)
                .await;
        }
        let reply = next(&mut inbox).await;
        assert_eq!((text(&reply).as_str(), reply.exchange.as_str()), ("", ""));
    });
}

#[test]
fn a_mandatory_reply_comes_back_when_nobody_waits_for_it() {
    run(async {
        // RabbitMQ 3 returns it in either case; 4 takes an address for a queue.
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let (asking, serving) = (broker.client().await, broker.client().await);
        serving.queue("rpc").await;
        let mut inbox = replies(&asking, true).await.unwrap();
        let address = address_of(&asking, &serving).await;
        let confirming = serving.open_confirming().await;
        for (key, comes_back) in [(address.clone(), false), (format!("{address}x"), true)] {
            let options = BasicPublishOptions {
                mandatory: true,
                ..BasicPublishOptions::default()
            };
            let properties = BasicProperties::default();
            let published = confirming
                .basic_publish("".into(), key.into(), options, b"pong", properties)
                .await;
            let confirmed = published.unwrap().await.unwrap();
            assert_eq!(confirmed.take_message().is_some(), comes_back);
        }
        assert_eq!(text(&next(&mut inbox).await), "pong");
    });
}

#[test]
fn in_a_transaction_a_reply_goes_with_the_commit() {
    run(async {
        // RabbitMQ 3 sends it at once.
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let (asking, serving) = (broker.client().await, broker.client().await);
        serving.queue("rpc").await;
        let mut inbox = replies(&asking, true).await.unwrap();
        let address = address_of(&asking, &serving).await;
        serving.tx_select().await.unwrap();
        send(&serving, &address, "never", request_free()).await;
        serving.tx_rollback().await.unwrap();
        send(&serving, &address, "pong", request_free()).await;
        serving.tx_commit().await.unwrap();
        assert_eq!(text(&next(&mut inbox).await), "pong");
    });
}
