//! However a broker fails, the load generator ends soon and says why.

use leveret_tests::{Process, TestBroker, binaries, eventually, run};

use super::fails;

/// A run of leveretperf in progress.
struct Load {
    arguments: String,
    process: Process,
}

impl Load {
    async fn start(broker: &TestBroker, arguments: &str) -> Self {
        // Longer than a busy machine may stall.
        Load::start_with(broker, arguments, "10").await
    }

    async fn start_with(broker: &TestBroker, arguments: &str, patience: &str) -> Self {
        let mut command = std::process::Command::new(&binaries().leveretperf);
        command.args(arguments.split_whitespace());
        command.args(["-i", "0.01", "--patience", patience]);
        command.args(["--address", broker.address()]);
        let process = Process::start("leveretperf", &mut command);
        // A line of progress or of what is open.
        eventually("a line", async || {
            (!process.lines().is_empty()).then_some(())
        })
        .await;
        let arguments = arguments.to_owned();
        Load { arguments, process }
    }

    /// Checks that it fails within half a minute and mentions one of these.
    async fn fails(mut self, mentions: &[&str]) {
        let status = self.process.ended().await;
        let said = self.process.lines().join("\n");
        assert_eq!(status.code(), Some(1), "{}: {said}", self.arguments);
        let mentioned = mentions.iter().any(|mention| said.contains(mention));
        assert!(mentioned, "{}: {said}", self.arguments);
        assert!(!said.contains("panicked"), "{}: {said}", self.arguments);
    }
}

/// Loads of every mode that run until something ends them.
const ENDLESS: [&str; 9] = [
    "-u a -C 1000000000",
    "-u b -C 1000000000 -y 0",
    "-u c -C 1000000000 -c 10 -p -a -P 10",
    "-u d --backlog 1000000000",
    "-u e -d 600 -x 0",
    "connection-churn -C 1000000000",
    "queue-churn -C 1000000000 -x 2",
    "bind-churn -C 1000000000",
    "connection-count -x 3 -d 600",
];

#[test]
fn a_broker_that_refuses_is_quoted() {
    run(async {
        let broker = TestBroker::start().await;
        let at = format!("--quiet --address {}", broker.address());
        fails(&format!("{at} --password wrong"), 1, "403 ACCESS_REFUSED").await;
        fails(&format!("{at} --vhost nowhere"), 1, "530 NOT_ALLOWED").await;
        let unknown = "--exchange none -k key --predeclared -y 0";
        fails(&format!("{at} {unknown}"), 1, "404 NOT_FOUND").await;
        fails(&format!("{at} {unknown} -c 10"), 1, "404 NOT_FOUND").await;
        fails(
            &format!("{at} --argument x-max-length=-1"),
            1,
            "406 PRECONDITION_FAILED",
        )
        .await;
    });
}

/// Without confirms only the close of the channel reports it, which may arrive when everything is sent.
#[test]
fn a_publish_that_is_refused_fails_a_run_without_confirms_however_short_it_is() {
    run(async {
        let broker = TestBroker::start().await;
        let at = format!("--quiet --address {}", broker.address());
        let unknown = "--exchange none -k key --predeclared";
        for arguments in [
            "-y 0 -C 1",
            "-y 0 -C 5000",
            "-y 0 -C 3 -r 100",
            "-x 3 -y 0 -C 1",
        ] {
            fails(&format!("{at} {unknown} {arguments}"), 1, "404 NOT_FOUND").await;
        }
        // Too large; consumers would wait for messages that never arrive.
        for arguments in ["-C 2", "-C 2 -y 0", "--backlog 2", "-d 600"] {
            let large = format!("{at} -s 20000000 {arguments}");
            fails(&large, 1, "406 PRECONDITION_FAILED").await;
        }
    });
}

#[test]
fn a_broker_that_blocks_publishers_is_waited_for_and_then_quoted() {
    run(async {
        let Some(broker) = TestBroker::start_with_ctl().await else {
            return;
        };
        broker
            .ctl(&["set_vm_memory_high_watermark", "0.00001"])
            .await;
        let mut loads = Vec::new();
        for arguments in [
            "-u a -C 1000000000",
            "-u b -C 1000000000 -y 0 -c 10",
            "-u c -C 10 -c 5",
            "-u d -d 1",
            "-u e -d 1 -c 10",
            "-u f --backlog 10000000",
        ] {
            loads.push(Load::start_with(&broker, arguments, "4").await);
        }
        for load in loads {
            load.fails(&["it blocks publishers (low on memory)"]).await;
        }
        // A broker that recovers in time is accepted.
        let load = "-C 20000 -y 0 -c 10";
        let mut load = Load::start_with(&broker, load, "60").await;
        let told = |line: &str| {
            line.contains("the broker blocks publishers: ")
                .then_some(())
        };
        load.process.line("that it is blocked", told).await;
        broker.ctl(&["set_vm_memory_high_watermark", "0.4"]).await;
        load.process.succeeded().await;
    });
}

