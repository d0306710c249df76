//! A line per second: how far a move is.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::mover::{Counts, Watch};

/// The time between two lines.
const INTERVAL: Duration = Duration::from_secs(1);

/// Writes the lines.
pub(super) struct Progress<'a> {
    queue: &'a str,
    is_shown: bool,
    err: &'a mut dyn Write,
    last: Instant,
    last_counts: Counts,
}

impl<'a> Progress<'a> {
    pub(super) fn new(queue: &'a str, is_shown: bool, err: &'a mut dyn Write) -> Self {
        Progress {
            queue,
            is_shown,
            err,
            last: Instant::now(),
            last_counts: Counts::default(),
        }
    }
}

impl Watch for Progress<'_> {
    fn look(&mut self, counts: &Counts) -> io::Result<bool> {
        let since = self.last.elapsed();
        if since < INTERVAL {
            return Ok(false);
        }
        if self.is_shown {
            let per_second = |now: u64, before: u64| (now - before) as f64 / since.as_secs_f64();
            let rate = per_second(counts.moved, self.last_counts.moved);
            let bytes = per_second(counts.bytes, self.last_counts.bytes);
            let left = counts.ready + counts.on_their_way;
            writeln!(
                self.err,
                "{}: {} moved, {left} left, {rate:.0} messages/s, {}/s",
                self.queue,
                counts.moved,
                amount(bytes)
            )?;
            self.err.flush()?;
        }
        self.last = Instant::now();
        self.last_counts = *counts;
        Ok(true)
    }

    fn note(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.err, "{}: {text}", self.queue)?;
        self.err.flush()
    }
}

/// Writes a number of bytes in a unit that suits it.
pub(super) fn amount(bytes: f64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024.0 {
        return format!("{bytes:.0} bytes");
    }
    let mut value = bytes / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_a_unit_that_suits_them() {
        assert_eq!(amount(0.0), "0 bytes");
        assert_eq!(amount(1023.0), "1023 bytes");
        assert_eq!(amount(1536.0), "1.5 KiB");
        assert_eq!(amount(104_857_600.0), "100.0 MiB");
        assert_eq!(amount(f64::from(u32::MAX) * 1e9), "3906250.0 TiB");
    }
}
