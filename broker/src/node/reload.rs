//! Reloading the configuration on SIGHUP.

use crate::config::Limits;
use crate::config::{Config, ConfigError, Note};
use crate::domain::broker::Broker;
use crate::domain::login_sources::PreparedLogins;
use crate::domain::recovery;
use crate::domain::shortage;
use crate::manage::Settings;
use crate::manage::definitions::{LoadError, NewRules, Rules};
use crate::net::tls::{Tls, TlsSettings};
use crate::plumbing::log::Log;
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;

/// Applies a setting to the running broker.
type Apply = fn(&Reloader, &Config);

/// The settings that take effect on a reload, by key. All others need a restart.
const LIVE: &[(&str, Apply)] = &[
    ("heartbeat", Reloader::apply_limits),
    ("channel_max", Reloader::apply_limits),
    ("frame_max", Reloader::apply_limits),
    ("max_message_size", Reloader::apply_limits),
    ("consumer_timeout", Reloader::apply_limits),
    ("connection_max", Reloader::apply_limits),
    ("channel_max_per_node", Reloader::apply_limits),
    ("consumer_max_per_channel", Reloader::apply_limits),
    ("max_transaction_size", Reloader::apply_limits),
    ("default_limits", |to, config| {
        to.broker.set_vhost_defaults(config.into());
    }),
    ("vm_memory_high_watermark", |to, config| {
        to.broker
            .alarms
            .set_memory_watermark(config.vm_memory_high_watermark);
    }),
    ("disk_free_limit", |to, config| {
        to.broker.alarms.set_disk_free_limit(config.disk_free_limit);
    }),
    ("collect_statistics_interval", |to, config| {
        to.broker
            .statistics
            .set_interval(config.collect_statistics_interval);
    }),
    ("loopback_users", |to, config| {
        to.broker
            .users
            .set_loopback_users(config.loopback_users.clone());
    }),
    ("auth_mechanisms", Reloader::apply_mechanisms),
    ("password_hashing_module", Reloader::apply_password_policy),
    ("upgrade_password_hashes", Reloader::apply_password_policy),
    ("anonymous_login_user", Reloader::apply_mechanisms),
    ("tls_certfile", Reloader::nothing_more),
    ("tls_keyfile", Reloader::nothing_more),
    ("tls_key_password_file", Reloader::nothing_more),
    ("tls_cacertfile", Reloader::nothing_more),
    ("tls_crlfile", Reloader::nothing_more),
    ("tls_verify", Reloader::nothing_more),
    ("tls_fail_if_no_peer_cert", Reloader::nothing_more),
    ("tls_versions", Reloader::nothing_more),
    ("ssl_cert_login_from", Reloader::nothing_more),
    ("ssl_cert_login_san_type", Reloader::nothing_more),
    ("ssl_cert_login_san_index", Reloader::nothing_more),
    ("log_level", |to, config| {
        to.log.set_filter(&config.log_level);
    }),
    ("log_console", Reloader::apply_log),
    ("log_file", Reloader::apply_log),
    ("log_file_rotation_size", Reloader::apply_log),
    ("log_file_rotation_age", Reloader::apply_log),
    ("log_file_rotation_count", Reloader::apply_log),
    ("log_file_rotation_compress", Reloader::apply_log),
];

/// A setting with its old and new value.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Changed {
    key: &'static str,
    from: String,
    to: String,
}

/// Applies new configurations to the running broker.
pub struct Reloader {
    broker: Arc<Broker>,
    log: Log,
    tls: Tls,
    /// The configuration in force. Settings that need a restart keep their old values here.
    running: Settings,
    data_dir: PathBuf,
    /// Where the definitions were loaded from at the start.
    load_definitions: Option<PathBuf>,
    /// What of them is in force and can change.
    rules: Mutex<Rules>,
    /// What the configuration says without effect, which is told once.
    notes: Mutex<Vec<Note>>,
}

impl Reloader {
    /// Returns a reloader for a broker that was started with this configuration, whose settings it keeps up to date.
    pub fn new(
        broker: Arc<Broker>,
        config: &Config,
        running: Settings,
        log: Log,
        tls: Tls,
    ) -> Self {
        // They were read a moment ago, so they can be read.
        let rules = config.load_definitions.as_deref().map(Rules::read);
        Reloader {
            broker,
            log,
            tls,
            running,
            data_dir: config.data_dir.clone(),
            load_definitions: config.load_definitions.clone(),
            rules: Mutex::new(rules.and_then(Result::ok).unwrap_or_default()),
            notes: Mutex::new(config.notes.clone()),
        }
    }

