//! Other people's tools: where they are found, and what happens where they are not.

use std::path::PathBuf;

use crate::binaries::target_directory;

/// Returns what was found. Where that is nothing, says so, and panics if `LEVERET_TEST_INSIST` is set.
pub fn needed<T>(tool: &str, found: Option<T>) -> Option<T> {
    if found.is_none() {
        let insists = std::env::var_os("LEVERET_TEST_INSIST").is_some();
        assert!(!insists, "{tool} is not found");
        eprintln!("skipped: {tool} is not found");
    }
    found
}

/// Returns the programs of this name in `target/tools/bin` and in the folders of the `PATH`.
pub fn programs(name: &str) -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = vec![tools().join("bin")];
    folders.extend(std::env::split_paths(&path));
    let files = folders.into_iter().map(move |folder| folder.join(name));
    files.filter(|file| file.is_file())
}

/// Returns the paths below which Debian's packages are installed, or unpacked for the tests.
pub fn debian() -> [PathBuf; 2] {
    [tools().join("debian"), PathBuf::from("/")]
}

fn tools() -> PathBuf {
    target_directory().join("tools")
}
