//! Stopping what a broker does for clients, while it goes on and answers leveretctl: as rabbitmqctl does with RabbitMQ.

use std::time::Duration;

use leveret_tests::raw::Raw;
use leveret_tests::{TestBroker, run};
use serde_json::json;
use tokio::net::TcpStream;

/// Returns whether the ports for AMQP and for the HTTP API are open.
async fn open_ports(broker: &TestBroker) -> [bool; 2] {
    let management = broker.management().trim_start_matches("http://");
    let amqp = TcpStream::connect(broker.address()).await.is_ok();
    [amqp, TcpStream::connect(management).await.is_ok()]
}

/// Runs leveretctl, and returns its exit status and what it says, results and errors together.
async fn says(broker: &TestBroker, arguments: &[&str]) -> (Option<i32>, String) {
    let output = broker.try_ctl(arguments).await;
    (output.status, format!("{}{}", output.stdout, output.stderr))
}

#[test]
fn stop_app_ends_connections_and_start_app_brings_everything_back() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        client.durable_queue("q").await;
        let channel = client.open_confirming().await;
        channel.put_persistent("q", "x").await;
        let mut raw = Raw::connect(&broker).await;
        let (_, closed) = tokio::join!(broker.ctl(&["stop_app"]), raw.closed());
        assert_eq!(closed.0, 320, "{closed:?}");
        broker.ctl(&["stop_app"]).await;
        assert_eq!(open_ports(&broker).await, [false, false]);
        let (status, said) = says(&broker, &["list_queues"]).await;
        assert_eq!(status, Some(64), "{said}");
        assert!(said.contains("leveretctl start_app"), "{said}");
        for refused in [
            &["status"][..],
            &["add_user", "u", "p"],
            &["trace_on"],
            &["list_users"],
        ] {
            assert_eq!(says(&broker, refused).await.0, Some(64), "{refused:?}");
        }
        let (status, said) = says(&broker, &["await_startup", "-t", "5"]).await;
        assert_eq!(status, Some(69), "{said}");
        assert_eq!(says(&broker, &["ping"]).await.0, Some(0));
        for _ in 0..2 {
            broker.ctl(&["start_app"]).await;
        }
        broker.ctl(&["await_startup"]).await;
        assert_eq!(open_ports(&broker).await, [true, true]);
        let client = broker.client().await;
        assert_eq!(
            client.take("q").await.map(|got| got.data.clone()),
            Some(b"x".to_vec())
        );
        assert_eq!(broker.list_queues(&[]).await, [["q"]]);
    });
}

#[test]
fn reset_needs_stop_app_and_leaves_a_new_broker() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        client.durable_queue("q").await;
        client
            .open_confirming()
            .await
            .put_persistent("q", "x")
            .await;
        for set in [
            &["add_vhost", "v"][..],
            &["add_user", "u", "p"],
            &["set_permissions", "-p", "v", "u", ".*", ".*", ".*"],
            &["set_policy", "p", ".", r#"{"max-length":5}"#],
            &["set_global_parameter", "g", "1"],
            &[
                "update_vhost_metadata",
                "/",
                "--default-queue-type",
                "quorum",
            ],
        ] {
            broker.ctl(set).await;
        }
        let (status, said) = says(&broker, &["reset"]).await;
        assert_eq!(status, Some(64), "{said}");
        assert!(said.contains("leveretctl stop_app"), "{said}");
        assert_eq!(broker.list_queues(&[]).await, [["q"]]);
        broker.ctl(&["stop_app"]).await;
        broker.ctl(&["reset"]).await;
        broker.ctl(&["force_reset"]).await;
        broker.ctl(&["start_app"]).await;
        for _ in 0..2 {
            assert!(broker.list_queues(&[]).await.is_empty());
            assert_eq!(
                broker
                    .ctl(&["-s", "list_vhosts", "name", "default_queue_type"])
                    .await,
                "/\tundefined\n"
            );
            assert_eq!(
                broker.ctl(&["-s", "list_users"]).await,
                "guest\t[administrator]\n"
            );
            assert_eq!(broker.ctl(&["-s", "list_policies"]).await, "");
            let globals = broker.ctl(&["-s", "list_global_parameters"]).await;
            assert_eq!(globals.lines().count(), 1, "{globals}");
            broker.client().await.close().await;
            broker.restart().await;
        }
    });
}

