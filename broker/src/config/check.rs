//! What is checked of settings beyond their types: ranges, and what must not be empty.

use super::listener::{ListenerSpecs, Spoken};
use super::settings::Settings;
use super::values::ByteSize;
use crate::text::names::check_length;
use crate::text::pattern::Expression;

/// The frame size that every peer must accept (spec 4.2.3).
const FRAME_MIN_SIZE: u64 = 4096;
/// A frame is one buffer: beyond this size it costs more memory than it saves in headers.
const FRAME_MAX_LIMIT: u64 = 128 << 20;
/// RabbitMQ's upper bound for `max_message_size`.
const MAX_MESSAGE_LIMIT: u64 = 512 << 20;

/// The most connections that may wait to be accepted: systems take no more.
const MAX_BACKLOG: u32 = 65_535;
/// The longest silence that systems let pass before they look for a peer, in seconds.
const MAX_KEEPALIVE: u32 = 32_767;

/// A year, in minutes.
const MAX_SESSION_TIMEOUT: u32 = 365 * 24 * 60;

/// Rotating one renames all.
const MAX_ROTATION_COUNT: u32 = 1000;

/// The settings that are numbers, with their ranges.
const NUMBERS: [(&str, u32, u32); 9] = [
    ("port", 0, MAX_16),
    ("management-port", 0, MAX_16),
    ("heartbeat", 0, MAX_16),
    ("channel-max", 0, MAX_16),
    ("tcp-backlog", 1, MAX_BACKLOG),
    ("tcp-keepalive", 0, MAX_KEEPALIVE),
    ("log-file-rotation-count", 0, MAX_ROTATION_COUNT),
    ("management-login-session-timeout", 1, MAX_SESSION_TIMEOUT),
    ("ssl-cert-login-san-index", 0, u32::MAX),
];

/// The largest port, and what AMQP's negotiation has room for.
const MAX_16: u32 = u16::MAX as u32;

