//! The settings, each declared once: clap derives the flags and `--help`, serde the keys of the
//! file, and `load` the names of the variables.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::Deserialize;

use super::values::{
    AuthMechanisms, ByteSize, Interval, LogFilter, LogFormat, LoopbackUsers, Maximum, OptionalPort,
    Origins, Secret, TimeLimit,
};
use super::{DiskFreeLimit, MemoryWatermark};

/// One layer of settings: the flags, the environment or the file.
#[derive(Clone, Debug, Default, clap::Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Settings {
    /// Address to listen on [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    pub(super) bind: Option<IpAddr>,

    /// TCP port to listen on; 0 takes any free one [default: 5672]
    #[arg(long, value_name = "PORT")]
    pub(super) port: Option<u16>,

    /// Directory for all stored data [default: $XDG_DATA_HOME/leveret or ~/.local/share/leveret;
    /// for root /var/lib/leveret]
    #[arg(long, value_name = "DIR", global = true)]
    pub(super) data_dir: Option<PathBuf>,

    /// Log level (error, warn, info, debug, trace) or a filter such as info,leveret=debug
    /// [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub(super) log_level: Option<LogFilter>,

    /// Log format: text or json [default: text]
    #[arg(long, value_name = "FORMAT", hide_possible_values = true)]
    pub(super) log_format: Option<LogFormat>,

    /// TOML file whose keys are these options, written with _ (data_dir = "/srv/leveret")
    #[arg(long, value_name = "FILE")]
    // A file cannot name another one.
    #[serde(skip)]
    pub(super) config: Option<PathBuf>,

    /// Heartbeat interval in seconds; 0 turns heartbeats off [default: 60]
    #[arg(long, value_name = "SECONDS", help_heading = "Proposed to clients")]
    pub(super) heartbeat: Option<u16>,

    /// Maximum number of channels per connection; 0 means 65535 [default: 2047]
    #[arg(long, value_name = "COUNT", help_heading = "Proposed to clients")]
    pub(super) channel_max: Option<u16>,

    /// Maximum frame size in bytes, at least 4096 [default: 128KiB]
    #[arg(long, value_name = "SIZE", help_heading = "Proposed to clients")]
    pub(super) frame_max: Option<ByteSize>,

    /// Maximum size of a message body in bytes [default: 16MiB]
    #[arg(long, value_name = "SIZE", help_heading = "Limits and users")]
    pub(super) max_message_size: Option<ByteSize>,

    /// Milliseconds that a consumer may take to acknowledge a delivery; undefined or 0 for no limit
    /// [default: 1800000]
    #[arg(long, value_name = "MILLISECONDS", help_heading = "Limits and users")]
    pub(super) consumer_timeout: Option<TimeLimit>,

    /// Maximum number of connections, or infinity [default: infinity]
    #[arg(long, value_name = "COUNT", help_heading = "Limits and users")]
    pub(super) connection_max: Option<Maximum>,

    /// Maximum number of channels on all connections together, or infinity [default: infinity]
    #[arg(long, value_name = "COUNT", help_heading = "Limits and users")]
    pub(super) channel_max_per_node: Option<Maximum>,

    /// Maximum number of consumers per channel, or infinity [default: infinity]
    #[arg(long, value_name = "COUNT", help_heading = "Limits and users")]
    pub(super) consumer_max_per_channel: Option<Maximum>,

    /// Memory use above which publishers are blocked: a fraction of the machine's memory, or a size
    /// [default: 0.4]
    #[arg(long, value_name = "FRACTION|SIZE", help_heading = "Alarms")]
    pub(super) vm_memory_high_watermark: Option<MemoryWatermark>,

    /// Memory for the messages in all queues together; further messages wait on disk
    /// [default: 32MiB]
    #[arg(long, value_name = "SIZE", help_heading = "Limits and users")]
    pub(super) queue_memory: Option<ByteSize>,

    /// Free disk space below which publishers are blocked: a size, or "mem_relative N" for N times
    /// the machine's memory [default: 50MB]
    #[arg(long, value_name = "SIZE", help_heading = "Alarms")]
    pub(super) disk_free_limit: Option<DiskFreeLimit>,

    /// Maximum size of the uncommitted messages in one connection's transactions, in bytes
    /// [default: 128MiB]
    #[arg(long, value_name = "SIZE", help_heading = "Limits and users")]
    pub(super) max_transaction_size: Option<ByteSize>,

    /// Milliseconds between two samples of what queues, channels and others have counted, from which
    /// rates and histories are made [default: 5000]
    #[arg(long, value_name = "MILLISECONDS", help_heading = "Statistics")]
    pub(super) collect_statistics_interval: Option<Interval>,

    /// Users who may log in only from this machine, separated by commas, or none [default: guest]
    #[arg(long, value_name = "USERS", help_heading = "Limits and users")]
    pub(super) loopback_users: Option<LoopbackUsers>,

    /// Login mechanisms to offer: PLAIN, AMQPLAIN, ANONYMOUS, separated by commas [default:
    /// PLAIN,AMQPLAIN]
    #[arg(long, value_name = "MECHANISMS", help_heading = "Limits and users")]
    pub(super) auth_mechanisms: Option<AuthMechanisms>,

    /// User that ANONYMOUS clients are logged in as, or none; its password comes from
    /// LEVERET_ANONYMOUS_LOGIN_PASS or the file's anonymous_login_pass [default: guest, password
    /// guest]
    #[arg(long, value_name = "USER", help_heading = "Limits and users")]
    pub(super) anonymous_login_user: Option<String>,

    /// Has no flag, like `default_pass`.
    #[arg(skip)]
    pub(super) anonymous_login_pass: Option<Secret>,

    /// Administrator created in a new data directory; its password comes from LEVERET_DEFAULT_PASS
    /// or the file's default_pass [default: guest, password guest]
    #[arg(long, value_name = "USER", help_heading = "Limits and users")]
    pub(super) default_user: Option<String>,

    /// Has no flag: every user of the machine can read a command line.
    #[arg(skip)]
    pub(super) default_pass: Option<Secret>,

    /// Definition file to import at every start, or a directory whose *.json files are imported in the
    /// order of their names, or none; a new data directory then gets no default user [default: none]
    #[arg(long, value_name = "PATH", help_heading = "Definitions")]
    pub(super) load_definitions: Option<PathBuf>,

    /// Do not import the definitions again if they have not changed: true or false [default: false]
    #[arg(long, value_name = "BOOL", help_heading = "Definitions")]
    pub(super) definitions_skip_if_unchanged: Option<bool>,

    /// Serve the management HTTP API and metrics: true or false [default: true]
    #[arg(long, value_name = "BOOL", help_heading = "Management")]
    pub(super) management: Option<bool>,

    /// Address of the management HTTP API [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS", help_heading = "Management")]
    pub(super) management_bind: Option<IpAddr>,

    /// TCP port of the management HTTP API; 0 takes any free one [default: 15672, if it is free]
    #[arg(long, value_name = "PORT", help_heading = "Management")]
    pub(super) management_port: Option<u16>,

    /// Web origins whose pages may call the management HTTP API, separated by commas, or * for all
    /// [default: none]
    #[arg(long, value_name = "ORIGINS", help_heading = "Management")]
    pub(super) management_cors_allow_origins: Option<Origins>,

    /// TCP port on which anybody may read the metrics, without a login; 0 takes any free one, none
    /// opens none [default: none]
    #[arg(long, value_name = "PORT", help_heading = "Management")]
    pub(super) prometheus_port: Option<OptionalPort>,

    /// Address of that port [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS", help_heading = "Management")]
    pub(super) prometheus_bind: Option<IpAddr>,
}