#[test]
fn a_reset_broker_that_is_killed_is_new_as_well() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        broker.client().await.durable_queue("q").await;
        broker.ctl(&["add_vhost", "v"]).await;
        broker.ctl(&["stop_app"]).await;
        broker.ctl(&["reset"]).await;
        broker.kill();
        broker.start_again().await;
        assert!(broker.list_queues(&[]).await.is_empty());
        assert_eq!(broker.ctl(&["-s", "list_vhosts"]).await, "/\n");
        assert_eq!(
            broker.ctl(&["-s", "list_users"]).await,
            "guest\t[administrator]\n"
        );
    });
}

#[test]
fn listeners_are_suspended_and_resumed_while_connections_stay() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        for _ in 0..2 {
            broker.ctl(&["suspend_listeners"]).await;
            assert_eq!(open_ports(&broker).await, [false, false]);
        }
        client.queue("q").await;
        assert_eq!(broker.list_queues(&[]).await, [["q"]]);
        for _ in 0..2 {
            broker.ctl(&["resume_listeners"]).await;
            assert_eq!(open_ports(&broker).await, [true, true]);
        }
        broker.client().await.close().await;
        assert_eq!(
            broker.ask("GET", "/api/overview", json!(null)).await.status,
            200
        );
    });
}

#[test]
fn a_port_that_was_taken_meanwhile_is_named_and_nothing_opens() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        broker.ctl(&["suspend_listeners"]).await;
        let taken = tokio::net::TcpListener::bind(broker.address())
            .await
            .expect("the port is free");
        let (status, said) = says(&broker, &["resume_listeners"]).await;
        assert_eq!(status, Some(70), "{said}");
        assert!(said.contains("cannot open the ports again"), "{said}");
        drop(taken);
        broker.ctl(&["resume_listeners"]).await;
        broker.client().await.close().await;
    });
}

#[test]
fn a_drained_broker_is_under_maintenance_until_it_is_revived() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let mut raw = Raw::connect(&broker).await;
        let (_, closed) = tokio::join!(broker.ctl(&["drain"]), raw.closed());
        let text = "CONNECTION_FORCED - Node was put into maintenance mode";
        assert_eq!((closed.0, &*closed.1), (320, text));
        // Operators go on.
        assert_eq!(open_ports(&broker).await, [false, true]);
        let status = broker.ctl(&["status"]).await;
        assert!(status.contains("Is under maintenance?: true"), "{status}");
        broker.ctl(&["await_online_quorum_plus_one"]).await;
        broker.ctl(&["revive"]).await;
        assert_eq!(open_ports(&broker).await, [true, true]);
        let status = broker.ctl(&["status"]).await;
        assert!(status.contains("Is under maintenance?: false"), "{status}");
        let nodes = broker.ask("GET", "/api/nodes", json!(null)).await.body;
        assert_eq!(nodes[0]["being_drained"], false);
    });
}

#[test]
fn shutdown_waits_for_the_end_and_no_wait_does_not() {
    run(async {
        for arguments in [&["shutdown"][..], &["shutdown", "--no-wait"]] {
            let Some(mut broker) = TestBroker::start_own().await else {
                return;
            };
            broker.ctl(arguments).await;
            assert_eq!(broker.process().ended().await.code(), Some(0));
        }
    });
}

#[test]
fn connections_are_closed_one_after_the_other() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let mut clients = Vec::new();
        for _ in 0..4 {
            clients.push(broker.client().await);
        }
        let began = std::time::Instant::now();
        let close = [
            "close_all_connections",
            "--limit",
            "3",
            "--per-connection-delay",
            "100",
            "x",
        ];
        let said = broker.ctl(&close).await;
        assert!(said.ends_with("Closed 3 connections\n"), "{said}");
        assert!(began.elapsed() >= Duration::from_millis(200));
    });
}

#[test]
fn each_change_leaves_a_line_with_its_verb() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let file = broker.data_dir().join("definitions.json");
        std::fs::write(&file, "{}").expect("written");
        let file = file.to_str().expect("a plain path").to_owned();
        for (change, verb) in [
            (&["import_definitions", &file][..], "import_definitions"),
            (&["trace_on"], "set_tracing"),
            (&["set_vhost_tags", "/", "t"], "update_vhost"),
            (&["set_global_parameter", "g", "1"], "set_global_parameter"),
            (&["suspend_listeners"], "suspend_listeners"),
            (&["stop_app"], "stop_app"),
            (&["reset"], "reset"),
            (&["start_app"], "start_app"),
        ] {
            broker.ctl(change).await;
            let named = format!("\"verb\":\"{verb}\"");
            let is_its =
                |line: &str| line.contains("changed by an operator") && line.contains(&named);
            let line = |line: &str| is_its(line).then_some(());
            broker.process().line(verb, line).await;
        }
    });
}
