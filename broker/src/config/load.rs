//! Merges the layers of settings into one configuration: flags, variables, files.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, Parser};

use super::check::not_a_number;
use super::data_dir::{Environment, resolve};
use super::replaced::{self, Origin};
use super::settings::Settings;
use super::sources::{self, Sources};
use super::values::Secret;
use super::{Config, ConfigError, NONE, rabbitmq, regular};
use crate::text::version::FULL_VERSION;

const PREFIX: &str = "LEVERET_";
/// The settings that have a variable and no flag.
const SECRETS: [&str; 3] = ["DEFAULT_PASS", "ANONYMOUS_LOGIN_PASS", "TLS_KEY_PASSWORD"];

/// A message broker that speaks AMQP 0-9-1 where you would put RabbitMQ.
#[derive(Debug, Parser)]
#[command(
    name = "leveret",
    version = FULL_VERSION,
    max_term_width = 100,
    allow_negative_numbers = true,
    disable_help_subcommand = true,
    after_help = "Every option can also be set by an environment variable (--data-dir: \
                  LEVERET_DATA_DIR) or a key of\nthe config file (data_dir). A flag wins over the environment, the \
                  environment over the files, a later file\nover an earlier one."
)]
struct Flags {
    #[command(flatten)]
    settings: Settings,

    /// Read everything that a start would read (settings, certificates, definitions), say whether it is valid, and exit:
    /// 0 if it is
    #[arg(long)]
    check_config: bool,

    #[command(subcommand)]
    command: Option<Command>,
}

/// What the program does instead of running a broker.
#[derive(Clone, Debug, PartialEq, Eq, clap::Subcommand)]
pub enum Command {
    /// What `--check-config` does.
    #[command(skip)]
    CheckConfig,
    /// Check the stored data without changing anything; the broker must not be running
    ///
    /// Verifies the checksums of every stored message and definition, of the log and of the database,
    /// and reports what is intact, damaged or missing in each queue. Exit status: 0 everything is
    /// intact; 1 something is damaged or missing; 2 there is no data to check, or it cannot be read
    /// (for example because a broker has it open).
    Check,
    /// Rebuild a damaged store from what is intact; the broker must not be running
    ///
    /// Copies everything intact into a new store, which then replaces the old one. The old store is
    /// kept as DIR/store.damaged-1 (and so on) until you delete it, so the disk needs that much free
    /// space. Works even if the database does not open or is missing. Messages whose acknowledgements
    /// were in damaged parts may be delivered again. Exit status: 0 repaired, or nothing was damaged
    /// and nothing changed; 1 repaired, but something is lost; 2 not repaired, and nothing changed.
    Repair,
    /// Copy the data of a running broker, as leveretctl backup does
    ///
    /// Start `leveret --data-dir DIRECTORY` to run a broker on the copy.
    Backup {
        /// Where to copy: a directory that is empty or does not exist
        directory: String,
    },
    /// Print RabbitMQ's configuration as a configuration file of Leveret
    ///
    /// Reads rabbitmq.conf and the files conf.d/*.conf beside it, in RabbitMQ's order, and writes a TOML file with the
    /// settings that have a meaning here, the line that each comes from, and what of RabbitMQ's has no effect here and what
    /// to do instead. Keys that RabbitMQ does not know are refused, and so is what would let in more people than RabbitMQ
    /// does. $(NAME) is replaced with the value of the environment variable or key, and relative paths are made absolute.
    /// Passwords are in the output: --output makes a file that only you can read, and the group of its folder if that is
    /// another than yours, and never overwrites one. Nothing else is changed. Exit status: 0 it is written; 78 a file cannot be read, is wrong, or exists already.
    ImportConfig {
        /// The file, or a directory with a rabbitmq.conf
        #[arg(value_name = "PATH", default_value = rabbitmq::RABBITMQ_CONF)]
        path: PathBuf,
        /// Write to this new file, instead of standard output
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Leave out an advanced.config beside it: its Erlang terms cannot be read
        #[arg(long)]
        without_advanced: bool,
    },
    /// Make certificates to try TLS with
    Tls {
        /// What to make.
        #[command(subcommand)]
        command: TlsCommand,
    },
}

