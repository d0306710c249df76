//! The settings that the file comes to, one after the other, with the lines that they come from.

use super::Note;
use super::grammar::{Entry, Origin};
use super::substitute::wrong;
use crate::config::settings::Settings;
use crate::config::{ConfigError, file};
use std::path::{Path, PathBuf};
use toml::Value;

/// A setting of ours, and the lines that say so.
#[derive(Debug)]
pub(super) struct Assigned {
    /// Its key.
    pub(super) setting: &'static str,
    /// Its value, as a TOML file has it.
    pub(super) value: Value,
    /// The entries that it comes from.
    pub(super) from: Vec<Entry>,
}

/// What has no effect here: all keys of a group.
#[derive(Debug)]
struct Unused {
    file: PathBuf,
    lines: Vec<usize>,
    group: String,
    keys: Vec<String>,
    instead: String,
}

/// The settings so far, and what has no effect.
#[derive(Debug)]
pub(super) struct Draft {
    /// The file that an error names that no line has caused.
    path: PathBuf,
    settings: Settings,
    assigned: Vec<Assigned>,
    unused: Vec<Unused>,
}

impl Draft {
    pub(super) fn new(path: PathBuf) -> Self {
        Draft {
            path,
            settings: Settings::default(),
            assigned: Vec::new(),
            unused: Vec::new(),
        }
    }

    /// Returns the settings in the order in which they were made.
    pub(super) fn assigned(&self) -> &[Assigned] {
        &self.assigned
    }

    /// Returns whether a setting has a value.
    pub(super) fn has(&self, setting: &str) -> bool {
        self.assigned.iter().any(|one| one.setting == setting)
    }

    /// Gives a setting a value. The first of the entries that it comes from is the one that an error names.
    ///
    /// # Errors
    /// When the value is not one of the setting.
    pub(super) fn set(
        &mut self,
        setting: &'static str,
        value: impl Into<Value>,
        from: &[&Entry],
    ) -> Result<(), ConfigError> {
        let value = value.into();
        let parsed = file::parse(&format!("{setting} = {value}\n"));
        let parsed = parsed.map_err(|reason| self.refused(setting, &reason, from))?;
        let settings = std::mem::take(&mut self.settings);
        self.settings = parsed.or(settings);
        self.assigned.push(Assigned {
            setting,
            value,
            from: from.iter().map(|entry| (*entry).clone()).collect(),
        });
        Ok(())
    }

    /// Notes that a key has no effect here. Keys of one group are noted together.
    pub(super) fn note(&mut self, entry: &Entry, group: &str, instead: impl Into<String>) {
        self.add_note(&entry.at, group, entry.written(), instead.into());
    }

    /// Notes that a line has no effect here.
    pub(super) fn note_at(&mut self, at: &Origin, keys: &str, instead: String) {
        self.add_note(at, keys, keys.to_owned(), instead);
    }

    fn add_note(&mut self, at: &Origin, group: &str, key: String, instead: String) {
        let file: &Path = &at.file;
        let is_it =
            |one: &&mut Unused| one.file == file && one.group == group && one.instead == instead;
        match self.unused.iter_mut().find(is_it) {
            Some(known) => {
                known.lines.push(at.line);
                known.keys.push(key);
            }
            None => self.unused.push(Unused {
                file: file.to_owned(),
                lines: vec![at.line],
                group: group.to_owned(),
                keys: vec![key],
                instead,
            }),
        }
    }

    /// Returns the settings, checked as a whole.
    ///
    /// # Errors
    /// When two of them do not go together.
    pub(super) fn settings(&self) -> Result<Settings, ConfigError> {
        let settings = self.settings.clone();
        settings.check().map_err(|(flag, reason)| {
            let setting = flag.replace('-', "_");
            let made = self.assigned.iter().find(|one| one.setting == setting);
            match made.and_then(|one| one.from.first()) {
                Some(entry) => wrong(entry, &reason),
                None => ConfigError::File {
                    path: self.path.clone(),
                    reason: format!("{setting}: {reason}"),
                },
            }
        })?;
        Ok(settings)
    }

    /// Returns what has no effect here.
    pub(super) fn into_notes(self) -> Vec<Note> {
        self.unused.into_iter().map(Note::from).collect()
    }

    /// Returns what has no effect here.
    pub(super) fn notes(&self) -> Vec<Note> {
        let note = |unused: &Unused| Note {
            path: unused.file.clone(),
            keys: unused.shown(),
            instead: unused.instead.clone(),
        };
        self.unused.iter().map(note).collect()
    }

    /// Returns the error of a value that a setting cannot have.
    fn refused(&self, setting: &str, reason: &str, from: &[&Entry]) -> ConfigError {
        let reason = reason.strip_prefix("line 1: ").unwrap_or(reason);
        let named = format!("{setting}: ");
        let reason = reason.strip_prefix(&named).unwrap_or(reason);
        match from.first() {
            Some(entry) => wrong(entry, reason),
            None => ConfigError::File {
                path: self.path.clone(),
                reason: reason.to_owned(),
            },
        }
    }
}

impl Unused {
    /// Returns the key with its line, or the group with the number of its keys.
    fn shown(&self) -> String {
        let line = self.lines.first().copied().unwrap_or_default();
        match self.keys.as_slice() {
            [key] => format!("{key} (line {line})"),
            keys => format!("{} ({} keys from line {line})", self.group, keys.len()),
        }
    }
}

impl From<Unused> for Note {
    fn from(unused: Unused) -> Self {
        Note {
            keys: unused.shown(),
            path: unused.file,
            instead: unused.instead,
        }
    }
}
