//! leveretctl under the names of RabbitMQ's tools, as images, probes and playbooks call them.

use std::os::unix::fs::symlink;
use std::path::Path;

use leveret_tests::{CtlOutput, TestBroker, binaries, isolate, run};
use serde_json::Value;

/// Runs a link to a program by this name, on the broker's data directory.
async fn called(broker: &TestBroker, program: &Path, line: &str) -> CtlOutput {
    let folder = tempfile::tempdir().expect("a folder");
    let words: Vec<&str> = line.split(' ').collect();
    let link = folder.path().join(words[0]);
    symlink(program, &link).expect("a link");
    let mut command = tokio::process::Command::new(&link);
    command
        .args(&words[1..])
        .env("LEVERET_DATA_DIR", broker.data_dir())
        .kill_on_drop(true);
    isolate(command.as_std_mut());
    let output = command.output().await.expect("the program runs");
    CtlOutput {
        status: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[test]
fn probes_of_containers_run_as_they_are_written() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let probes = [
            "rabbitmq-diagnostics -q ping",
            "rabbitmq-diagnostics -q check_running",
            "rabbitmq-diagnostics -q check_local_alarms",
            "rabbitmq-diagnostics -q check_port_connectivity",
            "rabbitmq-diagnostics -q check_virtual_hosts",
            "rabbitmq-diagnostics -q status",
            "rabbitmq-diagnostics check_port_connectivity",
            "rabbitmqctl -n rabbit@localhost cluster_status",
            "rabbitmqctl await_online_nodes 1",
            "rabbitmq-plugins list -E -m",
            "rabbitmq-queues check_if_node_is_quorum_critical",
        ];
        let ctl = &binaries().leveretctl;
        for probe in probes {
            let output = called(&broker, ctl, probe).await;
            assert_eq!(output.status, Some(0), "{probe}: {output:?}");
            assert!(
                !output.stdout.is_empty() && output.stderr.is_empty(),
                "{probe}: {output:?}"
            );
        }
        // The broker's program is leveretctl, too, when it is called like this.
        let ping = called(&broker, &binaries().leveret, "rabbitmqctl -q ping").await;
        assert_eq!(ping.stdout, "Ping succeeded\n");
        broker.stop().await;
        for probe in &probes[..6] {
            let output = called(&broker, ctl, probe).await;
            assert_eq!(output.status, Some(69), "{probe}: {output:?}");
        }
    });
}

#[test]
fn a_node_tells_of_itself_and_of_its_queues() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        client.durable_queue("q").await;
        let pid = broker.pid().expect("a process").to_string();
        let wait = broker.ctl(&["wait", "--pid", &pid]).await;
        assert!(wait.contains("are running on node"), "{wait}");
        let memory = broker
            .ctl(&["memory_breakdown", "--formatter", "json"])
            .await;
        let memory: Value = serde_json::from_str(&memory).expect("JSON");
        assert!(
            memory["other_system"]["bytes"].as_u64() > Some(0),
            "{memory}"
        );
        let settings = broker.ctl(&["environment", "--formatter", "json"]).await;
        let settings: Value = serde_json::from_str(&settings).expect("JSON");
        assert!(settings["leveret"]["frame_max"].is_u64(), "{settings}");
        let attempts = broker
            .ctl(&["-q", "list_node_auth_attempt_stats", "--formatter", "json"])
            .await;
        let attempts: Value = serde_json::from_str(&attempts).expect("JSON");
        assert_eq!(attempts["attempts"][0]["protocol"], "amqp091");
        assert_eq!(attempts["attempts"][0]["auth_attempts_succeeded"], 1);
        broker.ctl(&["set_cluster_name", "burrow"]).await;
        let cluster = broker.ctl(&["cluster_status", "--formatter", "json"]).await;
        let cluster: Value = serde_json::from_str(&cluster).expect("JSON");
        assert_eq!(cluster["cluster_name"], "burrow");
        let classic = broker.try_ctl(&["-q", "quorum_status", "q"]).await;
        assert_eq!(
            (classic.status, classic.stderr.as_str()),
            (
                Some(69),
                "Error:\nCannot get quorum status of a classic queue\n"
            )
        );
        let missing = broker.try_ctl(&["-q", "quorum_status", "nope"]).await;
        assert_eq!(
            (missing.status, missing.stderr.as_str()),
            (Some(69), "Error:\nnot_found\n")
        );
        let report = broker.ctl(&["report"]).await;
        for part in [
            "Status of node",
            "Cluster status",
            "Listing queues for vhost /",
            "q\t",
        ] {
            assert!(report.contains(part), "{part}: {report}");
        }
        let other = broker
            .try_ctl(&["-n", "other@localhost", "list_queues"])
            .await;
        assert_eq!(other.status, Some(69), "{other:?}");
    });
}

