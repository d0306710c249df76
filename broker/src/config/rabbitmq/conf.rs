//! RabbitMQ's configuration file, `rabbitmq.conf`.

use super::Note;
use crate::config::ConfigError;
use crate::config::settings::Settings;
use std::path::Path;

/// Reads a configuration file of RabbitMQ as one layer of settings, and what of it has no effect here.
///
/// # Errors
/// When the file cannot be read or parsed, or has an unknown key or an invalid value.
pub(in crate::config) fn read(path: &Path) -> Result<(Settings, Vec<Note>), ConfigError> {
    Err(ConfigError::File {
        path: path.to_owned(),
        reason: "files of RabbitMQ's format cannot be read yet: use a TOML file".to_owned(),
    })
}