impl Command {
    /// Returns whether it depends on the configuration files.
    fn needs_settings(&self) -> bool {
        !matches!(self, Command::Tls { .. } | Command::ImportConfig { .. })
    }
}

/// What `leveret tls` does.
#[derive(Clone, Debug, PartialEq, Eq, clap::Subcommand)]
pub enum TlsCommand {
    /// Write certificates of an authority of your own: one for the broker, one for a client
    ///
    /// The files are ca.pem, server.pem, server.key, client.pem and client.key; only their owner may read them, and none
    /// is overwritten. They are for trying TLS: nobody but you trusts the authority, and its key is not kept.
    Selfsigned {
        /// Where to write the files
        #[arg(long, value_name = "DIR", default_value = "tls")]
        directory: PathBuf,
        /// A name or IP address of the broker; can be given several times [default: localhost, 127.0.0.1, ::1 and the
        /// machine's name]
        #[arg(long, value_name = "HOST")]
        host: Vec<String>,
        /// Days until the certificates expire
        #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: u32,
    },
}

impl Config {
    /// Reads the flags (`args` starts with the program's name), the environment of the process and
    /// the configuration files that they name, or the default ones.
    ///
    /// # Errors
    /// When a flag, variable, key or value is wrong; also for `--help` and `--version`, as
    /// [`ConfigError::Shown`].
    pub fn load(
        args: impl IntoIterator<Item = OsString>,
    ) -> Result<(Config, Option<Command>), ConfigError> {
        load_all(args, &Environment::of_process())
    }

    /// Does what [`load`](Config::load) does for a process that has done so before: streams are at their ends.
    ///
    /// # Errors
    /// See [`load`](Config::load); also when a file is a stream.
    pub fn load_again(args: impl IntoIterator<Item = OsString>) -> Result<Config, ConfigError> {
        regular::again();
        Config::load(args).map(|(config, _)| config)
    }

    /// Returns the variables of the process that are settings.
    pub fn variables() -> Vec<String> {
        let names = settings_command();
        let names = names.get_arguments().filter_map(|one| one.get_long());
        let names = names.map(variable);
        let secrets = SECRETS.map(|key| format!("{PREFIX}{key}"));
        let environment = Environment::of_process();
        let is_set = |name: &String| {
            let value = environment.get(name);
            value.is_some_and(|value| !is_of_service(name, &value))
        };
        names.chain(secrets).filter(is_set).collect()
    }

    /// Returns the variables of the process that look like settings and are none.
    pub fn unknown_variables() -> Vec<String> {
        unknown(std::env::vars_os())
    }

    /// Does what [`load`](Config::load) does, in the given environment.
    ///
    /// # Errors
    /// See [`load`](Config::load).
    pub fn load_in(
        args: impl IntoIterator<Item = OsString>,
        environment: &Environment<'_>,
    ) -> Result<Config, ConfigError> {
        load_all(args, environment).map(|(config, _)| config)
    }
}

/// Returns the command line of the broker, for its manual and for completions.
pub fn command_line() -> clap::Command {
    Flags::command()
}

fn load_all(
    args: impl IntoIterator<Item = OsString>,
    environment: &Environment<'_>,
) -> Result<(Config, Option<Command>), ConfigError> {
    let flags = parse(args).map_err(|error| match error {
        Refused::Shown(text) => ConfigError::Shown(text),
        Refused::Wrong(reason) => ConfigError::Flag(reason),
    })?;
    let command = match (flags.command, flags.check_config) {
        (Some(_), true) => {
            let reason = "--check-config is for a start without a command".to_owned();
            return Err(ConfigError::Flag(reason));
        }
        (None, true) => Some(Command::CheckConfig),
        (command, false) => command,
    };
    let flags = flags.settings;
    flags
        .check()
        .map_err(|(key, reason)| ConfigError::Flag(format!("--{key}: {reason}")))?;
    let variables = from_environment(environment)?;
    let own = [flags.forms(), variables.forms()];
    let settings = flags.over(variables);
    let rabbitmq = rabbitmq::layer(environment, &settings)?;
    let of_rabbitmq = rabbitmq.forms();
    let mut settings = settings.over(rabbitmq);
    let named = settings.config.take();
    let sources = match &command {
        Some(command) if !command.needs_settings() => Sources::default(),
        _ => sources::read(named.as_deref(), environment)?,
    };
    let mut config = complete(settings.over(sources.settings), environment)?;
    config.config_files = sources.files;
    let [flags, variables] = own;
    let taken = Origin::OfRabbitmq(&config.rabbitmq_variables);
    let mut layers = vec![
        (Origin::Flags, flags),
        (Origin::Variables, variables),
        (taken, of_rabbitmq),
    ];
    let files = sources.forms.iter().rev();
    layers.extend(files.map(|(path, forms)| (Origin::File(path), forms.clone())));
    let replaced = replaced::notes(&layers);
    config.notes = sources.notes;
    config.notes.extend(replaced);
    Ok((config, command))
}

