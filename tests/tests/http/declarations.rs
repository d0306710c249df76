//! The HTTP API: queues, exchanges, bindings and consumers, publishing and getting.

use leveret_tests::{TestBroker, eventually, run};
use serde_json::{Value, json};

/// Starts a broker with a management API, unless the suite runs against another.
async fn broker() -> Option<TestBroker> {
    TestBroker::start_own().await
}

/// Declares a queue and expects that it is new.
async fn queue(broker: &TestBroker, name: &str, body: Value) {
    let reply = broker
        .ask("PUT", &format!("/api/queues/%2F/{name}"), body)
        .await;
    assert_eq!(reply.status, 201, "{reply:?}");
}

/// Publishes a text to a queue and returns whether it was routed.
async fn put(broker: &TestBroker, queue: &str, payload: &str, properties: Value) -> bool {
    let message = json!({
        "properties": properties, "routing_key": queue, "payload": payload, "payload_encoding": "string",
    });
    let path = "/api/exchanges/%2F/amq.default/publish";
    let reply = broker.ask("POST", path, message).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body["routed"].as_bool().expect("a boolean")
}

/// Gets messages and returns the list.
async fn get(broker: &TestBroker, queue: &str, count: i64, ackmode: &str) -> Vec<Value> {
    let wanted = json!({"count": count, "ackmode": ackmode, "encoding": "auto"});
    let path = format!("/api/queues/%2F/{queue}/get");
    let reply = broker.ask("POST", &path, wanted).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body.as_array().expect("a list").clone()
}

fn payloads(messages: &[Value]) -> Vec<(&str, bool, u64)> {
    messages
        .iter()
        .map(|message| {
            (
                message["payload"].as_str().expect("a payload"),
                message["redelivered"].as_bool().expect("a boolean"),
                message["message_count"].as_u64().expect("a number"),
            )
        })
        .collect()
}

#[test]
fn a_queue_is_declared_shown_and_deleted() {
    run(async {
        let Some(broker) = broker().await else { return };
        let path = "/api/queues/%2F/a%2Fb";
        let body = json!({"durable": true, "arguments": {"x-max-length": 10}});
        assert_eq!(broker.ask("GET", path, Value::Null).await.status, 404);
        assert_eq!(broker.ask("PUT", path, body.clone()).await.status, 201);
        assert_eq!(broker.ask("PUT", path, body).await.status, 204);
        let shown = broker.ask("GET", path, Value::Null).await.body;
        for (key, value) in [
            ("name", json!("a/b")),
            ("vhost", json!("/")),
            ("type", json!("classic")),
            ("durable", json!(true)),
            ("arguments", json!({"x-max-length": 10})),
            ("messages", json!(0)),
            ("policy", Value::Null),
            ("consumer_details", json!([])),
            ("incoming", json!([])),
        ] {
            assert_eq!(shown[key], value, "{key}");
        }
        let basic = broker
            .ask("GET", &format!("{path}?disable_stats=true"), Value::Null)
            .await;
        assert!(basic.body.get("messages").is_none());
        let totals = "?disable_stats=true&enable_queue_totals=true";
        let totals = broker
            .ask("GET", &format!("{path}{totals}"), Value::Null)
            .await;
        assert_eq!(totals.body["messages"], 0);
        assert!(totals.body.get("memory").is_none());
        let list = broker
            .ask("GET", "/api/queues?columns=name", Value::Null)
            .await;
        assert_eq!(list.body, json!([{"name": "a/b"}]));
        assert_eq!(broker.ask("DELETE", path, Value::Null).await.status, 204);
        assert_eq!(broker.ask("DELETE", path, Value::Null).await.status, 404);
    });
}

#[test]
fn what_is_wrong_with_a_queue_is_said_in_rabbitmqs_words() {
    run(async {
        let Some(broker) = broker().await else { return };
        queue(&broker, "q", json!({"durable": true})).await;
        for (path, body, status, reason) in [
            (
                "%2F/q",
                r#"{"durable": false}"#,
                400,
                json!(
                    "inequivalent arg 'durable' for queue 'q' in vhost '/': received 'false' but current is 'true'"
                ),
            ),
            (
                "%2F/r",
                r#"{"durable": "maybe"}"#,
                400,
                json!(["not_boolean", "maybe"]),
            ),
            (
                "%2F/r",
                r#"{"arguments": {"x-max-length": -5}}"#,
                400,
                json!("invalid arg 'x-max-length' for queue 'r' in vhost '/': {value_negative,-5}"),
            ),
            ("%2F/r", "not json", 400, json!("not_json")),
            ("%2F/r", "[]", 400, json!("not_json")),
            (
                "%2F/r",
                r#"{"node": "nobody@nowhere"}"#,
                400,
                json!("Node nobody@nowhere could not be contacted"),
            ),
            ("%2F/amq.mine", "{}", 401, json!("Access refused.")),
            ("nowhere/r", "{}", 404, json!("vhost_not_found")),
        ] {
            let reply = broker
                .ask_text("PUT", &format!("/api/queues/{path}"), body)
                .await;
            assert_eq!(reply.outcome(), (status, reason), "{path} {body}");
        }
        let long = "q".repeat(256);
        let reply = broker
            .ask("PUT", &format!("/api/queues/%2F/{long}"), json!({}))
            .await;
        assert_eq!(reply.status, 400, "{reply:?}");
        let list = broker
            .ask("GET", "/api/queues?columns=name", Value::Null)
            .await;
        assert_eq!(list.body, json!([{"name": "q"}]));
    });
}

