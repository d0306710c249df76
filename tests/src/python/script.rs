//! Running one Python program.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Pika;
use crate::binaries::workspace;
use crate::broker::TestBroker;
use crate::process::Process;

/// Seconds that a program's `time.sleep(1)` takes; the programs sleep one second per dot of a
/// task.
const SECOND: &str = "0.2";

/// A program to run: its file and the version of pika it runs on.
#[derive(Debug, Clone)]
pub struct Script {
    pika: Pika,
    file: PathBuf,
}

impl Script {
    /// The script of this name among the project's own, in the style of this version of pika.
    pub fn of_style(pika: Pika, name: &str) -> Self {
        Self::own(pika, pika.style(), name)
    }

    /// The project's own script `tests/pika/<folder>/<name>`.
    pub fn own(pika: Pika, folder: &str, name: &str) -> Self {
        Self::at(pika, script_folder().join(folder).join(name))
    }

    /// The program at this path.
    pub fn at(pika: Pika, file: PathBuf) -> Self {
        assert!(file.is_file(), "no script {}", file.display());
        Self { pika, file }
    }

    /// Starts it against this broker.
    pub fn start(&self, broker: &TestBroker, arguments: &[&str]) -> Process {
        let name = self
            .file
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let mut command = Command::new(self.pika.python());
        command
            // -u: its lines are read as they come.
            .args(["-u", "-W", "ignore"])
            .arg(&self.file)
            .args(arguments)
            .env("PYTHONPATH", script_folder().join("site"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PYTHONUTF8", "1")
            .env("LEVERET_TEST_PORT", broker.port().to_string())
            .env("LEVERET_TEST_SECOND", SECOND);
        Process::start(&name.expect("a file name"), &mut command)
    }

    /// Runs it to its successful end and returns its lines.
    pub async fn run(&self, broker: &TestBroker, arguments: &[&str]) -> Vec<String> {
        self.start(broker, arguments).succeeded().await
    }
}

/// The project's own scripts.
pub fn script_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("pika")
}

/// Scripts that lie beside the workspace, if there are any: `../shared/seeds/scripts/<folder>`.
pub fn shared_folder(folder: &str) -> Option<PathBuf> {
    let beside = workspace()
        .parent()?
        .join("shared/seeds/scripts")
        .join(folder);
    beside.is_dir().then_some(beside)
}
