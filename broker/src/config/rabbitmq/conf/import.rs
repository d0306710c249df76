//! `leveret import-config`: RabbitMQ's configuration as a file of our own, with the line that each setting comes from.

use super::draft::{Assigned, Draft};
use super::grammar::{Entry, Origin};
use super::{draft_of, grammar};
use crate::config::ConfigError;
use crate::text::escape::{Form, escaped};
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Where RabbitMQ's packages have it.
pub(in crate::config) const RABBITMQ_CONF: &str = "/etc/rabbitmq/rabbitmq.conf";
/// The name of the file in a directory.
const CONF: &str = "rabbitmq.conf";
/// The name of a file in RabbitMQ's old format.
const OLD_CONF: &str = "rabbitmq.config";
/// The name of the file with Erlang terms that RabbitMQ reads besides.
pub(in crate::config::rabbitmq) const ADVANCED: &str = "advanced.config";
/// The name of the file with environment variables that RabbitMQ's scripts read.
pub(in crate::config::rabbitmq) const ENVIRONMENT: &str = "rabbitmq-env.conf";
/// The directory with further files.
pub(in crate::config::rabbitmq) const DIRECTORY: &str = "conf.d";
/// What is said of a file with Erlang terms.
pub(in crate::config::rabbitmq) const ERLANG_TERMS: &str = "it has Erlang terms, which only Erlang can read: look whether \
     what it says is needed here (docs/operate/rabbitmq-conf.md)";
/// Who may read the file: it may have passwords.
const MODE: u32 = 0o600;
/// Who may read it where a group may read the folder.
const GROUP_MODE: u32 = 0o640;
/// The largest advanced.config that is looked at, in bytes.
const MAX_ADVANCED: u64 = 1 << 20;

/// RabbitMQ's configuration in our format.
#[derive(Debug)]
pub struct Imported {
    /// The TOML file.
    pub text: String,
}

impl Imported {
    /// Reads RabbitMQ's configuration: a file and the folder `conf.d` beside it, or a folder with both.
    ///
    /// # Errors
    /// When a file cannot be read or is wrong, or there is an `advanced.config`, unless it is to be left out.
    pub fn read(path: &Path, without_advanced: bool) -> Result<Self, ConfigError> {
        let path = std::path::absolute(path).map_err(|error| failed(path, &error.to_string()))?;
        let files = files(&path)?;
        let folder = files.first().and_then(|file| file.parent());
        let folder = folder.unwrap_or(Path::new("/")).to_owned();
        let advanced = folder.join(ADVANCED);
        let has_advanced = has_terms(&advanced)?;
        if has_advanced && !without_advanced {
            return Err(failed(
                &advanced,
                &format!("{ERLANG_TERMS}, and leave it out with --without-advanced"),
            ));
        }
        let mut draft = draft_of(&files, &|name| std::env::var_os(name))?;
        if has_advanced {
            draft.note_at(
                &start(&advanced),
                ADVANCED,
                "it was left out: it has Erlang terms".to_owned(),
            );
        }
        let variables = folder.join(ENVIRONMENT);
        if variables.exists() {
            let instead =
                "it was not read: give what it says as environment variables of the service";
            draft.note_at(&start(&variables), ENVIRONMENT, instead.to_owned());
        }
        draft.settings()?;
        let text = written(&files, &draft);
        Ok(Imported { text })
    }

    /// Writes a new file that only its owner may read, and the group of the folder if that is not the caller's: the service,
    /// in `/etc/leveret`.
    ///
    /// # Errors
    /// When there is such a file, or it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), ConfigError> {
        let mut options = OpenOptions::new();
        let opened = options.write(true).create_new(true).mode(MODE).open(path);
        let mut file = opened.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => failed(
                path,
                "there is such a file, which is not overwritten: choose another name",
            ),
            _ => failed(path, &error.to_string()),
        })?;
        let saved = file
            .write_all(self.text.as_bytes())
            .and_then(|()| show_to_group(&file, path))
            .and_then(|()| file.sync_all());
        saved.map_err(|error| failed(path, &error.to_string()))
    }
}

/// Lets the group of a folder read a file in it, if it may read the folder and is not the caller's own.
fn show_to_group(file: &File, path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let folder = fs::metadata(folder)?;
    let own = rustix::process::getegid().as_raw();
    let is_readable = folder.mode() & 0o050 == 0o050;
    if folder.gid() == own || !is_readable {
        return Ok(());
    }
    // Only root and members of a group may give files to it.
    match std::os::unix::fs::fchown(file, None, Some(folder.gid())) {
        Ok(()) => file.set_permissions(fs::Permissions::from_mode(GROUP_MODE)),
        Err(_) => Ok(()),
    }
}

