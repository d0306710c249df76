//! Listings and `status`.

use super::*;
use crate::config::MemoryWatermark;
use crate::manage::columns::QueueColumn;
use crate::manage::request::Resource;
use crate::manage::status::{Listener, Status};
use crate::manage::value::Value;

pub(in crate::ctl) fn status() -> Status {
    let [interface, protocol, purpose] = ["127.0.0.1", "amqp", "AMQP 0-9-1"].map(text);
    Status {
        pid: 8204,
        uptime: 867,
        is_under_maintenance: false,
        version: text("0.1.0"),
        cluster_name: text("burrow"),
        settings: vec![
            (text("port"), text("5690")),
            (text("management"), text("true")),
            (text("bind"), text("127.0.0.1")),
        ],
        variables: vec![(text("LEVERET_PORT"), text("5690"))],
        data_directory: text("/var/lib/leveret"),
        config_files: vec![],
        log_files: vec![text("<stderr>")],
        alarms: vec![],
        memory: 126_300_000,
        memory_watermark: MemoryWatermark::Relative(0.4),
        memory_limit: 400_000_000,
        file_descriptors: 4,
        file_descriptors_limit: 19_903,
        sockets: 1,
        disk_free: Some(84_314_700_000),
        disk_free_limit: 50_000_000,
        connections: 1,
        queues: 3,
        vhosts: 1,
        listeners: vec![Listener {
            interface,
            port: 5690,
            protocol,
            purpose,
        }],
    }
}

#[test]
fn queues_are_listed_under_a_banner_and_a_header() {
    let row = |name: &str, count: u64| vec![Value::from(name), Value::from(count)];
    let answer = || {
        let batches = [vec![row("task_queue", 2)], vec![row("hello", 1)]];
        batches
            .into_iter()
            .map(Response::Rows)
            .chain([Response::Ok])
            .collect()
    };
    let (request, shown) = ctl(&["list_queues"], answer());
    let columns = vec![QueueColumn::Name, QueueColumn::Messages];
    assert_eq!(
        request,
        Request::ListQueues {
            vhost: text("/"),
            columns
        }
    );
    let banner = "Timeout: 60.0 seconds ...\nListing queues for vhost / ...\n";
    let (header, rows) = ("name\tmessages\n", "task_queue\t2\nhello\t1\n");
    assert_eq!(shown, outcome(0, &format!("{banner}{header}{rows}"), ""));

    let shown = |words: &[&str]| ctl(words, answer()).1;
    assert_eq!(
        shown(&["-q", "list_queues"]),
        outcome(0, &format!("{header}{rows}"), "")
    );
    assert_eq!(shown(&["list_queues", "-s"]), outcome(0, rows, ""));
    let (timeout, bare) = ("Timeout: 5.0 seconds ...", "--no-table-headers");
    let listing = format!("{timeout}\nListing queues for vhost / ...\n{rows}");
    assert_eq!(
        shown(&["list_queues", bare, "-t", "5"]),
        outcome(0, &listing, "")
    );
    let json =
        "[\n{\"name\":\"task_queue\",\"messages\":2}\n,{\"name\":\"hello\",\"messages\":1}\n]\n";
    assert_eq!(
        shown(&["list_queues", "--formatter", "json"]),
        outcome(0, json, "")
    );
}

#[test]
fn columns_may_be_separated_by_commas_and_are_shown_once() {
    let words = ["list_queues", "name, messages", "durable,name", "-p", "v"];
    let (request, shown) = ctl(&words, vec![Response::Ok]);
    let columns = vec![
        QueueColumn::Name,
        QueueColumn::Messages,
        QueueColumn::Durable,
    ];
    assert_eq!(
        request,
        Request::ListQueues {
            vhost: text("v"),
            columns
        }
    );
    assert_eq!(
        shown.out,
        "Timeout: 60.0 seconds ...\nListing queues for vhost v ...\n"
    );
}

#[test]
fn status_has_rabbitmqctls_sections() {
    let answer = || vec![Response::Status(Box::new(status()))];
    let (request, shown) = ctl(&["-q", "status"], answer());
    assert_eq!(request, Request::Status);
    let wanted = "Runtime\n\nOS PID: 8204\nOS: Linux\nUptime (seconds): 867\n\
        Is under maintenance?: false\nRabbitMQ version: 4.0.0\nLeveret version: 0.1.0\nNode name: leveret@localhost\n\nData directory\n\nNode data directory: /var/lib/leveret\n\n\
        Config files\n\n(none)\n\nLog file(s)\n\n * <stderr>\n\nAlarms\n\n(none)\n\nMemory\n\n\
        Total memory used: 0.1263 gb\n\
        Memory high watermark setting: 0.4 of available memory, computed to: 0.4 gb\n\nFile Descriptors\n\nTotal: 4, limit: 19903\nSockets: 1\n\n\
        Free Disk Space\n\nLow free disk space watermark: 0.05 gb\nFree disk space: 84.3147 gb\n\n\
        Totals\n\nConnection count: 1\nQueue count: 3\nVirtual host count: 1\n\nListeners\n\n\
        Interface: 127.0.0.1, port: 5690, protocol: amqp, purpose: AMQP 0-9-1\n";
    assert_eq!(
        shown.out,
        wanted.replace(
            "Linux",
            if cfg!(target_os = "linux") {
                "Linux"
            } else {
                "Darwin"
            }
        )
    );
    let (_, shown) = ctl(&["status", "--formatter", "json"], answer());
    let json: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(json["totals"]["queue_count"], 3);
    assert_eq!(json["file_descriptors"]["total_used"], 4);
    assert_eq!(json["alarms"], serde_json::json!([]));
    let setting = &json["vm_memory_high_watermark_setting"];
    assert_eq!(*setting, serde_json::json!({ "relative": 0.4 }));
    let (_, shown) = ctl(&["-q", "status", "--unit", "mb"], answer());
    assert!(
        shown.out.contains("Total memory used: 126.3 mb\n"),
        "{}",
        shown.out
    );
    assert_eq!(alone(&["status", "--unit", "tb"]).status, 64);
    let alarmed = Status {
        alarms: vec![Resource::Disk, Resource::Memory],
        memory_watermark: MemoryWatermark::Absolute(2_000_000_000),
        memory_limit: 2_000_000_000,
        ..status()
    };
    let (_, shown) = ctl(
        &["-q", "status"],
        vec![Response::Status(Box::new(alarmed.clone()))],
    );
    for section in [
        "Alarms\n\nFree disk space alarm\nMemory alarm\n\n",
        "Memory high watermark setting: 2.0 gb, computed to: 2.0 gb\n",
    ] {
        assert!(shown.out.contains(section), "{}", shown.out);
    }
    let (_, shown) = ctl(
        &["status", "--formatter", "json"],
        vec![Response::Status(Box::new(alarmed))],
    );
    let json: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
    let alarm = serde_json::json!({ "resource": "disk", "type": "resource_limit" });
    assert_eq!(json["alarms"][0], alarm);
}
