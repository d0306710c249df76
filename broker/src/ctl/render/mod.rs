//! Formats rows as text. Pure: the tests contain what rabbitmqctl prints for the same rows.

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
    /// A table with borders.
    Pretty,
    /// An array of objects, one row per line.
    Json,
    /// Cells in double quotes, separated by commas.
    Csv,
}

impl Format {
    /// Returns the format with this name, or the default without one.
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
            Format::Table | Format::Csv | Format::Pretty => Ok(()),
        }
    }
}
