//! Policies and operator policies, as operators set them and clients experience them.

use lapin::options::{BasicPublishOptions, ExchangeDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, ExchangeKind};
use leveret_tests::{TestBroker, run, text};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn a_policy_holds_for_a_backlog_over_a_kill_and_until_it_is_cleared() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        client.durable_queue("jobs").await;
        client.durable_queue("other").await;
        let channel = client.open_confirming().await;
        for n in 0..5 {
            channel.put_persistent("jobs", n.to_string()).await;
            channel.put_persistent("other", n.to_string()).await;
        }
        let two = r#"{"max-length":2}"#;
        broker.ctl(&["set_policy", "short", "^jobs$", two]).await;
        // It is in force when the command returns.
        assert_eq!(
            (
                channel.counts("jobs").await.0,
                channel.counts("other").await.0
            ),
            (2, 5)
        );
        let one = r#"{"max-length":1,"overflow":"reject-publish"}"#;
        let operator = [
            "set_operator_policy",
            "least",
            "^o",
            one,
            "--apply-to",
            "queues",
        ];
        broker.ctl(&operator).await;
        broker.kill();
        broker.start_again().await;

        let client = broker.client().await;
        let channel = client.open_confirming().await;
        channel.put_persistent("jobs", "5").await;
        assert!(channel.put_persistent("other", "5").await.is_nack());
        let columns = ["policy", "operator_policy"];
        assert_eq!(
            broker.list_queues(&columns).await,
            [["jobs", "short", ""], ["other", "", "least"]]
        );
        assert_eq!(client.drain("jobs").await, ["4", "5"]);
        broker.ctl(&["clear_policy", "short"]).await;
        broker.ctl(&["clear_operator_policy", "least"]).await;
        broker.kill();
        broker.start_again().await;

        let client = broker.client().await;
        let channel = client.open_confirming().await;
        for n in 0..3 {
            channel.put_persistent("jobs", n.to_string()).await;
        }
        assert_eq!(client.drain("jobs").await.len(), 3);
        assert!(channel.put_persistent("other", "6").await.is_ack());
        assert_eq!(broker.ctl(&["list_policies", "-q"]).await, "");
        assert_eq!(broker.ctl(&["list_operator_policies", "-q"]).await, "");
    });
}

#[test]
fn what_is_declared_while_policies_change_ends_with_the_right_one() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients = Vec::new();
        for client in 0..3 {
            let (connected, stop) = (broker.client().await, stop.clone());
            clients.push(tokio::spawn(async move {
                let mut declared = 0;
                while !stop.load(Ordering::Relaxed) && declared < 5000 {
                    connected.queue(&format!("q{client}-{declared}")).await;
                    declared += 1;
                }
                // Transient, but not tied to the connection, which is closed here.
                declared
            }));
        }
        for length in 1..=10 {
            let definition = format!(r#"{{"max-length":{length}}}"#);
            let words = ["set_policy", "p", "^q", &definition];
            broker.ctl(&words).await;
        }
        stop.store(true, Ordering::Relaxed);
        let mut declared = 0;
        for client in clients {
            declared += client.await.expect("a client that declares");
        }
        let rows = broker.list_queues(&["effective_policy_definition"]).await;
        assert_eq!(rows.len(), declared);
        for row in rows {
            assert_eq!(row[1], r#"{"max-length":10}"#, "{}", row[0]);
        }
    });
}

#[test]
fn an_alternate_exchange_comes_with_a_policy_and_stays_over_a_restart() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        let durable = ExchangeDeclareOptions {
            durable: true,
            ..ExchangeDeclareOptions::default()
        };
        let direct = ExchangeKind::Direct;
        client
            .exchange_declare("orders".into(), direct, durable, FieldTable::default())
            .await
            .expect("declare-ok");
        client.durable_queue("rest").await;
        client.bind("rest", "amq.fanout", "").await;
        let unroutable = async |channel: &leveret_tests::TestChannel| {
            let mandatory = BasicPublishOptions {
                mandatory: true,
                ..BasicPublishOptions::default()
            };
            let (exchange, key) = ("orders".into(), "nowhere".into());
            let properties = BasicProperties::default();
            let published = channel
                .basic_publish(exchange, key, mandatory, b"1", properties)
                .await;
            let confirmed = published.expect("published").await.expect("confirmed");
            confirmed.take_message().is_some()
        };
        let channel = client.open_confirming().await;
        assert!(unroutable(&channel).await);
        let definition = r#"{"alternate-exchange":"amq.fanout"}"#;
        let words = [
            "set_policy",
            "rest",
            "^orders$",
            definition,
            "--apply-to",
            "exchanges",
        ];
        broker.ctl(&words).await;
        // The same channel, whose route was cached.
        assert!(!unroutable(&channel).await);
        broker.restart().await;
        let client = broker.client().await;
        let channel = client.open_confirming().await;
        assert!(!unroutable(&channel).await);
        let exchanges = broker
            .ctl(&["list_exchanges", "-s", "name", "policy"])
            .await;
        assert!(exchanges.contains("orders\trest\n"), "{exchanges}");
        broker.ctl(&["clear_policy", "rest"]).await;
        assert!(unroutable(&channel).await);
        let message = client.take("rest").await.expect("what found no way");
        assert_eq!(text(&message), "1");
    });
}

