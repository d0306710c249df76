//! The lines of the file: `key = value  # comment`, `include path`, or nothing.

use std::path::Path;
use std::sync::Arc;

/// The longest value, in bytes.
pub(super) const MAX_VALUE: usize = 64 << 10;
/// What is wrong with a file that is a list of Erlang terms.
pub(super) const ERLANG: &str = "this is RabbitMQ's old format of Erlang terms, which only Erlang can read: write what it says as \
     'key = value', one a line, as in rabbitmq.conf, or as a TOML file";

/// Where a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// The file.
    pub(super) file: Arc<Path>,
    /// The number of the line, from 1.
    pub(super) line: usize,
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Where it is.
    pub(super) at: Origin,
    /// The parts of the key, which dots separate. A part may contain a dot that is written as `\.`.
    pub(super) key: Vec<String>,
    /// The parts of the key as the file has it, which may be an older name of it.
    pub(super) named: Vec<String>,
    /// The value, without quotes.
    pub(super) value: String,
}

impl Entry {
    /// Returns the key as the file has it.
    pub(super) fn written(&self) -> String {
        let parts = self.named.iter().map(|part| part.replace('.', "\\."));
        parts.collect::<Vec<_>>().join(".")
    }
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// A setting.
    Entry(Entry),
    /// Further files are to be read here: `include conf.d/*.conf`.
    Include(Origin, String),
}

/// What is wrong, with the number of the line.
pub(super) type Mistake = (usize, String);

/// Reads the text of a file.
///
/// # Errors
/// The first line that is none of the format.
pub(super) fn parse(file: &Arc<Path>, text: &str) -> Result<Vec<Item>, Mistake> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if is_erlang(text) {
        return Err((1, ERLANG.to_owned()));
    }
    let mut rest = Cursor { text, line: 1 };
    let mut items = Vec::new();
    while !rest.text.is_empty() {
        rest.skip_blanks();
        let line = rest.line;
        if let Some(item) = rest.item(file).map_err(|reason| (line, reason))? {
            items.push(item);
        }
        rest.end_line().map_err(|reason| (line, reason))?;
    }
    Ok(items)
}

/// Returns whether the file begins with a list of Erlang terms; a comment of theirs begins with `%`.
fn is_erlang(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim_start);
    let first = lines.find(|line| !line.is_empty() && !line.starts_with('#'));
    first.is_some_and(|line| line.starts_with(['[', '{', '%']))
}

/// What is left of the text.
struct Cursor<'a> {
    text: &'a str,
    line: usize,
}

impl<'a> Cursor<'a> {
    fn skip_blanks(&mut self) {
        self.text = self.text.trim_start_matches([' ', '\t']);
    }

