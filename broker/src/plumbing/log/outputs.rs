//! The threads that write the log, and what they read from.

use super::tail::BLOCK;
use super::{Log, Shared};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tracing_subscriber::fmt::MakeWriter;

/// Where lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// Standard error.
    Console {
        /// Whether lines of text are coloured.
        colours: bool,
    },
    /// The log file.
    File,
}

/// How far each output is: the number of the line that it writes next; `None` if it is not started.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    console: Option<u64>,
    file: Option<u64>,
}

impl Outputs {
    fn position(&mut self, output: Output) -> &mut Option<u64> {
        match output {
            Output::Console { .. } => &mut self.console,
            Output::File => &mut self.file,
        }
    }

    /// Returns how many lines before this one, the oldest that is kept, were not written and never will be.
    pub(super) fn missed(&self, oldest: u64) -> u64 {
        let started = [self.console, self.file].into_iter().flatten();
        started.map(|next| oldest.saturating_sub(next)).sum()
    }

    /// Returns whether some have not written all lines before this one.
    pub(super) fn are_behind(&self, end: u64) -> bool {
        let mut started = [self.console, self.file].into_iter().flatten();
        started.any(|next| next < end)
    }
}

impl Shared {
    /// Starts the thread of an output with the line of this number, unless it is running. It never ends.
    pub(super) fn start(self: &Arc<Self>, output: Output, from: u64) {
        let mut lines = self.lines.lock();
        let position = lines.outputs.position(output);
        if position.is_some() {
            return;
        }
        *position = Some(from);
        drop(lines);
        let name = match output {
            Output::Console { .. } => "log-console",
            Output::File => "log-file",
        };
        let shared = self.clone();
        let thread = std::thread::Builder::new().name(name.to_owned());
        if let Err(error) = thread.spawn(move || shared.write_to(output)) {
            *self.lines.lock().outputs.position(output) = None;
            // There is nowhere else to say it.
            let _ = writeln!(
                io::stderr(),
                "leveret: cannot start writing the log: {error}"
            );
        }
    }

    fn write_to(&self, output: Output) {
        let mut text = Vec::with_capacity(BLOCK);
        loop {
            let (next, lost) = self.wait_for_lines(output, &mut text);
            if lost > 0 {
                self.lost.fetch_add(lost, Ordering::Relaxed);
                tracing::error!(
                    lines = lost,
                    "log lines were lost: they came faster than they could be written"
                );
            }
            self.write_out(output, &text);
            text.clear();
            *self.lines.lock().outputs.position(output) = Some(next);
            self.written.notify_all();
        }
    }

    fn wait_for_lines(&self, output: Output, text: &mut Vec<u8>) -> (u64, u64) {
        let mut lines = self.lines.lock();
        let from = lines.outputs.position(output).unwrap_or_default();
        while lines.ring.end() == from {
            self.pushed.wait(&mut lines);
        }
        let read = lines.ring.read(from, text, BLOCK);
        (read.next, read.lost)
    }

    fn write_out(&self, output: Output, text: &[u8]) {
        let console = self.console.load(Ordering::Relaxed);
        match output {
            Output::Console { .. } if !console => {}
            // Standard error may be a closed pipe.
            Output::Console { colours: false } => drop(io::stderr().write_all(text)),
            Output::Console { colours: true } => drop(io::stderr().write_all(&coloured(text))),
            Output::File => {
                if let Some(file) = &mut *self.file.lock() {
                    file.write(text, !console);
                }
            }
        }
    }
}

/// Returns lines of text with their times dimmed and their levels coloured.
fn coloured(text: &[u8]) -> Vec<u8> {
    let mut shown = Vec::with_capacity(text.len() + text.len() / 4);
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let mut words = line.splitn(2, |byte| *byte == b' ');
        let (time, rest) = (words.next().unwrap_or_default(), words.next());
        let rest = rest.unwrap_or_default();
        let level = rest.trim_ascii_start();
        let end = level.iter().position(|byte| *byte == b' ');
        let (level, message) = level.split_at(end.unwrap_or_default());
        let code = match level {
            b"ERROR" => 31,
            b"WARN" => 33,
            b"INFO" => 32,
            b"DEBUG" => 34,
            b"TRACE" => 35,
            _ => {
                shown.extend_from_slice(line);
                continue;
            }
        };
        let indent = &rest[..rest.len() - level.len() - message.len()];
        shown.extend_from_slice(b"\x1b[2m");
        shown.extend_from_slice(time);
        shown.extend_from_slice(b"\x1b[0m ");
        shown.extend_from_slice(indent);
        shown.extend_from_slice(format!("\x1b[{code}m").as_bytes());
        shown.extend_from_slice(level);
        shown.extend_from_slice(b"\x1b[0m");
        shown.extend_from_slice(message);
    }
    shown
}

/// Adds lines to the log. Each write is one whole line.
#[derive(Clone, Debug)]
pub struct LineWriter(Log);

impl Log {
    /// Returns what adds lines.
    pub fn writer(&self) -> LineWriter {
        LineWriter(self.clone())
    }
}

impl<'a> MakeWriter<'a> for LineWriter {
    type Writer = &'a LineWriter;

    fn make_writer(&'a self) -> &'a LineWriter {
        self
    }
}

impl Write for &LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_coloured_by_their_level() {
        let text = "T  INFO ready a=1\nT ERROR no\nwhat else\n";
        let shown = String::from_utf8(coloured(text.as_bytes())).unwrap();
        let expected = "\x1b[2mT\x1b[0m  \x1b[32mINFO\x1b[0m ready a=1\n\x1b[2mT\x1b[0m \x1b[31mERROR\x1b[0m no\nwhat else\n";
        assert_eq!(shown, expected);
    }
}
