//! Reads the files: those that are named, and those that they include.

use super::grammar::{self, Entry, Item, Origin};
use crate::config::{ConfigError, regular};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// The most files that are read.
const MAX_FILES: usize = 256;
/// How deep files may include others.
const MAX_DEPTH: usize = 8;
/// The most settings of all files together.
const MAX_ENTRIES: usize = 20_000;

/// What the files contain so far.
#[derive(Default)]
struct Reader {
    entries: Vec<Entry>,
    missing: Vec<Origin>,
    files: usize,
}

/// Returns the settings of these files in their order, and the lines that include a file that is not there.
///
/// # Errors
/// When a file cannot be read, or a line has not the format.
pub(super) fn read(paths: &[PathBuf]) -> Result<(Vec<Entry>, Vec<Origin>), ConfigError> {
    let mut reader = Reader::default();
    for path in paths {
        reader.file(path, 0)?;
    }
    Ok((reader.entries, reader.missing))
}

impl Reader {
    fn file(&mut self, path: &Path, depth: usize) -> Result<(), ConfigError> {
        let failed = |reason: String| ConfigError::File {
            path: path.to_owned(),
            reason,
        };
        self.files += 1;
        if self.files > MAX_FILES {
            return Err(failed(format!(
                "it is one of more than {MAX_FILES} files that are included"
            )));
        }
        let file: Arc<Path> = path.into();
        let text = text_of(path).map_err(failed)?;
        let at = |line, reason| ConfigError::File {
            path: path.to_owned(),
            reason: format!("line {line}: {reason}"),
        };
        let items =
            grammar::parse(&file, &text).map_err(|(line, reason)| match reason.as_str() {
                grammar::ERLANG => failed(reason),
                _ => at(line, reason),
            })?;
        for item in items {
            match item {
                Item::Entry(entry) => self.entries.push(entry),
                Item::Include(from, _) if depth == MAX_DEPTH => {
                    let reason =
                        format!("files include each other more than {MAX_DEPTH} times deep");
                    return Err(at(from.line, reason));
                }
                Item::Include(from, named) => {
                    let included = matching(path, &named)
                        .map_err(|reason| at(from.line, format!("include {named}: {reason}")))?;
                    if included.is_empty() {
                        self.missing.push(from);
                    }
                    for path in included {
                        self.file(&path, depth + 1)?;
                    }
                }
            }
            if self.entries.len() > MAX_ENTRIES {
                return Err(failed(format!(
                    "there are more than {MAX_ENTRIES} settings"
                )));
            }
        }
        Ok(())
    }
}

/// Reads the text of a file.
fn text_of(path: &Path) -> Result<String, String> {
    let mut text = Vec::new();
    let file = regular::open(path).map_err(|error| in_words(&error))?;
    let read = file.take(MAX_FILE + 1).read_to_end(&mut text);
    read.map_err(|error| in_words(&error))?;
    if text.len() as u64 > MAX_FILE {
        return Err(format!("it has more than {MAX_FILE} bytes"));
    }
    String::from_utf8(text).map_err(|_| "it is not UTF-8 text".to_owned())
}

/// Returns an error of the system as text, without its number.
fn in_words(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

/// Returns the files whose names fit an `include`, by name. As in RabbitMQ only the last part of its path may have
/// asterisks.
fn matching(from: &Path, named: &str) -> Result<Vec<PathBuf>, String> {
    let named = Path::new(named);
    let folder = from.parent().unwrap_or(Path::new(""));
    let folder = folder.join(named.parent().unwrap_or(Path::new("")));
    let Some(pattern) = named.file_name().and_then(|name| name.to_str()) else {
        return Err("it names no file".to_owned());
    };
    if !pattern.contains('*') {
        let path = folder.join(pattern);
        return Ok(path.exists().then_some(path).into_iter().collect());
    }
    let folder = match folder.as_os_str().is_empty() {
        true => PathBuf::from("."),
        false => folder,
    };
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(in_words(&error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(|error| in_words(&error))?.file_name();
        let is_hidden = name.as_encoded_bytes().starts_with(b".");
        if !is_hidden && name.to_str().is_some_and(|name| fits(pattern, name)) {
            found.push(folder.join(name));
        }
        if found.len() > MAX_FILES {
            return Err(format!("more than {MAX_FILES} files have such a name"));
        }
    }
    found.sort();
    Ok(found)
}

/// Returns whether a name fits a pattern, in which `*` stands for any text.
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asterisk_stands_for_any_text() {
        for (pattern, name, expected) in [
            ("*.conf", "10-tls.conf", true),
            ("*.conf", "10-tls.toml", false),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXc", false),
            ("a*a", "a", false),
            ("*", "", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }
}
