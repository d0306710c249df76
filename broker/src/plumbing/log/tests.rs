//! Tests of the log: what reaches its outputs, what it keeps in memory, and what is lost when an output is slow.

use super::*;
use std::io::Write;

fn logged(log: &Log, lines: std::ops::Range<u64>) {
    for line in lines {
        let line = format!("line {line}\n");
        (&log.writer()).write_all(line.as_bytes()).unwrap();
    }
}

fn tail(log: &Log, count: u64) -> String {
    let mut tail = log.tail(count).unwrap();
    let mut text = String::new();
    while let Some(more) = tail.read().unwrap() {
        text += &more;
    }
    text
}

fn to_file(path: &Path) -> Config {
    let mut config = Config::with_data_dir(std::env::temp_dir());
    config.log_file = Some(path.to_owned());
    config.log_console = false;
    config
}

#[test]
fn without_a_file_the_last_lines_are_those_in_memory() {
    let log = Log::default();
    logged(&log, 0..100_000);
    assert_eq!(tail(&log, 2), "line 99998\nline 99999\n");
    assert_eq!(tail(&log, 0), "");
    let all = tail(&log, u64::MAX);
    assert!(all.lines().count() > 1000 && all.ends_with("\nline 99999\n"));
    assert!(matches!(log.rotate(), Err(RotationError::NoFile)));
    assert!(log.locations().is_empty());
}

#[test]
fn lines_go_to_the_file_and_followers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/leveret.log");
    let log = Log::default();
    log.configure(&to_file(&path));
    let mut follower = log.follow();
    assert!(follower.read().is_none());
    logged(&log, 0..3);
    assert_eq!(
        follower.read(),
        Some((0, "line 0\nline 1\nline 2\n".into()))
    );
    assert_eq!(tail(&log, 2), "line 1\nline 2\n");
    assert_eq!(log.locations(), [path.to_str().unwrap()]);
    log.rotate().unwrap();
    // To another file, without losing a line.
    let other = folder.path().join("other.log");
    log.flush(CATCH_UP);
    log.configure(&to_file(&other));
    logged(&log, 3..5);
    log.flush(CATCH_UP);
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    assert_eq!(read(&path), "line 0\nline 1\nline 2\n");
    assert_eq!(read(&other), "line 3\nline 4\n");
    assert_eq!(log.lost(), 0);
}

#[test]
fn a_follower_that_is_too_slow_learns_what_it_missed() {
    let log = Log::default();
    let mut follower = log.follow();
    logged(&log, 0..100_000);
    let (missed, text) = follower.read().unwrap();
    assert!(missed > 0 && text.starts_with(&format!("line {missed}\n")));
}

#[test]
fn a_level_is_changed_once() {
    let log = Log::default();
    let set: Arc<Mutex<Vec<String>>> = Arc::default();
    let filters = set.clone();
    log.control_filter(LogFilter::default(), move |filter| {
        filters.lock().push(filter.directives().to_owned());
    });
    log.set_filter(&"warning".parse().unwrap());
    log.set_filter(&"none".parse().unwrap());
    assert_eq!(*set.lock(), ["warn", "off"]);
}