/// What Ansible's modules of community.rabbitmq ask for.
#[test]
fn what_playbooks_call_answers_as_rabbitmq_does() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let ctl = &binaries().leveretctl;
        let status = called(&broker, ctl, "rabbitmqctl status --formatter json").await;
        let status: Value = serde_json::from_str(&status.stdout).expect("JSON");
        assert_eq!(status["rabbitmq_version"], "4.0.0");
        let status = called(&broker, ctl, "rabbitmqctl -q status").await.stdout;
        assert!(status.contains("\nRabbitMQ version: 4.0.0\n"), "{status}");
        let flags = called(&broker, ctl, "rabbitmqctl -q list_feature_flags").await;
        assert!(
            flags.stdout.contains("maintenance_mode_status\tenabled"),
            "{flags:?}"
        );
        let disable = "rabbitmq-plugins -n rabbit disable --online rabbitmq_random_exchange";
        assert_eq!(called(&broker, ctl, disable).await.status, Some(0));
        let added = called(&broker, ctl, "rabbitmqctl add_user walker secret").await;
        assert!(
            added
                .stdout
                .contains("See 'rabbitmqctl help set_permissions'"),
            "{added:?}"
        );
    });
}

#[test]
fn a_stopped_application_and_maintenance_are_told() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let ctl = &binaries().leveretctl;
        let pid = broker.process().id();
        let wait = format!("rabbitmqctl wait --pid {pid} -t 5");
        assert_eq!(called(&broker, ctl, &wait).await.status, Some(0));
        // No process has the largest number.
        let nobody = called(&broker, ctl, "rabbitmqctl wait --pid 2147483647 -t 5").await;
        assert_eq!(
            (nobody.status, nobody.stderr.as_str()),
            (Some(69), "Error:\nprocess_not_running\n")
        );
        broker.ctl(&["drain"]).await;
        let status = broker.ctl(&["cluster_status"]).await;
        assert!(
            status.contains("status: marked for maintenance"),
            "{status}"
        );
        broker.ctl(&["revive"]).await;
        broker.ctl(&["stop_app"]).await;
        let stopped = called(&broker, ctl, &wait).await;
        assert_eq!(
            (stopped.status, stopped.stderr.as_str()),
            (Some(69), "Error:\nrabbit_is_not_running\n")
        );
        for (probe, status) in [
            ("rabbitmq-diagnostics -q check_running", 69),
            ("rabbitmq-diagnostics -q is_running", 0),
            ("rabbitmqctl -q report", 64),
            ("rabbitmqctl top", 64),
        ] {
            assert_eq!(
                called(&broker, ctl, probe).await.status,
                Some(status),
                "{probe}"
            );
        }
        broker.ctl(&["start_app"]).await;
        assert_eq!(called(&broker, ctl, &wait).await.status, Some(0));
    });
}

/// The line is written before the level that would silence it.
#[test]
fn who_silences_the_log_is_in_the_log() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        broker.ctl(&["set_log_level", "none"]).await;
        let told = |line: &str| {
            (line.contains("changed by an operator") && line.contains("set_log_level"))
                .then_some(())
        };
        broker.process().line("who has set the level", told).await;
    });
}
