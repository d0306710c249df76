//! Reading and writing definition files: this process does it, because the broker may run as another user.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;

use crate::manage::definitions::{Imported, MAX_FILE};

/// Reads the file to import; standard input without a path.
///
/// # Errors
/// The text to show: it cannot be read, is empty, is too large, or is not JSON.
pub(super) fn read(path: Option<&str>) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    let most = MAX_FILE as u64 + 1;
    let read = match path {
        None => io::stdin().lock().take(most).read_to_end(&mut text),
        Some(path) => File::open(path).and_then(|file| file.take(most).read_to_end(&mut text)),
    };
    let name = path.unwrap_or("standard input");
    read.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!("Parent directory or file {name} does not exist"),
        io::ErrorKind::NotADirectory => {
            format!("Parent directory of file {name} is not a directory")
        }
        io::ErrorKind::PermissionDenied => {
            format!("No permissions to read from file {name} or its parent directory")
        }
        io::ErrorKind::IsADirectory => format!("Path {name} is a directory"),
        _ => format!("Could not read from file {name}: {error}"),
    })?;
    if text.is_empty() {
        return Err(format!("File {name} is zero-sized"));
    }
    if text.len() > MAX_FILE {
        return Err(format!("File {name} is larger than {MAX_FILE} bytes"));
    }
    let json = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    match serde_json::from_slice::<IgnoredAny>(json) {
        Ok(IgnoredAny) => Ok(text),
        Err(error) => Err(format!(
            "Failed to deserialise input (format: JSON) (error: {error})"
        )),
    }
}

/// A file that is being exported. It gets its name when it is complete, so that a failure does not leave half a file.
pub(super) struct Exported {
    path: PathBuf,
    /// Where it is written meanwhile; `None` for a path that is no regular file, such as a pipe.
    unfinished: Option<PathBuf>,
    file: File,
}

impl Exported {
    /// Opens a file to export to, which only its owner may read: it contains password hashes.
    ///
    /// # Errors
    /// The text to show.
    pub(super) fn create(path: &str) -> Result<Self, String> {
        let shown = path;
        let path = PathBuf::from(path);
        let special =
            fs::symlink_metadata(&path).is_ok_and(|found| !found.is_file() && !found.is_symlink());
        let opened = if path.is_dir() {
            return Err(format!("Path {shown} is a directory"));
        } else if special {
            OpenOptions::new()
                .write(true)
                .open(&path)
                .map(|file| (file, None))
        } else {
            let mut unfinished = path.clone().into_os_string();
            unfinished.push(format!(".{}.unfinished", std::process::id()));
            let mut options = OpenOptions::new();
            let opened = options.write(true).create_new(true).mode(0o600);
            let opened = opened.open(&unfinished);
            opened.map(|file| (file, Some(unfinished.into())))
        };
        match opened {
            Ok((file, unfinished)) => Ok(Exported {
                path,
                unfinished,
                file,
            }),
            Err(error) => Err(not_written(Path::new(shown), &error)),
        }
    }

    /// Writes more of it.
    ///
    /// # Errors
    /// The text to show.
    pub(super) fn write(&mut self, text: &str) -> Result<(), String> {
        let written = self.file.write_all(text.as_bytes());
        written.map_err(|error| not_written(&self.path, &error))
    }

    /// Gives it its name.
    ///
    /// # Errors
    /// The text to show.
    pub(super) fn finish(mut self) -> Result<(), String> {
        let Some(unfinished) = self.unfinished.take() else {
            return Ok(());
        };
        let finished = self.file.sync_all();
        let finished = finished.and_then(|()| fs::rename(&unfinished, &self.path));
        finished.map_err(|error| {
            // It is of no use to anybody.
            let _ = fs::remove_file(&unfinished);
            not_written(&self.path, &error)
        })
    }
}

impl Drop for Exported {
    fn drop(&mut self) {
        if let Some(unfinished) = &self.unfinished {
            // It is of no use to anybody.
            let _ = fs::remove_file(unfinished);
        }
    }
}

fn not_written(path: &Path, error: &io::Error) -> String {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => format!("Parent directory or file {path} does not exist"),
        io::ErrorKind::NotADirectory => {
            format!("Parent directory of file {path} is not a directory")
        }
        io::ErrorKind::StorageFull => format!("No space left on device hosting {path}"),
        io::ErrorKind::PermissionDenied => {
            format!("No permissions to write to file {path} or its parent directory")
        }
        io::ErrorKind::IsADirectory => format!("Path {path} is a directory"),
        _ => format!("Could not write to file {path}: {error}"),
    }
}

/// Returns what became of an import: the line for stdout, and the lines for stderr.
pub(super) fn outcome(imported: &Imported) -> (String, Vec<String>) {
    let mut lines: Vec<String> = imported
        .problems
        .iter()
        .map(|problem| format!("not imported: {problem}"))
        .collect();
    if imported.unreported() > 0 {
        let more = imported.unreported();
        lines.push(format!("not imported: {more} more"));
    }
    let success = match imported.unchanged {
        true => "These definitions were imported last: nothing has changed.".to_owned(),
        // The first sentence is rabbitmqctl's; there the import goes on afterwards.
        false => format!(
            "Successfully started definition import. It is complete: {} applied, {} left out.",
            imported.applied,
            imported.invalid + imported.unsupported
        ),
    };
    (success, lines)
}