#[test]
fn what_is_no_policy_is_refused_and_changes_nothing() {
    run(async {
        let Some(broker) = TestBroker::start_with_ctl().await else {
            return;
        };
        broker.try_ctl(&["delete_vhost", "policies"]).await;
        broker.ctl(&["add_vhost", "policies"]).await;
        let refused = async |words: &[&str]| {
            let words = [words, &["-q", "-p", "policies"]].concat();
            let output = broker.try_ctl(&words).await;
            (output.status, output.stderr)
        };
        let failed = |text: &str| (Some(69), format!("Error:\nValidation failed\n\n{text}\n\n"));
        assert_eq!(
            refused(&["set_policy", "p", "^q", r#"{"max-length":"x"}"#]).await,
            failed("<<\"x\">> is not a valid maximum length")
        );
        assert_eq!(
            refused(&["set_operator_policy", "p", "^q", r#"{"queue-mode":"lazy"}"#]).await,
            failed("[{<<\"queue-mode\">>,<<\"lazy\">>}] are not recognised policy settings")
        );
        assert_eq!(
            refused(&["set_policy", "p", "^q", "{}"]).await,
            failed("no policy provided")
        );
        let missing = (Some(69), "Error:\nParameter does not exist\n".to_owned());
        assert_eq!(refused(&["clear_policy", "p"]).await, missing);
        assert_eq!(refused(&["clear_operator_policy", "p"]).await, missing);
        let list = ["list_policies", "-q", "-p", "policies"];
        assert_eq!(broker.ctl(&list).await.trim(), "");
        let definition = r#"{"max-length":1}"#;
        let words = ["set_policy", "-q", "-p", "policies", "p", "^q", definition];
        broker.ctl(&words).await;
        assert_eq!(
            broker.ctl(&list).await.trim_end(),
            "vhost\tname\tpattern\tapply-to\tdefinition\tpriority\n\
             policies\tp\t^q\tall\t{\"max-length\":1}\t0"
        );
        // They are deleted with their virtual host, and do not come back with a new one of the same
        // name.
        broker.ctl(&["delete_vhost", "policies"]).await;
        let gone = broker.try_ctl(&list).await;
        assert_eq!(gone.stderr, "Virtual host 'policies' does not exist\n");
        broker.ctl(&["add_vhost", "policies"]).await;
        assert_eq!(broker.ctl(&list).await.trim(), "");
        broker.ctl(&["delete_vhost", "policies"]).await;
    });
}

#[test]
fn time_to_live_and_dead_letters_can_be_a_policys() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        client.queue("mortal").await;
        client.queue("heir").await;
        let channel = client.open_confirming().await;
        channel.put("mortal", "before the policy").await;
        let keys =
            r#"{"message-ttl":0,"dead-letter-exchange":"","dead-letter-routing-key":"heir"}"#;
        broker.ctl(&["set_policy", "die", "^mortal$", keys]).await;
        channel.put("mortal", "behind one without an end").await;
        // Earlier messages keep their time to live, and messages expire only at the head.
        assert_eq!(client.counts("mortal").await, (2, 0));
        assert_eq!(client.drain("mortal").await, ["before the policy"]);
        client.counts_become("heir", 1, 0).await;
        channel.put("mortal", "at once").await;
        client.counts_become("heir", 2, 0).await;
        broker.ctl(&["clear_policy", "die"]).await;
        channel.put("mortal", "for ever").await;
        assert_eq!(client.drain("mortal").await, ["for ever"]);
        let keys = r#"{"expires":1}"#;
        broker.ctl(&["set_policy", "end", "^mortal$", keys]).await;
        client.queue_goes("mortal").await;
    });
}
