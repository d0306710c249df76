//! leveretctl, used as people and scripts use rabbitmqctl.

use leveret_tests::raw::Raw;
use leveret_tests::{TestBroker, expect_reply, run};
use serde_json::Value;

#[test]
fn list_queues_prints_rabbitmqs_table() {
    run(async {
        let Some(broker) = TestBroker::start_with_ctl().await else {
            return;
        };
        let client = broker.client().await;
        client.durable_queue("task_queue").await;
        let channel = client.open_confirming().await;
        for n in 0..3 {
            channel.put("task_queue", n.to_string()).await;
        }
        let _held = client.get("task_queue").await.expect("a message");
        let columns = [
            "list_queues",
            "name",
            "messages_ready",
            "messages_unacknowledged",
        ];
        let table = broker.ctl(&columns).await;
        let lines: Vec<&str> = table.lines().collect();
        let expected = [
            "Timeout: 60.0 seconds ...",
            "Listing queues for vhost / ...",
            "name\tmessages_ready\tmessages_unacknowledged",
            "task_queue\t2\t1",
        ];
        assert_eq!(lines, expected);
        let mut quiet = columns.to_vec();
        quiet.push("-q");
        let table = broker.ctl(&quiet).await;
        assert_eq!(table.lines().collect::<Vec<&str>>(), &expected[2..]);
    });
}

#[test]
fn list_queues_speaks_json_and_csv() {
    run(async {
        let Some(broker) = TestBroker::start_with_ctl().await else {
            return;
        };
        let client = broker.client().await;
        client.durable_queue("q").await;
        let json = broker
            .ctl(&[
                "list_queues",
                "-q",
                "--formatter",
                "json",
                "name",
                "durable",
                "messages",
            ])
            .await;
        let queues: Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(
            queues,
            serde_json::json!([{"name": "q", "durable": true, "messages": 0}])
        );
        let csv = broker
            .ctl(&[
                "list_queues",
                "-q",
                "--formatter",
                "csv",
                "name",
                "durable",
                "messages",
            ])
            .await;
        let lines: Vec<String> = csv.lines().map(|line| line.replace('"', "")).collect();
        assert_eq!(lines, ["name,durable,messages", "q,true,0"]);
    });
}

#[test]
fn purge_and_delete_work_on_queues() {
    run(async {
        let Some(broker) = TestBroker::start_with_ctl().await else {
            return;
        };
        let client = broker.client().await;
        client.queue("q").await;
        client.open_confirming().await.put("q", "x").await;
        broker.ctl(&["purge_queue", "q"]).await;
        client.counts_become("q", 0, 0).await;
        broker.ctl(&["delete_queue", "q"]).await;
        client.queue_goes("q").await;
    });
}

#[test]
fn close_connection_gives_its_reason() {
    run(async {
        let Some(broker) = TestBroker::start_with_ctl().await else {
            return;
        };
        let mut raw = Raw::connect(&broker).await;
        let listed = leveret_tests::eventually("the connection is listed", async || {
            let pids = broker
                .ctl(&["list_connections", "-q", "--no-table-headers", "pid"])
                .await;
            let pid = pids.lines().find(|line| line.starts_with('<'))?;
            Some(pid.trim().to_owned())
        })
        .await;
        broker
            .ctl(&["close_connection", &listed, "lunch break"])
            .await;
        assert_eq!(
            raw.closed().await,
            (320, "CONNECTION_FORCED - lunch break".to_owned())
        );
    });
}

#[test]
fn users_come_and_go() {
    run(async {
        let Some(broker) = TestBroker::start_with_ctl().await else {
            return;
        };
        broker.try_ctl(&["delete_user", "someone"]).await;
        broker.ctl(&["add_user", "someone", "one"]).await;
        let users = broker.ctl(&["list_users", "-q"]).await;
        assert!(
            users.lines().any(|line| line.starts_with("someone\t")),
            "{users}"
        );
        broker
            .ctl(&["set_permissions", "someone", "^c", "^w", "^r"])
            .await;
        let permissions = broker.ctl(&["list_permissions", "-q"]).await;
        let line = "someone\t^c\t^w\t^r";
        assert!(
            permissions.lines().any(|printed| printed == line),
            "{permissions}"
        );
        broker.ctl(&["change_password", "someone", "two"]).await;
        let login = async |password: &str| {
            leveret_tests::Client::login(&broker, "someone", password, "%2f").await
        };
        let text = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For \
                    details see the broker logfile.";
        expect_reply(login("one").await, 403, text);
        login("two").await.unwrap();
        broker.ctl(&["clear_permissions", "someone"]).await;
        let text = "NOT_ALLOWED - access to vhost '/' refused for user 'someone'";
        expect_reply(login("two").await, 530, text);
        broker.ctl(&["delete_user", "someone"]).await;
    });
}

#[test]
fn ping_and_status_answer() {
    run(async {
        let Some(broker) = TestBroker::start_with_ctl().await else {
            return;
        };
        if broker.pid().is_some() {
            let pong = broker.ctl(&["ping"]).await;
            assert!(pong.contains("Ping succeeded"), "{pong}");
        }
        assert!(!broker.ctl(&["status"]).await.is_empty());
    });
}

#[test]
fn mistakes_end_in_rabbitmqs_exit_statuses() {
    run(async {
        let Some(broker) = TestBroker::start_with_ctl().await else {
            return;
        };
        for (arguments, status) in [
            (&["frobnicate"][..], 64),
            (&["list_queues", "colour"], 64),
            (&["add_user"], 64),
            (&["delete_user", "nobody"], 67),
            (&["add_user", "guest", "guest"], 70),
        ] {
            let output = broker.try_ctl(arguments).await;
            assert_eq!(output.status, Some(status), "{arguments:?}: {output:?}");
            assert!(!output.stderr.is_empty(), "{arguments:?}");
        }
    });
}

#[test]
fn without_a_broker_it_says_so() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        broker.stop().await;
        let output = broker.try_ctl(&["list_queues"]).await;
        assert_eq!(output.status, Some(69), "{output:?}");
        assert!(!output.stderr.is_empty());
    });
}

#[test]
fn stop_stops_the_broker() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        broker.ctl(&["stop"]).await;
        assert_eq!(broker.process().ended().await.code(), Some(0));
    });
}
