//! From all lines to one value per key: a later line of a key replaces an earlier one, and `$(NAME)` in a value stands for
//! the value of another key or of an environment variable.

use super::Lookup;
use super::grammar::{Entry, MAX_VALUE};
use super::names::canonical;
use crate::config::{ConfigError, regular};
use std::cell::Cell;
use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

/// How deep values may stand for others.
const MAX_DEPTH: usize = 16;
/// How many names are replaced by their values in all files together: values that stand for several others each could
/// otherwise take for ever.
const MAX_NAMES: usize = 20_000;

/// The settings of all files, one entry per key.
#[derive(Debug)]
pub(super) struct Conf {
    entries: Vec<Entry>,
}

impl Conf {
    /// Returns all entries, in the order of their last lines.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns the entry of a key, whose parts contain no dots.
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        let is_it = |entry: &&Entry| entry.key.iter().map(String::as_str).eq(key.split('.'));
        self.entries.iter().find(is_it)
    }

    /// Returns the entries below a key, with the rest of their keys, those with numbers in the order of these.
    pub(super) fn below(&self, prefix: &str) -> Vec<(&[String], &Entry)> {
        let length = prefix.split('.').count();
        let is_below = |entry: &&Entry| {
            let parts = entry.key.iter().map(String::as_str);
            entry.key.len() > length && parts.take(length).eq(prefix.split('.'))
        };
        let entries = self.entries.iter().filter(is_below);
        let mut found: Vec<_> = entries.map(|entry| (&entry.key[length..], entry)).collect();
        let number = |name: &[String]| name[0].parse::<u64>().unwrap_or(u64::MAX);
        found.sort_by(|(a, _), (b, _)| number(a).cmp(&number(b)).then_with(|| a.cmp(b)));
        found
    }

    /// Returns whether there is a key with this prefix.
    pub(super) fn has_below(&self, prefix: &str) -> bool {
        !self.below(prefix).is_empty()
    }
}

/// Returns the settings with one entry per key, and their values.
///
/// # Errors
/// When a value stands for one that is missing, or for itself.
pub(super) fn resolved(entries: Vec<Entry>, variables: Lookup<'_>) -> Result<Conf, ConfigError> {
    let mut last: HashMap<Vec<String>, usize> = HashMap::new();
    for (index, entry) in entries.iter().enumerate() {
        last.insert(canonical(&entry.key), index);
    }
    let mut kept = Vec::with_capacity(last.len());
    for (index, entry) in entries.into_iter().enumerate() {
        if last.get(&canonical(&entry.key)) == Some(&index) {
            kept.push(with_file(entry)?);
        }
    }
    let values: HashMap<Vec<String>, String> = kept
        .iter()
        .map(|entry| (canonical(&entry.key), entry.value.clone()))
        .collect();
    let source = Source {
        values,
        variables,
        left: Cell::new(MAX_NAMES),
    };
    for entry in &mut kept {
        let value = source.expanded(&entry.value, 0);
        entry.value = value.map_err(|reason| wrong(entry, &reason))?;
        entry.key = canonical(&entry.key);
    }
    Ok(Conf { entries: kept })
}

/// Returns the error of an entry.
pub(super) fn wrong(entry: &Entry, reason: &str) -> ConfigError {
    ConfigError::File {
        path: entry.at.file.to_path_buf(),
        reason: format!("line {}: {}: {reason}", entry.at.line, entry.written()),
    }
}

/// Returns an entry whose value is the text of a file if it is `$(<FILE)`.
fn with_file(mut entry: Entry) -> Result<Entry, ConfigError> {
    let named = entry.value.strip_prefix("$(<");
    let Some(named) = named.and_then(|rest| rest.strip_suffix(')')) else {
        return Ok(entry);
    };
    let folder = entry.at.file.parent().unwrap_or(Path::new(""));
    let path = folder.join(named.trim());
    let mut text = String::new();
    let read = regular::open(&path).and_then(|file| {
        let limit = u64::try_from(MAX_VALUE).unwrap_or(u64::MAX);
        file.take(limit + 1).read_to_string(&mut text)
    });
    match read {
        Ok(_) if text.len() > MAX_VALUE => {
            let reason = format!("{} has more than {MAX_VALUE} bytes", path.display());
            Err(wrong(&entry, &reason))
        }
        Ok(_) => {
            text.truncate(text.trim_end_matches(['\r', '\n']).len());
            entry.value = text;
            Ok(entry)
        }
        Err(error) => Err(wrong(&entry, &format!("{}: {error}", path.display()))),
    }
}

/// What names in values stand for.
struct Source<'a> {
    values: HashMap<Vec<String>, String>,
    variables: Lookup<'a>,
    /// How many more names may be replaced.
    left: Cell<usize>,
}

impl Source<'_> {
    /// Returns a value without names in it.
    fn expanded(&self, value: &str, depth: usize) -> Result<String, String> {
        let mut whole = String::new();
        let mut rest = value;
        while let Some((before, behind)) = rest.split_once("$(") {
            let Some((name, behind)) = behind.split_once(')') else {
                break;
            };
            self.left.set(self.left.get().saturating_sub(1));
            if depth == MAX_DEPTH || self.left.get() == 0 {
                return Err(format!(
                    "$({name}) stands for itself, or for too many others"
                ));
            }
            whole.push_str(before);
            whole.push_str(&self.expanded(&self.value(name.trim())?, depth + 1)?);
            rest = behind;
            if whole.len() > MAX_VALUE {
                return Err(format!("the value has more than {MAX_VALUE} bytes"));
            }
        }
        whole.push_str(rest);
        Ok(whole)
    }

    fn value(&self, name: &str) -> Result<String, String> {
        let key: Vec<String> = name.split('.').map(str::to_owned).collect();
        if let Some(value) = self.values.get(&canonical(&key)) {
            return Ok(value.clone());
        }
        let missing = || {
            format!(
                "$({name}) is neither a key of the file nor an environment variable: set one of them"
            )
        };
        let variable = (self.variables)(name).ok_or_else(missing)?;
        let text = variable.into_string();
        text.map_err(|_| format!("the environment variable {name} is not UTF-8"))
    }
}
