//! A TOML file.

use std::path::Path;

use super::settings::Settings;
use super::{ConfigError, sources};
use std::fs::File;
use std::io::Read;

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 4 << 20;
/// What is wrong with an address that does not parse.
const INVALID_ADDRESS: &str =
    "invalid IP address: use one such as 127.0.0.1, 0.0.0.0 or ::1, not a name";
/// What is wrong with text outside quotes, which TOML takes for a number.
const UNQUOTED: &str = "string values must be quoted";

/// Reads a configuration file as one layer of settings. A relative path is relative to the
/// file, so that the file means the same wherever the broker is started.
///
/// # Errors
/// When the file cannot be read or parsed, or has an unknown key or an invalid value.
pub(super) fn read(path: &Path) -> Result<Settings, ConfigError> {
    let failed = |reason: String| ConfigError::File {
        path: path.to_owned(),
        reason,
    };
    let text = text_of(path)?;
    let mut settings = parse(&text).map_err(failed)?;
    if let Some(folder) = path.parent() {
        if let Some(path) = &mut settings.data_dir {
            *path = folder.join(&path);
        }
        for path in [
            &mut settings.load_definitions,
            &mut settings.default_pass_file,
            &mut settings.tls_key_password_file,
            &mut settings.tls_cacertfile,
            &mut settings.auth_oauth2_https_cacertfile,
            &mut settings.auth_http_ssl_options_cacertfile,
            &mut settings.auth_http_ssl_options_certfile,
            &mut settings.auth_http_ssl_options_keyfile,
        ] {
            if let Some(path) = path
                && path != Path::new(super::NONE)
            {
                *path = folder.join(&path);
            }
        }
        if let Some(keys) = &mut settings.auth_oauth2_signing_keys {
            keys.relative_to(folder);
        }
        let lists = [
            &mut settings.tls_certfile,
            &mut settings.tls_keyfile,
            &mut settings.tls_crlfile,
        ];
        for paths in lists.into_iter().flatten() {
            paths.join(folder);
        }
    }
    Ok(settings)
}

/// Reads the text of a configuration file, which may also be a pipe.
///
/// # Errors
/// When it cannot be read, is not UTF-8, or has no end.
pub(super) fn text_of(path: &Path) -> Result<String, ConfigError> {
    let mut text = Vec::new();
    let file = File::open(path).map_err(|error| sources::unreadable(path, &error))?;
    let read = file.take(MAX_FILE + 1).read_to_end(&mut text);
    read.map_err(|error| sources::unreadable(path, &error))?;
    let failed = |reason: String| ConfigError::File {
        path: path.to_owned(),
        reason,
    };
    if text.len() as u64 > MAX_FILE {
        return Err(failed(format!("it has more than {MAX_FILE} bytes")));
    }
    String::from_utf8(text).map_err(|_| failed("it is not UTF-8 text".to_owned()))
}

/// Parses the text of a configuration file.
///
/// # Errors
/// One line that says where the file is wrong, what is wrong and what would be right.
pub(super) fn parse(text: &str) -> Result<Settings, String> {
    let settings: Settings = toml::from_str(text).map_err(|error| {
        let message = in_plain_words(error.message());
        match error.span() {
            Some(span) => format!("line {}: {message}", line_of(text, span.start)),
            None => message,
        }
    })?;
    settings.check().map_err(|(key, reason)| {
        let key = key.replace('-', "_");
        match line_of_key(text, &key) {
            Some(line) => format!("line {line}: {key}: {reason}"),
            None => format!("{key}: {reason}"),
        }
    })?;
    Ok(settings)
}

/// Turns a message of the deserializer into one line without the names of Rust's types.
fn in_plain_words(message: &str) -> String {
    message
        .trim_end()
        .replace('\n', ", ")
        .replace("invalid type: map", "it is a table, not one value")
        .replace("invalid float, expected nothing", UNQUOTED)
        .replace("invalid float, expected `inf`", UNQUOTED)
        .replace("invalid float, expected `nan`", UNQUOTED)
        .replace(
            "expected a boolean",
            "expected true or false without quotes",
        )
        .replace("expected u16", "expected a whole number from 0 to 65535")
        .replace("expected path string", "expected a path as a string")
        .replace("expected IP address", "expected an IP address as a string")
        .replace("wanted string or table", "expected a string")
        .replace("invalid IP address syntax", INVALID_ADDRESS)
}

/// Returns the line of a key.
fn line_of_key(text: &str, key: &str) -> Option<usize> {
    let table = toml::de::DeTable::parse(text).ok()?;
    let (key, _) = table.get_ref().get_key_value(key)?;
    Some(line_of(text, key.span().start))
}

/// Returns the number, from 1, of the line that contains this byte.
fn line_of(text: &str, offset: usize) -> usize {
    text.bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1
}
