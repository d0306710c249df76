//! `status`, with the same sections as rabbitmqctl's.

use std::fmt::Write;

use serde_json::json;

use crate::config::MemoryWatermark;
use crate::manage::status::Status;

use crate::text::names::{NODE_NAME, RABBITMQ_VERSION};

use super::alarms::describe;
use super::commands::health;
use super::help::heading;

/// `--unit`: the unit of sizes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unit {
    Bytes,
    Megabytes,
    Gigabytes,
}

impl Unit {
    /// Returns the unit with this name; gigabytes without one, as in rabbitmqctl.
    pub(super) fn parse(name: Option<&str>) -> Self {
        match name.map(str::to_lowercase).as_deref() {
            Some("bytes") => Unit::Bytes,
            Some("mb") => Unit::Megabytes,
            _ => Unit::Gigabytes,
        }
    }

    /// Formats a size.
    pub(super) fn show(self, bytes: u64) -> String {
        // To four places, without trailing zeros but with a decimal point: 0.0735, 0.0.
        #[allow(clippy::cast_precision_loss, reason = "shown to four places")]
        let rounded = |unit: f64| (bytes as f64 / unit * 1e4).round() / 1e4;
        match self {
            Unit::Bytes => format!("{bytes} bytes"),
            Unit::Megabytes => format!("{:?} mb", rounded(1e6)),
            Unit::Gigabytes => format!("{:?} gb", rounded(1e9)),
        }
    }
}

/// Formats the status as text.
pub(super) fn text(status: &Status, unit: Unit, bold: bool) -> String {
    let mut text = String::new();
    for (title, lines) in sections(status, unit) {
        let gap = if text.is_empty() { "" } else { "\n" };
        // Writing to a String cannot fail, here and below.
        let _ = write!(text, "{gap}{}\n\n", heading(title, bold));
        let lines = if lines.is_empty() {
            vec!["(none)".to_owned()]
        } else {
            lines
        };
        for line in lines {
            let _ = writeln!(text, "{line}");
        }
    }
    text
}

/// Returns the sections in rabbitmqctl's order, each with its lines.
fn sections(status: &Status, unit: Unit) -> [(&'static str, Vec<String>); 10] {
    let bullets = |items: &[String]| items.iter().map(|item| format!(" * {item}")).collect();
    let size = |title: &'static str, bytes: Option<u64>| {
        bytes.map(|bytes| format!("{title}: {}", unit.show(bytes)))
    };
    let runtime = vec![
        format!("OS PID: {}", status.pid),
        format!("OS: {}", os()),
        format!("Uptime (seconds): {}", status.uptime),
        format!("Is under maintenance?: {}", status.is_under_maintenance),
        // Ansible's modules look for this line to choose among rabbitmqctl's layouts.
        format!("RabbitMQ version: {RABBITMQ_VERSION}"),
        format!("Leveret version: {}", status.version),
        format!("Node name: {NODE_NAME}"),
    ];
    let memory = [
        size("Total memory used", Some(status.memory)),
        Some(watermark(status, unit)),
    ];
    let (open, limit) = (status.file_descriptors, status.file_descriptors_limit);
    let descriptors = vec![
        format!("Total: {open}, limit: {limit}"),
        format!("Sockets: {}", status.sockets),
    ];
    let disk = [
        size(
            "Low free disk space watermark",
            Some(status.disk_free_limit),
        ),
        size("Free disk space", status.disk_free),
    ];
    let totals = vec![
        format!("Connection count: {}", status.connections),
        format!("Queue count: {}", status.queues),
        format!("Virtual host count: {}", status.vhosts),
    ];
    [
        ("Runtime", runtime),
        (
            "Data directory",
            vec![format!("Node data directory: {}", status.data_directory)],
        ),
        ("Config files", bullets(&status.config_files)),
        ("Log file(s)", bullets(&status.log_files)),
        (
            "Alarms",
            status
                .alarms
                .iter()
                .map(|alarm| describe(*alarm).to_owned())
                .collect(),
        ),
        ("Memory", memory.into_iter().flatten().collect()),
        ("File Descriptors", descriptors),
        ("Free Disk Space", disk.into_iter().flatten().collect()),
        ("Totals", totals),
        (
            "Listeners",
            status.listeners.iter().map(health::describe).collect(),
        ),
    ]
}

fn watermark(status: &Status, unit: Unit) -> String {
    let computed = unit.show(status.memory_limit);
    let setting = match status.memory_watermark {
        MemoryWatermark::Relative(fraction) => format!("{fraction:?} of available memory"),
        MemoryWatermark::Absolute(bytes) => unit.show(bytes),
    };
    format!("Memory high watermark setting: {setting}, computed to: {computed}")
}

/// Formats the status as a JSON object with rabbitmqctl's keys.
pub(super) fn as_json(status: &Status) -> String {
    let alarm = |alarm| json!({ "resource": alarm, "type": "resource_limit" });
    let setting = match status.memory_watermark {
        MemoryWatermark::Relative(fraction) => json!({ "relative": fraction }),
        MemoryWatermark::Absolute(bytes) => json!({ "absolute": bytes }),
    };
    json!({
        "alarms": status.alarms.iter().map(alarm).collect::<Vec<_>>(),
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
        "rabbitmq_version": RABBITMQ_VERSION,
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
        "is_under_maintenance": status.is_under_maintenance,
        "uptime": status.uptime,
        "vm_memory_high_watermark_limit": status.memory_limit,
        "vm_memory_high_watermark_setting": setting,
    })
    .to_string()
}

/// Returns the name of the operating system, capitalised as in RabbitMQ. leveretctl runs on the broker's
/// machine.
fn os() -> &'static str {
    match std::env::consts::OS {
        "linux" => "Linux",
        "macos" => "Darwin",
        other => other,
    }
}
