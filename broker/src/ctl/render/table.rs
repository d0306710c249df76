//! The default layout. Values are shown as Erlang terms, as in rabbitmqctl.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

use crate::manage::value::Value;
use crate::text::escape::{Form, escaped};

/// Writes the cells of a row, separated by tabs.
pub(super) fn row(out: &mut dyn Write, row: &[Value]) -> io::Result<()> {
    for (index, value) in row.iter().enumerate() {
        let separator = if index == 0 { "" } else { "\t" };
        write!(out, "{separator}{}", cell(value))?;
    }
    writeln!(out)
}

/// Formats a cell. Text is unchanged except for control characters: clients choose names, and their
/// tabs and escape sequences must not reach the layout or the terminal.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Text(text) => printable(text).into_owned(),
        other => term(other),
    }
}

/// Formats a cell that will be quoted, so that it may contain tabs.
pub(super) fn quoted(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Text(text) => escaped(text, Form::Quoted),
        other => Cow::Owned(term(other)),
    }
}

fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, Form::Line)
}

fn term(value: &Value) -> String {
    match value {
        Value::Absent => String::new(),
        Value::Bool(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        // Always with a decimal point, like Erlang's floats: 1.0.
        Value::Float(value) => format!("{value:?}"),
        Value::Text(text) => {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"");
            format!("\"{}\"", printable(&text))
        }
        Value::Table { table } => {
            let mut text = String::from("[");
            for (index, field) in table.iter().enumerate() {
                let separator = if index == 0 { "" } else { "," };
                let name = term(&Value::Text(field.name.clone()));
                // Writing to a String cannot fail.
                let _ = write!(text, "{separator}{{{name},{}}}", term(&field.value));
            }
            text + "]"
        }
        Value::Array { array } => {
            let items: Vec<String> = array.iter().map(term).collect();
            format!("[{}]", items.join(","))
        }
        Value::Words { words } => format!("[{}]", printable(&words.join(", "))),
        Value::Map { map } => {
            let pair = |(name, value): &(String, Value)| {
                format!(
                    "{{<<{}>>, {}}}",
                    term(&Value::Text(name.clone())),
                    cell(value)
                )
            };
            let pairs: Vec<String> = map.iter().map(pair).collect();
            format!("[{}]", pairs.join(", "))
        }
        Value::Tuple { tuple } => {
            let numbers: Vec<String> = tuple.iter().map(i64::to_string).collect();
            format!("{{{}}}", numbers.join(","))
        }
    }
}