#[test]
fn messages_that_are_got_and_requeued_keep_their_places() {
    run(async {
        let Some(broker) = broker().await else { return };
        queue(&broker, "q", json!({})).await;
        for payload in ["one", "two", "three"] {
            assert!(put(&broker, "q", payload, json!({})).await);
        }
        let first = get(&broker, "q", 2, "ack_requeue_true").await;
        assert_eq!(payloads(&first), [("one", false, 2), ("two", false, 1)]);
        let all = get(&broker, "q", 1_000_000_000, "reject_requeue_true").await;
        assert_eq!(
            payloads(&all),
            [("one", true, 2), ("two", true, 1), ("three", false, 0)]
        );
        let taken = get(&broker, "q", -1, "ack_requeue_false").await;
        assert_eq!(payloads(&taken).len(), 3);
        assert!(get(&broker, "q", 5, "ack_requeue_true").await.is_empty());
    });
}

#[test]
fn a_large_queue_is_got_in_answers_of_bounded_size() {
    run(async {
        let Some(broker) = broker().await else { return };
        let client = broker.client().await;
        client.queue("q").await;
        for _ in 0..40 {
            // The channel is not in confirm mode.
            let _ = client.put("q", vec![b'x'; 2 << 20]).await;
        }
        let got = get(&broker, "q", 1_000_000_000, "ack_requeue_true").await;
        assert!((20..40).contains(&got.len()), "{}", got.len());
        client.counts_become("q", 40, 0).await;
    });
}

#[test]
fn a_persistent_message_survives_a_crash_after_the_answer() {
    run(async {
        let Some(mut broker) = broker().await else {
            return;
        };
        queue(&broker, "q", json!({"durable": true})).await;
        let properties = json!({
            "delivery_mode": 2, "headers": {"a": [1, {"b": true}]}, "correlation_id": "c", "timestamp": 1_700_000_000,
        });
        assert!(put(&broker, "q", "x", properties.clone()).await);
        broker.kill();
        broker.start_again().await;
        let got = get(&broker, "q", 1, "ack_requeue_false").await;
        assert_eq!(got[0]["payload"], "x");
        assert_eq!(got[0]["properties"], properties);
    });
}

#[test]
fn rejected_messages_are_dead_lettered_and_others_are_not() {
    run(async {
        let Some(broker) = broker().await else { return };
        queue(&broker, "dead", json!({})).await;
        let arguments = json!({"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"});
        queue(&broker, "q", json!({"arguments": arguments})).await;
        for payload in ["one", "two"] {
            assert!(put(&broker, "q", payload, json!({})).await);
        }
        get(&broker, "q", 1, "ack_requeue_false").await;
        get(&broker, "q", 1, "reject_requeue_false").await;
        let dead = get(&broker, "dead", 5, "ack_requeue_true").await;
        assert_eq!(payloads(&dead), [("two", false, 0)]);
    });
}

#[test]
fn a_full_queue_that_rejects_publishes_says_so() {
    run(async {
        let Some(broker) = broker().await else { return };
        let arguments = json!({"x-max-length": 1, "x-overflow": "reject-publish"});
        queue(&broker, "q", json!({"arguments": arguments})).await;
        assert!(put(&broker, "q", "one", json!({})).await);
        let message = json!({
            "properties": {}, "routing_key": "q", "payload": "two", "payload_encoding": "string",
        });
        let path = "/api/exchanges/%2F/amq.default/publish";
        let reply = broker.ask("POST", path, message).await;
        let reason = "rejected Unable to publish message. Check queue limits.";
        assert_eq!(reply.outcome(), (400, json!(reason)));
    });
}

