//! The finer points of topic and headers exchanges, as RabbitMQ has them.

use lapin::options::{BasicPublishOptions, QueueBindOptions};
use lapin::types::{AMQPValue as V, DecimalValue, FieldTable};
use lapin::{BasicProperties, Confirmation, ExchangeKind};
use leveret_tests::{TestBroker, TestChannel, expect_reply, headers, run};

async fn bind(
    channel: &TestChannel,
    exchange: &str,
    key: &str,
    arguments: FieldTable,
) -> lapin::Result<()> {
    let options = QueueBindOptions::default();
    channel
        .queue_bind("q".into(), exchange.into(), key.into(), options, arguments)
        .await
}

/// Whether a message reaches the queue when this binding is the only one.
async fn matches(
    channel: &TestChannel,
    exchange: &str,
    binding: (&str, FieldTable),
    message: (&str, BasicProperties),
) -> bool {
    let (key, arguments) = binding;
    bind(channel, exchange, key, arguments.clone())
        .await
        .unwrap();
    let options = BasicPublishOptions {
        mandatory: true,
        ..Default::default()
    };
    let confirm = channel
        .basic_publish(exchange.into(), message.0.into(), options, b"m", message.1)
        .await
        .unwrap()
        .await
        .unwrap();
    channel
        .queue_unbind("q".into(), exchange.into(), key.into(), arguments)
        .await
        .unwrap();
    match confirm {
        Confirmation::Ack(returned) => returned.is_none(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn empty_words_are_words_and_the_empty_key_has_none() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let channel = client.open_confirming().await;
        channel.exchange("x", ExchangeKind::Topic).await;
        channel.queue("q").await;
        for (pattern, key, expected) in [
            ("", "", true),
            ("*", "", false),
            ("#", "", true),
            ("*.#", "", false),
            ("#.#", "", true),
            ("*.*", ".", true),
            (".", ".", true),
            ("a.*", "a.", true),
            ("a.#", "a", true),
            ("*.*.*", "..", true),
            ("a.b", "a.*", false),
            ("a.*", "a.*", true),
            ("*", "#", true),
            ("a*", "ab", false),
            ("#.a.#", "x.a.y", true),
        ] {
            let message = (key, BasicProperties::default());
            let found = matches(&channel, "x", (pattern, FieldTable::default()), message).await;
            assert_eq!(found, expected, "{pattern:?} for {key:?}");
        }
    });
}

fn table(pairs: &[(&str, V)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in pairs {
        table.insert((*name).into(), value.clone());
    }
    table
}

#[test]
fn headers_are_compared_by_value_as_rabbitmq_types_them() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let channel = client.open_confirming().await;
        channel.exchange("x", ExchangeKind::Headers).await;
        channel.queue("q").await;
        let text = |t: &str| V::LongString(t.into());
        let list = |values: &[V]| V::FieldArray(values.to_vec().into());
        let decimal = |scale, value| V::DecimalValue(DecimalValue { scale, value });
        for (asked, sent, expected) in [
            (V::LongInt(1), V::LongLongInt(1), true),
            (V::LongInt(1), V::ShortShortInt(1), true),
            (V::LongInt(1), V::LongInt(2), false),
            (V::LongInt(1), V::Boolean(true), false),
            (V::LongInt(1), text("1"), false),
            (text("x"), V::ByteArray(b"x".as_slice().into()), true),
            (text("x"), text("X"), false),
            (V::Float(1.5), V::Double(1.5), true),
            (V::Timestamp(5), V::Timestamp(5), true),
            (decimal(1, 15), decimal(1, 15), true),
            (decimal(1, 15), decimal(2, 150), false),
            (V::Void, text("anything"), true),
            (V::Void, V::Void, true),
            (text("x"), V::Void, false),
            (list(&[V::LongInt(1)]), list(&[V::LongInt(1)]), true),
            (list(&[V::LongInt(1)]), list(&[V::LongLongInt(1)]), false),
            (list(&[]), V::FieldTable(FieldTable::default()), true),
        ] {
            let properties = BasicProperties::default().with_headers(table(&[("h", sent.clone())]));
            let binding = ("", table(&[("h", asked.clone())]));
            let found = matches(&channel, "x", binding, ("", properties)).await;
            assert_eq!(found, expected, "{asked:?} for {sent:?}");
        }
    });
}

#[test]
fn x_match_decides_whether_all_or_any_and_whether_x_counts() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let channel = client.open_confirming().await;
        channel.exchange("x", ExchangeKind::Headers).await;
        channel.queue("q").await;
        for (asked, sent, expected) in [
            (&[][..], &[("a", "1")][..], true),
            (&[("x-match", "any")], &[("a", "1")], false),
            (&[("x-a", "1"), ("b", "1")], &[("b", "1")], true),
            (
                &[("x-match", "all-with-x"), ("x-a", "1"), ("b", "1")],
                &[("b", "1")],
                false,
            ),
            (
                &[("x-match", "all-with-x"), ("x-a", "1"), ("b", "1")],
                &[("b", "1"), ("x-a", "1")],
                true,
            ),
            (&[("x-match", "any"), ("x-a", "1")], &[("x-a", "1")], false),
            (
                &[("x-match", "any-with-x"), ("x-a", "1"), ("b", "1")],
                &[("x-a", "1")],
                true,
            ),
        ] {
            let properties = BasicProperties::default().with_headers(headers(sent));
            let found = matches(&channel, "x", ("", headers(asked)), ("", properties)).await;
            assert_eq!(found, expected, "{asked:?} for {sent:?}");
        }
        let bare = BasicProperties::default();
        assert!(matches(&channel, "x", ("", headers(&[])), ("", bare)).await);
    });
}

#[test]
fn an_unknown_x_match_is_refused() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("q").await;
        for (value, text) in [
            (
                V::LongString("bad".into()),
                "Invalid x-match field value <<\"bad\">>; expected all, any, all-with-x, or \
                 any-with-x",
            ),
            (
                V::LongInt(5),
                "Invalid x-match field type signedint (value 5); expected longstr",
            ),
        ] {
            let channel = client.open().await;
            let bound = bind(&channel, "amq.headers", "", table(&[("x-match", value)])).await;
            expect_reply(bound, 406, &format!("PRECONDITION_FAILED - {text}"));
        }
    });
}
