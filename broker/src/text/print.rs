//! Printing what a command says, to an output that may be full or closed.

use super::escape::{Form, escaped};
use std::io::{self, Write};

/// The exit status when the output cannot be written: `EX_IOERR` of sysexits.h.
pub const UNWRITTEN: u8 = 74;

/// Prints text to standard output, and returns the exit status: `status`, or [`UNWRITTEN`] after an error.
pub fn print(program: &str, text: &str, status: u8) -> u8 {
    match write_all(&mut io::stdout().lock(), text) {
        Ok(()) => status,
        Err(error) => {
            complain(program, &format!("cannot write the output: {error}"));
            UNWRITTEN
        }
    }
}

/// Prints an error to standard error, in one line. If that cannot be written, there is nowhere to say so.
pub fn complain(program: &str, error: &str) {
    let mut stderr = io::stderr().lock();
    let _ = writeln!(stderr, "{program}: error: {}", escaped(error, Form::Line));
}

/// Writes text. That a reader has left, as `head` does, is no error.
fn write_all(out: &mut impl Write, text: &str) -> io::Result<()> {
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_output_is_an_error_and_a_reader_that_left_is_none() {
        let mut full = std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .unwrap();
        assert!(write_all(&mut full, "text").is_err());
        let (reader, mut writer) = std::io::pipe().unwrap();
        drop(reader);
        write_all(&mut writer, "text").unwrap();
    }
}
