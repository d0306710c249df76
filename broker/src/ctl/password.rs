//! A password that is not on the command line, where every user of the machine could read it.

use std::io::{self, BufRead, IsTerminal, Write};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

/// Asks for a password: without echo on a terminal, else the first line of standard input. None
/// when there is none.
///
/// # Errors
/// What the system says.
pub(super) fn ask(out: &mut dyn Write) -> io::Result<Option<String>> {
    let stdin = io::stdin();
    write!(out, "Password: ")?;
    out.flush()?;
    let quiet = stdin.is_terminal().then(tcgetattr_of_stdin).transpose()?;
    if let Some(modes) = &quiet {
        let mut silent = modes.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&stdin, OptionalActions::Flush, &silent)?;
    }
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    if let Some(modes) = &quiet {
        // Before anything else can fail: a terminal without echo is no fun.
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