#[test]
fn a_broker_that_stops_reading_and_answering_is_given_up() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let mut loads = Vec::new();
        for arguments in ENDLESS.into_iter().chain(["-u f -d 3 -y 0"]) {
            loads.push(Load::start_with(&broker, arguments, "3").await);
        }
        broker.process().signal("STOP");
        for load in loads {
            // These two just wait, for as long as they were told to.
            if load.arguments.contains("-x 0") || load.arguments.contains("count") {
                load.process.signal("INT");
                continue;
            }
            let mentions = [
                "has accepted no data",
                "has not answered",
                "without a confirm",
            ];
            load.fails(&mentions).await;
        }
        for mode in ["throughput", "connection-count", "queue-churn"] {
            let at = format!("{mode} --patience 1 --address {}", broker.address());
            fails(&at, 1, "the broker has not answered for 1 seconds").await;
        }
    });
}

/// Each load is as likely to wait for a deletion as for a declaration. Deletions were waited for during five minutes,
/// because those of long queues take that long elsewhere.
#[test]
fn a_broker_that_stops_while_it_deletes_a_queue_is_given_up() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let mut loads = Vec::new();
        for n in 0..10 {
            // They would delete each other's queues, but for a virtual host each.
            broker.ctl(&["add_vhost", &format!("v{n}")]).await;
            broker
                .ctl(&[
                    "set_permissions",
                    "-p",
                    &format!("v{n}"),
                    "guest",
                    ".*",
                    ".*",
                    ".*",
                ])
                .await;
            let arguments = format!("queue-churn -C 1000000000 --vhost v{n}");
            loads.push(Load::start_with(&broker, &arguments, "3").await);
        }
        broker.process().signal("STOP");
        for load in loads {
            load.fails(&["has not answered"]).await;
        }
    });
}

#[test]
fn a_broker_that_is_killed_ends_a_run() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let mut loads = Vec::new();
        for arguments in ENDLESS {
            loads.push(Load::start(&broker, arguments).await);
        }
        broker.kill();
        for load in loads {
            let mentions = [
                "closed the connection",
                "from the broker",
                "to the broker",
                "connect to",
            ];
            load.fails(&mentions).await;
        }
    });
}

#[test]
fn a_broker_that_closes_all_connections_is_quoted() {
    run(async {
        let Some(broker) = TestBroker::start_with_ctl().await else {
            return;
        };
        for arguments in ENDLESS {
            if arguments.contains("connection-churn") {
                continue;
            }
            let load = Load::start(&broker, arguments).await;
            broker
                .ctl(&["close_all_connections", "--global", "for a test"])
                .await;
            load.fails(&["320 CONNECTION_FORCED"]).await;
        }
    });
}

#[test]
fn a_queue_that_is_deleted_ends_a_run_that_consumes_from_it() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        for arguments in [
            "-C 1000000000 -u q -r 100",
            "-x 0 -d 600 -u q",
            "-D 1000000000 -u q -a -P 10",
        ] {
            let load = Load::start(&broker, arguments).await;
            let deleted = client.queue_delete("q".into(), Default::default()).await;
            deleted.expect("deleted");
            load.fails(&["its queue is gone"]).await;
        }
    });
}

#[test]
fn messages_that_do_not_come_are_not_waited_for_without_end() {
    run(async {
        let broker = TestBroker::start().await;
        let at = format!("--patience 3 --quiet --address {}", broker.address());
        let nothing = "no message arrived for 3 seconds";
        fails(&format!("{at} -x 0 -D 5"), 1, nothing).await;
        let nowhere = "-u q --keep -C 1 -y 0 --quiet --address";
        let declared = super::leveretperf(&format!("{nowhere} {}", broker.address())).await;
        assert_eq!(declared.status, Some(0), "{declared:?}");
        let elsewhere = "-u q -e amq.direct -k no-such-key --predeclared -D 5 -r 10";
        fails(&format!("{at} {elsewhere}"), 1, nothing).await;
    });
}
