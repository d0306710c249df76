//! Comma-separated values (RFC 4180) with every cell quoted and lines ended by a line feed. Control
//! characters except tabs are escaped as in a table, because a CSV may be shown on a terminal.

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