/// Fills in the defaults.
fn complete(mut settings: Settings, environment: &Environment<'_>) -> Result<Config, ConfigError> {
    settings
        .default_pass_file
        .take_if(|path| path == Path::new(NONE));
    if let Some(path) = &settings.default_pass_file {
        let password = rabbitmq::first_line(path).map_err(ConfigError::PasswordFile)?;
        settings.default_pass = Some(Secret::from(&*password));
    }
    let data_dir = resolve(settings.data_dir.take(), environment)?;
    let mut config = settings.complete(Config::with_data_dir(data_dir));
    for text in [
        &mut config.anonymous_login_user,
        &mut config.auth_oauth2_resource_server_id,
        &mut config.auth_oauth2_resource_server_type,
        &mut config.auth_oauth2_issuer,
        &mut config.auth_oauth2_jwks_url,
        &mut config.auth_oauth2_default_key,
        &mut config.auth_oauth2_scope_prefix,
        &mut config.auth_oauth2_additional_scopes_key,
    ] {
        text.take_if(|text| text == NONE);
    }
    for path in [
        &mut config.load_definitions,
        &mut config.log_file,
        &mut config.tls_key_password_file,
        &mut config.tls_cacertfile,
        &mut config.auth_oauth2_https_cacertfile,
        &mut config.auth_http_ssl_options_cacertfile,
        &mut config.auth_http_ssl_options_certfile,
        &mut config.auth_http_ssl_options_keyfile,
    ] {
        path.take_if(|path| path == Path::new(NONE));
    }
    match &config.log_file {
        Some(path) if path.is_dir() => Err(ConfigError::LogFile { path: path.clone() }),
        _ => Ok(config),
    }
}

/// Returns the variable that sets the same as a flag.
fn variable(flag: &str) -> String {
    format!("{PREFIX}{}", flag.replace('-', "_").to_uppercase())
}

/// Returns the flags that are settings.
fn settings_command() -> clap::Command {
    Settings::augment_args(clap::Command::new("leveret"))
}

/// Reads the layer of environment variables. Each is parsed as the flag of the same name, so that
/// both accept the same values, and one at a time, so that an error can name its variable.
fn from_environment(environment: &Environment<'_>) -> Result<Settings, ConfigError> {
    let mut settings = Settings::default();
    for argument in settings_command().get_arguments() {
        let Some(flag) = argument.get_long() else {
            continue;
        };
        let name = variable(flag);
        let Some(value) = environment
            .get(&name)
            .filter(|it| !is_of_service(&name, it))
        else {
            continue;
        };
        let mut given = OsString::from(format!("--{flag}="));
        given.push(&value);
        let failed = |reason| ConfigError::Environment {
            name: name.clone(),
            reason,
        };
        let layer = parse([OsString::from("leveret"), given]).map_err(|error| match error {
            Refused::Shown(text) | Refused::Wrong(text) => failed(without_flag(&text, flag)),
        })?;
        let layer = layer.settings;
        layer.check().map_err(|(_, reason)| failed(reason))?;
        settings = settings.or(layer);
    }
    settings.default_pass = password(environment, "DEFAULT_PASS")?;
    settings.anonymous_login_pass = password(environment, "ANONYMOUS_LOGIN_PASS")?;
    settings.tls_key_password = password(environment, "TLS_KEY_PASSWORD")?;
    // What contradicts itself only together.
    settings
        .check()
        .map_err(|(key, reason)| ConfigError::Environment {
            name: variable(key),
            reason,
        })?;
    Ok(settings)
}

