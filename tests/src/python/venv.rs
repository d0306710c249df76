//! Virtual environments, one per version of pika, and others for Celery and the browser, made once under the target
//! directory.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::binaries::target_directory;

/// A version of pika. The calls of pika changed twice under the programs people wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pika {
    /// `exchange_declare(type=…)` still works.
    V0_10_0,
    /// From here on it is `exchange_type=`.
    V0_11_2,
    /// The last with `basic_consume(callback, queue)` and `no_ack`.
    V0_13_1,
    /// From here on it is `basic_consume(queue, on_message_callback)` and `auto_ack`.
    V1_0_1,
    /// A 1.x that many lock files name.
    V1_3_2,
    /// The newest 1.4.
    V1_4,
}

impl Pika {
    /// The folder of the project's own scripts in the style of this version.
    pub fn style(self) -> &'static str {
        match self {
            Self::V0_10_0 | Self::V0_11_2 | Self::V0_13_1 => "pika0",
            Self::V1_0_1 | Self::V1_3_2 | Self::V1_4 => "pika1",
        }
    }

    /// What pip is asked for.
    fn requirement(self) -> &'static str {
        match self {
            Self::V0_10_0 => "pika==0.10.0",
            Self::V0_11_2 => "pika==0.11.2",
            Self::V0_13_1 => "pika==0.13.1",
            Self::V1_0_1 => "pika==1.0.1",
            Self::V1_3_2 => "pika==1.3.2",
            Self::V1_4 => "pika>=1.4,<1.5",
        }
    }

    /// The name of its folder.
    fn folder(self) -> &'static str {
        match self {
            Self::V0_10_0 => "0.10.0",
            Self::V0_11_2 => "0.11.2",
            Self::V0_13_1 => "0.13.1",
            Self::V1_0_1 => "1.0.1",
            Self::V1_3_2 => "1.3.2",
            Self::V1_4 => "1.4",
        }
    }

    /// Makes its virtual environment, if this is the first call ever: that takes long, and is not
    /// part of what a test has time for.
    pub fn prepare(self) {
        self.python();
    }

    /// The Python of its virtual environment, which is made if this is the first call ever.
    pub(super) fn python(self) -> PathBuf {
        // No version of pika needs another package; each is a wheel or builds with today's
        // setuptools, which pip fetches into its build environment.
        let packages = ["--no-deps", self.requirement()];
        environment("pika-venvs", self.folder(), &packages)
    }
}

/// The Python of a virtual environment with Celery, which is made if this is the first call ever.
pub(super) fn celery() -> PathBuf {
    let packages = ["celery==5.7.0", "kombu==5.7.0", "amqp==5.4.2"];
    environment("celery-venvs", "5.7.0", &packages)
}

/// As [`celery`], of a release that publishes a retry with all headers of what it got, those about
/// dead letters included.
pub(super) fn celery_5_5() -> PathBuf {
    let packages = ["celery==5.5.3", "kombu==5.5.4", "amqp==5.3.1"];
    environment("celery-venvs", "5.5.3", &packages)
}

/// As [`celery`], with Flower.
pub(super) fn flower() -> PathBuf {
    let packages = [
        "flower==2.2.0",
        "celery==5.7.0",
        "kombu==5.7.0",
        "amqp==5.4.2",
    ];
    environment("celery-venvs", "flower-2.2.0", &packages)
}

/// The Python of a virtual environment with Playwright, which drives a browser that is installed already, and with axe-core.
pub(super) fn playwright() -> PathBuf {
    let packages = [
        "playwright==1.65.2",
        "axe-playwright-python==0.1.8",
        "pika==1.4.4",
    ];
    environment("browser-venvs", "playwright-1.65.2", &packages)
}

/// The Python of a virtual environment below `target/`; `packages` is what pip is asked for.
fn environment(folder: &str, name: &str, packages: &[&str]) -> PathBuf {
    let environments = target_directory().join(folder);
    fs::create_dir_all(&environments).expect("a folder under target/");
    let environment = environments.join(name);
    let lock = File::create(environments.join(format!("{name}.lock"))).expect("a lock file");
    // Other tests, of this process or another, may be at it; released when `lock` drops.
    lock.lock().expect("the lock");
    let complete = environment.join("complete");
    if !complete.exists() {
        // What an interrupted attempt left.
        let _ = fs::remove_dir_all(&environment);
        make(&environment, packages);
        File::create(&complete).expect("a marker file");
    }
    environment.join("bin/python")
}

/// Makes a virtual environment that holds these packages.
fn make(environment: &Path, packages: &[&str]) {
    succeed(
        Command::new("python3")
            .args(["-m", "venv"])
            .arg(environment),
    );
    succeed(
        Command::new(environment.join("bin/python"))
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ])
            .args(packages),
    );
}

fn succeed(command: &mut Command) {
    let output = command
        .stdin(Stdio::null())
        .env_remove("PYTHONPATH")
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error} (python3 with venv is needed)"));
    assert!(
        output.status.success(),
        "{command:?} failed:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