    /// Applies the changed settings that need no restart, and logs all changes. If the configuration
    /// cannot be read, or the certificates, keys and definitions that it names, nothing changes. The log file is reopened in any case:
    /// logrotate sends the same signal.
    pub fn reload(&self, loaded: Result<Config, ConfigError>) {
        self.log.reopen();
        let prepared = loaded.map_err(|error| error.to_string());
        let prepared = prepared.and_then(|config| Ok((self.prepare(&config)?, config)));
        let ((logins, rules), config) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                tracing::error!(
                    error,
                    "configuration not reloaded: the old settings, certificates and definitions stay in force"
                );
                return;
            }
        };
        let changed = self.changed(&config);
        let (now, later): (Vec<_>, Vec<_>) = changed
            .into_iter()
            .partition(|changed| live(changed.key).is_some());
        tracing::info!(
            changed = now.len(),
            after_restart = later.len(),
            "configuration reloaded"
        );
        for Changed { key, from, to } in &later {
            tracing::warn!(
                setting = key,
                from,
                to,
                "setting changed, takes effect after a restart"
            );
        }
        for Changed { key, from, to } in &now {
            tracing::info!(setting = key, from, to, "setting changed");
        }
        for Changed { key, to, .. } in now {
            if let Some(apply) = live(key) {
                apply(self, &config);
            }
            let mut running = self.running.lock();
            let running = running.iter_mut().find(|(running, _)| *running == key);
            if let Some((_, value)) = running {
                *value = to;
            }
        }
        self.broker.use_logins(logins);
        if let Some(rules) = rules {
            self.apply_rules(rules);
        }
        self.warn_of_notes(&config);
        // Its password may have changed, which `changed` does not show.
        if self.broker.mechanisms().anonymous().is_some() {
            self.apply_mechanisms(&config);
        }
        // A new watermark takes effect at once.
        shortage::check(&self.broker, &self.data_dir);
    }

    /// Does what can fail, before anything is applied. Keys and certificates may also be others in the same files.
    fn prepare(&self, config: &Config) -> Result<(PreparedLogins, Option<NewRules>), String> {
        let logins = self.broker.prepare_logins(config)?;
        let rules = self
            .prepare_rules(config)
            .map_err(|error| error.to_string())?;
        let replaced = self.tls.replace(TlsSettings::from(config));
        replaced.map_err(|error| error.to_string())?;
        Ok((logins, rules))
    }

    /// Checks the changed policies and limits in the definition files; `None` if there are none, or they are other files than
    /// at the start, which wait for a restart.
    fn prepare_rules(&self, config: &Config) -> Result<Option<NewRules>, LoadError> {
        match &config.load_definitions {
            Some(path) if config.load_definitions == self.load_definitions => {
                let before = self.rules.lock().clone();
                self.broker.prepare_rules(path, &before).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn apply_rules(&self, rules: NewRules) {
        match self.broker.apply_rules(rules) {
            Ok((rules, applied)) => {
                *self.rules.lock() = rules;
                if !applied.is_nothing() {
                    tracing::info!(
                        policies = applied.policies,
                        operator_policies = applied.operator_policies,
                        vhost_limits = applied.vhost_limits,
                        user_limits = applied.user_limits,
                        waiting = applied.waiting,
                        "definitions reloaded"
                    );
                }
            }
            Err(error) => tracing::error!(%error, "the changed definitions are not stored"),
        }
    }

    /// Logs what the configuration says without effect and has not said before.
    fn warn_of_notes(&self, config: &Config) {
        let mut known = self.notes.lock();
        for note in config.notes.iter().filter(|note| !known.contains(note)) {
            tracing::warn!("{note}");
        }
        known.clone_from(&config.notes);
    }

    fn changed(&self, config: &Config) -> Vec<Changed> {
        let running = self.running.lock();
        let both = running.iter().zip(config.settings());
        both.filter(|((_, from), (_, to))| from != to)
            .map(|((_, from), (key, to))| Changed {
                key,
                from: from.clone(),
                to,
            })
            .collect()
    }

    /// For settings that are in force already: those for TLS, which are applied before the others.
    fn nothing_more(&self, _config: &Config) {}

    fn apply_mechanisms(&self, config: &Config) {
        self.broker.set_mechanisms(recovery::mechanisms(config));
    }

    fn apply_password_policy(&self, config: &Config) {
        self.broker.users.set_password_policy(config.into());
    }

    fn apply_log(&self, config: &Config) {
        self.log.configure(config);
    }

    fn apply_limits(&self, config: &Config) {
        self.broker.set_limits(Limits::from(config));
    }
}

fn live(key: &str) -> Option<Apply> {
    // Who is asked about logins is always set up anew, because the files that these settings name may have changed.
    let prefixes = ["auth_backends", "auth_oauth2_", "auth_http_", "auth_cache_"];
    if prefixes.iter().any(|prefix| key.starts_with(prefix)) {
        return Some(|_, _| {});
    }
    let found = LIVE.iter().find(|(live, _)| *live == key);
    found.map(|(_, apply)| *apply)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogFilter;
    use crate::config::Mechanism;
    use crate::config::{DiskFreeLimit, MemoryWatermark};

    /// Returns a reloader, and the log filters that it has set.
    fn reloader(config: &Config) -> (Reloader, Arc<Mutex<Vec<String>>>) {
        let set: Arc<Mutex<Vec<String>>> = Arc::default();
        let filters = set.clone();
        let log = Log::default();
        log.control_filter(config.log_level.clone(), move |filter| {
            filters.lock().push(filter.as_str().to_owned());
        });
        let broker = Broker::new(config.into(), config.loopback_users.clone(), None);
        let alarms = (config.vm_memory_high_watermark, config.disk_free_limit);
        broker.alarms.set_limits(alarms.0, alarms.1);
        let running = Arc::new(Mutex::new(config.settings()));
        let reloader = Reloader::new(Arc::new(broker), config, running, log, Tls::default());
        (reloader, set)
    }

    fn config() -> Config {
        Config::with_data_dir(std::env::temp_dir())
    }

    #[test]
    fn every_setting_takes_effect_at_once_or_is_known_to_need_a_restart() {
        let settings = config().settings();
        let needs_restart = settings.iter().filter(|(key, _)| live(key).is_none());
        let needs_restart: Vec<_> = needs_restart.map(|(key, _)| *key).collect();
        let known = [
            "bind",
            "port",
            "listeners",
            "tls_port",
            "tcp_backlog",
            "tcp_keepalive",
            "data_dir",
            "log_format",
            "queue_memory",
            "load_definitions",
            "definitions_skip_if_unchanged",
            "management",
            "management_bind",
            "management_port",
            "management_tls_port",
            "management_listeners",
            "amqp_websocket",
            "management_cors_allow_origins",
            "management_login_session_timeout",
            "prometheus_port",
            "prometheus_bind",
            "prometheus_tls_port",
            "prometheus_listeners",
        ];
        assert_eq!(needs_restart, known);
        for (key, _) in LIVE {
            assert!(settings.iter().any(|(setting, _)| setting == key), "{key}");
        }
    }

    #[test]
    fn changed_settings_take_effect_and_nothing_else_is_touched() {
        let before = config();
        let (reloader, filters) = reloader(&before);
        let broker = reloader.broker.clone();
        // Set by an operator; the configuration does not change it.
        broker
            .alarms
            .set_disk_free_limit(DiskFreeLimit::Absolute(1));
        let mut after = before.clone();
        after.vm_memory_high_watermark = MemoryWatermark::Absolute(1 << 40);
        after.log_level = "debug".parse::<LogFilter>().unwrap();
        after.max_message_size = 7;
        after.port = 1;
        after.auth_mechanisms = Mechanism::ALL.to_vec();
        reloader.reload(Ok(after.clone()));
        let view = broker.alarms.view();
        assert_eq!(view.memory, after.vm_memory_high_watermark);
        assert_eq!((view.disk_bytes, broker.limits().max_message_size), (1, 7));
        let password = || {
            broker
                .mechanisms()
                .anonymous()
                .map(|to| to.password.to_owned())
        };
        assert_eq!(password().as_deref(), Some("guest"));
        let filter = filters.lock().concat();
        assert!(filter.contains("debug"), "{filter}");
        after.anonymous_login_pass = "other".into();
        reloader.reload(Ok(after.clone()));
        assert_eq!(password().as_deref(), Some("other"));
        // Again: only the setting that needs a restart still differs.
        let changed = reloader.changed(&after);
        assert_eq!(changed.len(), 1);
        assert_eq!((changed[0].key, &*changed[0].to), ("port", "1"));
    }

    #[test]
    fn a_configuration_that_cannot_be_read_changes_nothing() {
        let before = config();
        let (reloader, filters) = reloader(&before);
        reloader.reload(Err(ConfigError::NoDataDir));
        assert_eq!(*reloader.running.lock(), before.settings());
        assert!(filters.lock().is_empty());
    }
}
