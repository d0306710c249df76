//! Settings as text, for comparing two configurations and logging the difference.

use super::Mechanism;
use super::file;
use super::{Config, DEFAULT_MANAGEMENT_PORT, LogFormat};
use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

impl Config {
    /// Returns the settings of [`Config::settings`] as a configuration file.
    pub fn to_file(&self) -> String {
        let settings = self.settings().into_iter();
        settings.map(|(key, value)| line(key, &value)).collect()
    }

    /// Returns every setting of a running broker by its key, as text that a flag could have.
    /// Leaves out the passwords and what only matters for a new data directory.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        // Destructured, so that a setting that is added later cannot be forgotten here.
        let Config {
            bind,
            port,
            data_dir,
            log_level,
            log_format,
            heartbeat,
            channel_max,
            frame_max,
            max_message_size,
            consumer_timeout,
            connection_max,
            channel_max_per_node,
            consumer_max_per_channel,
            vm_memory_high_watermark,
            queue_memory,
            disk_free_limit,
            max_transaction_size,
            collect_statistics_interval,
            loopback_users,
            auth_mechanisms,
            anonymous_login_user,
            anonymous_login_pass: _,
            default_user: _,
            default_pass: _,
            load_definitions,
            definitions_skip_if_unchanged,
            management,
            management_bind,
            management_port,
            management_cors_allow_origins,
            prometheus_port,
            prometheus_bind,
            config_file: _,
        } = self;
        vec![
            ("bind", bind.to_string()),
            ("port", port.to_string()),
            ("data_dir", data_dir.display().to_string()),
            ("log_level", log_level.as_str().to_owned()),
            ("log_format", format_name(*log_format).to_owned()),
            ("heartbeat", heartbeat.to_string()),
            ("channel_max", channel_max.to_string()),
            ("frame_max", frame_max.to_string()),
            ("max_message_size", max_message_size.to_string()),
            ("consumer_timeout", milliseconds(*consumer_timeout)),
            ("connection_max", or_infinity(*connection_max)),
            ("channel_max_per_node", or_infinity(*channel_max_per_node)),
            (
                "consumer_max_per_channel",
                or_infinity(*consumer_max_per_channel),
            ),
            (
                "vm_memory_high_watermark",
                vm_memory_high_watermark.to_string(),
            ),
            ("queue_memory", queue_memory.to_string()),
            ("disk_free_limit", disk_free_limit.to_string()),
            ("max_transaction_size", max_transaction_size.to_string()),
            (
                "collect_statistics_interval",
                collect_statistics_interval.as_millis().to_string(),
            ),
            ("loopback_users", users(loopback_users)),
            ("auth_mechanisms", mechanisms(auth_mechanisms)),
            (
                "anonymous_login_user",
                users(anonymous_login_user.as_slice()),
            ),
            ("load_definitions", path(load_definitions.as_deref())),
            (
                "definitions_skip_if_unchanged",
                definitions_skip_if_unchanged.to_string(),
            ),
            ("management", management.to_string()),
            ("management_bind", management_bind.to_string()),
            ("management_port", port_or_default(*management_port)),
            (
                "management_cors_allow_origins",
                users(management_cors_allow_origins),
            ),
            (
                "prometheus_port",
                prometheus_port.map_or_else(|| "none".to_owned(), |port| port.to_string()),
            ),
            ("prometheus_bind", prometheus_bind.to_string()),
        ]
    }
}

/// Returns a setting as a line of the file: numbers and booleans as they are, everything else between quotes.
fn line(key: &str, value: &str) -> String {
    let bare = format!("{key} = {value}\n");
    let plain = value.parse::<f64>().is_ok() || value.parse::<bool>().is_ok();
    match plain && file::parse(&bare).is_ok() {
        true => bare,
        false => format!("{key} = {}\n", toml::Value::from(value)),
    }
}

fn format_name(format: LogFormat) -> &'static str {
    match format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    }
}

fn milliseconds(limit: Option<Duration>) -> String {
    limit.map_or_else(
        || "undefined".to_owned(),
        |limit| limit.as_millis().to_string(),
    )
}

fn or_infinity(limit: Option<impl Display>) -> String {
    limit.map_or_else(|| "infinity".to_owned(), |limit| limit.to_string())
}

fn path(path: Option<&Path>) -> String {
    path.map_or_else(|| "none".to_owned(), |path| path.display().to_string())
}

fn port_or_default(port: Option<u16>) -> String {
    port.unwrap_or(DEFAULT_MANAGEMENT_PORT).to_string()
}

fn mechanisms(mechanisms: &[Mechanism]) -> String {
    let names: Vec<&str> = mechanisms.iter().map(|each| each.name()).collect();
    names.join(",")
}

fn users(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.join(","),
    }
}
