//! What is wrong with a TOML file, in the words of those who write one: a line, a key, what is there, and what belongs there.

use super::check::not_a_number;

/// What is wrong with an address that does not parse.
const INVALID_ADDRESS: &str =
    "invalid IP address: use one such as 127.0.0.1, 0.0.0.0 or ::1, not a name";
/// What is wrong with text outside quotes, which TOML takes for a number.
const UNQUOTED: &str = "string values must be quoted";
/// How similar a known key has to be to be meant.
const SIMILAR: f64 = 0.8;

/// Explains an error in one line.
pub(super) fn explain(text: &str, error: &toml::de::Error) -> String {
    let Some(span) = error.span() else {
        return in_plain_words(error.message(), None);
    };
    let line = line_of(text, span.start);
    if let Some(key) = without_value(text, line) {
        return format!(
            "line {line}: {key}: the value is missing: write it behind the =, or remove the line"
        );
    }
    let key = key_around(text, span.start);
    let message = in_plain_words(error.message(), key.as_deref());
    match key {
        Some(key) => format!("line {line}: {key}: {message}"),
        None => format!("line {line}: {message}"),
    }
}

/// Returns the key in a line that has no value: `port =`.
fn without_value(text: &str, line: usize) -> Option<&str> {
    let (key, value) = text.lines().nth(line - 1)?.split_once('=')?;
    let (key, value) = (key.trim(), value.trim());
    let is_key = key
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    (is_key && !key.is_empty() && (value.is_empty() || value.starts_with('#'))).then_some(key)
}

/// Says in which line a key has a wrong value.
pub(super) fn at_key(text: &str, key: &str, reason: &str) -> String {
    let table = toml::de::DeTable::parse(text).ok();
    let found = table
        .as_ref()
        .and_then(|table| table.get_ref().get_key_value(key));
    match found {
        Some((found, _)) => format!(
            "line {}: {key}: {reason}",
            line_of(text, found.span().start)
        ),
        None => format!("{key}: {reason}"),
    }
}

/// Returns the key whose value contains this byte.
fn key_around(text: &str, offset: usize) -> Option<String> {
    let table = toml::de::DeTable::parse(text).ok()?;
    let mut all = table.get_ref().iter();
    let found = all.find(|(_, value)| value.span().contains(&offset));
    found.map(|(key, _)| key.get_ref().to_string())
}

/// Turns a message of the deserializer into one line without the names of Rust's types.
fn in_plain_words(message: &str, key: Option<&str>) -> String {
    let message = message.trim_end().replace('\n', ", ");
    if let Some(rest) = message.strip_prefix("unknown field ") {
        return unknown_key(rest);
    }
    if let Some(rest) = message.strip_prefix("unknown variant ") {
        return format!(
            "not a value of this setting: {}",
            rest.replace(", expected ", ", use ")
        );
    }
    let mismatch = message.strip_prefix("invalid type: ");
    let mismatch = mismatch.or(message.strip_prefix("invalid value: "));
    if let Some((found, wanted)) = mismatch.and_then(|rest| rest.split_once(", expected ")) {
        let number = key.and_then(not_a_number);
        let what = number.unwrap_or_else(|| format!("not {}", named(wanted)));
        return format!("{what}: {}", found_there(found));
    }
    message
        .replace("invalid float, expected nothing", UNQUOTED)
        .replace("invalid float, expected `inf`", UNQUOTED)
        .replace("invalid float, expected `nan`", UNQUOTED)
        .replace("wanted string or table", "use text in quotes")
        .replace("invalid IP address syntax", INVALID_ADDRESS)
}

/// Returns what a type is called outside of Rust.
fn named(wanted: &str) -> &str {
    match wanted {
        "a boolean" => "true or false without quotes",
        "path string" => "a path in quotes",
        "a string" => "text in quotes",
        "IP address" => "an IP address in quotes, such as \"127.0.0.1\"",
        "a sequence" => "a list",
        "a map" => "a table",
        "u8" | "u16" | "u32" | "u64" | "usize" | "i64" => "a whole number",
        other => other,
    }
}

/// Returns a value as it is in the file: `70000` of ``integer `70000` ``.
fn found_there(found: &str) -> &str {
    match found {
        "map" => "a table",
        "sequence" => "a list",
        other => {
            let kinds = [
                "string ",
                "integer ",
                "floating point ",
                "boolean ",
                "character ",
            ];
            let value = kinds.iter().find_map(|kind| other.strip_prefix(kind));
            value.unwrap_or(other).trim_matches('`')
        }
    }
}

/// Says what may be meant by a key that is none. `rest` has the key and all known ones, each in backquotes.
fn unknown_key(rest: &str) -> String {
    let mut quoted = rest.split('`').skip(1).step_by(2);
    let key = quoted.next().unwrap_or_default();
    let meant = quoted
        .map(|known| (strsim::jaro_winkler(key, known), known))
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .filter(|(similarity, _)| *similarity > SIMILAR);
    match meant {
        Some((_, meant)) => format!("unknown key `{key}`: did you mean `{meant}`?"),
        None => format!(
            "unknown key `{key}`: leveret --help lists all options, which are the keys with - for _"
        ),
    }
}

/// Returns the number, from 1, of the line that contains this byte.
fn line_of(text: &str, offset: usize) -> usize {
    let before = text.bytes().take(offset);
    before.filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::super::file;

    #[test]
    fn a_missing_value_is_told() {
        for text in [
            "port =",
            "bind = \"::1\"\nport = # none\n",
            "port =\nheartbeat = 1\n",
        ] {
            let told = file::parse(text).unwrap_err();
            assert!(
                told.contains("port: the value is missing"),
                "{text}: {told}"
            );
        }
        let told = file::parse("bind = localhost").unwrap_err();
        assert!(!told.contains("missing"), "{told}");
    }
}
