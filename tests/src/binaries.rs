//! The release build of the broker, made once per test process.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The paths of the programs under test.
#[derive(Debug, Clone)]
pub struct Binaries {
    /// The broker.
    pub leveret: PathBuf,
    /// The command that administers it.
    pub leveretctl: PathBuf,
    /// The load generator.
    pub leveretperf: PathBuf,
}

/// Builds `leveret` and its companions in release mode in the workspace's own target directory,
/// the first time it is called, and returns their paths.
pub fn binaries() -> &'static Binaries {
    static BINARIES: OnceLock<Binaries> = OnceLock::new();
    BINARIES.get_or_init(build)
}

/// The root of the workspace.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the workspace")
}

/// The target directory that this very test binary was built into: `<target>/<profile>/deps/..`.
pub(crate) fn target_directory() -> PathBuf {
    let test = std::env::current_exe().expect("the path of the test binary");
    test.ancestors()
        .nth(3)
        .expect("a test binary lies three folders deep")
        .to_owned()
}

fn build() -> Binaries {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // What cargo says about the package of the tests: build scripts that look at it would run again, and all crates above them
    // be built again.
    for (name, _) in std::env::vars_os() {
        let of_package = name.to_string_lossy();
        if of_package.starts_with("CARGO_PKG_") || of_package.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    let output = command
        .args([
            "build",
            "--release",
            "-p",
            "leveret",
            "--bins",
            "--message-format=json",
        ])
        .current_dir(workspace())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    let messages = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "the release build failed:\n{messages}"
    );
    let find = |name: &str| executable(&messages, name).unwrap_or_else(|| panic!("no {name}"));
    Binaries {
        leveret: find("leveret"),
        leveretctl: find("leveretctl"),
        leveretperf: find("leveretperf"),
    }
}

/// Finds the path of the binary `name` among cargo's JSON messages.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact")
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
}
