//! leveretctl under the names of RabbitMQ's tools, as images, probes and playbooks call them.

use std::os::unix::fs::symlink;
use std::path::Path;

use leveret_tests::{CtlOutput, TestBroker, binaries, run};
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
