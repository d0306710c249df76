//! The layer and the store at work, in release mode.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::binaries::workspace;

/// Where they are.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The library for LD_PRELOAD.
    pub layer: PathBuf,
    /// The store at work, or looked through.
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
    /// Puts a command's files below `dir` under the layer, tracing to `trace`.
    pub fn trace<'c>(&self, command: &'c mut Command, dir: &Path, trace: &Path) -> &'c mut Command {
        command
            .env("LD_PRELOAD", &self.layer)
            .env("LEVERET_POWER_DIR", dir)
            .env("LEVERET_POWER_TRACE", trace)
            .env("LEVERET_POWER_MARKS", trace.with_extension("marks"))
    }

    /// A run of work on the store in `dir`.
    pub fn work(&self, dir: &Path, seed: u64, batches: u64) -> Command {
        let mut command = Command::new(&self.store);
        let (seed, batches) = (seed.to_string(), batches.to_string());
        command.arg("work").arg(dir).args([seed, batches]);
        command.stdin(Stdio::null());
        command
    }
}
