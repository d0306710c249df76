//! The environment variables of RabbitMQ and of its container image that are taken, so that a container or a unit file need
//! not be rewritten.

use crate::config::data_dir::Environment;
use crate::config::load::is_of_service;
use crate::config::settings::Settings;
use crate::config::sources::plain;
use crate::config::values::Secret;
use crate::config::{ConfigError, LogFilter, NONE, regular};
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};

/// The variables that are taken, and the settings that they set. Those of the container image that end with `_FILE` name a
/// file with the value.
const TAKEN: [(&str, &str); 10] = [
    ("RABBITMQ_CONFIG_FILE", "config"),
    ("RABBITMQ_DEFAULT_USER", "default_user"),
    ("RABBITMQ_DEFAULT_USER_FILE", "default_user"),
    ("RABBITMQ_DEFAULT_PASS", "default_pass"),
    ("RABBITMQ_DEFAULT_PASS_FILE", "default_pass_file"),
    ("RABBITMQ_DEFAULT_VHOST", "default_vhost"),
    ("RABBITMQ_NODE_PORT", "port"),
    ("RABBITMQ_NODE_IP_ADDRESS", "bind"),
    ("RABBITMQ_LOGS", "log_file"),
    ("RABBITMQ_LOG", "log_level"),
];

/// What the variables of a RabbitMQ server begin with. Others that begin with `RABBITMQ_` may be anybody's: Kubernetes makes
/// some for every service of that name, and images say which version they contain.
const OF_THE_SERVER: [&str; 17] = [
    "RABBITMQ_ADVANCED_CONFIG_FILE",
    "RABBITMQ_CONF_ENV_FILE",
    "RABBITMQ_CONFIG_FILE",
    "RABBITMQ_DEFAULT_",
    "RABBITMQ_DIST_PORT",
    "RABBITMQ_ENABLED_PLUGINS",
    "RABBITMQ_ERLANG_COOKIE",
    "RABBITMQ_LOAD_DEFINITIONS",
    "RABBITMQ_LOG",
    "RABBITMQ_MANAGEMENT_SSL_",
    "RABBITMQ_MNESIA_",
    "RABBITMQ_NODE_IP_ADDRESS",
    "RABBITMQ_NODENAME",
    "RABBITMQ_PLUGINS_DIR",
    "RABBITMQ_SERVER_",
    "RABBITMQ_SSL_",
    "RABBITMQ_VM_MEMORY_HIGH_WATERMARK",
];

/// A variable that was taken, with the setting that it set.
pub type TakenVariable = (&'static str, &'static str);

/// Returns whether a variable would have an effect on a RabbitMQ server, and has none here.
pub(in crate::config) fn is_without_effect(name: &str, value: &OsStr) -> bool {
    let is_of_server = OF_THE_SERVER.iter().any(|start| name.starts_with(start));
    let is_taken = TAKEN.iter().any(|(taken, _)| *taken == name);
    match is_taken {
        true => is_of_service(name, value),
        false => is_of_server,
    }
}

/// Reads the layer of these variables, without what a layer above sets.
///
/// # Errors
/// When a value is wrong, or a user or a password is given twice.
pub(in crate::config) fn layer(
    environment: &Environment<'_>,
    above: &Settings,
) -> Result<Settings, ConfigError> {
    let mut layer = Settings::default();
    let mut taken = Vec::new();
    for (name, setting) in TAKEN {
        let Some(value) = environment.get(name).filter(|it| !is_of_service(name, it)) else {
            continue;
        };
        let failed = |reason: String| ConfigError::Environment {
            name: name.to_owned(),
            reason,
        };
        let is_set = match setting {
            "default_user" => above.default_user.is_some(),
            "default_vhost" => above.default_vhost.is_some(),
            "port" => above.port.is_some(),
            "bind" => above.bind.is_some(),
            "log_file" => above.log_file.is_some(),
            "log_level" => above.log_level.is_some(),
            "config" => above.config.is_some(),
            _ => above.default_pass.is_some() || above.default_pass_file.is_some(),
        };
        if is_set {
            continue;
        }
        set(&mut layer, name, &value).map_err(failed)?;
        taken.push((name, setting));
    }
    layer.check().map_err(|(key, reason)| {
        let setting = key.replace('-', "_");
        let by = |taken: &&(&str, &str)| taken.1 == setting;
        let name = taken
            .iter()
            .find(by)
            .map_or("RABBITMQ_DEFAULT_PASS", |it| it.0);
        let name = name.to_owned();
        ConfigError::Environment { name, reason }
    })?;
    layer.rabbitmq_variables = Some(taken);
    Ok(layer)
}

