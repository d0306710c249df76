//! Builds the layer and the store program, in release mode.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::binaries::workspace;

/// The paths of both.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The library for LD_PRELOAD.
    pub layer: PathBuf,
    /// The program that works on a store or checks it.
    pub store: PathBuf,
}

/// Builds them the first time it is called.
pub fn programs() -> &'static Programs {
    static PROGRAMS: OnceLock<Programs> = OnceLock::new();
    PROGRAMS.get_or_init(build)
}

fn build() -> Programs {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--release", "-p", "leveret-power"])
        .arg("--message-format=json")
        .current_dir(workspace())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    let messages = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "the build failed:\n{messages}");
    let find = |name: &str| {
        messages
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter(|message| message["target"]["name"] == name)
            .find_map(|message| message["filenames"][0].as_str().map(PathBuf::from))
            .unwrap_or_else(|| panic!("no {name}"))
    };
    Programs {
        layer: find("leveret_power_layer"),
        store: find("power-store"),
    }
}

impl Programs {
    /// Returns the environment variables that put the files of a process below `dir` under the
    /// layer, with a trace in `trace`.
    pub fn tracing(&self, dir: &Path, trace: &Path) -> Vec<(&'static str, OsString)> {
        vec![
            ("LD_PRELOAD", self.layer.clone().into()),
            ("LEVERET_POWER_DIR", dir.into()),
            ("LEVERET_POWER_TRACE", trace.into()),
            ("LEVERET_POWER_MARKS", trace.with_extension("marks").into()),
        ]
    }

    /// Returns the environment variables that make calls on files below `dir` fail as the file
    /// `faults` says.
    pub fn failing(&self, dir: &Path, faults: &Path) -> Vec<(&'static str, OsString)> {
        vec![
            ("LD_PRELOAD", self.layer.clone().into()),
            ("LEVERET_POWER_DIR", dir.into()),
            ("LEVERET_POWER_FAULTS", faults.into()),
        ]
    }

    /// Returns a command that works on the store in `dir`.
    pub fn work(&self, dir: &Path, seed: u64, batches: u64) -> Command {
        let mut command = Command::new(&self.store);
        let (seed, batches) = (seed.to_string(), batches.to_string());
        command.arg("work").arg(dir).args([seed, batches]);
        command.stdin(Stdio::null());
        command
    }
}
