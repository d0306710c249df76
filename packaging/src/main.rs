//! Writes what packages contain besides the programs: manual pages and completions, from the tables that the programs
//! themselves use.

mod completions;
mod man;
mod pages;
mod settings;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let (Some(folder), None) = (words.next(), words.next()) else {
        eprintln!("usage: leveret-packaging FOLDER (writes FOLDER/man and FOLDER/completions)");
        return ExitCode::from(64);
    };
    let folder = PathBuf::from(folder);
    match write(&folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!(
                "leveret-packaging: cannot write into {}: {error}",
                folder.display()
            );
            ExitCode::FAILURE
        }
    }
}

fn write(folder: &std::path::Path) -> io::Result<()> {
    let (manuals, completions) = (folder.join("man"), folder.join("completions"));
    std::fs::create_dir_all(&manuals)?;
    std::fs::create_dir_all(&completions)?;
    for (name, text) in pages::all() {
        std::fs::write(manuals.join(name), text)?;
    }
    completions::write(&completions)
}