fn set(layer: &mut Settings, name: &str, value: &OsString) -> Result<(), String> {
    let text = || {
        let text = value.to_str().map(str::to_owned);
        text.ok_or_else(|| "the value is not UTF-8".to_owned())
    };
    match name {
        "RABBITMQ_DEFAULT_USER" => layer.default_user = Some(text()?),
        "RABBITMQ_DEFAULT_USER_FILE" if layer.default_user.is_some() => {
            return Err("RABBITMQ_DEFAULT_USER is set, too: use one of them".to_owned());
        }
        "RABBITMQ_DEFAULT_USER_FILE" => {
            layer.default_user = Some(first_line(Path::new(value))?);
        }
        "RABBITMQ_DEFAULT_PASS" => layer.default_pass = Some(Secret::from(&*text()?)),
        "RABBITMQ_DEFAULT_PASS_FILE" => layer.default_pass_file = Some(PathBuf::from(value)),
        "RABBITMQ_CONFIG_FILE" => layer.config = Some(config_file(value)),
        "RABBITMQ_DEFAULT_VHOST" => layer.default_vhost = Some(text()?),
        "RABBITMQ_NODE_IP_ADDRESS" => layer.bind = Some(address(text()?.trim())?),
        "RABBITMQ_LOGS" => {
            let file = log_file(text()?.trim())?;
            layer.log_console = (file == Path::new(NONE)).then_some(true);
            layer.log_file = Some(file);
        }
        "RABBITMQ_LOG" => layer.log_level = Some(log_level(text()?.trim())?),
        _ => {
            let port = text()?;
            let wanted = || format!("'{port}' is not a port: use a whole number from 0 to 65535");
            layer.port = Some(port.trim().parse().map_err(|_| wanted())?);
        }
    }
    Ok(())
}

/// Returns the configuration file that is named with or without `.conf`.
fn config_file(named: &OsStr) -> PathBuf {
    let mut with_extension = named.to_owned();
    with_extension.push(".conf");
    let (named, with_extension) = (PathBuf::from(named), PathBuf::from(with_extension));
    match !named.exists() && with_extension.exists() {
        true => with_extension,
        false => named,
    }
}

/// Returns the address to listen on: `auto` is every one.
fn address(text: &str) -> Result<IpAddr, String> {
    if text == "auto" {
        return Ok(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    }
    let address = text.trim_start_matches('[').trim_end_matches(']').parse();
    address.map_err(|_| {
        format!("'{text}' is not an IP address: use one such as 127.0.0.1, 0.0.0.0 or ::, or auto for every one")
    })
}

/// Returns the file that the log goes to, besides standard error: `-` is none.
fn log_file(text: &str) -> Result<PathBuf, String> {
    match text {
        "-" | "-stderr" => Ok(PathBuf::from(NONE)),
        path if Path::new(path).is_absolute() => Ok(PathBuf::from(path)),
        _ => Err(format!(
            "'{text}' is not a place for the log: use - for standard error, or the whole path of a file"
        )),
    }
}

/// Returns what is logged. RabbitMQ's variable may also have levels of its categories, and colours.
fn log_level(text: &str) -> Result<LogFilter, String> {
    let words = text.split(',').map(str::trim);
    let mut levels = words.filter(|word| !word.contains(['=', '+', '-']));
    match levels.next_back() {
        Some(level) => level.parse(),
        None => Ok(LogFilter::default()),
    }
}

/// The longest value in a file of its own, in bytes.
const MAX_VALUE: u64 = 64 << 10;

/// Reads a file that contains one value, without the line end that editors add.
///
/// # Errors
/// Why it has none.
pub(in crate::config) fn first_line(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let mut text = String::new();
    let file = regular::open(path).map_err(|error| format!("{shown}: {}", plain(&error)))?;
    file.take(MAX_VALUE)
        .read_to_string(&mut text)
        .map_err(|error| format!("{shown}: {}", plain(&error)))?;
    let mut lines = text.lines();
    match (lines.next(), lines.next()) {
        (Some(line), None) if !line.is_empty() => Ok(line.to_owned()),
        (Some(_), Some(_)) => Err(format!("{shown} has more than one line")),
        _ => Err(format!("{shown} is empty")),
    }
}
