//! What follows from the declaration of a setting: its flag, variable and key, how layers are merged, its field in
//! [`Config`](super::Config), and its text in the log.

/// Declares the settings, in the order of `--help`. A declaration has two halves:
///
/// ```text
///     /// The text of --help [default: 5000]
///     #[arg(long, value_name = "MILLISECONDS", help_heading = "Statistics")]
///     collect_statistics_interval: Interval,
///     /// The documentation of the field in `Config`.
///     Duration = DEFAULT_STATISTICS_INTERVAL;
/// ```
///
/// The type of the first half is parsed and converts into that of the second. `, hidden` after the default keeps a
/// setting out of the log; `, or VALUE` is what the log shows for `None`.
macro_rules! declare_settings {
    ($(
        $(#[$flag:meta])*
        $name:ident: $given:ty,
        $(#[$doc:meta])*
        $value:ty = $default:expr $(, $shown:ident $($other:expr)?)?;
    )*) => {
        /// One layer of settings: the flags, the environment or a file.
        #[derive(Clone, Debug, Default, clap::Args, serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(super) struct Settings {
            $($(#[$flag])* pub(super) $name: Option<$given>,)*

            /// File of settings, a directory with *.toml and *.conf files, or none. Keys are these options, written with
            /// _ (data_dir = "/srv/leveret"); a *.conf file has RabbitMQ's keys [default: /etc/leveret/leveret.toml and
            /// /etc/leveret/conf.d]
            #[arg(long, value_name = "PATH")]
            // A file cannot name another one.
            #[serde(skip)]
            pub(super) config: Option<PathBuf>,

            /// The variables of RabbitMQ that were taken.
            #[arg(skip)]
            #[serde(skip)]
            pub(super) rabbitmq_variables: Option<Vec<$crate::config::TakenVariable>>,
        }

        impl Settings {
            /// Returns this layer, completed with the settings of the layer below.
            pub(super) fn or(self, below: Settings) -> Settings {
                Settings {
                    $($name: self.$name.or(below.$name),)*
                    config: self.config.or(below.config),
                    rabbitmq_variables: self.rabbitmq_variables.or(below.rabbitmq_variables),
                }
            }

            /// Returns the configuration, completed with defaults.
            pub(super) fn complete(self, default: Config) -> Config {
                Config {
                    $($name: self.$name.map_or(default.$name, Into::into),)*
                    config_files: Vec::new(),
                    notes: Vec::new(),
                    rabbitmq_variables: self.rabbitmq_variables.unwrap_or_default(),
                }
            }
        }

        /// The complete, validated settings of a broker.
        #[derive(Clone, Debug)]
        pub struct Config {
            $($(#[$doc])* pub $name: $value,)*
            /// The configuration files that were read, in this order.
            pub config_files: Vec<PathBuf>,
            /// What they say that has no effect here.
            pub notes: Vec<$crate::config::Note>,
            /// The environment variables of RabbitMQ that were taken.
            pub rabbitmq_variables: Vec<$crate::config::TakenVariable>,
        }

        impl Config {
            /// Returns the defaults, without a data directory.
            pub(super) fn defaults() -> Self {
                Config {
                    $($name: $default,)*
                    config_files: Vec::new(),
                    notes: Vec::new(),
                    rabbitmq_variables: Vec::new(),
                }
            }

            /// Returns every setting of a running broker by its key, as text that a flag could have.
            /// Leaves out the passwords and what only matters for a new data directory.
            pub fn settings(&self) -> Vec<(&'static str, String)> {
                let settings = [
                    $($crate::config::table::shown!(self.$name, $name $(, $shown $($other)?)?),)*
                ];
                settings.into_iter().flatten().collect()
            }
        }
    };
}

/// Returns a setting with its text, unless it is hidden.
macro_rules! shown {
    ($value:expr, $name:ident) => {
        Some((
            stringify!($name),
            $crate::config::shown::Shown::shown(&$value),
        ))
    };
    ($value:expr, $name:ident, hidden) => {
        None
    };
    ($value:expr, $name:ident, or $other:expr) => {
        Some((
            stringify!($name),
            $crate::config::shown::Shown::shown(&$value.unwrap_or($other)),
        ))
    };
}

pub(super) use {declare_settings, shown};
