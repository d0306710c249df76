//! Tables with borders. rabbitmqctl switches the terminal to its line-drawing font; the characters used
//! here look the same and survive a pipe.

use std::io::{self, Write};

/// Writes the whole table.
pub(super) fn write(out: &mut dyn Write, columns: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    let mut widths: Vec<usize> = columns.iter().map(|name| name.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    rule(out, &widths, ['┌', '┬', '┐'])?;
    cells(out, &widths, columns.iter().copied())?;
    for row in rows {
        rule(out, &widths, ['├', '┼', '┤'])?;
        cells(out, &widths, row.iter().map(String::as_str))?;
    }
    rule(out, &widths, ['└', '┴', '┘'])
}

fn rule(out: &mut dyn Write, widths: &[usize], [left, middle, right]: [char; 3]) -> io::Result<()> {
    let lines: Vec<String> = widths.iter().map(|width| "─".repeat(width + 2)).collect();
    writeln!(out, "{left}{}{right}", lines.join(&middle.to_string()))
}

fn cells<'a>(
    out: &mut dyn Write,
    widths: &[usize],
    cells: impl Iterator<Item = &'a str>,
) -> io::Result<()> {
    for (width, cell) in widths.iter().zip(cells) {
        write!(out, "│ {cell:<width$} ")?;
    }
    writeln!(out, "│")
}
