//! Prompts for a password, because every user of the machine can read a command line.

use std::io::{self, BufRead, IsTerminal, Write};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

/// Prompts for a password: without echo on a terminal, otherwise from the first line of standard input.
/// Returns `None` if it is empty.
///
/// # Errors
/// When the terminal or standard input fails.
pub(super) fn prompt(out: &mut dyn Write) -> io::Result<Option<String>> {
    let stdin = io::stdin();
    write!(out, "Password: ")?;
    out.flush()?;
    let echoing = stdin.is_terminal().then(tcgetattr_of_stdin).transpose()?;
    if let Some(modes) = &echoing {
        let mut silent = modes.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&stdin, OptionalActions::Flush, &silent)?;
    }
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    if let Some(modes) = &echoing {
        // Before anything else can fail, so that the terminal is not left without echo.
        tcsetattr(&stdin, OptionalActions::Flush, modes)?;
    }
    read?;
    writeln!(out)?;
    let password = line.trim_end_matches(['\r', '\n']);
    Ok((!password.is_empty()).then(|| password.to_owned()))
}

fn tcgetattr_of_stdin() -> io::Result<rustix::termios::Termios> {
    Ok(tcgetattr(io::stdin())?)
}
