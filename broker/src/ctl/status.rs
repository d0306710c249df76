//! `status`, in the sections of rabbitmqctl's.

use std::fmt::Write;

use serde_json::json;

use crate::admin::status::Status;

use super::help::heading;

/// `--unit`: what sizes are shown in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unit {
    Bytes,
    Megabytes,
    Gigabytes,
}

impl Unit {
    /// The unit of this name; gigabytes when none was given, as in rabbitmqctl.
    pub(super) fn parse(name: Option<&str>) -> Self {
        match name {
            Some("bytes") => Unit::Bytes,
            Some("mb") => Unit::Megabytes,
            _ => Unit::Gigabytes,
        }
    }

    fn show(self, octets: u64) -> String {
        // To four places, without trailing zeros but with a decimal point: 0.0735, 0.0.
        #[allow(clippy::cast_precision_loss, reason = "shown to four places")]
        let rounded = |unit: f64| (octets as f64 / unit * 1e4).round() / 1e4;
        match self {
            Unit::Bytes => format!("{octets} bytes"),
            Unit::Megabytes => format!("{:?} mb", rounded(1e6)),
            Unit::Gigabytes => format!("{:?} gb", rounded(1e9)),
        }
    }
}

/// The text for people.
pub(super) fn text(status: &Status, unit: Unit, bold: bool) -> String {
    let mut text = String::new();
    let mut section = |title: &str, lines: &[String]| {
        let gap = if text.is_empty() { "" } else { "\n" };
        // Writing to a String cannot fail, here and below.
        let _ = write!(text, "{gap}{}\n\n", heading(title, bold));
        for line in lines {
            let _ = writeln!(text, "{line}");
        }
    };
    let bullets = |items: &[String]| items.iter().map(|item| format!(" * {item}")).collect();
    let or_none = |items: Vec<String>| match items.is_empty() {
        true => vec!["(none)".to_owned()],
        false => items,
    };
    section(
        "Runtime",
        &[
            format!("OS PID: {}", status.pid),
            format!("OS: {}", os()),
            format!("Uptime (seconds): {}", status.uptime),
            format!("Leveret version: {}", status.version),
        ],
    );
    section(
        "Data directory",
        &[format!("Node data directory: {}", status.data_directory)],
    );
    section("Config files", &or_none(bullets(&status.config_files)));
    section("Log file(s)", &or_none(bullets(&status.log_files)));
    section("Alarms", &or_none(bullets(&status.alarms)));
    let mut memory = vec![format!("Total memory used: {}", unit.show(status.memory))];
    let limit = status.memory_limit.map(|limit| unit.show(limit));
    memory.extend(limit.map(|limit| format!("Memory high watermark setting: {limit}")));
    section("Memory", &memory);
    section(
        "File Descriptors",
        &[
            format!(
                "Total: {}, limit: {}",
                status.file_descriptors, status.file_descriptors_limit
            ),
            format!("Sockets: {}", status.sockets),
        ],
    );
    let limit = status.disk_free_limit.map(|limit| unit.show(limit));
    let free = status.disk_free.map(|free| unit.show(free));
    let limit = limit.map(|limit| format!("Low free disk space watermark: {limit}"));
    let free = free.map(|free| format!("Free disk space: {free}"));
    section(
        "Free Disk Space",
        &or_none(limit.into_iter().chain(free).collect()),
    );
    section(
        "Totals",
        &[
            format!("Connection count: {}", status.connections),
            format!("Queue count: {}", status.queues),
            format!("Virtual host count: {}", status.vhosts),
        ],
    );
    let listeners: Vec<String> = status
        .listeners
        .iter()
        .map(|listener| {
            let (interface, port) = (&listener.interface, listener.port);
            let (protocol, purpose) = (&listener.protocol, &listener.purpose);
            format!(
                "Interface: {interface}, port: {port}, protocol: {protocol}, purpose: {purpose}"
            )
        })
        .collect();
    section("Listeners", &or_none(listeners));
    text
}

/// The object for programs, under rabbitmqctl's keys.
pub(super) fn as_json(status: &Status) -> String {
    json!({
        "alarms": status.alarms,
        "config_files": status.config_files,
        "data_directory": status.data_directory,
        "disk_free": status.disk_free,
        "disk_free_limit": status.disk_free_limit,
        "file_descriptors": {
            "sockets_used": status.sockets,
            "total_limit": status.file_descriptors_limit,
            "total_used": status.file_descriptors,
        },
        "leveret_version": status.version,
        "listeners": status.listeners,
        "log_files": status.log_files,
        "memory": { "strategy": "rss", "total": { "rss": status.memory } },
        "os": os(),
        "pid": status.pid,
        "product_name": "Leveret",
        "product_version": status.version,
        "totals": {
            "connection_count": status.connections,
            "queue_count": status.queues,
            "virtual_host_count": status.vhosts,
        },
        "uptime": status.uptime,
        "vm_memory_high_watermark_limit": status.memory_limit,
    })
    .to_string()
}

/// The system, capitalised as RabbitMQ does. Client and broker share a machine.
fn os() -> &'static str {
    match std::env::consts::OS {
        "linux" => "Linux",
        "macos" => "Darwin",
        other => other,
    }
}
