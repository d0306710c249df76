//! Which configuration files are read, and in which order.

use super::data_dir::Environment;
use super::rabbitmq::{self, Note, conf};
use super::replaced::Forms;
use super::settings::Settings;
use super::{ConfigError, NONE, file};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The default file, in its folder.
const DEFAULT_FILE: &str = "leveret.toml";
/// The folder of further default files, beside it.
const DEFAULT_DIRECTORY: &str = "conf.d";
/// More files than anybody has in a directory of settings.
const MAX_FILES: usize = 1000;

/// What the configuration files say.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// The settings of all files: later files win.
    pub(super) settings: Settings,
    /// The files, in the order in which they were read.
    pub(super) files: Vec<PathBuf>,
    /// Which forms of settings they have, in this order.
    pub(super) forms: Vec<(PathBuf, Forms)>,
    /// What has no effect here.
    pub(super) notes: Vec<Note>,
}

/// Reads the files: those that are named, or the default ones. `none` names none.
///
/// # Errors
/// When a named file is missing, or any cannot be read, or is wrong.
pub(super) fn read(
    named: Option<&Path>,
    environment: &Environment<'_>,
) -> Result<Sources, ConfigError> {
    let mut files = files(named, environment)?;
    let mut notes = rabbitmq::look(named, &mut files)?;
    let mut sources = read_all(files)?;
    notes.append(&mut sources.notes);
    sources.notes = notes;
    Ok(sources)
}

/// Does what [`read`] does for the settings that only Leveret has: leaves out files of RabbitMQ's format.
///
/// # Errors
/// See [`read`].
pub(super) fn read_own(
    named: Option<&Path>,
    environment: &Environment<'_>,
) -> Result<Sources, ConfigError> {
    let mut files = files(named, environment)?;
    files.retain(|path| !is_of_rabbitmq(path));
    read_all(files)
}

fn read_all(files: Vec<PathBuf>) -> Result<Sources, ConfigError> {
    let mut sources = Sources::default();
    // Files of RabbitMQ's that follow each other are read together: what their keys mean depends on others, as in RabbitMQ.
    for group in files.chunk_by(|a, b| is_of_rabbitmq(a) && is_of_rabbitmq(b)) {
        let settings = match group {
            [path] if !is_of_rabbitmq(path) => file::read(path)?,
            group => {
                let (settings, notes) = conf::read(group)?;
                sources.notes.extend(notes);
                settings
            }
        };
        if let Some(last) = group.last() {
            sources.forms.push((last.clone(), settings.forms()));
        }
        sources.settings = settings.over(sources.settings);
    }
    sources.files = files;
    Ok(sources)
}

/// Returns the files to read, in this order.
fn files(named: Option<&Path>, environment: &Environment<'_>) -> Result<Vec<PathBuf>, ConfigError> {
    match named {
        Some(path) if path == Path::new(NONE) => Ok(Vec::new()),
        Some(path) if has_extension(path, "config") => Err(failed(
            path,
            "this is RabbitMQ's format of Erlang terms (advanced.config), which is not read: write its settings as keys \
             of rabbitmq.conf or of a TOML file",
        )),
        // As RabbitMQ's /etc/rabbitmq: rabbitmq.conf, then conf.d/.
        Some(path) if path.is_dir() => {
            let mut files = in_directory(path)?;
            files.extend(further_files(path)?);
            Ok(files)
        }
        // What is missing or unreadable is told when it is read.
        Some(path) => Ok(vec![path.to_owned()]),
        None => default_files(environment.default_folder),
    }
}

/// Returns the default files that exist.
fn default_files(folder: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let mut files = Vec::new();
    let file = folder.join(DEFAULT_FILE);
    if exists(&file)? {
        files.push(file);
    }
    files.extend(further_files(folder)?);
    Ok(files)
}

/// Returns the files in the folder of further ones, if there is such a folder. It may be a link to RabbitMQ's, which has such
/// a folder itself.
fn further_files(folder: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let mut files = Vec::new();
    let directory = folder.join(DEFAULT_DIRECTORY);
    for directory in [directory.clone(), directory.join(DEFAULT_DIRECTORY)] {
        if exists(&directory)? {
            files.extend(in_directory(&directory)?);
        }
    }
    Ok(files)
}

/// Returns whether a file or a folder that need not be there is.
fn exists(path: &Path) -> Result<bool, ConfigError> {
    match fs::metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(unreadable(path, &error)),
    }
}

/// Returns the files `*.toml` and `*.conf` of a directory, by name. Hidden ones are editors' own.
fn in_directory(directory: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let entries = fs::read_dir(directory).map_err(|error| unreadable(directory, &error))?;
    let mut files = Vec::new();
    for entry in entries {
        let name = entry
            .map_err(|error| unreadable(directory, &error))?
            .file_name();
        let path = directory.join(&name);
        let is_hidden = name.as_encoded_bytes().starts_with(b".");
        if !is_hidden && (has_extension(&path, "toml") || is_of_rabbitmq(&path)) {
            files.push(path);
        }
        if files.len() > MAX_FILES {
            let reason = format!("it contains more than {MAX_FILES} files of settings");
            return Err(failed(directory, &reason));
        }
    }
    files.sort();
    Ok(files)
}

/// Returns whether a file has the format of rabbitmq.conf.
fn is_of_rabbitmq(path: &Path) -> bool {
    has_extension(path, "conf")
}

fn has_extension(path: &Path, wanted: &str) -> bool {
    path.extension() == Some(OsStr::new(wanted))
}

/// Returns the error of a file or directory that cannot be read, with what to do.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> ConfigError {
    let reason = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "Permission denied: run this as a user who may read it, or read no file with --config none".to_owned()
        }
        _ => plain(error),
    };
    failed(path, &reason)
}

/// Returns what the system says, without its number.
pub(super) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

fn failed(path: &Path, reason: &str) -> ConfigError {
    ConfigError::File {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}
