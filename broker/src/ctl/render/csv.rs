//! Comma-separated values (RFC 4180), every cell quoted, lines ended by a line feed. A cell
//! shows control characters as in a table, but for its tabs: a CSV that is looked at must not steer the
//! terminal.

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
