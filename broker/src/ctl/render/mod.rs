//! Rows to text. Pure: what rabbitmqctl prints for the same rows is kept in the tests.

mod csv;
mod json;
mod pretty;
mod table;

#[cfg(test)]
mod tests;

use std::io::{self, Write};

use crate::manage::value::Value;

pub(super) use json::object as json_object;

/// `--formatter`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Format {
    /// Cells separated by tabs.
    #[default]
    Table,
    /// Cells in frames.
    Pretty,
    /// An array of objects, one row per line.
    Json,
    /// Cells in double quotes, separated by commas.
    Csv,
}

impl Format {
    /// The format of this name; the default when none was given.
    pub(super) fn parse(name: Option<&str>) -> Result<Self, String> {
        match name {
            None | Some("table") => Ok(Format::Table),
            Some("pretty_table") => Ok(Format::Pretty),
            Some("json") => Ok(Format::Json),
            Some("csv") => Ok(Format::Csv),
            Some(other) => Err(format!(
                "formatter '{other}' is not supported: use table, pretty_table, json or csv"
            )),
        }
    }

    /// Whether a program is meant to read it: then the only text is the answer.
    pub(super) fn is_for_programs(self) -> bool {
        matches!(self, Format::Json | Format::Csv)
    }
}

/// A listing being written, row by row as they come.
pub(super) struct Rows<'a> {
    format: Format,
    columns: &'a [&'static str],
    /// Whether a table starts with the names of its columns.
    headers: bool,
    written: u64,
    /// Rows of a pretty table, whose widths are known at the end only.
    held: Vec<Vec<String>>,
}

impl<'a> Rows<'a> {
    /// A listing of these columns.
    pub(super) fn new(format: Format, columns: &'a [&'static str], headers: bool) -> Self {
        Rows {
            format,
            columns,
            headers,
            written: 0,
            held: Vec::new(),
        }
    }

    /// Writes a row. Headers come with the first one: an empty listing has none, as in RabbitMQ.
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
            Format::Pretty => {
                self.held.push(row.iter().map(table::cell).collect());
                Ok(())
            }
        }
    }

    /// Ends the listing. RabbitMQ sends permissions whole rather than as a stream, and shows an
    /// empty list of them in another way than an empty stream.
    pub(super) fn end(self, out: &mut dyn Write, whole: bool) -> io::Result<()> {
        let empty = self.written == 0;
        match self.format {
            Format::Table if empty && whole => writeln!(out),
            Format::Json if empty && whole => writeln!(out, "[]"),
            Format::Json if empty => writeln!(out, "[\n]"),
            Format::Json => writeln!(out, "]"),
            Format::Pretty if !empty => pretty::write(out, self.columns, &self.held),
            Format::Table | Format::Csv | Format::Pretty => Ok(()),
        }
    }
}