#[test]
fn publishing_follows_the_rules_of_basic_publish() {
    run(async {
        let Some(broker) = broker().await else { return };
        queue(&broker, "q", json!({})).await;
        let internal = json!({"type": "fanout", "internal": true});
        broker
            .ask("PUT", "/api/exchanges/%2F/internal", internal)
            .await;
        assert!(
            !put(&broker, "nobody", "x", json!({})).await,
            "it has no queue"
        );
        let mine = json!({"user_id": "guest"});
        assert!(put(&broker, "q", "x", mine).await);
        for (exchange, properties, reason) in [
            (
                "nope",
                json!({}),
                "404 NOT_FOUND - no exchange 'nope' in vhost '/'",
            ),
            (
                "internal",
                json!({}),
                "403 ACCESS_REFUSED - cannot publish to internal exchange 'internal' in vhost '/'",
            ),
            (
                "amq.default",
                json!({"user_id": "somebody"}),
                "406 PRECONDITION_FAILED - user_id property set to 'somebody' but authenticated user was 'guest'",
            ),
            (
                "amq.default",
                json!({"expiration": "soon"}),
                "406 PRECONDITION_FAILED - invalid expiration 'soon': no_integer",
            ),
            (
                "amq.default",
                json!({"reply_to": "amq.rabbitmq.reply-to"}),
                "406 PRECONDITION_FAILED - fast reply consumer does not exist",
            ),
        ] {
            let path = format!("/api/exchanges/%2F/{exchange}/publish");
            let message = json!({
                "properties": properties, "routing_key": "q", "payload": "x", "payload_encoding": "string",
            });
            let reply = broker.ask("POST", &path, message).await;
            assert_eq!(reply.outcome(), (400, json!(reason)));
        }
        assert_eq!(get(&broker, "q", 5, "ack_requeue_true").await.len(), 1);
    });
}

#[test]
fn a_binding_is_made_found_under_its_location_and_removed() {
    run(async {
        let Some(broker) = broker().await else { return };
        queue(&broker, "q", json!({})).await;
        let path = "/api/bindings/%2F/e/amq.direct/q/q";
        for (body, location) in [
            (json!({}), "q/~"),
            (
                json!({"routing_key": "a.#/b c%~"}),
                "q/a.%2523%252Fb%2Bc%2525%257E",
            ),
            (
                json!({"routing_key": "k", "arguments": {"x": "y", "n": 5}}),
                "q/k~o8mVfw",
            ),
        ] {
            let reply = broker.ask("POST", path, body).await;
            assert_eq!(
                (reply.status, reply.header("location")),
                (201, Some(location))
            );
            let there = path.replace("q/q", &format!("q/{location}"));
            let shown = broker.ask("GET", &there, Value::Null).await;
            assert_eq!(shown.status, 200, "{there}");
            assert_eq!(shown.body["source"], "amq.direct");
            let removed = broker.ask("DELETE", &there, Value::Null).await;
            assert_eq!(removed.status, 204, "{there}");
            assert_eq!(broker.ask("GET", &there, Value::Null).await.status, 404);
        }
        let all = broker.ask(
            "GET",
            "/api/bindings?columns=source,destination,properties_key",
            Value::Null,
        );
        let implicit = json!([{"source": "", "destination": "q", "properties_key": "q"}]);
        assert_eq!(all.await.body, implicit);
        let none = broker
            .ask("POST", "/api/bindings/%2F/e/nope/q/q", json!({}))
            .await;
        assert_eq!(
            none.outcome(),
            (404, json!("no exchange 'nope' in vhost '/'"))
        );
    });
}

#[test]
fn exchanges_are_declared_listed_and_deleted() {
    run(async {
        let Some(broker) = broker().await else { return };
        let path = "/api/exchanges/%2F/x";
        assert_eq!(
            broker
                .ask("PUT", path, json!({"type": "topic"}))
                .await
                .status,
            201
        );
        assert_eq!(
            broker
                .ask("PUT", path, json!({"type": "topic"}))
                .await
                .status,
            204
        );
        let reply = broker.ask("PUT", path, json!({"type": "fanout"})).await;
        let reason = "inequivalent arg 'type' for exchange 'x' in vhost '/': received 'fanout' but current is 'topic'";
        assert_eq!(reply.outcome(), (400, json!(reason)));
        let shown = broker.ask("GET", path, Value::Null).await.body;
        assert_eq!(
            (&shown["type"], &shown["outgoing"]),
            (&json!("topic"), &json!([]))
        );
        let default = broker
            .ask("GET", "/api/exchanges/%2F/amq.default", Value::Null)
            .await;
        assert_eq!(default.body["name"], "");
        for name in ["amq.default", "amq.direct"] {
            let path = format!("/api/exchanges/%2F/{name}");
            let reply = broker.ask("DELETE", &path, Value::Null).await;
            assert_eq!(reply.outcome(), (401, json!("Access refused.")));
        }
        assert_eq!(broker.ask("DELETE", path, Value::Null).await.status, 204);
        assert_eq!(broker.ask("DELETE", path, Value::Null).await.status, 404);
    });
}

#[test]
fn consumers_are_listed_with_their_channels() {
    run(async {
        let Some(broker) = broker().await else { return };
        let client = broker.client().await;
        client.queue("q").await;
        let _consumer = client.consume("q", "c").await;
        eventually("the consumer", async || {
            let list = broker.ask("GET", "/api/consumers/%2F", Value::Null).await;
            let consumer = &list.body[0];
            let is_it = consumer["consumer_tag"] == "c"
                && consumer["queue"] == json!({"name": "q", "vhost": "/"})
                && consumer["channel_details"]["user"] == "guest"
                && consumer["ack_required"] == true;
            is_it.then_some(())
        })
        .await;
        let nowhere = broker
            .ask("GET", "/api/consumers/nowhere", Value::Null)
            .await;
        assert_eq!(nowhere.status, 404);
    });
}
