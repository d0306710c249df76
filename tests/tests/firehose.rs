//! The firehose: what is published and delivered in a traced virtual host is copied.

use std::collections::BTreeMap;

use lapin::message::Delivery;
use lapin::types::AMQPValue;
use leveret_tests::{TestBroker, run, text};
use serde_json::json;

/// The headers of a copy, as text.
fn headers(copy: &Delivery) -> BTreeMap<String, String> {
    let headers = copy.properties.headers().clone().unwrap_or_default();
    let text = |value: &AMQPValue| match value {
        AMQPValue::LongString(text) => text.to_string(),
        AMQPValue::FieldArray(values) => {
            let each = values.as_slice().iter().map(|value| match value {
                AMQPValue::LongString(text) => text.to_string(),
                other => format!("{other:?}"),
            });
            each.collect::<Vec<_>>().join(" ")
        }
        AMQPValue::LongInt(number) => number.to_string(),
        AMQPValue::FieldTable(table) => format!(
            "{:?}",
            table
                .inner()
                .keys()
                .map(|key| key.to_string())
                .collect::<Vec<_>>()
        ),
        other => format!("{other:?}"),
    };
    let pairs = headers.inner().iter();
    pairs
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect()
}

#[test]
fn a_traced_virtual_host_copies_publishes_and_deliveries() {
    run(async {
        let Some(broker) = TestBroker::start_with_ctl().await else {
            return;
        };
        let client = broker.client().await;
        client.queue("q").await;
        client.queue("copies").await;
        client.bind("copies", "amq.rabbitmq.trace", "#").await;
        let said = broker.ctl(&["trace_on"]).await;
        assert_eq!(
            said,
            "Starting tracing for vhost \"/\" ...\nTrace enabled for vhost /\n"
        );
        assert_eq!(
            broker.ctl(&["-s", "list_vhosts", "name", "tracing"]).await,
            "/\ttrue\n"
        );
        let channel = client.open_confirming().await;
        channel.put("q", "body").await;
        assert!(client.take("q").await.is_some());
        client.counts_become("copies", 2, 0).await;
        let published = client.take("copies").await.expect("a copy");
        assert_eq!(
            (published.routing_key.as_str(), &*text(&published)),
            ("publish.", "body")
        );
        let sent = headers(&published);
        let expected = [
            ("exchange_name", ""),
            ("routing_keys", "q"),
            ("vhost", "/"),
            ("user", "guest"),
            ("routed_queues", "q"),
        ];
        for (name, value) in expected {
            assert_eq!(sent[name], value, "{name}");
        }
        assert!(sent["connection"].contains(" -> "), "{sent:?}");
        assert!(
            sent.contains_key("node") && sent.contains_key("channel"),
            "{sent:?}"
        );
        let delivered = client.take("copies").await.expect("a copy");
        assert_eq!(
            (delivered.routing_key.as_str(), &*text(&delivered)),
            ("deliver.q", "body")
        );
        let got = headers(&delivered);
        assert_eq!((&*got["redelivered"], &*got["routing_keys"]), ("0", "q"));
        assert!(!got.contains_key("routed_queues"));
        let said = broker.ctl(&["trace_off"]).await;
        assert_eq!(
            said,
            "Stopping tracing for vhost \"/\" ...\nTrace disabled for vhost /\n"
        );
        channel.put("q", "body").await;
        client.counts_become("copies", 0, 0).await;
        assert_eq!(client.counts("q").await, (1, 0));
    });
}

#[test]
fn tracing_is_switched_over_http_and_ends_with_the_broker() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let put = broker
            .ask("PUT", "/api/vhosts/%2F", json!({"tracing": true}))
            .await;
        assert_eq!(put.status, 204);
        let vhost = broker.ask("GET", "/api/vhosts/%2F", json!(null)).await.body;
        assert_eq!(vhost["tracing"], true);
        let client = broker.client().await;
        client.durable_queue("copies").await;
        client
            .bind("copies", "amq.rabbitmq.trace", "publish.#")
            .await;
        let message = json!({"properties": {}, "routing_key": "k", "payload": "x", "payload_encoding": "string"});
        let published = broker
            .ask("POST", "/api/exchanges/%2F/amq.topic/publish", message)
            .await;
        assert_eq!(published.body, json!({"routed": false}));
        client.counts_become("copies", 1, 0).await;
        broker.restart().await;
        assert_eq!(
            broker.ctl(&["-s", "list_vhosts", "tracing"]).await,
            "false\n"
        );
        let missing = broker.try_ctl(&["trace_on", "-p", "nowhere"]).await;
        assert_eq!(missing.status, Some(65), "{missing:?}");
    });
}
