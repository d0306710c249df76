//! What RabbitMQ would read beside its configuration file, and Leveret does not.

use super::Note;
use super::conf::import::{ADVANCED, DIRECTORY, ENVIRONMENT, ERLANG_TERMS, has_terms, in_folder};
use crate::config::{ConfigError, NONE};
use std::path::{Path, PathBuf};

/// Looks beside the files that are read, and leaves the one with environment variables out of them.
///
/// # Errors
/// When a named folder has an `advanced.config` that says something.
pub(in crate::config) fn look(
    named: Option<&Path>,
    files: &mut Vec<PathBuf>,
) -> Result<Vec<Note>, ConfigError> {
    let mut notes = Vec::new();
    match named {
        Some(path) if path == Path::new(NONE) => return Ok(notes),
        Some(folder) if folder.is_dir() => refuse_advanced(folder)?,
        Some(file) if file.extension().is_some_and(|end| end == "conf") => {
            return beside_file(file);
        }
        Some(_) => return Ok(notes),
        None => {}
    }
    files.retain(|path| {
        let is_kept = path.file_name().is_none_or(|name| name != ENVIRONMENT);
        if !is_kept {
            let instead = "it is not read, and its variables have no effect: set them in the environment of the service, as \
                           docs/operate/rabbitmq-conf.md says";
            notes.push(note(path, instead));
        }
        is_kept
    });
    Ok(notes)
}

fn note(path: &Path, instead: &str) -> Note {
    Note::of_settings(path.display().to_string(), instead.to_owned())
}

fn refuse_advanced(folder: &Path) -> Result<(), ConfigError> {
    let path = folder.join(ADVANCED);
    match has_terms(&path)? {
        false => Ok(()),
        true => Err(ConfigError::File {
            path,
            reason: format!("{ERLANG_TERMS}, and move it out of this folder"),
        }),
    }
}

/// Says what is beside a single file of RabbitMQ's.
fn beside_file(file: &Path) -> Result<Vec<Note>, ConfigError> {
    let mut notes = Vec::new();
    let folder = file.parent().unwrap_or(Path::new(""));
    let folder = match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    };
    let advanced = folder.join(ADVANCED);
    // What cannot be looked at may say something.
    if has_terms(&advanced).unwrap_or(true) {
        let instead = "RabbitMQ reads it, too, and Leveret does not: it has Erlang terms; look whether what it says is needed \
                       here (docs/operate/rabbitmq-conf.md)";
        notes.push(note(&advanced, instead));
    }
    let further = folder.join(DIRECTORY);
    let has_further = further.is_dir() && in_folder(&further).is_ok_and(|files| !files.is_empty());
    if has_further && !includes(file)? {
        let instead = format!(
            "RabbitMQ reads these files, too, and Leveret does not unless --config names the folder {}",
            folder.display()
        );
        notes.push(note(&further.join("*.conf"), &instead));
    }
    Ok(notes)
}

/// Returns whether a file includes files of the folder of further ones by itself.
fn includes(file: &Path) -> Result<bool, ConfigError> {
    let text = crate::config::file::text_of(file)?;
    let named = format!("{DIRECTORY}/");
    let mut includes = text
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("include "));
    Ok(includes.any(|path| path.contains(&named)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn looked(named: &Path, files: &mut Vec<PathBuf>) -> Result<Vec<String>, String> {
        let notes = look(Some(named), files).map_err(|error| error.to_string())?;
        Ok(notes.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_is_not_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let conf = path("rabbitmq.conf");
        fs::write(&conf, "heartbeat = 7\n").unwrap();
        assert!(looked(&conf, &mut Vec::new()).unwrap().is_empty());
        fs::write(path("advanced.config"), "[].").unwrap();
        fs::create_dir(path("conf.d")).unwrap();
        assert!(looked(&conf, &mut Vec::new()).unwrap().is_empty());
        fs::write(path("advanced.config"), "[{rabbit, []}].").unwrap();
        fs::write(path("conf.d/a.conf"), "").unwrap();
        let notes = looked(&conf, &mut Vec::new()).unwrap();
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(notes[0].contains("advanced.config: RabbitMQ reads it, too"));
        assert!(notes[1].contains("conf.d/*.conf: RabbitMQ reads these files, too"));
        fs::write(&conf, "include conf.d/*.conf\n").unwrap();
        assert_eq!(looked(&conf, &mut Vec::new()).unwrap().len(), 1);
        let told = looked(folder.path(), &mut Vec::new()).unwrap_err();
        assert!(
            told.contains("advanced.config: it has Erlang terms"),
            "{told}"
        );
        fs::remove_file(path("advanced.config")).unwrap();
        let mut files = vec![path("rabbitmq-env.conf"), conf];
        let notes = looked(folder.path(), &mut files).unwrap();
        assert!(
            notes[0].contains("its variables have no effect"),
            "{notes:?}"
        );
        assert_eq!(files.len(), 1);
    }
}
