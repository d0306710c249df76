//! The TOML file.

use std::path::{Path, PathBuf};

use super::ConfigError;
use super::settings::Settings;

/// Reads a configuration file: one layer of settings. A relative `data_dir` in it is taken
/// relative to the file, so that the file means the same wherever the broker is started.
///
/// # Errors
/// When the file cannot be read or parsed, or a key or value is not one of ours.
pub(super) fn read(path: &Path) -> Result<Settings, ConfigError> {
    let failed = |reason: String| ConfigError::File {
        path: path.to_owned(),
        reason,
    };
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let mut settings = parse(&text).map_err(failed)?;
    if let (Some(data_dir), Some(folder)) = (&settings.data_dir, path.parent()) {
        settings.data_dir = Some(PathBuf::from(folder).join(data_dir));
    }
    Ok(settings)
}

/// Parses the text of a configuration file.
///
/// # Errors
/// One line: where it is wrong, what is wrong, what would be right.
pub(super) fn parse(text: &str) -> Result<Settings, String> {
    let settings: Settings = toml::from_str(text).map_err(|error| {
        let message = error.message().trim_end().replace('\n', ", ");
        match error.span() {
            Some(span) => format!("line {}: {message}", line_of(text, span.start)),
            None => message,
        }
    })?;
    settings
        .check()
        .map_err(|(key, reason)| format!("{}: {reason}", key.replace('-', "_")))?;
    Ok(settings)
}

/// The line, counted from 1, that holds this byte.
fn line_of(text: &str, offset: usize) -> usize {
    text.bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1
}
