//! RabbitMQ's configuration file, `rabbitmq.conf`: lines of `key = value`, as the library cuttlefish reads them.
//!
//! It is read in steps, a file each: [`grammar`] knows lines, [`include`] further files, [`substitute`] the variables in
//! values, [`keys`] which keys there are and what becomes of each. What the keys mean together is in the files of their
//! subjects, which add to a [`draft::Draft`]; `import` writes that as a file of our own.

mod auth;
mod draft;
mod grammar;
pub(in crate::config) mod import;
mod include;
mod keys;
mod limits;
mod listeners;
mod log;
mod names;
mod oauth2;
mod substitute;
mod tls;
mod unused;
mod users;
mod values;

#[cfg(test)]
mod file_tests;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use super::Note;
use crate::config::ConfigError;
use crate::config::settings::Settings;
use draft::Draft;
use std::ffi::OsString;
use std::path::PathBuf;

/// Looks up an environment variable.
type Lookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Reads configuration files of RabbitMQ as one layer of settings, and what of them has no effect here. A key of a later file
/// replaces that of an earlier one, and what keys mean together does not depend on which file they are in.
///
/// # Errors
/// When a file cannot be read or parsed, or has an unknown key or an invalid value.
pub(in crate::config) fn read(paths: &[PathBuf]) -> Result<(Settings, Vec<Note>), ConfigError> {
    let draft = draft_of(paths, &|name| std::env::var_os(name))?;
    let settings = draft.settings()?;
    Ok((settings, draft.into_notes()))
}

/// Reads files, of which later ones win, as a draft of settings.
///
/// # Errors
/// See [`read`].
fn draft_of(paths: &[PathBuf], variables: Lookup<'_>) -> Result<Draft, ConfigError> {
    let (entries, missing) = include::read(paths)?;
    let conf = substitute::resolved(entries, variables)?;
    let mut draft = Draft::new(paths.last().cloned().unwrap_or_default());
    for include in missing {
        draft.note_at(&include, "include", "no file has that name".to_owned());
    }
    keys::translate(&conf, &mut draft)?;
    Ok(draft)
}
