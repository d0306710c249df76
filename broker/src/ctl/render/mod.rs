//! Formats rows as text. Pure: the tests contain what rabbitmqctl prints for the same rows.

mod csv;
mod json;
mod pretty;
mod table;
mod terms;

#[cfg(test)]
mod tests;

use std::io::{self, Write};

use crate::manage::value::Value;

pub(super) use json::object as json_object;
pub(super) use terms::erlang_json;

/// `--formatter`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Format {
    /// Cells separated by tabs.
    #[default]
    Table,
    /// A table with borders.
    Pretty,
    /// An array of objects, one row per line.
    Json,
    /// Cells in double quotes, separated by commas.
    Csv,
    /// A list of Erlang's lists of pairs.
    Erlang,
    /// Elixir's lists of pairs, one per line.
    String,
    /// The same between brackets.
    Inspect,
}

/// The names of all formats.
const FORMATS: [(&str, Format); 7] = [
    ("table", Format::Table),
    ("pretty_table", Format::Pretty),
    ("json", Format::Json),
    ("csv", Format::Csv),
    ("erlang", Format::Erlang),
    ("string", Format::String),
    ("inspect", Format::Inspect),
];

impl Format {
    /// Returns the format with this name, or the default without one.
    pub(super) fn parse(name: Option<&str>) -> Result<Self, String> {
        let Some(name) = name else {
            return Ok(Format::default());
        };
        let found = FORMATS.iter().find(|(known, _)| *known == name);
        found.map(|(_, format)| *format).ok_or_else(|| {
            let known: Vec<&str> = FORMATS.iter().map(|(known, _)| *known).collect();
            let [first @ .., last] = known.as_slice() else {
                return String::new();
            };
            let known = first.join(", ");
            format!("formatter '{name}' is not supported: use {known} or {last}")
        })
    }

    /// Returns the names of all formats.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        FORMATS.iter().map(|(name, _)| *name)
    }

    /// Formats a text that is not a listing.
    pub(super) fn text(self, text: String) -> String {
        match self {
            Format::Erlang => terms::erlang_text(&text),
            Format::Inspect => format!("{text:?}"),
            _ => text,
        }
    }

    /// Returns whether the format is for programs: then nothing but the result is printed.
    pub(super) fn is_for_programs(self) -> bool {
        matches!(self, Format::Json | Format::Csv)
    }
}

/// A listing that is written row by row.
pub(super) struct Rows<'a> {
    format: Format,
    columns: &'a [&'static str],
    /// Whether a table starts with the names of its columns.
    headers: bool,
    written: u64,
    /// The rows of a pretty table, whose column widths are only known at the end.
    buffered: Vec<Vec<String>>,
}

impl<'a> Rows<'a> {
    /// Returns an empty listing with these columns.
    pub(super) fn new(format: Format, columns: &'a [&'static str], headers: bool) -> Self {
        Rows {
            format,
            columns,
            headers,
            written: 0,
            buffered: Vec::new(),
        }
    }

    /// Writes a row. The first one is preceded by headers: as in RabbitMQ, an empty listing has none.
    pub(super) fn row(&mut self, out: &mut dyn Write, row: &[Value]) -> io::Result<()> {
        let first = self.written == 0;
        self.written += 1;
        match self.format {
            Format::Table => {
                if first && self.headers {
                    writeln!(out, "{}", self.columns.join("\t"))?;
                }
                table::row(out, row)
            }
            Format::Csv => {
                if first {
                    csv::row(out, self.columns.iter().copied())?;
                }
                csv::row(out, row.iter().map(table::quoted))
            }
            Format::Json => {
                out.write_all(if first { b"[\n" } else { b"," })?;
                writeln!(out, "{}", json::row(self.columns, row))
            }
            Format::Erlang => {
                out.write_all(if first { b"[" } else { b",\n " })?;
                write!(out, "{}", terms::erlang(self.columns, row))
            }
            Format::String => writeln!(out, "{}", terms::elixir(self.columns, row)),
            Format::Inspect => {
                out.write_all(if first { b"[\n" } else { b"," })?;
                writeln!(out, "{}", terms::elixir(self.columns, row))
            }
            Format::Pretty => {
                self.buffered.push(row.iter().map(table::cell).collect());
                Ok(())
            }
        }
    }

    /// Ends the listing. RabbitMQ does not stream some listings, and shows an empty one of them
    /// differently from an empty stream.
    pub(super) fn end(self, out: &mut dyn Write, is_streamed: bool) -> io::Result<()> {
        let empty = self.written == 0;
        match self.format {
            Format::Table if empty && !is_streamed => writeln!(out),
            Format::Json if empty && !is_streamed => writeln!(out, "[]"),
            Format::Json if empty => writeln!(out, "[\n]"),
            Format::Json => writeln!(out, "]"),
            Format::Pretty if !empty => pretty::write(out, self.columns, &self.buffered),
            Format::Erlang if empty => writeln!(out, "[]"),
            Format::Erlang => writeln!(out, "]"),
            Format::Inspect if empty => writeln!(out, "[\n]"),
            Format::Inspect => writeln!(out, "]"),
            Format::Table | Format::Csv | Format::Pretty | Format::String => Ok(()),
        }
    }
}
