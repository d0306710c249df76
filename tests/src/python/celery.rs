//! Celery's workers, and programs that give them work: `tests/celery/`.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::venv;
use crate::broker::TestBroker;
use crate::process::Process;

/// A Celery application of `tests/celery/`, at one broker.
#[derive(Debug)]
pub struct Celery {
    python: PathBuf,
    /// The module of the application.
    application: &'static str,
    port: u16,
    /// Where tasks leave notes for the test.
    notes: PathBuf,
}

impl Celery {
    /// Installs Celery, if this is the first call ever: that takes long, and is not part of what
    /// a test has time for.
    pub fn prepare() {
        venv::celery();
        venv::celery_5_5();
    }

    /// The application of `tasks.py` at this broker, with an empty folder for notes.
    pub fn at(broker: &TestBroker, notes: &Path) -> Self {
        Celery {
            python: venv::celery(),
            application: "tasks",
            port: broker.port(),
            notes: notes.to_owned(),
        }
    }

    /// The application of `quorum_tasks.py`, with Celery 5.5.
    pub fn with_quorum_queues_at(broker: &TestBroker, notes: &Path) -> Self {
        Celery {
            python: venv::celery_5_5(),
            application: "quorum_tasks",
            ..Celery::at(broker, notes)
        }
    }

    /// Installs Flower, if this is the first call ever.
    pub fn prepare_flower() {
        venv::flower();
    }

    /// The application of `tasks.py`, with Flower besides.
    pub fn with_flower_at(broker: &TestBroker, notes: &Path) -> Self {
        Celery {
            python: venv::flower(),
            ..Celery::at(broker, notes)
        }
    }

    /// Starts Flower on a Unix socket, and waits until it serves. It asks the HTTP API about queues.
    pub async fn flower(&self, broker: &TestBroker, socket: &Path) -> Process {
        let api = format!("http://guest:guest@{}/api/", broker.management());
        let mut command = self.command();
        command
            .args(["-m", "celery", "-A", self.application, "flower"])
            .arg(format!("--broker_api={api}"))
            .arg(format!("--unix_socket={}", socket.display()));
        let mut flower = Process::start("flower", &mut command);
        flower
            .line("Flower serves", |line| {
                line.contains("Visit me").then_some(())
            })
            .await;
        flower
    }

    /// Starts a worker for one queue, and waits until it says that it is ready.
    pub async fn worker(&self, name: &str, queue: &str) -> Process {
        let node = format!("{name}@test");
        // solo: one process, so that killing it kills the task.
        let options = ["--pool", "solo", "--loglevel", "INFO", "--task-events"];
        let mut command = self.command();
        command
            .args(["-m", "celery", "-A", self.application, "worker"])
            .args(options)
            .args(["--hostname", &node, "--queues", queue]);
        let mut worker = Process::start(name, &mut command);
        worker
            .line("the worker is ready", |line| {
                line.ends_with(" ready.").then_some(())
            })
            .await;
        worker
    }

    /// Starts a program of `tests/celery/`.
    pub fn start(&self, program: &str, arguments: &[&str]) -> Process {
        let mut command = self.command();
        command
            .arg("-u")
            .arg(folder().join(program))
            .args(arguments);
        Process::start(program, &mut command)
    }

    /// Runs a program of `tests/celery/` to its successful end and returns its lines.
    pub async fn run(&self, program: &str, arguments: &[&str]) -> Vec<String> {
        self.start(program, arguments).succeeded().await
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.python);
        command
            .current_dir(&self.notes)
            .env("PYTHONPATH", folder())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PYTHONUTF8", "1")
            .env("LEVERET_TEST_PORT", self.port.to_string())
            .env("LEVERET_TEST_NOTES", &self.notes);
        command
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("celery")
}
