//! Finds the parts of a store in its directory, and describes keys of sled's.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{directory::Directory, error::StorageError, schema, types::u64_at};

/// Returns the subdirectories of a directory in order, or none if it does not exist.
pub(super) fn directories(directory: &Directory, of: &Path) -> Result<Vec<PathBuf>, StorageError> {
    let fail = |source| directory.error("read", source);
    let entries = match fs::read_dir(of) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(fail)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(fail)?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Returns the most recently written main sled, for when no marker says which is current.
pub(super) fn newest_main(directory: &Directory) -> Result<PathBuf, StorageError> {
    let mut mains = directories(directory, &directory.path)?;
    mains.retain(|path| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name == "sled" || name.starts_with("sled."))
    });
    mains.sort_by_key(|path| {
        fs::metadata(path.join("db"))
            .and_then(|of| of.modified())
            .ok()
    });
    Ok(mains.pop().unwrap_or_else(|| directory.main(0)))
}

/// Describes the record under a key of sled's.
pub(super) fn describe(key: &[u8]) -> String {
    let queue = || u64_at(key, 1).unwrap_or(0);
    match key.first() {
        Some(&schema::DEFINITION) => format!("definition {:?}", String::from_utf8_lossy(&key[1..])),
        Some(&schema::DEFINITION_PART) => "part of a definition".to_owned(),
        Some(&schema::QUEUE) => format!("the record of the queue with id {}", queue()),
        Some(&schema::CATALOGUE) => format!("a catalogue entry of the queue with id {}", queue()),
        Some(&schema::BODY) => format!("a run of messages of the queue with id {}", queue()),
        _ => "metadata of the store".to_owned(),
    }
}
