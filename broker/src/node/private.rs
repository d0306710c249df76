//! Restricts the broker's files to their owner: message bodies, password hashes, definitions.
//!
//! Setting the mode of each file would miss those that libraries create. So the process sets its umask
//! ([`restrict_umask`]), and fixes at startup what an earlier version left readable
//! ([`restrict_permissions`]).

use rustix::fs::{Mode, OFlags};
use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// The permission bits of group and others.
const OTHERS: u32 = 0o077;
/// The write bits of group and others.
const OTHERS_WRITE: u32 = 0o022;
/// The sticky bit: in such a directory users cannot replace each other's files.
const STICKY: u32 = 0o1000;

/// Makes every file that this process creates accessible to its owner only. Call it at the start of
/// `main`, before there are other threads.
pub fn restrict_umask() {
    rustix::process::umask(Mode::from_raw_mode(OTHERS));
}

/// Removes everybody else's permissions in the data directory, if it exists. Failures are logged, but
/// do not keep the broker from starting. Symbolic links are not followed: they could lead to files
/// that are not ours.
pub fn restrict_permissions(data_dir: &Path) {
    let Ok(entries) = fs::read_dir(data_dir) else {
        // It does not exist yet, or opening the store will report the error.
        return;
    };
    let mut only_ours = true;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_store = name == "store" || name.starts_with("store.");
        if is_store || name == "spill" {
            restrict_tree(&entry.path());
        } else {
            only_ours &= matches!(&*name, "leveret.sock" | "leveret.new" | "lost+found");
        }
    }
    if let Err(error) = restrict_root(data_dir, only_ours) {
        log_failure(data_dir, &error);
    }
}

/// Restricts the data directory itself, unless it also holds other files (`/tmp`, a home directory).
fn restrict_root(data_dir: &Path, only_ours: bool) -> io::Result<()> {
    let data_dir = data_dir.canonicalize()?;
    let found = fs::metadata(&data_dir)?;
    if only_ours {
        return restrict(&data_dir, &found);
    }
    if found.mode() & OTHERS_WRITE != 0 && found.mode() & STICKY == 0 {
        tracing::warn!(
            path = %data_dir.display(),
            mode = format_args!("{:o}", found.mode() & 0o7777),
            "other users can write to the data directory, so they can replace the store"
        );
    }
    Ok(())
}

/// Restricts a file, or a directory and its contents; the directory first, to close the way in.
fn restrict_tree(path: &Path) {
    let restricted = fs::symlink_metadata(path).and_then(|found| {
        if found.is_symlink() {
            tracing::warn!(
                path = %path.display(),
                "this is a symbolic link: the permissions of its target are not checked"
            );
            return Ok(());
        }
        restrict(path, &found)?;
        if found.is_dir() {
            for entry in fs::read_dir(path)? {
                restrict_tree(&entry?.path());
            }
        }
        Ok(())
    });
    if let Err(error) = restricted {
        log_failure(path, &error);
    }
}

fn restrict(path: &Path, found: &Metadata) -> io::Result<()> {
    if found.mode() & OTHERS == 0 {
        return Ok(());
    }
    // Through a file handle: another file may have taken its place since.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let mode = opened.metadata()?.mode() & 0o7777 & !OTHERS;
    opened.set_permissions(Permissions::from_mode(mode))
}

fn log_failure(path: &Path, error: &io::Error) {
    tracing::warn!(
        path = %path.display(),
        %error,
        "cannot restrict the permissions of this file: other users may be able to read it"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;
    use tempfile::TempDir;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    /// Creates a data directory as an earlier version left it.
    fn left_open() -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        fs::create_dir_all(data_dir.join("store/log")).unwrap();
        fs::create_dir_all(data_dir.join("spill")).unwrap();
        fs::write(data_dir.join("store/log/1.log"), "body").unwrap();
        for path in ["", "store", "store/log", "spill"] {
            let open = Permissions::from_mode(0o755);
            fs::set_permissions(data_dir.join(path), open).unwrap();
        }
        let file = data_dir.join("store/log/1.log");
        fs::set_permissions(file, Permissions::from_mode(0o664)).unwrap();
        (folder, data_dir)
    }

    #[test]
    fn what_was_left_open_is_restricted() {
        let (_folder, data_dir) = left_open();
        restrict_permissions(&data_dir);
        for path in ["", "store", "store/log", "spill"] {
            assert_eq!(mode(&data_dir.join(path)), 0o700, "{path}");
        }
        assert_eq!(mode(&data_dir.join("store/log/1.log")), 0o600);
    }

    #[test]
    fn files_of_others_are_left_alone() {
        let (folder, data_dir) = left_open();
        let elsewhere = folder.path().join("elsewhere");
        fs::write(&elsewhere, "").unwrap();
        let open = Permissions::from_mode(0o644);
        fs::set_permissions(&elsewhere, open.clone()).unwrap();
        symlink(&elsewhere, data_dir.join("store/link")).unwrap();
        fs::write(data_dir.join("notes"), "").unwrap();
        fs::set_permissions(data_dir.join("notes"), open).unwrap();
        restrict_permissions(&data_dir);
        assert_eq!(mode(&elsewhere), 0o644);
        assert_eq!(mode(&data_dir.join("notes")), 0o644);
        assert_eq!(
            (mode(&data_dir), mode(&data_dir.join("store"))),
            (0o755, 0o700)
        );
    }

    #[test]
    fn there_is_nothing_to_restrict_at_the_first_start() {
        restrict_permissions(Path::new("/nowhere/at/all"));
    }
}
