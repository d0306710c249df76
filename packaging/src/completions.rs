//! Completions for bash, zsh and fish.

use std::io;
use std::path::Path;

use clap_complete::{Shell, generate_to};

/// Writes the completions of the three programs, by the names that the shells look for.
///
/// # Errors
/// When a file cannot be written.
pub fn write(folder: &Path) -> io::Result<()> {
    let programs = [
        leveret::config::command_line(),
        leveret::ctl::manual::command_line(),
        leveret::perf::command_line(),
    ];
    for program in programs {
        let name = program.get_name().to_owned();
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            generate_to(shell, &mut program.clone(), &name, folder)?;
        }
        // clap_complete adds an ending of its own.
        let bash = folder.join(format!("{name}.bash"));
        debug_assert!(bash.exists());
    }
    Ok(())
}
