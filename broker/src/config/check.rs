//! What is checked of settings beyond their types: ranges, and what must not be empty.

use super::settings::Settings;
use super::values::ByteSize;

/// The frame size that every peer must accept (spec 4.2.3).
const FRAME_MIN_SIZE: u64 = 4096;
/// A frame is one buffer: beyond this size it costs more memory than it saves in headers.
const FRAME_MAX_LIMIT: u64 = 128 << 20;
/// RabbitMQ's upper bound for `max_message_size`.
const MAX_MESSAGE_LIMIT: u64 = 512 << 20;

/// Rotating one renames all.
const MAX_ROTATION_COUNT: u32 = 1000;

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
        for (key, path) in [
            ("data-dir", &self.data_dir),
            ("log-file", &self.log_file),
            ("load-definitions", &self.load_definitions),
            ("tls-key-password-file", &self.tls_key_password_file),
            ("tls-cacertfile", &self.tls_cacertfile),
        ] {
            if path
                .as_ref()
                .is_some_and(|path| path.as_os_str().is_empty())
            {
                return Err((key, "the path is empty".to_owned()));
            }
        }
        let is_empty =
            |name: &Option<String>| name.as_ref().is_some_and(|name| name.trim().is_empty());
        for (key, name) in [
            ("default-user", &self.default_user),
            ("anonymous-login-user", &self.anonymous_login_user),
        ] {
            if is_empty(name) {
                return Err((key, "the name is empty".to_owned()));
            }
        }
        Ok(())
    }
}
