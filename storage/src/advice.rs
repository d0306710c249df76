//! What to do about errors of the operating system, for the operator.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

/// Says what to do about an action on a file or directory that has failed.
pub(crate) fn about(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull => {
            "this file system has no free space: free some, or enlarge it".to_owned()
        }
        io::ErrorKind::QuotaExceeded => {
            "the disk quota of the user running the broker is used up: raise it, or free some space"
                .to_owned()
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "the file system is read-only: mount it for writing, or choose another directory"
                .to_owned()
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => not_a_directory(path),
        io::ErrorKind::PermissionDenied => denied(path),
        io::ErrorKind::NotFound => {
            "it does not exist: check the path, and that its disk is mounted".to_owned()
        }
        _ => "check the disk: dmesg tells what the system has against it".to_owned(),
    }
}

/// Names the part of a path that is no directory.
fn not_a_directory(path: &Path) -> String {
    let file = path
        .ancestors()
        .find(|part| fs::metadata(part).is_ok_and(|found| !found.is_dir()));
    match file {
        Some(file) => format!(
            "{} is not a directory: choose another one, or move that away",
            file.display()
        ),
        None => "a part of this path is not a directory: choose another one".to_owned(),
    }
}

/// Says whose the file or directory is that may not be used.
fn denied(path: &Path) -> String {
    let caller = rustix::process::geteuid().as_raw();
    // Who may not enter a directory cannot look at what is in it.
    let seen = path
        .ancestors()
        .find_map(|part| Some((part, fs::metadata(part).ok()?)));
    let Some((part, found)) = seen else {
        return format!("the user with id {caller}, who runs the broker, may not do that");
    };
    format!(
        "{} belongs to the user with id {} (mode {:o}), and the broker runs as the user with id {caller}: start it as the \
         owner, or give the whole data directory to the broker's user with chown -R",
        part.display(),
        found.uid(),
        found.mode() & 0o7777
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_own_words() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let below = file.join("store");
        let shown = file.display();
        let owner = fs::metadata(&file).unwrap().uid();
        for (errno, expected) in [
            (rustix::io::Errno::NOSPC, "no free space".to_owned()),
            (rustix::io::Errno::DQUOT, "quota".to_owned()),
            (rustix::io::Errno::ROFS, "is read-only".to_owned()),
            (
                rustix::io::Errno::NOTDIR,
                format!("{shown} is not a directory"),
            ),
            (
                rustix::io::Errno::ACCESS,
                format!("{shown} belongs to the user with id {owner} (mode "),
            ),
            (rustix::io::Errno::NOENT, "does not exist".to_owned()),
            (rustix::io::Errno::IO, "check the disk".to_owned()),
        ] {
            let told = about(&below, &io::Error::from(errno));
            assert!(told.contains(&expected), "{errno}: {told}");
        }
    }
}
