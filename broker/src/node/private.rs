//! What the broker keeps is its owner's alone: bodies, password hashes, definitions.
//!
//! A mode given to each file that is created would miss the ones that libraries create. So the process
//! says once what it never grants ([`from_now_on`]), and what an earlier version left open is mended at
//! the start ([`mend`]).

use rustix::fs::{Mode, OFlags};
use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// What nobody but the owner may do: anything.
const OTHERS: u32 = 0o077;
/// What others may write.
const OTHERS_WRITE: u32 = 0o022;
/// In such a directory others may not replace what is not theirs.
const STICKY: u32 = 0o1000;

/// Everything that this process creates from now on is its owner's alone. For the start of `main`,
/// when there is no other thread.
pub fn from_now_on() {
    rustix::process::umask(Mode::from_raw_mode(OTHERS));
}

/// Takes from everybody else what they may do in the data directory, if it is there. What cannot be
/// mended is told in the log, and is no reason not to start. Symbolic links are not followed: they
/// could lead to what is not ours.
pub fn mend(data_dir: &Path) {
    let Ok(entries) = fs::read_dir(data_dir) else {
        // Not there yet, or the store's to complain about.
        return;
    };
    let mut only_ours = true;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_store = name == "store" || name.starts_with("store.");
        if is_store || name == "spill" {
            mend_tree(&entry.path());
        } else {
            only_ours &= matches!(&*name, "leveret.sock" | "leveret.new" | "lost+found");
        }
    }
    if let Err(error) = mend_root(data_dir, only_ours) {
        told(data_dir, &error);
    }
}

/// The data directory itself, unless it is somebody else's place, too (`/tmp`, a home directory).
fn mend_root(data_dir: &Path, only_ours: bool) -> io::Result<()> {
    let data_dir = data_dir.canonicalize()?;
    let found = fs::metadata(&data_dir)?;
    if only_ours {
        return close(&data_dir, &found);
    }
    if found.mode() & OTHERS_WRITE != 0 && found.mode() & STICKY == 0 {
        tracing::warn!(
            path = %data_dir.display(),
            mode = format_args!("{:o}", found.mode() & 0o7777),
            "others may write in the data directory, and so replace the store"
        );
    }
    Ok(())
}

/// A file, or a directory with all that is in it; the directory first, so that nobody gets further.
fn mend_tree(path: &Path) {
    let mended = fs::symlink_metadata(path).and_then(|found| {
        if found.is_symlink() {
            tracing::warn!(
                path = %path.display(),
                "a symbolic link: who may read what was created behind it is not looked at"
            );
            return Ok(());
        }
        close(path, &found)?;
        if found.is_dir() {
            for entry in fs::read_dir(path)? {
                mend_tree(&entry?.path());
            }
        }
        Ok(())
    });
    if let Err(error) = mended {
        told(path, &error);
    }
}

fn close(path: &Path, found: &Metadata) -> io::Result<()> {
    if found.mode() & OTHERS == 0 {
        return Ok(());
    }
    // Of what was looked at, not of what has taken its place since.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let mode = opened.metadata()?.mode() & 0o7777 & !OTHERS;
    opened.set_permissions(Permissions::from_mode(mode))
}

fn told(path: &Path, error: &io::Error) {
    tracing::warn!(path = %path.display(), %error, "others may be able to read this");
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

    /// A directory as an earlier version left it.
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
    fn what_was_left_open_is_closed() {
        let (_folder, data_dir) = left_open();
        mend(&data_dir);
        for path in ["", "store", "store/log", "spill"] {
            assert_eq!(mode(&data_dir.join(path)), 0o700, "{path}");
        }
        assert_eq!(mode(&data_dir.join("store/log/1.log")), 0o600);
    }

    #[test]
    fn what_is_somebody_elses_is_left_alone() {
        let (folder, data_dir) = left_open();
        let elsewhere = folder.path().join("elsewhere");
        fs::write(&elsewhere, "").unwrap();
        let open = Permissions::from_mode(0o644);
        fs::set_permissions(&elsewhere, open.clone()).unwrap();
        symlink(&elsewhere, data_dir.join("store/link")).unwrap();
        fs::write(data_dir.join("notes"), "").unwrap();
        fs::set_permissions(data_dir.join("notes"), open).unwrap();
        mend(&data_dir);
        assert_eq!(mode(&elsewhere), 0o644);
        assert_eq!(mode(&data_dir.join("notes")), 0o644);
        assert_eq!(
            (mode(&data_dir), mode(&data_dir.join("store"))),
            (0o755, 0o700)
        );
    }

    #[test]
    fn nothing_is_there_to_mend_at_the_first_start() {
        mend(Path::new("/nowhere/at/all"));
    }
}
