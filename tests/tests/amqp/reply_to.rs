//! Direct reply-to.

use lapin::BasicProperties;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions};
use leveret_tests::{Client, TestBroker, expect_reply, next, nothing_more, run, text};

const REPLY_TO: &str = "amq.rabbitmq.reply-to";

fn request() -> BasicProperties {
    BasicProperties::default()
        .with_reply_to(REPLY_TO.into())
        .with_correlation_id("7".into())
}

async fn replies(client: &Client, no_ack: bool) -> lapin::Result<lapin::Consumer> {
    let options = BasicConsumeOptions {
        no_ack,
        ..BasicConsumeOptions::default()
    };
    client
        .basic_consume(REPLY_TO.into(), "".into(), options, Default::default())
        .await
}

async fn send(client: &Client, key: &str, body: &str, properties: BasicProperties) {
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
