//! Tests of the log file: rotation, reopening, and what happens when it cannot be written.

use super::super::compress::SharedFile;
use super::*;
use std::os::unix::fs::symlink;
use tempfile::TempDir;

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("leveret.log");
    (folder, path)
}

fn by_size(size: u64, count: u32) -> Rotation {
    Rotation {
        size,
        count,
        ..Rotation::default()
    }
}

fn opened(path: &Path, rotation: Rotation) -> LogFile {
    LogFile::new(path.to_owned(), rotation, Compressor::default())
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| format!("{}: {error}", path.display()))
}

#[test]
fn a_file_that_is_full_is_rotated_and_the_oldest_goes() {
    let (folder, path) = folder();
    let mut file = opened(&path, by_size(10, 2));
    for line in 0..9 {
        file.write(format!("line{line}\n").as_bytes(), false);
    }
    // Several at once are shared out in whole lines.
    file.write(b"a\nbb\ncccccc\nd\n", false);
    assert_eq!(read(&path), "d\n");
    assert_eq!(read(&numbered(&path, 0, false)), "bb\ncccccc\n");
    assert_eq!(read(&numbered(&path, 1, false)), "line8\na\n");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    // One that is longer than a file may be has its own.
    file.write(b"0123456789abc\nx\n", false);
    assert_eq!(read(&path), "x\n");
    assert_eq!(read(&numbered(&path, 0, false)), "0123456789abc\n");
}

#[test]
fn what_an_earlier_process_left_torn_does_not_swallow_the_next_line() {
    let (_folder, path) = folder();
    fs::write(&path, "whole\ntor").unwrap();
    let mut file = opened(&path, Rotation::default());
    file.write(b"next\n", false);
    assert_eq!(read(&path), "whole\ntor\nnext\n");
    file.reopen().unwrap();
    file.write(b"last\n", false);
    assert_eq!(read(&path), "whole\ntor\nnext\nlast\n");
}

#[test]
fn without_files_to_keep_the_lines_go() {
    let (folder, path) = folder();
    let mut file = opened(&path, by_size(8, 0));
    file.write(b"line1\nline2\nline3\n", false);
    assert_eq!(read(&path), "line3\n");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_file_of_an_earlier_period_is_rotated_with_the_next_line() {
    let (_folder, path) = folder();
    fs::write(&path, "yesterday\n").unwrap();
    let day = Duration::from_secs(86_400);
    let yesterday = SystemTime::now() - day;
    let file = OpenOptions::new().append(true).open(&path).unwrap();
    file.set_modified(yesterday).unwrap();
    let rotation = Rotation {
        age: Some(day),
        count: 3,
        ..Rotation::default()
    };
    let mut file = opened(&path, rotation);
    assert_eq!(read(&path), "yesterday\n");
    file.write(b"today\n", false);
    file.write(b"too\n", false);
    assert_eq!(read(&path), "today\ntoo\n");
    assert_eq!(read(&numbered(&path, 0, false)), "yesterday\n");
}

#[test]
fn logrotate_may_rename_or_truncate_it() {
    let (folder, path) = folder();
    let mut file = opened(&path, Rotation::default());
    file.write(b"1\n", false);
    let moved = folder.path().join("moved");
    fs::rename(&path, &moved).unwrap();
    file.write(b"2\n", false);
    file.reopen().unwrap();
    file.write(b"3\n", false);
    assert_eq!((read(&moved), read(&path)), ("1\n2\n".into(), "3\n".into()));
    // copytruncate
    fs::copy(&path, &moved).unwrap();
    OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(&path)
        .unwrap();
    file.write(b"4\n", false);
    assert_eq!(read(&path), "4\n");
    // The verb does no more than reopen what was renamed, or is not rotated.
    file.rotate_or_reopen().unwrap();
    assert_eq!(read(&path), "4\n");
    file.set_rotation(by_size(100, 2));
    file.rotate_or_reopen().unwrap();
    assert_eq!(
        (read(&path), read(&numbered(&path, 0, false))),
        (String::new(), "4\n".into())
    );
    file.rotate_or_reopen().unwrap();
    assert!(!numbered(&path, 1, false).exists(), "it was empty");
    file.write(b"5\n", false);
    fs::rename(&path, &moved).unwrap();
    file.rotate_or_reopen().unwrap();
    assert_eq!((read(&moved), read(&path)), ("5\n".into(), String::new()));
    assert!(!numbered(&path, 1, false).exists());
}

#[test]
fn what_cannot_be_written_is_tried_again() {
    let (folder, path) = folder();
    // No file can be opened there.
    let target = folder.path().join("target");
    fs::create_dir(&target).unwrap();
    symlink(&target, &path).unwrap();
    let mut file = opened(&path, by_size(10, 2));
    assert!(file.retry_at.is_some());
    file.write(b"lost\n", false);
    fs::remove_file(&path).unwrap();
    file.write(b"too early\n", false);
    assert!(!path.exists());
    file.retry_at = Some(Instant::now());
    file.write(b"found\n", false);
    assert!(file.retry_at.is_none());
    assert_eq!(read(&path), "found\n");
}

#[test]
fn a_full_disk_tears_one_line_at_most() {
    let (folder, _) = folder();
    let path = folder.path().join("full");
    symlink("/dev/full", &path).unwrap();
    let mut file = opened(&path, by_size(10, 2));
    file.write(b"no space\n", false);
    assert!(file.retry_at.is_some());
    // As if a part had been written.
    file.is_torn = true;
    fs::remove_file(&path).unwrap();
    file.file = Some(
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .unwrap(),
    );
    file.retry_at = Some(Instant::now());
    file.write(b"space\n", false);
    assert_eq!(read(&path), "\nspace\n");
}

#[test]
fn terminals_and_pipes_are_not_rotated() {
    let mut file = opened(Path::new("/dev/null"), by_size(1, 2));
    file.write(b"some lines\nmore\n", false);
    assert!(file.retry_at.is_none() && file.rotate_or_reopen().is_ok());
    assert!(!Path::new("/dev/null.0").exists());
}

#[test]
fn rotated_files_are_compressed_whatever_their_number_is_by_then() {
    use std::io::Read;
    let (_folder, path) = folder();
    let shared = SharedFile::default();
    let rotation = Rotation {
        compress: true,
        ..by_size(10, 20)
    };
    *shared.lock() = Some(LogFile::new(
        path.clone(),
        rotation,
        Compressor::new(&shared),
    ));
    for line in 0..15 {
        let line = format!("line{line:03}\n");
        shared
            .lock()
            .as_mut()
            .unwrap()
            .write(line.as_bytes(), false);
    }
    let compressed = |number| numbered(&path, number, true);
    let until = Instant::now() + Duration::from_secs(20);
    while !(0..14)
        .all(|number| compressed(number).exists() && !numbered(&path, number, false).exists())
    {
        assert!(Instant::now() < until, "not all are compressed");
        // One that was rotated when the thread was about to end waits for the next.
        let file = shared.lock();
        let file = file.as_ref().unwrap();
        file.compressor.start(&path);
        std::thread::yield_now();
    }
    for number in 0..14 {
        let mut text = String::new();
        let file = File::open(compressed(number)).unwrap();
        flate2::read::GzDecoder::new(file)
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, format!("line{:03}\n", 13 - number));
    }
}
