//! Comma-separated values (RFC 4180), every cell quoted, lines ended by a line feed.

use std::io::{self, Write};

/// Writes a row.
pub(super) fn row<C: AsRef<str>>(
    out: &mut dyn Write,
    cells: impl Iterator<Item = C>,
) -> io::Result<()> {
    for (index, cell) in cells.enumerate() {
        let separator = if index == 0 { "" } else { "," };
        write!(out, "{separator}\"{}\"", cell.as_ref().replace('"', "\"\""))?;
    }
    writeln!(out)
}
