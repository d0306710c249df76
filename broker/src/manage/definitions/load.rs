//! Loading definitions when the broker starts (`load_definitions`).

use super::files::ImportError;
use super::read::{File, NotDefinitions};
use crate::domain::broker::Broker;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// Why definitions were not loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// A file or the directory cannot be read.
    #[error("cannot read the definitions in {}: {reason}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// The system's error.
        reason: io::Error,
    },
    /// A file is not one of definitions: nothing was applied.
    #[error("{} is not a definition file: {reason}", path.display())]
    NotDefinitions {
        /// The path.
        path: PathBuf,
        /// What is wrong.
        reason: NotDefinitions,
    },
    /// Some of a file's definitions are invalid.
    #[error("{}: {complaint}", path.display())]
    Invalid {
        /// The path.
        path: PathBuf,
        /// Which ones, and why.
        complaint: String,
    },
    /// The store failed.
    #[error(transparent)]
    Import(#[from] ImportError),
}

/// Imports a file, or the files `*.json` of a directory in the order of their names, and returns once that is on disk.
///
/// # Errors
/// When a file cannot be read or is wrong, as RabbitMQ refuses to start then, too.
pub fn load(broker: &Arc<Broker>, path: &Path, skip_if_unchanged: bool) -> Result<(), LoadError> {
    let mut texts = Vec::new();
    for path in files(path)? {
        let text = fs::read(&path).map_err(|reason| unreadable(&path, reason))?;
        texts.push((path, text));
    }
    let mut parsed = Vec::new();
    for (path, text) in &texts {
        let file = File::parse(text, false).map_err(|reason| LoadError::NotDefinitions {
            path: path.clone(),
            reason,
        })?;
        parsed.push(file);
    }
    let mut invalid = None;
    broker.import_files(&parsed, None, skip_if_unchanged, |index, imported| {
        let path = texts.get(index).map(|(path, _)| path.clone());
        invalid = path.zip(imported.complaint());
        invalid.is_none()
    })?;
    match invalid {
        Some((path, complaint)) => Err(LoadError::Invalid { path, complaint }),
        None => Ok(()),
    }
}

fn unreadable(path: &Path, reason: io::Error) -> LoadError {
    LoadError::Unreadable {
        path: path.to_owned(),
        reason,
    }
}

/// Returns the files to load, in their order.
fn files(path: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let found = fs::metadata(path).map_err(|reason| unreadable(path, reason))?;
    if !found.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(|reason| unreadable(path, reason))? {
        let file = entry.map_err(|reason| unreadable(path, reason))?.path();
        if file
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        tracing::warn!(path = %path.display(), "the directory of load_definitions contains no *.json file");
    }
    Ok(files)
}