    /// Consumes and returns this many bytes.
    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.text.split_at(bytes);
        self.line += taken.bytes().filter(|byte| *byte == b'\n').count();
        self.text = rest;
        taken
    }

    /// Returns the rest of the line, without its end.
    fn rest_of_line(&self) -> &'a str {
        let line = self.text.split('\n').next().unwrap_or_default();
        line.strip_suffix('\r').unwrap_or(line)
    }

    /// Consumes the end of a line, and a comment before it.
    fn end_line(&mut self) -> Result<(), String> {
        self.skip_blanks();
        let rest = self.rest_of_line();
        if !rest.is_empty() && !rest.starts_with('#') {
            return Err(format!(
                "'{}' follows the quoted value: put all of the value between the quotes",
                shortened(rest)
            ));
        }
        let end = self.text.find('\n').map_or(self.text.len(), |at| at + 1);
        self.take(end);
        Ok(())
    }

    /// Consumes what stands on a line.
    fn item(&mut self, file: &Arc<Path>) -> Result<Option<Item>, String> {
        let rest = self.rest_of_line();
        if rest.is_empty() || rest.starts_with('#') {
            return Ok(None);
        }
        let at = Origin {
            file: file.clone(),
            line: self.line,
        };
        if let Some(included) = included(rest) {
            let (start, path) = included?;
            self.take(start + path.len());
            return Ok(Some(Item::Include(at, path.to_owned())));
        }
        let Some(equals) = rest.find('=') else {
            return Err(format!(
                "'{}' is not a setting: use 'key = value'",
                shortened(rest)
            ));
        };
        let key = key(rest[..equals].trim_end_matches([' ', '\t']))?;
        self.take(equals + 1);
        self.skip_blanks();
        let value = self.value()?;
        if value.len() > MAX_VALUE {
            return Err(format!("the value has more than {MAX_VALUE} bytes"));
        }
        Ok(Some(Item::Entry(Entry {
            at,
            named: key.clone(),
            key,
            value: value.to_owned(),
        })))
    }

    /// Consumes a value: between three quotes, between one, or up to the end of the line or a comment.
    fn value(&mut self) -> Result<&'a str, String> {
        for quotes in ["'''", "'"] {
            let inside = self.text.strip_prefix(quotes);
            if let Some(length) = inside.and_then(|inside| inside.find(quotes)) {
                let quoted = self.take(length + 2 * quotes.len());
                let trimmed = match quotes.len() {
                    1 => quoted.trim_matches('\''),
                    _ => quoted.trim_matches(['\'', '\r', '\n']),
                };
                return Ok(trimmed);
            }
        }
        let rest = self.rest_of_line();
        let end = rest.find('#').unwrap_or(rest.len());
        let value = rest[..end].trim_end_matches([' ', '\t']);
        if value.is_empty() {
            return Err(
                "the key has no value: write one behind =, or '' for an empty one".to_owned(),
            );
        }
        self.take(value.len());
        Ok(value)
    }
}

/// Returns where the path of a line with `include` begins, and the path; `None` for other lines.
fn included(line: &str) -> Option<Result<(usize, &str), String>> {
    let rest = line.strip_prefix("include")?;
    let path = rest.trim_start_matches([' ', '\t']);
    if path.len() == rest.len() || path.starts_with('=') {
        return None;
    }
    let start = line.len() - path.len();
    let is_of_path = |c: char| c.is_ascii_alphanumeric() || "-_.*/".contains(c);
    let end = path.find(|c| !is_of_path(c)).unwrap_or(path.len());
    let behind = path[end..].trim_start_matches([' ', '\t']);
    if end == 0 || !(behind.is_empty() || behind.starts_with('#')) {
        let advice = "an included path may contain letters, digits and -_.*/ only";
        return Some(Err(format!("'{}': {advice}", shortened(path))));
    }
    Some(Ok((start, &path[..end])))
}

/// Returns the parts of a key.
fn key(text: &str) -> Result<Vec<String>, String> {
    let wrong = |reason: &str| format!("'{}' is not a key: {reason}", shortened(text));
    let mut parts = vec![String::new()];
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        let part = parts.last_mut();
        match (c, part) {
            ('\\', Some(part)) if characters.as_str().starts_with('.') => {
                characters.next();
                part.push('.');
            }
            ('.', _) => parts.push(String::new()),
            (c, Some(part)) if c.is_ascii_alphanumeric() || "_-".contains(c) => part.push(c),
            _ => {
                return Err(wrong(
                    "use letters, digits, - and _, with dots between parts",
                ));
            }
        }
    }
    match parts.iter().any(String::is_empty) {
        true => Err(wrong("a part between dots is empty")),
        false => Ok(parts),
    }
}

/// Returns text for a message.
pub(super) fn shortened(text: &str) -> String {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Returns the keys and values of a text.
#[cfg(test)]
pub(super) fn only_entries(text: &str) -> Result<Vec<(String, String)>, Mistake> {
    let file: Arc<Path> = Path::new("rabbitmq.conf").into();
    let items = parse(&file, text)?.into_iter();
    let entries = items.filter_map(|item| match item {
        Item::Entry(entry) => Some((entry.written(), entry.value)),
        Item::Include(..) => None,
    });
    Ok(entries.collect())
}
