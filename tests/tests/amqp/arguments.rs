//! Arguments of queues: their checks, and their comparison when a queue is declared again.

use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable};
use leveret_tests::{TestBroker, TestChannel, expect_reply, run};

fn table(key: &str, value: AMQPValue) -> FieldTable {
    let mut table = FieldTable::default();
    table.insert(key.into(), value);
    table
}

async fn declare(channel: &TestChannel, name: &str, arguments: FieldTable) -> lapin::Result<()> {
    let options = QueueDeclareOptions::default();
    channel
        .queue_declare(name.into(), options, arguments)
        .await
        .map(drop)
}

/// Declares `q` with one argument and expects 406 with this detail.
async fn invalid(key: &str, value: AMQPValue, detail: &str) {
    let broker = TestBroker::start().await;
    let client = broker.client().await;
    let declared = declare(&client, "q", table(key, value)).await;
    let text =
        format!("PRECONDITION_FAILED - invalid arg '{key}' for queue 'q' in vhost '/': {detail}");
    expect_reply(declared, 406, &text);
}

fn string(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

#[test]
fn an_argument_nobody_knows_is_kept_and_compared_with_nothing() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        declare(&client, "q", table("x-fancy", string("hat")))
            .await
            .unwrap();
        declare(&client, "q", FieldTable::default()).await.unwrap();
    });
}

#[test]
fn arguments_that_do_nothing_are_told_in_the_log_once_for_a_connection() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        let typo = || table("x-overflw", string("reject-publish"));
        for name in ["first", "first", "second"] {
            declare(&client, name, typo()).await.unwrap();
        }
        let kind = lapin::ExchangeKind::Direct;
        let declared = client.exchange_declare(
            "x".into(),
            kind,
            Default::default(),
            table("hash-header", string("h")),
        );
        declared.await.unwrap();
        let arguments = table("x-match\n WARN", string("any"));
        let bound = client.queue_bind(
            "first".into(),
            "x".into(),
            "k".into(),
            Default::default(),
            arguments,
        );
        bound.await.unwrap();
        let consumed = client.basic_consume(
            "first".into(),
            "c".into(),
            Default::default(),
            table("x-priorty", AMQPValue::LongInt(5)),
        );
        consumed.await.unwrap();
        // Another connection is told of, too.
        let other = broker.client().await;
        declare(&other, "first", typo()).await.unwrap();
        let last = "x-last";
        declare(&other, "last", table(last, AMQPValue::Void))
            .await
            .unwrap();
        let log = broker.process();
        log.line("of the last argument", |line| {
            line.contains(last).then_some(())
        })
        .await;
        let lines = log.lines();
        let told = |name: &str| lines.iter().filter(|line| line.contains(name)).count();
        assert_eq!(told("x-overflw"), 2, "{lines:#?}");
        assert_eq!(told("hash-header"), 1, "{lines:#?}");
        assert_eq!(told("x-priorty"), 1, "{lines:#?}");
        assert_eq!(told("x-match"), 1, "{lines:#?}");
        let warned =
            |line: &&String| line.contains("has no effect") || line.contains("no effect here");
        assert_eq!(lines.iter().filter(warned).count(), 6, "{lines:#?}");
    });
}

#[test]
fn equal_numbers_of_different_types_are_equal() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        declare(
            &client,
            "q",
            table("x-message-ttl", AMQPValue::LongInt(1000)),
        )
        .await
        .unwrap();
        declare(
            &client,
            "q",
            table("x-message-ttl", AMQPValue::ShortInt(1000)),
        )
        .await
        .unwrap();
        declare(
            &client,
            "q",
            table("x-message-ttl", AMQPValue::LongLongInt(1000)),
        )
        .await
        .unwrap();
    });
}

#[test]
fn leaving_out_an_argument_that_is_set_is_refused() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        declare(
            &client,
            "ptt",
            table("x-message-ttl", AMQPValue::LongInt(1000)),
        )
        .await
        .unwrap();
        let text = "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'ptt' in \
                    vhost '/': received none but current is the value '1000' of type 'signedint'";
        expect_reply(
            declare(&client, "ptt", FieldTable::default()).await,
            406,
            text,
        );
    });
}

#[test]
fn adding_an_argument_that_is_not_set_is_refused() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        declare(&client, "ptt", FieldTable::default())
            .await
            .unwrap();
        let text = "PRECONDITION_FAILED - inequivalent arg 'x-expires' for queue 'ptt' in vhost \
                    '/': received the value '90000' of type 'signedint' but current is none";
        let again = declare(
            &client,
            "ptt",
            table("x-expires", AMQPValue::LongInt(90_000)),
        )
        .await;
        expect_reply(again, 406, text);
    });
}

#[test]
fn another_value_is_refused() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        declare(
            &client,
            "ptt",
            table("x-message-ttl", AMQPValue::LongInt(1000)),
        )
        .await
        .unwrap();
        let text = "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'ptt' in \
                    vhost '/': received '2000' but current is '1000'";
        let again = declare(
            &client,
            "ptt",
            table("x-message-ttl", AMQPValue::LongInt(2000)),
        )
        .await;
        expect_reply(again, 406, text);
    });
}

#[test]
fn a_ttl_is_a_number() {
    run(invalid(
        "x-message-ttl",
        string("1000"),
        "\"expected integer, got longstr\"",
    ));
}

#[test]
fn a_ttl_is_not_negative() {
    run(invalid(
        "x-message-ttl",
        AMQPValue::LongInt(-1),
        "{value_negative,-1}",
    ));
}

#[test]
fn an_expiry_is_not_zero() {
    run(invalid(
        "x-expires",
        AMQPValue::LongInt(0),
        "{value_zero,0}",
    ));
}

#[test]
fn the_highest_priority_is_255() {
    run(invalid(
        "x-max-priority",
        AMQPValue::LongInt(256),
        "{max_value_exceeded,256}",
    ));
}

#[test]
fn an_overflow_behaviour_is_one_of_three() {
    run(invalid("x-overflow", string("spill"), "invalid_overflow"));
}

#[test]
fn a_dead_letter_routing_key_needs_an_exchange() {
    run(invalid(
        "x-dead-letter-routing-key",
        string("k"),
        "routing_key_but_no_dlx_defined",
    ));
}

#[test]
fn a_queue_type_is_one_that_exists() {
    run(invalid(
        "x-queue-type",
        string("bad"),
        "\"unsupported queue type 'bad'\"",
    ));
}