/// Returns what is said of a value that is not the number that a setting is; `None` for settings that are none. The name may
/// be a flag's or a key's.
pub(super) fn not_a_number(setting: &str) -> Option<String> {
    let setting = setting.replace('_', "-");
    let (_, least, most) = NUMBERS.into_iter().find(|(name, ..)| *name == setting)?;
    Some(format!("not a number from {least} to {most}"))
}

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
        if let Some(count) = self.log_file_rotation_count
            && count > MAX_ROTATION_COUNT
        {
            let reason = format!("{count} is out of range: use 0 to {MAX_ROTATION_COUNT}");
            return Err(("log-file-rotation-count", reason));
        }
        if let Some(minutes) = self.management_login_session_timeout
            && !(1..=MAX_SESSION_TIMEOUT).contains(&minutes)
        {
            let reason =
                format!("{minutes} is out of range: use 1 to {MAX_SESSION_TIMEOUT} minutes");
            return Err(("management-login-session-timeout", reason));
        }
        self.check_paths()?;
        self.check_default_user()?;
        self.check_listeners()
    }

    /// Checks that no path is empty.
    fn check_paths(&self) -> Result<(), (&'static str, String)> {
        for (key, path) in [
            ("data-dir", &self.data_dir),
            ("log-file", &self.log_file),
            ("load-definitions", &self.load_definitions),
            ("tls-key-password-file", &self.tls_key_password_file),
            ("tls-cacertfile", &self.tls_cacertfile),
            ("default-pass-file", &self.default_pass_file),
        ] {
            if path
                .as_ref()
                .is_some_and(|path| path.as_os_str().is_empty())
            {
                return Err((key, "the path is empty".to_owned()));
            }
        }
        Ok(())
    }

    /// Checks what the default user is called and may do.
    fn check_default_user(&self) -> Result<(), (&'static str, String)> {
        if self.default_pass.is_some() && self.default_pass_file.is_some() {
            let reason = "the password is given directly, too: use one of the two".to_owned();
            return Err(("default-pass-file", reason));
        }
        let is_empty =
            |name: &Option<String>| name.as_ref().is_some_and(|name| name.trim().is_empty());
        for (key, name) in [
            ("default-user", &self.default_user),
            ("default-vhost", &self.default_vhost),
            ("anonymous-login-user", &self.anonymous_login_user),
        ] {
            if is_empty(name) {
                return Err((key, "the name is empty".to_owned()));
            }
        }
        for (key, pattern) in [
            (
                "default-permissions-configure",
                &self.default_permissions_configure,
            ),
            ("default-permissions-write", &self.default_permissions_write),
            ("default-permissions-read", &self.default_permissions_read),
        ] {
            let compiled = pattern.as_deref().map(Expression::compile).transpose();
            compiled.map_err(|error| (key, error.to_string()))?;
        }
        if let Some(name) = &self.default_vhost {
            check_length("name of the virtual host", name)
                .map_err(|error| ("default-vhost", error.to_string()))?;
        }
        Ok(())
    }

    /// Checks that every listener is given one way only, and in its own words.
    fn check_listeners(&self) -> Result<(), (&'static str, String)> {
        let given =
            |specs: &Option<ListenerSpecs>| specs.as_ref().is_some_and(|given| !given.0.is_empty());
        for (key, specs, spoken, other) in [
            (
                "listeners",
                &self.listeners,
                Spoken::Amqp,
                self.simple_listener(),
            ),
            (
                "management-listeners",
                &self.management_listeners,
                Spoken::Http,
                self.simple_management_listener(),
            ),
            (
                "prometheus-listeners",
                &self.prometheus_listeners,
                Spoken::Http,
                self.simple_prometheus_listener(),
            ),
        ] {
            if let Some(specs) = specs {
                specs.speak(spoken).map_err(|reason| (key, reason))?;
            }
            if let Some(other) = other.filter(|_| given(specs)) {
                let reason = format!("it takes the place of {other}: use one or the other");
                return Err((key, reason));
            }
        }
        for (key, value, least, most) in [
            ("tcp-backlog", self.tcp_backlog, 1, MAX_BACKLOG),
            ("tcp-keepalive", self.tcp_keepalive, 0, MAX_KEEPALIVE),
        ] {
            if let Some(value) = value.filter(|value| !(least..=most).contains(value)) {
                let reason = format!("{value} is out of range: use {least} to {most}");
                return Err((key, reason));
            }
        }
        Ok(())
    }

    /// Returns which setting of this layer names an address or a port for AMQP, instead of `listeners`.
    fn simple_listener(&self) -> Option<&'static str> {
        let bind = self.bind.map(|_| "bind");
        bind.or(self.port.map(|_| "port"))
            .or(self.tls_port.map(|_| "tls_port"))
    }

    fn simple_management_listener(&self) -> Option<&'static str> {
        let bind = self.management_bind.map(|_| "management_bind");
        bind.or(self.management_port.map(|_| "management_port"))
            .or(self.management_tls_port.map(|_| "management_tls_port"))
    }

    fn simple_prometheus_listener(&self) -> Option<&'static str> {
        let bind = self.prometheus_bind.map(|_| "prometheus_bind");
        bind.or(self.prometheus_port.map(|_| "prometheus_port"))
            .or(self.prometheus_tls_port.map(|_| "prometheus_tls_port"))
    }

    /// Returns this layer, completed with the one below. An address or a port here takes the place of a list of
    /// listeners there; so does one form of the default user's password of the other.
    pub(super) fn over(self, mut below: Settings) -> Settings {
        if self.simple_listener().is_some() {
            below.listeners = None;
        }
        if self.simple_management_listener().is_some() {
            below.management_listeners = None;
        }
        if self.simple_prometheus_listener().is_some() {
            below.prometheus_listeners = None;
        }
        if self.default_pass.is_some() || self.default_pass_file.is_some() {
            (below.default_pass, below.default_pass_file) = (None, None);
        }
        self.or(below)
    }
}
