//! Loading definitions when the broker starts (`load_definitions`).

use super::files::{ImportError, MAX_FILE};
use super::problem::Imported;
use super::read::{File, NotDefinitions};
use crate::config::Config;
use crate::domain::broker::Broker;
use std::fs;
use std::io::{self, Read};
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
    #[error(
        "{}: {complaint}. Correct the file; or start without load_definitions and import it with leveretctl \
         import_definitions, which leaves out what is invalid",
        path.display()
    )]
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

/// Imports the definitions that are configured to be there, and warns if there is no user now.
///
/// # Errors
/// See [`load`].
pub fn load_configured(broker: &Arc<Broker>, config: &Config) -> Result<(), LoadError> {
    if let Some(path) = &config.load_definitions {
        tracing::info!(path = %path.display(), "loading definitions");
        load(broker, path, config.definitions_skip_if_unchanged)?;
    }
    // Where definitions are loaded there is no default one, and the last one can be deleted.
    if broker.users.users().is_empty() {
        tracing::warn!(
            "there is no user, so nobody can log in: add one with leveretctl add_user NAME PASSWORD and \
             leveretctl set_permissions NAME \".*\" \".*\" \".*\""
        );
    }
    Ok(())
}

/// Checks the definitions that are configured to be there as a new broker would, without importing them.
///
/// # Errors
/// When a file cannot be read or is wrong. Where there is a broker with data already, a definition that is refused may
/// rely on what it has: that is a warning only.
pub fn check_configured(config: &Config) -> Result<(), LoadError> {
    let Some(path) = &config.load_definitions else {
        return Ok(());
    };
    let texts = read_all(path)?;
    let files = parse_all(&texts)?;
    let broker = Broker::new(config.into(), Vec::new(), None);
    let mut invalid = None;
    rehearse(&broker, &files, |index, imported| {
        let path = texts.get(index).map(|(path, _)| path.clone());
        invalid = path.zip(imported.complaint_of_rehearsal());
        invalid.is_none()
    })?;
    match invalid {
        Some((path, complaint)) if config.data_dir.join("store").exists() => {
            let path = path.display();
            tracing::warn!("a broker without data would not start: {path}: {complaint}");
            Ok(())
        }
        Some((path, complaint)) => Err(LoadError::Invalid { path, complaint }),
        None => Ok(()),
    }
}

/// The files of definitions, with their paths.
pub(super) type Texts = Vec<(PathBuf, Vec<u8>)>;

/// Reads a file, or the files `*.json` of a directory in the order of their names.
///
/// # Errors
/// When one cannot be read.
pub(super) fn read_all(path: &Path) -> Result<Texts, LoadError> {
    let mut texts = Vec::new();
    for path in files(path)? {
        let text = read(&path).map_err(|reason| unreadable(&path, reason))?;
        texts.push((path, text));
    }
    Ok(texts)
}

/// Parses these files.
///
/// # Errors
/// When one is no file of definitions.
pub(super) fn parse_all(texts: &Texts) -> Result<Vec<File<'_>>, LoadError> {
    let mut files = Vec::new();
    for (path, text) in texts {
        let file = File::parse(text, false).map_err(|reason| LoadError::NotDefinitions {
            path: path.clone(),
            reason,
        })?;
        files.push(file);
    }
    Ok(files)
}

/// Imports a file, or the files `*.json` of a directory in the order of their names, and returns once that is on disk.
///
/// A broker that is new imports all of it or nothing: with a part of it, it would not be new any more at the next start,
/// and might have no user.
///
/// # Errors
/// When a file cannot be read or is wrong, as RabbitMQ refuses to start then, too.
pub fn load(broker: &Arc<Broker>, path: &Path, skip_if_unchanged: bool) -> Result<(), LoadError> {
    let texts = read_all(path)?;
    let parsed = parse_all(&texts)?;
    let path_of = |index: usize| texts.get(index).map(|(path, _)| path.clone());
    let mut invalid = None;
    if broker.vhosts().is_empty() && broker.users.users().is_empty() {
        rehearse(broker, &parsed, |index, imported| {
            invalid = path_of(index).zip(imported.complaint_of_rehearsal());
            invalid.is_none()
        })?;
    }
    if invalid.is_none() {
        broker.import_files(&parsed, None, skip_if_unchanged, |index, imported| {
            invalid = path_of(index).zip(imported.complaint());
            invalid.is_none()
        })?;
    }
    match invalid {
        Some((path, complaint)) => Err(LoadError::Invalid { path, complaint }),
        None => Ok(()),
    }
}

/// Imports files into a broker that is as new as this one, and is forgotten. Logs only what would not be imported, if the
/// files are refused.
pub(super) fn rehearse(
    broker: &Broker,
    files: &[File<'_>],
    mut go_on: impl FnMut(usize, &Imported) -> bool,
) -> Result<(), ImportError> {
    let stage = Arc::new(Broker::new(broker.limits(), Vec::new(), None));
    let mut refused = false;
    let silence = tracing::subscriber::NoSubscriber::new();
    let imported = tracing::subscriber::with_default(silence, || {
        stage.import_files(files, None, false, |index, imported| {
            refused = !go_on(index, imported);
            !refused
        })
    })?;
    if refused {
        imported.log();
    }
    Ok(())
}

/// Reads a file. What is not a regular file may have no end, or be waited for without end.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut text = Vec::new();
    let mut file = fs::File::open(path)?.take(MAX_FILE as u64 + 1);
    file.read_to_end(&mut text)?;
    match text.len() <= MAX_FILE {
        true => Ok(text),
        false => Err(io::Error::other(format!(
            "it has more than {MAX_FILE} bytes"
        ))),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Limits;
    use std::process::Command;

    fn refused(path: &Path) -> String {
        let broker = Arc::new(Broker::new(Limits::default(), Vec::new(), None));
        load(&broker, path, false).unwrap_err().to_string()
    }

    #[test]
    fn only_regular_files_of_a_bounded_size_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo.json");
        let made = Command::new("mkfifo").arg(&fifo).status().unwrap();
        assert!(made.success());
        for path in [Path::new("/dev/zero"), &fifo, folder.path()] {
            let error = refused(path);
            assert!(error.ends_with("it is not a regular file"), "{error}");
        }
        fs::remove_file(&fifo).unwrap();
        fs::create_dir(&fifo).unwrap();
        let error = refused(folder.path());
        assert!(
            error.contains("fifo.json: it is not a regular file"),
            "{error}"
        );
        let large = folder.path().join("large");
        let file = fs::File::create(&large).unwrap();
        file.set_len(MAX_FILE as u64 + 1).unwrap();
        let error = refused(&large);
        assert!(
            error.ends_with("it has more than 67108864 bytes"),
            "{error}"
        );
        file.set_len(MAX_FILE as u64).unwrap();
        assert!(refused(&large).contains("is not a definition file"));
    }
}
