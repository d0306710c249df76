//! The one place where what differs from run to run is taken out of a reply.
//!
//! - `<node>`, `<connection a>`: names that are known when the scenario runs, wherever they stand;
//! - `<timestamp>`, `<generated>`, `<connection>`: what is recognised by how it looks;
//! - `<int>`, `<number>`, `<string>`, `<pid>`, `<any>`: values that only have to be of a type, by their keys.

use std::sync::OnceLock;

use regex::Regex;
use serde_json::Value;

/// Keys whose values differ from run to run or between machines, in `tests/conformance/http/varying.md`: `key`,
/// `parent.key`, `beginning*`, or `parent.*` for all below. Numbers become `<int>` or `<number>`, strings `<string>`;
/// what they are not stays.
fn varying() -> &'static [String] {
    static RULES: OnceLock<Vec<String>> = OnceLock::new();
    RULES.get_or_init(|| {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/conformance/http/varying.md");
        let text = std::fs::read_to_string(path).expect("varying.md");
        let rules = text.lines().filter_map(|line| line.strip_prefix("    "));
        rules
            .flat_map(str::split_whitespace)
            .map(str::to_owned)
            .collect()
    })
}

/// The names of one run.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// The broker's node name.
    pub(super) node: String,
    /// The AMQP connections of the scenario with their names.
    pub(super) connections: Vec<(char, String)>,
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern that was tested")
}

fn patterns() -> &'static [(Regex, &'static str)] {
    static PATTERNS: OnceLock<Vec<(Regex, &'static str)>> = OnceLock::new();
    PATTERNS.get_or_init(|| {
        vec![
            (
                regex(r"127\.0\.0\.1:\d+ -> 127\.0\.0\.1:\d+"),
                "<connection>",
            ),
            (regex(r"amq\.(gen|ctag)-[A-Za-z0-9_-]{22}"), "<generated>"),
            (
                regex(r"^\d{4}-\d\d-\d\d[T ]\d?\d:\d\d:\d\d(\.\d+)?(Z|\+\d\d:\d\d)?$"),
                "<timestamp>",
            ),
        ]
    })
}

/// How RabbitMQ writes a process: `<node.1.2.3>`.
fn pid() -> &'static Regex {
    static PATTERN: OnceLock<Regex> = OnceLock::new();
    PATTERN.get_or_init(|| regex(r"^<[^<> ]+\.\d+\.\d+\.\d+>$"))
}

fn varies(parents: &[String], key: &str) -> bool {
    let is = |wanted: &str, key: &str| match wanted.strip_suffix('*') {
        Some(beginning) => key.starts_with(beginning),
        None => wanted == key,
    };
    varying().iter().any(|rule| match rule.rsplit_once('.') {
        None => is(rule, key),
        Some((parent, "*")) => parents.iter().any(|known| known == parent),
        Some((parent, wanted)) => {
            is(wanted, key) && parents.last().is_some_and(|last| last == parent)
        }
    })
}

/// Returns the placeholder for values of the same type.
fn placeholder(value: &Value) -> Option<&'static str> {
    match value {
        Value::Number(number) if number.is_f64() => Some("<number>"),
        Value::Number(_) => Some("<int>"),
        Value::String(text) if text == "<pid>" || text == "<timestamp>" => None,
        Value::String(_) => Some("<string>"),
        _ => None,
    }
}

impl Names {
    /// Returns a request's text with names in the place of `$node` and `$a`, percent-encoded.
    pub(super) fn fill(&self, text: &str) -> String {
        let mut filled = text.replace("$node", &encode(&self.node));
        for (letter, name) in &self.connections {
            filled = filled.replace(&format!("${letter}$"), &encode(name));
        }
        filled
    }

    pub(super) fn clean_text(&self, text: &str) -> String {
        if pid().is_match(text) {
            return "<pid>".to_owned();
        }
        let mut text = match self.node.is_empty() {
            true => text.to_owned(),
            false => text.replace(&self.node, "<node>"),
        };
        for (letter, name) in &self.connections {
            text = text.replace(name, &format!("<connection {letter}>"));
        }
        for (pattern, instead) in patterns() {
            text = pattern.replace_all(&text, *instead).into_owned();
        }
        text
    }

    /// Takes out of a body whatever differs from run to run, and puts the elements of arrays in an order of their own
    /// unless `ordered`.
    pub(super) fn clean(&self, body: &mut Value, ordered: bool) {
        self.clean_value(body, &mut Vec::new(), ordered);
    }

    fn clean_value(&self, value: &mut Value, parents: &mut Vec<String>, ordered: bool) {
        match value {
            Value::String(text) => *text = self.clean_text(text),
            Value::Array(elements) => {
                for element in elements.iter_mut() {
                    self.clean_value(element, parents, ordered);
                }
                if !ordered && elements.iter().all(Value::is_object) {
                    elements.sort_by_cached_key(|element| identity(element).unwrap_or_default());
                }
            }
            Value::Object(fields) => {
                for (key, mut value) in std::mem::take(fields) {
                    let masked = varies(parents, &key);
                    parents.push(key.clone());
                    self.clean_value(&mut value, parents, ordered);
                    parents.pop();
                    if masked && let Some(instead) = placeholder(&value) {
                        value = Value::from(instead);
                    }
                    fields.insert(self.clean_text(&key), value);
                }
            }
            _ => {}
        }
    }
}

/// Percent-encodes a path segment (RFC 3986 section 2.1).
fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'-' | b'.' | b'_' | b'~' | b'@' => out.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Keys that tell the elements of a list apart.
const IDENTITY: [&str; 16] = [
    "vhost",
    "name",
    "user",
    "source",
    "destination",
    "destination_type",
    "properties_key",
    "routing_key",
    "consumer_tag",
    "connection",
    "component",
    "exchange",
    "protocol",
    "port",
    "number",
    "username",
];

/// Returns what tells an element of a list from the others.
pub(super) fn identity(element: &Value) -> Option<String> {
    let fields = element.as_object()?;
    let known = IDENTITY.iter().filter_map(|key| {
        let value = fields.get(*key)?;
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        (!value.is_object()).then(|| format!("{key}={text}"))
    });
    let known: Vec<String> = known.collect();
    (!known.is_empty()).then(|| known.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_differs_becomes_its_type() {
        let names = Names {
            node: "n@h".to_owned(),
            connections: vec![('a', "127.0.0.1:5 -> 127.0.0.1:6".to_owned())],
        };
        let mut body = json!({
            "queues": [
                {"name": "r", "memory": 5, "node": "n@h", "pid": "<n@h.1.2.3>"},
                {"name": "q", "memory": "5", "x_details": {"rate": 0.5},
                 "idle_since": "2024-01-02 3:04:05", "messages": 7},
            ],
            "reason": "no n@h 127.0.0.1:5 -> 127.0.0.1:6 (1) or 127.0.0.1:7 -> 127.0.0.1:8",
        });
        names.clean(&mut body, false);
        let expected = json!({
            "queues": [
                {"name": "q", "memory": "<string>", "x_details": {"rate": "<number>"},
                 "idle_since": "<timestamp>", "messages": 7},
                {"name": "r", "memory": "<int>", "node": "<node>", "pid": "<pid>"},
            ],
            "reason": "no <node> <connection a> (1) or <connection>",
        });
        assert_eq!(body, expected);
        assert_eq!(
            names.fill("/x/$node/$a$"),
            "/x/n@h/127.0.0.1%3A5%20-%3E%20127.0.0.1%3A6"
        );
    }
}
