//! From keys to settings: every key is used, noted or refused.

use super::draft::Draft;
use super::grammar::Entry;
use super::names::{USED, Use, nearest, used};
use super::substitute::{Conf, wrong};
use super::unused::{self, UNUSED};
use super::{auth, limits, listeners, log, oauth2, tls, users};
use crate::config::ConfigError;
use crate::config::settings::Settings;
use clap::Args;

/// Translates all settings.
///
/// # Errors
/// When a key is unknown, or a value is wrong or has a meaning that it cannot have here.
pub(super) fn translate(conf: &Conf, draft: &mut Draft) -> Result<(), ConfigError> {
    for entry in conf.entries() {
        match (used(&entry.key), unused::advice(&entry.key)) {
            (Some(Use::Set(setting, kind)), _) => {
                let value = kind.read(entry).map_err(|reason| wrong(entry, &reason))?;
                draft.set(setting, value, &[entry])?;
            }
            (Some(Use::Part), _) => {}
            (None, Some((group, instead))) => draft.note(entry, group, instead),
            (None, None) => return Err(wrong(entry, &unknown(entry))),
        }
    }
    limits::translate(conf, draft)?;
    listeners::translate(conf, draft)?;
    tls::translate(conf, draft)?;
    users::translate(conf, draft)?;
    auth::translate(conf, draft)?;
    oauth2::translate(conf, draft)?;
    log::translate(conf, draft)
}

/// Returns what is wrong with a key that is in no table.
fn unknown(entry: &Entry) -> String {
    if let [name] = entry.key.as_slice()
        && is_our_own(name)
    {
        return "this is a key of Leveret's own TOML files: put it into one, such as /etc/leveret/leveret.toml".to_owned();
    }
    let patterns = USED.iter().map(|(pattern, _)| *pattern);
    let patterns = patterns.chain(UNUSED.iter().map(|(pattern, _)| *pattern));
    match nearest(&entry.key, patterns) {
        Some(near) => format!("there is no such key: did you mean {near}?"),
        None => "there is no such key in RabbitMQ 3.10 to 4.3: remove the line".to_owned(),
    }
}

/// Returns whether this is a key of our own files.
fn is_our_own(name: &str) -> bool {
    let flags = Settings::augment_args(clap::Command::new("leveret"));
    flags.get_arguments().any(|flag| flag.get_id() == name)
}