/// The frame size that every peer must accept (spec 4.2.3).
const FRAME_MIN_SIZE: u64 = 4096;
/// A frame is one buffer: beyond this size it costs more memory than it saves in headers.
const FRAME_MAX_LIMIT: u64 = 128 << 20;
/// RabbitMQ's upper bound for `max_message_size`.
const MAX_MESSAGE_LIMIT: u64 = 512 << 20;

impl Settings {
    /// Checks the ranges that the types do not check.
    ///
    /// # Errors
    /// The name of the flag, without its leading dashes, and what is wrong with the value.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        let within = |key, value: Option<ByteSize>, least: u64, most: u64| match value {
            Some(ByteSize(size)) if size < least || size > most => Err((
                key,
                format!("{size} is out of range: use {least} to {most} bytes"),
            )),
            _ => Ok(()),
        };
        within("frame-max", self.frame_max, FRAME_MIN_SIZE, FRAME_MAX_LIMIT)?;
        within(
            "max-message-size",
            self.max_message_size,
            1,
            MAX_MESSAGE_LIMIT,
        )?;
        if self
            .data_dir
            .as_ref()
            .is_some_and(|path| path.as_os_str().is_empty())
        {
            return Err(("data-dir", "the path is empty".to_owned()));
        }
        if let Some(path) = &self.load_definitions
            && path.as_os_str().is_empty()
        {
            return Err(("load-definitions", "the path is empty".to_owned()));
        }
        let is_empty =
            |name: &Option<String>| name.as_ref().is_some_and(|name| name.trim().is_empty());
        for (key, name) in [
            ("default-user", &self.default_user),
            ("anonymous-login-user", &self.anonymous_login_user),
        ] {
            if is_empty(name) {
                return Err((key, "the name is empty".to_owned()));
            }
        }
        Ok(())
    }

    /// Returns this layer, completed with the settings of the layer below.
    pub(super) fn or(self, below: Settings) -> Settings {
        Settings {
            bind: self.bind.or(below.bind),
            port: self.port.or(below.port),
            data_dir: self.data_dir.or(below.data_dir),
            log_level: self.log_level.or(below.log_level),
            log_format: self.log_format.or(below.log_format),
            config: self.config.or(below.config),
            heartbeat: self.heartbeat.or(below.heartbeat),
            channel_max: self.channel_max.or(below.channel_max),
            frame_max: self.frame_max.or(below.frame_max),
            max_message_size: self.max_message_size.or(below.max_message_size),
            consumer_timeout: self.consumer_timeout.or(below.consumer_timeout),
            connection_max: self.connection_max.or(below.connection_max),
            channel_max_per_node: self.channel_max_per_node.or(below.channel_max_per_node),
            consumer_max_per_channel: self
                .consumer_max_per_channel
                .or(below.consumer_max_per_channel),
            vm_memory_high_watermark: self
                .vm_memory_high_watermark
                .or(below.vm_memory_high_watermark),
            queue_memory: self.queue_memory.or(below.queue_memory),
            disk_free_limit: self.disk_free_limit.or(below.disk_free_limit),
            max_transaction_size: self.max_transaction_size.or(below.max_transaction_size),
            collect_statistics_interval: self
                .collect_statistics_interval
                .or(below.collect_statistics_interval),
            loopback_users: self.loopback_users.or(below.loopback_users),
            auth_mechanisms: self.auth_mechanisms.or(below.auth_mechanisms),
            anonymous_login_user: self.anonymous_login_user.or(below.anonymous_login_user),
            anonymous_login_pass: self.anonymous_login_pass.or(below.anonymous_login_pass),
            default_user: self.default_user.or(below.default_user),
            default_pass: self.default_pass.or(below.default_pass),
            load_definitions: self.load_definitions.or(below.load_definitions),
            definitions_skip_if_unchanged: self
                .definitions_skip_if_unchanged
                .or(below.definitions_skip_if_unchanged),
            management: self.management.or(below.management),
            management_bind: self.management_bind.or(below.management_bind),
            management_port: self.management_port.or(below.management_port),
            management_cors_allow_origins: self
                .management_cors_allow_origins
                .or(below.management_cors_allow_origins),
            prometheus_port: self.prometheus_port.or(below.prometheus_port),
            prometheus_bind: self.prometheus_bind.or(below.prometheus_bind),
        }
    }
}
