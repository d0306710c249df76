//! Which queues a message reaches, by type of exchange.

use lapin::options::QueueBindOptions;
use lapin::{BasicProperties, ExchangeKind};
use leveret_tests::{Client, TestBroker, headers, run};

async fn publish(client: &Client, exchange: &str, key: &str, body: &str) {
    client
        .publish(exchange, key, body, BasicProperties::default())
        .await;
}

#[test]
fn the_default_exchange_routes_by_the_name_of_the_queue() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("a").await;
        client.queue("b").await;
        client.put("a", "for a").await;
        client.put("nobody", "for nobody").await;
        assert_eq!(client.drain("a").await, ["for a"]);
        assert_eq!(client.drain("b").await, [""; 0]);
    });
}

#[test]
fn direct_routes_to_every_queue_bound_with_the_key() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.exchange("x", ExchangeKind::Direct).await;
        for (queue, keys) in [("a", ["red", "blue"]), ("b", ["red", "green"])] {
            client.queue(queue).await;
            for key in keys {
                client.bind(queue, "x", key).await;
            }
        }
        for key in ["red", "blue", "green", "Red", ""] {
            publish(&client, "x", key, key).await;
        }
        assert_eq!(client.drain("a").await, ["red", "blue"]);
        assert_eq!(client.drain("b").await, ["red", "green"]);
    });
}

#[test]
fn a_queue_bound_in_several_ways_gets_one_copy() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.exchange("x", ExchangeKind::Fanout).await;
        client.queue("q").await;
        for key in ["one", "two", "two"] {
            client.bind("q", "x", key).await;
        }
        publish(&client, "x", "two", "once").await;
        assert_eq!(client.drain("q").await, ["once"]);
    });
}

#[test]
fn fanout_routes_to_every_bound_queue_whatever_the_key() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.exchange("x", ExchangeKind::Fanout).await;
        let queues: Vec<String> = (0..10).map(|n| format!("q{n}")).collect();
        for queue in &queues {
            client.queue(queue).await;
            client.bind(queue, "x", queue).await;
        }
        publish(&client, "x", "any", "hello").await;
        for queue in &queues {
            assert_eq!(client.drain(queue).await, ["hello"], "{queue}");
        }
    });
}

#[test]
fn an_unbound_queue_gets_nothing_more() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("q").await;
        client.bind("q", "amq.direct", "k").await;
        client.bind("q", "amq.direct", "l").await;
        publish(&client, "amq.direct", "k", "before").await;
        let key = "k".into();
        client
            .queue_unbind("q".into(), "amq.direct".into(), key, Default::default())
            .await
            .unwrap();
        publish(&client, "amq.direct", "k", "after").await;
        publish(&client, "amq.direct", "l", "other").await;
        assert_eq!(client.drain("q").await, ["before", "other"]);
    });
}

#[test]
fn topic_matches_words() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let patterns = [
            "*.orange.*",
            "*.*.rabbit",
            "lazy.#",
            "#",
            "",
            "a.#.b",
            "*",
            "#.#.end",
        ];
        for pattern in patterns {
            client.queue(&format!("q:{pattern}")).await;
            client
                .bind(&format!("q:{pattern}"), "amq.topic", pattern)
                .await;
        }
        let keys = [
            "quick.orange.rabbit",
            "lazy",
            "lazy.brown.fox",
            "quick.brown.fox",
            "",
            "a.b",
            "a.x.y.b",
            "end",
            "the.very.end",
        ];
        for key in keys {
            publish(&client, "amq.topic", key, key).await;
        }
        let expected: [&[&str]; 8] = [
            &["quick.orange.rabbit"],
            &["quick.orange.rabbit"],
            &["lazy", "lazy.brown.fox"],
            &keys,
            &[""],
            &["a.b", "a.x.y.b"],
            &["lazy", "end"],
            &["end", "the.very.end"],
        ];
        for (pattern, expected) in patterns.iter().zip(expected) {
            assert_eq!(
                client.drain(&format!("q:{pattern}")).await,
                expected,
                "{pattern}"
            );
        }
    });
}

#[test]
fn headers_match_all_or_any() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        for (queue, mode) in [("all", "all"), ("any", "any")] {
            client.queue(queue).await;
            let arguments = headers(&[("x-match", mode), ("shape", "round"), ("colour", "red")]);
            let options = QueueBindOptions::default();
            client
                .queue_bind(
                    queue.into(),
                    "amq.headers".into(),
                    "".into(),
                    options,
                    arguments,
                )
                .await
                .unwrap();
        }
        for (body, table) in [
            (
                "both",
                headers(&[("shape", "round"), ("colour", "red"), ("size", "big")]),
            ),
            ("one", headers(&[("shape", "square"), ("colour", "red")])),
            ("none", headers(&[("shape", "square")])),
        ] {
            let properties = BasicProperties::default().with_headers(table);
            client.publish("amq.headers", "", body, properties).await;
        }
        client
            .publish("amq.headers", "", "bare", BasicProperties::default())
            .await;
        assert_eq!(client.drain("all").await, ["both"]);
        assert_eq!(client.drain("any").await, ["both", "one"]);
    });
}
