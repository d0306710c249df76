//! The exchange class: declare, delete.

use lapin::options::{
    ExchangeBindOptions, ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, ExchangeKind};
use leveret_tests::{TestBroker, TestChannel, expect_reply, run};

const PLAIN: ExchangeDeclareOptions = ExchangeDeclareOptions {
    passive: false,
    durable: false,
    auto_delete: false,
    internal: false,
    nowait: false,
};

async fn declare(
    channel: &TestChannel,
    name: &str,
    kind: ExchangeKind,
    options: ExchangeDeclareOptions,
) -> lapin::Result<()> {
    channel
        .exchange_declare(name.into(), kind, options, FieldTable::default())
        .await
}

#[test]
fn a_passive_declare_of_a_missing_exchange_is_not_found() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let passive = ExchangeDeclareOptions {
            passive: true,
            ..PLAIN
        };
        let declared = declare(&client, "nope", ExchangeKind::Direct, passive).await;
        expect_reply(declared, 404, "NOT_FOUND - no exchange 'nope' in vhost '/'");
    });
}

#[test]
fn the_predeclared_exchanges_are_there() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let as_it_is = ExchangeDeclareOptions {
            durable: true,
            ..PLAIN
        };
        for (name, kind) in [
            ("amq.direct", ExchangeKind::Direct),
            ("amq.fanout", ExchangeKind::Fanout),
            ("amq.topic", ExchangeKind::Topic),
            ("amq.headers", ExchangeKind::Headers),
            ("amq.match", ExchangeKind::Headers),
        ] {
            declare(&client, name, kind, as_it_is).await.unwrap();
        }
        let internal = ExchangeDeclareOptions {
            internal: true,
            ..as_it_is
        };
        declare(&client, "amq.rabbitmq.trace", ExchangeKind::Topic, internal)
            .await
            .unwrap();
    });
}

#[test]
fn declaring_again_with_another_type_is_refused() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.exchange("pxx", ExchangeKind::Direct).await;
        client.exchange("pxx", ExchangeKind::Direct).await;
        let again = declare(&client, "pxx", ExchangeKind::Fanout, PLAIN).await;
        let text = "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'pxx' in vhost \
                    '/': received 'fanout' but current is 'direct'";
        expect_reply(again, 406, text);
    });
}

#[test]
fn declaring_again_with_another_durability_is_refused() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.exchange("pxx", ExchangeKind::Direct).await;
        let durable = ExchangeDeclareOptions {
            durable: true,
            ..PLAIN
        };
        let again = declare(&client, "pxx", ExchangeKind::Direct, durable).await;
        let text = "PRECONDITION_FAILED - inequivalent arg 'durable' for exchange 'pxx' in vhost \
                    '/': received 'true' but current is 'false'";
        expect_reply(again, 406, text);
    });
}

#[test]
fn the_reserved_prefix_is_refused() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let declared = declare(&client, "amq.x", ExchangeKind::Direct, PLAIN).await;
        let text = "ACCESS_REFUSED - exchange name 'amq.x' contains reserved prefix 'amq.*'";
        expect_reply(declared, 403, text);
    });
}

#[test]
fn an_unknown_type_is_refused() {
    run(async {
        // RabbitMQ 3 closes the connection here, RabbitMQ 4 and Leveret the channel.
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        let declared = declare(&client, "x", ExchangeKind::Custom("weird".into()), PLAIN).await;
        expect_reply(
            declared,
            406,
            "PRECONDITION_FAILED - unknown exchange type 'weird'",
        );
    });
}

#[test]
fn the_default_exchange_is_not_to_be_changed() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let text = "ACCESS_REFUSED - operation not permitted on the default exchange";
        let channel = client.open().await;
        expect_reply(
            declare(&channel, "", ExchangeKind::Direct, PLAIN).await,
            403,
            text,
        );
        let channel = client.open().await;
        let deleted = channel
            .exchange_delete("".into(), ExchangeDeleteOptions::default())
            .await;
        expect_reply(deleted, 403, text);
        let channel = client.open().await;
        channel.queue("q").await;
        let options = QueueBindOptions::default();
        let bound = channel
            .queue_bind(
                "q".into(),
                "".into(),
                "k".into(),
                options,
                FieldTable::default(),
            )
            .await;
        expect_reply(bound, 403, text);
    });
}

