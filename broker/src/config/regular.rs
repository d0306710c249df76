//! Opening files of settings: what is not a regular file may be waited for without end, and hold up every later reload.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether settings have been read already, so that a stream would be at its end.
static AGAIN: AtomicBool = AtomicBool::new(false);

/// Takes note that settings are read once more: from now on streams are refused.
pub(super) fn again() {
    AGAIN.store(true, Ordering::Relaxed);
}

/// Opens a regular file, an empty device such as `/dev/null`, or at a start what is passed to the process as a stream:
/// `/dev/stdin`, `/dev/fd/63`.
///
/// # Errors
/// When it cannot be opened, or is something else. Nothing is waited for.
pub(super) fn open(path: &Path) -> io::Result<File> {
    open_for(path, AGAIN.load(Ordering::Relaxed))
}

fn open_for(path: &Path, again: bool) -> io::Result<File> {
    let refused = |reason: &str| Err(io::Error::other(reason));
    let passed = ["/dev/stdin", "/dev/fd/", "/proc/self/fd/"];
    let passed = passed.iter().any(|start| {
        path.as_os_str()
            .as_encoded_bytes()
            .starts_with(start.as_bytes())
    });
    let kind = std::fs::metadata(path)?.file_type();
    let is_stream = !kind.is_file() && path != Path::new("/dev/null");
    match (is_stream, again) {
        (false, _) => {}
        (true, _) if kind.is_dir() => return refused("it is a directory, not a file"),
        (true, true) if passed || kind.is_char_device() => {
            return refused(
                "it is a stream that was read at the start: name a file, which can be read again",
            );
        }
        (true, false) if passed || kind.is_char_device() => return File::open(path),
        (true, _) => return refused("it is not a regular file: name one"),
    }
    // It may have been replaced since: opening a pipe must not wait for a writer.
    let nonblock = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options()
        .read(true)
        .custom_flags(nonblock)
        .open(path)?;
    let kind = file.metadata()?.file_type();
    match kind.is_file() || kind.is_char_device() {
        true => Ok(file),
        false => refused("it is not a regular file: name one"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn only_regular_files_are_opened_again_and_pipes_never() {
        let folder = tempfile::tempdir().unwrap();
        let regular = folder.path().join("a.toml");
        std::fs::write(&regular, "port = 1").unwrap();
        let fifo = folder.path().join("fifo.toml");
        let made = std::process::Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap();
        assert!(made.success());
        for again in [false, true] {
            let mut text = String::new();
            let mut file = open_for(&regular, again).unwrap();
            file.read_to_string(&mut text).unwrap();
            assert_eq!(text, "port = 1");
            assert!(open_for(Path::new("/dev/null"), again).is_ok());
            let told = open_for(&fifo, again).unwrap_err().to_string();
            assert_eq!(told, "it is not a regular file: name one");
            let told = open_for(folder.path(), again).unwrap_err().to_string();
            assert!(told.contains("directory"), "{told}");
            let missing = open_for(&folder.path().join("none"), again).unwrap_err();
            assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        }
        assert!(open_for(Path::new("/dev/zero"), false).is_ok());
        let told = open_for(Path::new("/dev/zero"), true).unwrap_err();
        assert!(told.to_string().contains("read at the start"), "{told}");
    }
}
