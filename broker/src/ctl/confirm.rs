//! Asks before something that cannot be undone, if somebody is there to answer.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;

/// Asks whether to delete everything. `None` if nobody is there to ask: scripts, which have no terminal, have decided.
///
/// # Errors
/// When the terminal fails.
pub(super) fn reset(out: &mut dyn Write, data_dir: &Path) -> io::Result<Option<bool>> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Ok(None);
    }
    write!(
        out,
        "This deletes all virtual hosts, users, queues and messages of the broker in {}. Type yes to go on: ",
        data_dir.display()
    )?;
    out.flush()?;
    let mut line = String::new();
    stdin.lock().read_line(&mut line)?;
    Ok(Some(line.trim() == "yes"))
}
