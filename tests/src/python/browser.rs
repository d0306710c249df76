//! Programs that use the management page in a browser as a person does: `tests/browser/`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use futures_lite::future::block_on;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::venv;
use crate::binaries::target_directory;
use crate::broker::TestBroker;
use crate::process::Process;
use crate::tools::{needed, programs};

/// The browsers that may run at once: each is several processes and some hundred MiB.
static SEATS: Semaphore = Semaphore::const_new(2);
/// The names of the programs that Playwright can drive.
const PROGRAMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// A browser, and a Python that drives it. Other tests with a browser may have to wait until it is dropped.
#[derive(Debug)]
pub struct Browser {
    python: PathBuf,
    program: PathBuf,
    _seat: SemaphorePermit<'static>,
}

impl Browser {
    /// How long a program may take.
    pub const PATIENCE: Duration = Duration::from_secs(300);

    /// Returns the browser of this machine once there is a seat for it, or `None`, having said so, if there is none. The
    /// first call ever installs what drives it. Not part of what a test has time for.
    pub fn find() -> Option<Self> {
        let found = PROGRAMS.into_iter().find_map(|name| programs(name).next());
        let program = needed("chromium", found)?;
        Some(Browser {
            python: venv::playwright(),
            program,
            _seat: block_on(SEATS.acquire()).expect("a semaphore that is never closed"),
        })
    }

    /// Starts a program of `tests/browser/` with the page of this broker.
    pub fn start(&self, program: &str, arguments: &[&str], broker: &TestBroker) -> Process {
        let screenshots = target_directory().join("screenshots");
        std::fs::create_dir_all(&screenshots).expect("a folder under target/");
        let mut command = Command::new(&self.python);
        command
            // -u: its lines are read as they come.
            .arg("-u")
            .arg(folder().join(program))
            .args(arguments)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PYTHONUTF8", "1")
            // The broker writes times in this zone, too.
            .env("TZ", "UTC")
            .env("LEVERET_TEST_CHROMIUM", &self.program)
            .env("LEVERET_TEST_SCREENSHOTS", screenshots)
            .env(
                "LEVERET_TEST_URL",
                format!("http://{}", broker.management()),
            )
            .env("LEVERET_TEST_PORT", broker.port().to_string());
        if let Some(pid) = broker.pid() {
            command.env("LEVERET_TEST_PID", pid.to_string());
        }
        Process::start(program, &mut command)
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("browser")
}
