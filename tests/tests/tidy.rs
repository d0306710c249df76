//! The habits that a machine can hold us to.

use std::path::{Path, PathBuf};

/// A file is read in one sitting.
const LONGEST_FILE: usize = 550;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests are a folder of the workspace")
        .to_owned()
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut folders: Vec<PathBuf> = ["protocol", "storage", "broker", "tests"]
        .map(|folder| root().join(folder))
        .into();
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the workspace") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("a source file");
                sources.push((path, text));
            }
        }
    }
    assert!(sources.len() > 50, "found {} sources only", sources.len());
    sources
}

#[test]
fn no_file_is_too_long_to_read_in_one_sitting() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(
            lines <= LONGEST_FILE,
            "{} has {lines} lines: split it by concept",
            path.display()
        );
    }
}

#[test]
fn every_file_says_what_it_is_about() {
    for (path, text) in sources() {
        let first = text.lines().next().unwrap_or_default();
        let is_test_module = path.file_name().is_some_and(|name| name == "tests.rs");
        assert!(
            first.starts_with("//! ") || is_test_module,
            "{} does not begin with a sentence about itself",
            path.display()
        );
    }
}

#[test]
fn no_promise_is_left_open() {
    // Written apart, so that this file does not find itself.
    let promises = [
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("#[ig", "nore"),
        concat!("FIX", "ME"),
    ];
    for (path, text) in sources() {
        for promise in promises {
            assert!(!text.contains(promise), "{}: {promise}", path.display());
        }
    }
}

#[test]
fn unsafe_code_stands_where_it_is_argued() {
    let argued = [
        "broker/src/system/trim.rs",
        "storage/src/sled_sync.rs",
        "tests/power/layer/calls.rs",
        "tests/power/layer/faults.rs",
        "tests/power/layer/lib.rs",
        "tests/power/layer/state.rs",
        "tests/power/layer/trace.rs",
    ];
    // Written apart, as above.
    let words = [concat!("unsafe", " {"), concat!("unsafe", "_code, reason")];
    for (path, text) in sources() {
        let argued = argued.iter().any(|argued| path.ends_with(argued));
        for word in words {
            assert!(argued || !text.contains(word), "{}: {word}", path.display());
        }
    }
}

#[test]
fn the_readme_opens_with_the_two_commands() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("README.md");
    let opening: String = readme.lines().take(20).collect();
    for command in ["cargo run --release", "cargo test --workspace"] {
        assert!(opening.contains(command), "{command}");
    }
}
