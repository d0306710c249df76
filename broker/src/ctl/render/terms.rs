//! Rows as lists of Erlang's or Elixir's pairs: the formatters `erlang`, `string` and `inspect`. What is an atom in RabbitMQ
//! is a binary here, except tags and types of fields.

use crate::manage::value::Value;
use crate::text::escape::{Form, escaped};
use serde_json::Value as Json;

/// Erlang's columns per line, after the bracket.
const WIDTH: usize = 78;

/// How terms are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Language {
    Erlang,
    Elixir,
}

/// Formats a row as Erlang prints it: on one line if it fits, else with a line for each pair.
pub(super) fn erlang(columns: &[&str], row: &[Value]) -> String {
    let pairs = columns.iter().zip(row);
    let pairs: Vec<String> = pairs
        .map(|(name, value)| format!("{{{},{}}}", erlang_atom(name), Language::Erlang.term(value)))
        .collect();
    let line = format!("[{}]", pairs.join(","));
    match line.chars().count() < WIDTH {
        true => line,
        false => format!("[{}]", pairs.join(",\n  ")),
    }
}

/// Formats a text as Erlang prints it.
pub(super) fn erlang_text(text: &str) -> String {
    format!("<<{}>>", quoted(text))
}

/// Formats what is no listing as Erlang prints it: a list of pairs, each of them on a line of its own.
pub(in crate::ctl) fn erlang_json(json: &Json) -> String {
    match json {
        Json::Object(members) => {
            let pairs = members.iter().map(|(name, value)| {
                let value = erlang_nested(value);
                format!("{{{},{value}}}", erlang_atom(name))
            });
            format!("[{}]", pairs.collect::<Vec<_>>().join(",\n "))
        }
        other => erlang_nested(other),
    }
}

fn erlang_nested(json: &Json) -> String {
    match json {
        Json::Null => "undefined".to_owned(),
        Json::String(text) => Language::Erlang.binary(text),
        Json::Array(items) => Language::Erlang.list(items.iter().map(erlang_nested)),
        Json::Object(members) => Language::Erlang.list(
            members
                .iter()
                .map(|(name, value)| format!("{{{},{}}}", erlang_atom(name), erlang_nested(value))),
        ),
        plain => plain.to_string(),
    }
}

/// Formats a row as Elixir prints it.
pub(super) fn elixir(columns: &[&str], row: &[Value]) -> String {
    let pairs = columns.iter().zip(row);
    let pairs: Vec<String> = pairs
        .map(|(name, value)| {
            let key = match is_plain(name) {
                true => (*name).to_owned(),
                false => quoted(name),
            };
            format!("{key}: {}", Language::Elixir.term(value))
        })
        .collect();
    format!("[{}]", pairs.join(", "))
}

impl Language {
    fn term(self, value: &Value) -> String {
        match value {
            Value::Absent if self == Language::Elixir => ":\"\"".to_owned(),
            Value::Absent => "''".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Integer(value) => value.to_string(),
            Value::Float(value) => format!("{value:?}"),
            Value::Text(text) => self.binary(text),
            Value::Table { table } => self.list(table.iter().map(|field| {
                let kind = self.atom(field.kind.as_str());
                self.tuple(&[self.binary(&field.name), kind, self.term(&field.value)])
            })),
            Value::Array { array } => self.list(array.iter().map(|item| self.term(item))),
            Value::Words { words } => self.list(words.iter().map(|word| self.atom(word))),
            Value::Map { map } => self.list(
                map.iter()
                    .map(|(name, value)| self.tuple(&[self.binary(name), self.term(value)])),
            ),
            Value::Tuple { tuple } => {
                let items: Vec<String> = tuple.iter().map(i64::to_string).collect();
                self.tuple(&items)
            }
        }
    }

    fn binary(self, text: &str) -> String {
        match self {
            Language::Erlang if text.is_empty() => "<<>>".to_owned(),
            Language::Erlang => erlang_text(text),
            Language::Elixir => quoted(text),
        }
    }

    fn atom(self, name: &str) -> String {
        match self {
            Language::Erlang => erlang_atom(name),
            Language::Elixir if is_plain(name) => format!(":{name}"),
            Language::Elixir => format!(":{}", quoted(name)),
        }
    }

    fn list(self, items: impl Iterator<Item = String>) -> String {
        let items: Vec<String> = items.collect();
        format!("[{}]", items.join(self.separator()))
    }

    fn tuple(self, items: &[String]) -> String {
        format!("{{{}}}", items.join(self.separator()))
    }

    fn separator(self) -> &'static str {
        match self {
            Language::Erlang => ",",
            Language::Elixir => ", ",
        }
    }
}

fn erlang_atom(name: &str) -> String {
    match is_plain(name) {
        true => name.to_owned(),
        false => format!("'{}'", escaped(&name.replace('\'', "\\'"), Form::Line)),
    }
}

fn is_plain(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", escaped(&text, Form::Line))
}
