//! Alternate exchanges (RabbitMQ: "Alternate Exchanges"): where messages go that match no binding.

use lapin::options::{
    BasicPublishOptions, ExchangeBindOptions, ExchangeDeclareOptions, ExchangeDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Confirmation, ExchangeKind};
use leveret_tests::{TestBroker, TestChannel, expect_reply, headers, run};

async fn declare(
    channel: &TestChannel,
    name: &str,
    kind: ExchangeKind,
    arguments: FieldTable,
) -> lapin::Result<()> {
    let options = ExchangeDeclareOptions::default();
    channel
        .exchange_declare(name.into(), kind, options, arguments)
        .await
}

async fn with_alternate(channel: &TestChannel, name: &str, kind: ExchangeKind, alternate: &str) {
    declare(
        channel,
        name,
        kind,
        headers(&[("alternate-exchange", alternate)]),
    )
    .await
    .unwrap();
}

/// Publishes a mandatory message on a confirming channel; whether it reached a queue.
async fn reaches(channel: &TestChannel, exchange: &str, key: &str) -> bool {
    let options = BasicPublishOptions {
        mandatory: true,
        ..Default::default()
    };
    let properties = BasicProperties::default();
    let confirm = channel
        .basic_publish(exchange.into(), key.into(), options, b"m", properties)
        .await
        .unwrap()
        .await
        .unwrap();
    match confirm {
        Confirmation::Ack(returned) => returned.is_none(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_matches_no_binding_goes_to_the_alternate() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let channel = client.open_confirming().await;
        with_alternate(&channel, "x", ExchangeKind::Direct, "rest").await;
        channel.queue("q").await;
        channel.queue("unrouted").await;
        channel.bind("q", "x", "known").await;
        assert!(
            !reaches(&channel, "x", "strange").await,
            "no exchange of the name yet"
        );
        channel.exchange("rest", ExchangeKind::Fanout).await;
        assert!(
            !reaches(&channel, "x", "strange").await,
            "nothing bound to it yet"
        );
        channel.bind("unrouted", "rest", "").await;
        assert!(reaches(&channel, "x", "strange").await);
        assert!(reaches(&channel, "x", "known").await);
        assert_eq!(channel.counts("q").await.0, 1);
        let message = channel.take("unrouted").await.unwrap();
        assert_eq!(message.exchange.as_str(), "x");
        assert_eq!(message.routing_key.as_str(), "strange");
        let options = ExchangeDeleteOptions::default();
        channel
            .exchange_delete("rest".into(), options)
            .await
            .unwrap();
        assert!(!reaches(&channel, "x", "strange").await, "deleted");
    });
}

#[test]
fn alternates_have_alternates_and_may_stand_in_a_circle() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let channel = client.open_confirming().await;
        with_alternate(&channel, "a", ExchangeKind::Direct, "b").await;
        with_alternate(&channel, "b", ExchangeKind::Topic, "c").await;
        with_alternate(&channel, "c", ExchangeKind::Headers, "a").await;
        assert!(!reaches(&channel, "a", "k").await);
        channel.queue("q").await;
        channel.bind("q", "c", "").await;
        assert!(reaches(&channel, "a", "k").await);
        assert!(reaches(&channel, "b", "k").await);
        assert_eq!(channel.counts("q").await.0, 2);
    });
}

#[test]
fn a_binding_to_an_exchange_counts_as_a_match_and_that_exchange_has_its_own_alternate() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let channel = client.open_confirming().await;
        with_alternate(&channel, "source", ExchangeKind::Direct, "rest").await;
        channel.exchange("rest", ExchangeKind::Fanout).await;
        channel.queue("q").await;
        channel.bind("q", "rest", "").await;
        channel.exchange("dead-end", ExchangeKind::Direct).await;
        with_alternate(&channel, "helped", ExchangeKind::Direct, "rest").await;
        for (destination, key) in [("dead-end", "one"), ("helped", "two")] {
            let options = ExchangeBindOptions::default();
            let arguments = FieldTable::default();
            channel
                .exchange_bind(
                    destination.into(),
                    "source".into(),
                    key.into(),
                    options,
                    arguments,
                )
                .await
                .unwrap();
        }
        assert!(!reaches(&channel, "source", "one").await);
        assert!(reaches(&channel, "source", "two").await);
        assert!(reaches(&channel, "source", "three").await);
        assert_eq!(channel.counts("q").await.0, 2);
    });
}

#[test]
fn an_alternate_that_is_no_name_is_refused() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let mut arguments = FieldTable::default();
        arguments.insert("alternate-exchange".into(), AMQPValue::LongInt(5));
        expect_reply(
            declare(&client, "numbered", ExchangeKind::Direct, arguments).await,
            406,
            "PRECONDITION_FAILED - invalid type 'signedint' for arg 'alternate-exchange' in \
             exchange 'numbered' in vhost '/'",
        );
    });
}

#[test]
fn declaring_again_with_another_alternate_is_refused() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let alternate = |name| headers(&[("alternate-exchange", name)]);
        for (arguments, difference) in [
            (alternate("b"), "received 'b' but current is 'a'"),
            (
                FieldTable::default(),
                "received none but current is the value 'a' of type 'longstr'",
            ),
        ] {
            let channel = client.open().await;
            with_alternate(&channel, "xae", ExchangeKind::Direct, "a").await;
            let text = format!(
                "PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange 'xae' \
                 in vhost '/': {difference}"
            );
            let again = declare(&channel, "xae", ExchangeKind::Direct, arguments).await;
            expect_reply(again, 406, &text);
        }
    });
}