/// Returns whether a variable is none of ours although it has the name of a port's: Kubernetes sets `LEVERET_PORT` to
/// `tcp://10.3.2.1:5672` in all pods beside a service that is called `leveret`.
pub(super) fn is_of_service(name: &str, value: &OsStr) -> bool {
    let value = value.as_encoded_bytes();
    let is_address = value.starts_with(b"tcp://") || value.starts_with(b"udp://");
    name.ends_with("_PORT") && is_address
}

/// Returns which of these variables, names with values, look like settings and are none: misspelt ones, perhaps.
pub(super) fn unknown(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Vec<String> {
    let flags = settings_command();
    let is_known = |key: &str| {
        let flag = key.to_lowercase().replace('_', "-");
        let mut arguments = flags.get_arguments();
        SECRETS.contains(&key)
            || key == key.to_uppercase() && arguments.any(|one| one.get_long() == Some(&flag))
    };
    let mut unknown: Vec<String> = variables
        .into_iter()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, value)| {
            let is_none = |key: &str| !is_known(key) || is_of_service(name, value);
            name.strip_prefix(PREFIX).is_some_and(is_none)
                || rabbitmq::is_without_effect(name, value)
        })
        .map(|(name, _)| name)
        .collect();
    unknown.sort();
    unknown
}

/// Reads a password, which has no flag.
fn password(environment: &Environment<'_>, key: &str) -> Result<Option<Secret>, ConfigError> {
    let name = format!("{PREFIX}{key}");
    match environment.get(&name).map(OsString::into_string) {
        None => Ok(None),
        Some(Ok(password)) => Ok(Some(Secret::from(password.as_str()))),
        Some(Err(_)) => {
            let reason = "the password is not UTF-8".to_owned();
            Err(ConfigError::Environment { name, reason })
        }
    }
}

/// Why clap returned no settings.
enum Refused {
    /// The text of `--help` or `--version`.
    Shown(String),
    /// An error, in one line.
    Wrong(String),
}

fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Flags, Refused> {
    match Flags::try_parse_from(args) {
        Ok(flags) => Ok(flags),
        Err(error) => Err(match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Refused::Shown(error.to_string()),
            // Otherwise clap's text is the whole help of the command.
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
                Refused::Wrong("a command is missing: selfsigned (leveret tls --help)".to_owned())
            }
            _ => Refused::Wrong(one_line(&error)),
        }),
    }
}

/// Returns clap's report without its usage lines: the error, the possible values, the tip.
fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut message = lines
        .next()
        .unwrap_or_default()
        .trim_start_matches("error: ")
        .to_owned();
    for line in lines {
        if line.starts_with("[possible values") {
            message = format!("{message} {line}");
        } else if let Some(tip) = line.strip_prefix("tip: ") {
            message = format!("{message}; {tip}");
        }
    }
    // The standard library's reasons do not say what would be right.
    let mut message = message.replace(
        "invalid IP address syntax",
        "use an IP address such as 127.0.0.1, 0.0.0.0 or ::1, not a name",
    );
    if let Some(reason) = number(error)
        && let Some(end) = message.find(">': ")
    {
        message.truncate(end + 4);
        message.push_str(&reason);
    }
    let suggested = matches!(
        error.get(ContextKind::SuggestedArg),
        Some(ContextValue::String(_))
    );
    if error.kind() == ErrorKind::UnknownArgument && !suggested {
        message.push_str("; leveret --help lists all options");
    }
    message
}

/// Returns what is said of a value that is not the number that a flag is.
fn number(error: &clap::Error) -> Option<String> {
    let flag = match (error.kind(), error.get(ContextKind::InvalidArg)) {
        (ErrorKind::ValueValidation, Some(ContextValue::String(flag))) => flag,
        _ => return None,
    };
    let flag = flag.split(' ').next()?.trim_start_matches("--");
    not_a_number(flag)
}

/// Removes the flag, which nobody typed, from `invalid value 'x' for '--port <PORT>': …`.
fn without_flag(message: &str, flag: &str) -> String {
    match message.find(&format!(" for '--{flag}")) {
        Some(start) => match message[start..].find('>') {
            Some(end) => {
                let rest = message[start + end + 1..].trim_start_matches('\'');
                format!("{}{rest}", &message[..start])
            }
            None => message.to_owned(),
        },
        None => message.to_owned(),
    }
}