#[test]
fn a_predeclared_exchange_cannot_be_deleted() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let options = ExchangeDeleteOptions::default();
        let deleted = client.exchange_delete("amq.direct".into(), options).await;
        let text = "ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not \
                    allowed";
        expect_reply(deleted, 403, text);
    });
}

#[test]
fn delete_takes_the_bindings_along_and_a_missing_exchange_is_no_error() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.exchange("x", ExchangeKind::Fanout).await;
        client.queue("q").await;
        client.bind("q", "x", "").await;
        let options = ExchangeDeleteOptions::default();
        client.exchange_delete("x".into(), options).await.unwrap();
        client.exchange_delete("x".into(), options).await.unwrap();
        client.exchange("x", ExchangeKind::Fanout).await;
        client
            .publish("x", "", "to nobody", BasicProperties::default())
            .await;
        assert_eq!(client.drain("q").await, [""; 0]);
    });
}

#[test]
fn delete_if_unused_spares_an_exchange_with_bindings() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.exchange("pxx", ExchangeKind::Fanout).await;
        client.queue("q").await;
        client.bind("q", "pxx", "").await;
        let options = ExchangeDeleteOptions {
            if_unused: true,
            nowait: false,
        };
        let deleted = client.exchange_delete("pxx".into(), options).await;
        expect_reply(
            deleted,
            406,
            "PRECONDITION_FAILED - exchange 'pxx' in vhost '/' in use",
        );
    });
}

#[test]
fn an_auto_delete_exchange_goes_with_its_last_binding() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let auto_delete = ExchangeDeclareOptions {
            auto_delete: true,
            ..PLAIN
        };
        declare(&client, "x", ExchangeKind::Direct, auto_delete)
            .await
            .unwrap();
        client.queue("q").await;
        client.bind("q", "x", "a").await;
        client.bind("q", "x", "b").await;
        let unbind = async |key: &str| {
            let table = FieldTable::default();
            client
                .queue_unbind("q".into(), "x".into(), key.into(), table)
                .await
                .unwrap();
        };
        unbind("a").await;
        let passive = ExchangeDeclareOptions {
            passive: true,
            ..PLAIN
        };
        declare(&client, "x", ExchangeKind::Direct, passive)
            .await
            .unwrap();
        unbind("b").await;
        let gone = declare(&client, "x", ExchangeKind::Direct, passive).await;
        expect_reply(gone, 404, "NOT_FOUND - no exchange 'x' in vhost '/'");
    });
}

#[test]
fn binding_what_is_missing_is_not_found() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("q").await;
        let bind = async |queue: &str, exchange: &str| {
            let channel = client.open().await;
            let options = QueueBindOptions::default();
            let (queue, exchange) = (queue.into(), exchange.into());
            channel
                .queue_bind(queue, exchange, "k".into(), options, FieldTable::default())
                .await
        };
        let text = "NOT_FOUND - no exchange 'nope' in vhost '/'";
        expect_reply(bind("q", "nope").await, 404, text);
        let text = "NOT_FOUND - no queue 'nope' in vhost '/'";
        expect_reply(bind("nope", "amq.direct").await, 404, text);
    });
}

#[test]
fn unbinding_a_missing_binding_is_no_error() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("q").await;
        let table = FieldTable::default();
        client
            .queue_unbind("q".into(), "amq.direct".into(), "k".into(), table)
            .await
            .unwrap();
    });
}

#[test]
fn exchanges_bind_to_exchanges() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.exchange("source", ExchangeKind::Direct).await;
        client.exchange("destination", ExchangeKind::Fanout).await;
        client.queue("q").await;
        client.bind("q", "destination", "").await;
        let (destination, source) = ("destination".into(), "source".into());
        let options = ExchangeBindOptions::default();
        client
            .exchange_bind(
                destination,
                source,
                "k".into(),
                options,
                FieldTable::default(),
            )
            .await
            .unwrap();
        client
            .publish("source", "k", "yes", BasicProperties::default())
            .await;
        client
            .publish("source", "other", "no", BasicProperties::default())
            .await;
        assert_eq!(client.drain("q").await, ["yes"]);
    });
}
