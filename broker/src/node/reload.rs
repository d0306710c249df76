//! Settings that change while the broker runs: SIGHUP has it read its configuration again.

use crate::config::Limits;
use crate::config::{Config, ConfigError};
use crate::domain::broker::Broker;
use crate::domain::recovery;
use crate::domain::shortage;
use crate::node::logging::LogLevel;
use std::sync::Arc;

/// How a setting comes into force.
type Apply = fn(&Reloader, &Config);

/// The settings that count at once, by key. Every other one needs a restart.
const LIVE: &[(&str, Apply)] = &[
    ("heartbeat", Reloader::limits),
    ("channel_max", Reloader::limits),
    ("frame_max", Reloader::limits),
    ("max_message_size", Reloader::limits),
    ("consumer_timeout", Reloader::limits),
    ("connection_max", Reloader::limits),
    ("channel_max_per_node", Reloader::limits),
    ("consumer_max_per_channel", Reloader::limits),
    ("max_transaction_size", Reloader::limits),
    ("vm_memory_high_watermark", |to, config| {
        to.broker
            .alarms
            .set_memory_watermark(config.vm_memory_high_watermark);
    }),
    ("disk_free_limit", |to, config| {
        to.broker.alarms.set_disk_free_limit(config.disk_free_limit);
    }),
    ("loopback_users", |to, config| {
        to.broker
            .users
            .set_loopback_users(config.loopback_users.clone());
    }),
    ("auth_mechanisms", Reloader::mechanisms),
    ("anonymous_login_user", Reloader::mechanisms),
    ("log_level", |to, config| {
        to.log_level.set(&config.log_level);
    }),
];

/// What a setting was and what it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Changed {
    key: &'static str,
    from: String,
    to: String,
}

/// Brings another configuration into force.
pub struct Reloader {
    broker: Arc<Broker>,
    log_level: LogLevel,
    /// The configuration in force: what needs a restart stays in it as it was.
    running: Vec<(&'static str, String)>,
    data_dir: std::path::PathBuf,
}

impl Reloader {
    /// For a broker that was started with this configuration.
    pub fn new(broker: Arc<Broker>, config: &Config, log_level: LogLevel) -> Self {
        Reloader {
            broker,
            log_level,
            running: config.settings(),
            data_dir: config.data_dir.clone(),
        }
    }

    /// Brings into force what has changed and can count at once, and says in the log what that is and
    /// what else has changed. Where the configuration cannot be read everything stays as it is.
    pub fn reload(&mut self, loaded: Result<Config, ConfigError>) {
        let config = match loaded {
            Ok(config) => config,
            Err(error) => {
                tracing::error!(%error, "configuration not reloaded: everything stays as it was");
                return;
            }
        };
        let changed = self.changed(&config);
        let (now, later): (Vec<_>, Vec<_>) = changed
            .into_iter()
            .partition(|changed| apply(changed.key).is_some());
        tracing::info!(changed = now.len(), "configuration reloaded");
        for Changed { key, from, to } in &later {
            tracing::warn!(
                setting = key,
                from,
                to,
                "setting changed: it counts after a restart"
            );
        }
        for Changed { key, from, to } in &now {
            tracing::info!(setting = key, from, to, "setting changed");
        }
        for Changed { key, to, .. } in now {
            if let Some(apply) = apply(key) {
                apply(self, &config);
            }
            let running = self.running.iter_mut().find(|(running, _)| *running == key);
            if let Some((_, value)) = running {
                *value = to;
            }
        }
        // Its password may be another, which is shown nowhere.
        if self.broker.mechanisms().anonymous().is_some() {
            self.mechanisms(&config);
        }
        // A new mark counts at once.
        shortage::check(&self.broker, &self.data_dir);
    }

    fn changed(&self, config: &Config) -> Vec<Changed> {
        let both = self.running.iter().zip(config.settings());
        both.filter(|((_, from), (_, to))| from != to)
            .map(|((_, from), (key, to))| Changed {
                key,
                from: from.clone(),
                to,
            })
            .collect()
    }

    fn mechanisms(&self, config: &Config) {
        self.broker.set_mechanisms(recovery::mechanisms(config));
    }

    fn limits(&self, config: &Config) {
        self.broker.set_limits(Limits::from(config));
    }
}

fn apply(key: &str) -> Option<Apply> {
    let live = LIVE.iter().find(|(live, _)| *live == key);
    live.map(|(_, apply)| *apply)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogFilter;
    use crate::config::Mechanism;
    use crate::config::{DiskFreeLimit, MemoryWatermark};
    use parking_lot::Mutex;

    /// A reloader, and the filters that were set.
    fn reloader(config: &Config) -> (Reloader, Arc<Mutex<Vec<String>>>) {
        let set: Arc<Mutex<Vec<String>>> = Arc::default();
        let filters = set.clone();
        let log_level = LogLevel::new(move |filter| filters.lock().push(filter.to_string()));
        let broker = Broker::new(config.into(), config.loopback_users.clone(), None);
        let alarms = (config.vm_memory_high_watermark, config.disk_free_limit);
        broker.alarms.set_limits(alarms.0, alarms.1);
        (Reloader::new(Arc::new(broker), config, log_level), set)
    }

    fn config() -> Config {
        Config::with_data_dir(std::env::temp_dir())
    }

    #[test]
    fn every_setting_counts_at_once_or_is_known_to_need_a_restart() {
        let settings = config().settings();
        let needs_restart = settings.iter().filter(|(key, _)| apply(key).is_none());
        let needs_restart: Vec<_> = needs_restart.map(|(key, _)| *key).collect();
        let known = ["bind", "port", "data_dir", "log_format", "queue_memory"];
        assert_eq!(needs_restart, known);
        for (key, _) in LIVE {
            assert!(settings.iter().any(|(setting, _)| setting == key), "{key}");
        }
    }

    #[test]
    fn what_has_changed_counts_and_nothing_else_is_touched() {
        let before = config();
        let (mut reloader, filters) = reloader(&before);
        let broker = reloader.broker.clone();
        // An operator's, which the configuration says nothing new about.
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
        // Again: nothing is new but what still waits for a restart.
        let changed = reloader.changed(&after);
        assert_eq!(changed.len(), 1);
        assert_eq!((changed[0].key, &*changed[0].to), ("port", "1"));
    }

    #[test]
    fn a_configuration_that_cannot_be_read_changes_nothing() {
        let before = config();
        let (mut reloader, filters) = reloader(&before);
        reloader.reload(Err(ConfigError::NoDataDir));
        assert_eq!(reloader.running, before.settings());
        assert!(filters.lock().is_empty());
    }
}