/// Returns the first line of a file.
fn start(path: &Path) -> Origin {
    Origin {
        file: path.into(),
        line: 1,
    }
}

fn failed(path: &Path, reason: &str) -> ConfigError {
    ConfigError::File {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

/// Returns the files that RabbitMQ reads, in its order.
fn files(path: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let (folder, mut files) = match path.is_dir() {
        false => (
            path.parent().unwrap_or(Path::new("/")).to_owned(),
            vec![path.to_owned()],
        ),
        true => {
            let main = path.join(CONF);
            let old = path.join(OLD_CONF);
            if !main.exists() && old.exists() {
                return Err(failed(&old, grammar::ERLANG));
            }
            let files = if main.exists() {
                vec![main]
            } else {
                in_folder(path)?
            };
            (path.to_owned(), files)
        }
    };
    let further = folder.join(DIRECTORY);
    if further.is_dir() {
        files.extend(in_folder(&further)?);
    }
    match files.is_empty() {
        true => Err(failed(
            path,
            &format!("there is no {CONF} in it, nor any other file *.conf"),
        )),
        false => Ok(files),
    }
}

/// Returns the files `*.conf` of a folder, by name.
pub(in crate::config::rabbitmq) fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let unreadable = |error: io::Error| failed(folder, &error.to_string());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        let is_hidden = name.as_encoded_bytes().starts_with(b".");
        let path = folder.join(&name);
        if !is_hidden && name != ENVIRONMENT && path.extension().is_some_and(|end| end == "conf") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Returns whether a file of Erlang terms says anything.
pub(in crate::config::rabbitmq) fn has_terms(path: &Path) -> Result<bool, ConfigError> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed(path, &error.to_string())),
    };
    if !metadata.is_file() || metadata.len() > MAX_ADVANCED {
        return Ok(true);
    }
    let text = fs::read(path).map_err(|error| failed(path, &error.to_string()))?;
    let text = String::from_utf8_lossy(&text);
    let without_comments = text
        .lines()
        .map(|line| line.split('%').next().unwrap_or_default());
    let terms: String = without_comments
        .collect::<String>()
        .split_whitespace()
        .collect();
    Ok(!matches!(terms.as_str(), "" | "[]." | "[]"))
}

/// Returns the file.
fn written(files: &[PathBuf], draft: &Draft) -> String {
    let mut text =
        String::from("# RabbitMQ's configuration, read by `leveret import-config` from\n");
    for file in files {
        let _ = writeln!(text, "#   {}", comment(&file.display().to_string()));
    }
    text.push_str("# Check it with: leveret --check-config --config FILE\n");
    let several = files.len() > 1;
    for Assigned {
        setting,
        value,
        from,
    } in draft.assigned()
    {
        text.push('\n');
        for entry in from {
            let _ = writeln!(text, "# {}", comment(&source(entry, several)));
        }
        let _ = writeln!(text, "{setting} = {value}");
    }
    defaults(&mut text, draft);
    let notes = draft.notes();
    if !notes.is_empty() {
        text.push_str("\n# What has no effect here, and what to do instead:\n");
    }
    for note in notes {
        let place = match several {
            true => format!("{}: ", note.path.display()),
            false => String::new(),
        };
        let _ = writeln!(
            text,
            "# - {}",
            comment(&format!("{place}{}: {}", note.keys, note.instead))
        );
    }
    text
}

/// Returns where an entry is. Its value is left out: it may be a password.
fn source(entry: &Entry, with_file: bool) -> String {
    let (key, line) = (entry.written(), entry.at.line);
    match with_file {
        true => format!("{} line {line}: {key}", entry.at.file.display()),
        false => format!("line {line}: {key}"),
    }
}

/// Returns text that cannot end a comment.
fn comment(text: &str) -> String {
    escaped(text, Form::Line).into_owned()
}

/// Says what RabbitMQ opens to everybody where its file says nothing.
fn defaults(text: &mut String, draft: &Draft) {
    for (setting, what, place) in [
        ("listeners", "AMQP", "[::]:5672"),
        (
            "management_listeners",
            "the management HTTP API",
            "[::]:15672",
        ),
    ] {
        if !draft.has(setting) {
            let _ = write!(
                text,
                "\n# By default RabbitMQ opens {what} to every address, Leveret to this machine only. For everybody:\n\
                 # {setting} = [\"{place}\"]\n"
            );
        }
    }
}
