//! A TOML file.

use std::path::Path;

use super::settings::Settings;
use super::{ConfigError, plain_words, regular, sources};
use std::io::Read;

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 4 << 20;

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

/// Reads the text of a configuration file, which may also be `/dev/stdin`.
///
/// # Errors
/// When it cannot be read, is not UTF-8, or has no end.
pub(super) fn text_of(path: &Path) -> Result<String, ConfigError> {
    let mut text = Vec::new();
    let file = regular::open(path).map_err(|error| sources::unreadable(path, &error))?;
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
    let settings: Settings =
        toml::from_str(text).map_err(|error| plain_words::explain(text, &error))?;
    settings
        .check()
        .map_err(|(key, reason)| plain_words::at_key(text, &key.replace('-', "_"), &reason))?;
    Ok(settings)
}
