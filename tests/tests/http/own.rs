//! The HTTP API: paths that RabbitMQ has not. Routes, maps, what policies would apply to, moving messages, streams.

use super::administration::ask as ask_as;
use lapin::options::{BasicConsumeOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use leveret_tests::{Client, TestBroker, eventually, run};
use serde_json::{Value, json};

/// Starts a broker with a management API, unless the suite runs against another.
async fn broker() -> Option<TestBroker> {
    TestBroker::start_own().await
}

/// Asks for something, which must be answered with this status, and returns the body.
async fn asked(broker: &TestBroker, method: &str, path: &str, body: Value, status: u16) -> Value {
    let reply = broker.ask(method, path, body).await;
    assert_eq!(reply.status, status, "{method} {path}: {reply:?}");
    reply.body
}

async fn put(broker: &TestBroker, path: &str, body: Value) {
    asked(broker, "PUT", path, body, 201).await;
}

async fn bind(broker: &TestBroker, exchange: &str, queue: &str, key: &str) {
    let path = format!("/api/bindings/%2F/e/{exchange}/q/{queue}");
    asked(broker, "POST", &path, json!({"routing_key": key}), 201).await;
}

async fn publish(broker: &TestBroker, queue: &str, payload: &str) {
    let message = json!({
        "properties": {"delivery_mode": 2, "headers": {"n": payload}}, "routing_key": queue, "payload": payload,
        "payload_encoding": "string",
    });
    let path = "/api/exchanges/%2F/amq.default/publish";
    let answer = asked(broker, "POST", path, message, 200).await;
    assert_eq!(answer, json!({"routed": true}));
}

#[test]
fn a_route_is_explained_and_nothing_is_sent() {
    run(async {
        let Some(broker) = broker().await else { return };
        let arguments = json!({"type": "topic", "arguments": {"alternate-exchange": "amq.fanout"}});
        put(&broker, "/api/exchanges/%2F/orders", arguments).await;
        for queue in ["paid", "other"] {
            put(&broker, &format!("/api/queues/%2F/{queue}"), json!({})).await;
        }
        bind(&broker, "orders", "paid", "*.paid").await;
        bind(&broker, "amq.fanout", "other", "").await;
        let path = "/api/route/%2F/orders";
        let route = asked(
            &broker,
            "POST",
            path,
            json!({"routing_key": "eu.paid"}),
            200,
        )
        .await;
        assert_eq!(route["queues"], json!(["paid"]));
        let binding = &route["steps"][0]["bindings"][0];
        assert_eq!(
            (&binding["destination"], &binding["matched"]),
            (&json!("paid"), &json!(true))
        );
        let route = asked(&broker, "POST", path, json!({"routing_key": "eu"}), 200).await;
        assert_eq!(route["queues"], json!(["other"]));
        let reached = json!({"exchange": "orders", "kind": "alternate"});
        assert_eq!(route["steps"][1]["reached_by"], reached);
        let copies = json!({"routing_key": "eu", "headers": {"CC": ["us.paid"]}});
        let route = asked(&broker, "POST", path, copies, 200).await;
        assert_eq!(route["queues"], json!(["paid"]));
        let queue = asked(&broker, "GET", "/api/queues/%2F/paid", Value::Null, 200).await;
        let nothing = (&json!(0), &Value::Null);
        assert_eq!((&queue["messages"], &queue["message_stats"]), nothing);
    });
}

#[test]
fn what_leads_nowhere_says_so() {
    run(async {
        let Some(broker) = broker().await else { return };
        put(&broker, "/api/queues/%2F/other", json!({})).await;
        let default = "/api/route/%2F/amq.default";
        let route = asked(
            &broker,
            "POST",
            default,
            json!({"routing_key": "other"}),
            200,
        )
        .await;
        assert_eq!(route["queues"], json!(["other"]));
        let route = asked(&broker, "POST", default, json!({}), 200).await;
        assert_eq!(route["queues"], json!([]));
        assert!(
            route["note"]
                .as_str()
                .expect("a note")
                .starts_with("No queue")
        );
        let internal = asked(
            &broker,
            "POST",
            "/api/route/%2F/amq.rabbitmq.trace",
            json!({}),
            200,
        )
        .await;
        assert!(
            internal["note"]
                .as_str()
                .expect("a note")
                .contains("internal")
        );
        for (path, body) in [
            ("/api/route/%2F/nowhere", json!({})),
            ("/api/route/nowhere/amq.topic", json!({})),
        ] {
            asked(&broker, "POST", path, body, 404).await;
        }
        for body in [json!({"headers": {"CC": "x"}}), json!({"properties": 1})] {
            asked(&broker, "POST", default, body, 400).await;
        }
    });
}

#[test]
fn a_map_shows_what_leads_where() {
    run(async {
        let Some(broker) = broker().await else { return };
        put(
            &broker,
            "/api/exchanges/%2F/orders",
            json!({"type": "direct"}),
        )
        .await;
        let dead = json!({"arguments": {"x-dead-letter-exchange": "gone"}});
        put(&broker, "/api/queues/%2F/work", dead).await;
        bind(&broker, "orders", "work", "a").await;
        bind(&broker, "orders", "work", "b").await;
        publish(&broker, "work", "x").await;
        let map = asked(&broker, "GET", "/api/map/%2F", Value::Null, 200).await;
        assert_eq!(map["queues"][0]["messages"], 1);
        assert_eq!(
            map["edges"],
            json!([
                {"from": ["exchange", "orders"], "to": ["queue", "work"], "kind": "binding", "keys": ["a", "b"], "count": 2},
                {"from": ["queue", "work"], "to": ["exchange", "gone"], "kind": "dead-letter", "keys": [], "count": 1},
            ])
        );
        let missing = map["exchanges"].as_array().expect("a list").iter();
        let missing: Vec<_> = missing.filter(|it| it["missing"] == true).collect();
        assert_eq!((missing.len(), &missing[0]["name"]), (1, &json!("gone")));
        let nothing = asked(
            &broker,
            "GET",
            "/api/map/%2F?name=nothing",
            Value::Null,
            200,
        )
        .await;
        assert_eq!(
            (&nothing["queues"], &nothing["total_queues"]),
            (&json!([]), &json!(1))
        );
        asked(&broker, "GET", "/api/map/nowhere", Value::Null, 404).await;
    });
}

#[test]
fn what_a_policy_would_apply_to_is_shown_before_it_is_set() {
    run(async {
        let Some(broker) = broker().await else { return };
        for queue in ["orders.1", "orders.2", "bills.1"] {
            put(&broker, &format!("/api/queues/%2F/{queue}"), json!({})).await;
        }
        let policy = json!({"pattern": "1$", "definition": {"max-length": 5}, "priority": 7});
        put(&broker, "/api/policies/%2F/strong", policy).await;
        let path = "/api/policy-matches/%2F?pattern=%5Eorders&apply-to=queues&priority=1&name=weak";
        let matches = asked(&broker, "GET", path, Value::Null, 200).await;
        assert_eq!(
            matches["queues"],
            json!({
                "total": 2, "names": ["orders.1", "orders.2"],
                "overridden": [{"name": "orders.1", "policy": "strong"}], "overridden_total": 1,
            })
        );
        assert_eq!(matches["exchanges"]["total"], 0);
        let own = "/api/policy-matches/%2F?pattern=%5Eorders&name=strong";
        let matches = asked(&broker, "GET", own, Value::Null, 200).await;
        assert_eq!(matches["queues"]["overridden_total"], 0);
        let all = asked(&broker, "GET", "/api/policy-matches/%2F", Value::Null, 200).await;
        assert_eq!(
            (&all["queues"]["total"], &all["exchanges"]["total"]),
            (&json!(3), &json!(6))
        );
        for query in ["pattern=(", "priority=high", "apply-to=tables"] {
            let reply = broker
                .ask(
                    "GET",
                    &format!("/api/policy-matches/%2F?{query}"),
                    Value::Null,
                )
                .await;
            assert_eq!(reply.status, 400, "{query}");
            assert!(
                reply.body["reason"]
                    .as_str()
                    .is_some_and(|reason| reason.len() > 20)
            );
        }
    });
}

#[test]
fn messages_are_moved_to_another_queue_and_survive_a_crash_there() {
    run(async {
        let Some(mut broker) = broker().await else {
            return;
        };
        for queue in ["from", "to"] {
            put(
                &broker,
                &format!("/api/queues/%2F/{queue}"),
                json!({"durable": true}),
            )
            .await;
        }
        for n in 0..5 {
            publish(&broker, "from", &n.to_string()).await;
        }
        let path = "/api/queues/%2F/from/move";
        let some = json!({"destination": "to", "count": 2});
        let moved = asked(&broker, "POST", path, some, 200).await;
        assert_eq!(
            moved,
            json!({"moved": 2, "remaining": 3, "destination_full": false})
        );
        let moved = asked(&broker, "POST", path, json!({"destination": "to"}), 200).await;
        assert_eq!(
            moved,
            json!({"moved": 3, "remaining": 0, "destination_full": false})
        );
        broker.kill();
        broker.start_again().await;
        let wanted = json!({"count": 10, "ackmode": "ack_requeue_false", "encoding": "auto"});
        let get = "/api/queues/%2F/to/get";
        let got = asked(&broker, "POST", get, wanted.clone(), 200).await;
        let got = got.as_array().expect("a list").iter();
        let got: Vec<_> = got
            .map(|it| {
                (
                    it["payload"].clone(),
                    it["properties"]["headers"]["n"].clone(),
                )
            })
            .collect();
        let expected: Vec<_> = (0..5)
            .map(|n| (json!(n.to_string()), json!(n.to_string())))
            .collect();
        assert_eq!(got, expected);
        let left = asked(&broker, "POST", "/api/queues/%2F/from/get", wanted, 200).await;
        assert_eq!(left, json!([]), "nothing is doubled");
        for (path, body, status) in [
            (path, json!({"destination": "from"}), 400),
            (path, json!({"destination": "nowhere"}), 404),
            (path, json!({}), 400),
            (
                "/api/queues/%2F/nowhere/move",
                json!({"destination": "to"}),
                404,
            ),
        ] {
            asked(&broker, "POST", path, body, status).await;
        }
    });
}

#[test]
fn a_stream_is_shown_with_its_readers() {
    run(async {
        let Some(broker) = broker().await else { return };
        let client = Client::connect(&broker).await;
        let channel = client.open().await;
        let mut arguments = FieldTable::default();
        arguments.insert(
            "x-queue-type".into(),
            AMQPValue::LongString("stream".into()),
        );
        let durable = QueueDeclareOptions {
            durable: true,
            ..QueueDeclareOptions::default()
        };
        let declared = channel
            .queue_declare("log".into(), durable, arguments)
            .await;
        declared.expect("a stream");
        put(&broker, "/api/queues/%2F/plain", json!({})).await;
        for n in 0..10 {
            publish(&broker, "log", &n.to_string()).await;
        }
        channel.prefetch(4, false).await;
        let mut first = FieldTable::default();
        first.insert(
            "x-stream-offset".into(),
            AMQPValue::LongString("first".into()),
        );
        let options = BasicConsumeOptions::default();
        let consumed = channel
            .basic_consume("log".into(), "reader".into(), options, first)
            .await;
        let _consumer = consumed.expect("a consumer");
        let shown = eventually("four messages", async || {
            let shown = asked(&broker, "GET", "/api/streams/%2F/log", Value::Null, 200).await;
            (shown["readers"][0]["offset"] == 4).then_some(shown)
        })
        .await;
        let reader = &shown["readers"][0];
        for (key, value) in [
            ("consumer_tag", json!("reader")),
            ("lag", json!(6)),
            ("prefetch_count", json!(4)),
            ("user", json!("guest")),
            ("channel", json!(channel.id())),
        ] {
            assert_eq!(reader[key], value, "{key}");
        }
        for (key, value) in [
            ("messages", json!(10)),
            ("first_offset", json!(0)),
            ("next_offset", json!(10)),
            ("segments", json!(1)),
            ("durable", json!(true)),
        ] {
            assert_eq!(shown[key], value, "{key}");
        }
        assert!(shown["disk_bytes"].as_u64() > Some(0));
        let page = asked(
            &broker,
            "GET",
            "/api/streams?page=1&columns=name,readers",
            Value::Null,
            200,
        )
        .await;
        assert_eq!(page["items"], json!([{"name": "log", "readers": 1}]));
        asked(&broker, "GET", "/api/streams/%2F/plain", Value::Null, 404).await;
        client.close().await;
    });
}

#[test]
fn users_see_and_move_what_they_may() {
    run(async {
        let Some(broker) = broker().await else { return };
        for queue in ["from", "to"] {
            put(&broker, &format!("/api/queues/%2F/{queue}"), json!({})).await;
        }
        publish(&broker, "from", "x").await;
        for (user, tags) in [
            ("none", ""),
            ("outsider", "monitoring"),
            ("reader", "management"),
        ] {
            let body = json!({"password": user, "tags": tags});
            put(&broker, &format!("/api/users/{user}"), body).await;
        }
        let read = json!({"configure": "", "write": "", "read": ".*"});
        put(&broker, "/api/permissions/%2F/reader", read).await;
        let requests = [
            ("GET /map/%2F", ""),
            ("POST /route/%2F/amq.direct", "{}"),
            ("GET /policy-matches/%2F", ""),
            ("GET /streams/%2F", ""),
        ];
        for (request, body) in requests {
            for (user, status) in [("none", 401), ("outsider", 404), ("reader", 200)] {
                let answer = ask_as(&broker, user, request, body);
                assert_eq!(answer.0, status, "{user}: {request}: {answer:?}");
            }
        }
        let (request, body) = ("POST /queues/%2F/from/move", r#"{"destination": "to"}"#);
        for (user, status) in [("none", 401), ("outsider", 404), ("reader", 401)] {
            let answer = ask_as(&broker, user, request, body);
            assert_eq!(answer.0, status, "{user}: {answer:?}");
        }
        let queue = asked(&broker, "GET", "/api/queues/%2F/from", Value::Null, 200).await;
        assert_eq!(queue["messages"], 1);
    });
}

#[test]
fn what_a_user_may_do_is_told_before_it_tries() {
    run(async {
        let Some(broker) = broker().await else { return };
        let user = json!({"password": "reader", "tags": "management"});
        put(&broker, "/api/users/reader", user).await;
        let permissions = json!({"configure": "^$", "write": "", "read": "^orders"});
        put(&broker, "/api/permissions/%2F/reader", permissions).await;
        let rights = |configure: bool, write: bool, read: bool| json!({"configure": configure, "write": write, "read": read});
        for (path, expected) in [
            ("/access/%2F", rights(false, false, true)),
            ("/access/%2F?queue=orders.eu", rights(false, false, true)),
            ("/access/%2F?queue=backlog", rights(false, false, false)),
            (
                "/access/%2F?exchange=amq.default",
                rights(false, false, false),
            ),
        ] {
            let request = format!("GET {path}");
            let answer = ask_as(&broker, "reader", &request, "");
            assert_eq!(answer, (200, expected), "{path}");
            let answer = ask_as(&broker, "guest", &request, "");
            assert_eq!(answer, (200, rights(true, true, true)), "{path}");
        }
        let no_vhost = ask_as(&broker, "reader", "GET /access/other", "");
        assert_eq!(no_vhost.0, 404);
        let both = ask_as(&broker, "reader", "GET /access/%2F?queue=a&exchange=b", "");
        assert_eq!(both.0, 400);
    });
}

#[test]
fn the_overview_moves_for_those_who_see_only_some_virtual_hosts() {
    run(async {
        let Some(broker) = broker().await else { return };
        let user = json!({"password": "reader", "tags": "management"});
        put(&broker, "/api/users/reader", user).await;
        let permissions = json!({"configure": "", "write": "", "read": ""});
        put(&broker, "/api/permissions/%2F/reader", permissions).await;
        put(&broker, "/api/queues/%2F/work", json!({})).await;
        publish(&broker, "work", "one").await;
        let path = "GET /overview?lengths_age=60&lengths_incr=5&msg_rates_age=60&msg_rates_incr=5";
        eventually("the samples have the message", || async {
            let (_, overview) = ask_as(&broker, "reader", path, "");
            let newest = |details: &Value| details["samples"][0]["sample"].as_u64();
            let published = newest(&overview["message_stats"]["publish_details"]);
            let waiting = newest(&overview["queue_totals"]["messages_details"]);
            ((published, waiting) == (Some(1), Some(1))).then_some(())
        })
        .await;
    });
}
