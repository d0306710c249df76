//! A broker to test: Leveret's release build on a free port, or one that runs elsewhere.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::binaries::binaries;
use crate::client::Client;
use crate::process::Process;

/// A broker for one test. Dropping it kills the process and removes its data.
#[derive(Debug)]
pub struct TestBroker {
    address: String,
    node: Node,
}

#[derive(Debug)]
enum Node {
    Own(OwnNode),
    /// One test at a time on a shared broker: the guard is held for the test's whole life.
    Elsewhere(#[allow(dead_code, reason = "held, not read")] OwnedMutexGuard<()>),
}

#[derive(Debug)]
struct OwnNode {
    process: Process,
    data: TempDir,
    options: Vec<String>,
    environment: Environment,
    start_up: Duration,
}

/// Variables for the broker's process.
type Environment = Vec<(&'static str, OsString)>;

/// What a run of leveretctl gave.
#[derive(Debug)]
pub struct CtlOutput {
    /// Its exit status; `None` when a signal ended it.
    pub status: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl TestBroker {
    /// Starts Leveret and waits until it is ready, or takes the broker that
    /// `LEVERET_TEST_ADDRESS` names.
    pub async fn start() -> Self {
        match std::env::var("LEVERET_TEST_ADDRESS") {
            Ok(address) => Self::elsewhere(address).await,
            Err(_) => Self::start_with(&[]).await,
        }
    }

    /// Starts Leveret for a test that stops it, kills it or looks at its process; `None`, with a
    /// line that says so, when the suite runs against another broker.
    pub async fn start_own() -> Option<Self> {
        Self::start_own_with(&[]).await
    }

    /// As [`TestBroker::start_own`], with more flags than the usual ones.
    pub async fn start_own_with(options: &[&str]) -> Option<Self> {
        if against_another_broker() {
            eprintln!("skipped: this test needs a broker of its own");
            return None;
        }
        Some(Self::start_with(options).await)
    }

    /// As [`TestBroker::start`], for a test that runs leveretctl; `None` when the suite runs
    /// against another broker and `LEVERET_TEST_CTL` does not say how to operate that.
    pub async fn start_with_ctl() -> Option<Self> {
        if against_another_broker() && std::env::var_os("LEVERET_TEST_CTL").is_none() {
            eprintln!("skipped: this test needs leveretctl or LEVERET_TEST_CTL");
            return None;
        }
        Some(Self::start().await)
    }

    /// Starts Leveret with more flags than the usual ones.
    pub async fn start_with(options: &[&str]) -> Self {
        let data = TempDir::with_prefix("leveret-test-").expect("a temporary directory");
        Self::start_in(data, options, Vec::new()).await
    }

    /// Starts Leveret on a directory with more flags than the usual ones and with variables.
    pub async fn start_in(data: TempDir, options: &[&str], environment: Environment) -> Self {
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        let (process, address, start_up) = launch(data.path(), &options, &environment).await;
        Self {
            address,
            node: Node::Own(OwnNode {
                process,
                data,
                options,
                environment,
                start_up,
            }),
        }
    }

    async fn elsewhere(address: String) -> Self {
        static TURN: OnceLock<Arc<Mutex<()>>> = OnceLock::new();
        let guard = Arc::clone(TURN.get_or_init(Arc::default))
            .lock_owned()
            .await;
        if let Ok(clean) = std::env::var("LEVERET_TEST_CLEAN") {
            let output = Command::new("sh")
                .args(["-c", &clean])
                .output()
                .expect("sh runs");
            assert!(
                output.status.success(),
                "LEVERET_TEST_CLEAN failed: {output:?}"
            );
        }
        Self {
            address,
            node: Node::Elsewhere(guard),
        }
    }

    /// Where it listens: `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.address
            .rsplit_once(':')
            .and_then(|(_, port)| port.parse().ok())
            .expect("an address with a port")
    }

    /// A new connection as guest with one open channel.
    pub async fn client(&self) -> Client {
        Client::connect(self).await
    }

    /// Its process id, unless it runs elsewhere.
    pub fn pid(&self) -> Option<u32> {
        match &self.node {
            Node::Own(own) => Some(own.process.id()),
            Node::Elsewhere(_) => None,
        }
    }

    /// Its data directory. Panics for a broker elsewhere.
    pub fn data_dir(&self) -> &Path {
        self.own().data.path()
    }

    /// Its process. Panics for a broker elsewhere.
    pub fn process(&mut self) -> &mut Process {
        &mut self.own_mut().process
    }

    /// Time from the start of the process to its ready line.
    pub fn start_up(&self) -> Duration {
        self.own().start_up
    }

    /// Stops it cleanly (SIGTERM), expecting exit status 0, and starts it on the same data.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.start_again().await;
    }

    /// Stops it cleanly (SIGTERM), expecting exit status 0.
    pub async fn stop(&mut self) {
        let process = self.process();
        process.signal("TERM");
        let status = process.ended().await;
        assert!(status.success(), "a clean stop ended with {status}");
    }

    /// Kills it outright (SIGKILL).
    pub fn kill(&mut self) {
        self.process().kill();
    }

    /// Gives it other variables from its next start on.
    pub fn set_environment(&mut self, environment: Environment) {
        self.own_mut().environment = environment;
    }

    /// Starts it again on the same data, on another port.
    pub async fn start_again(&mut self) {
        let own = self.own();
        let launch = launch(own.data.path(), &own.options, &own.environment);
        let (process, address, start_up) = launch.await;
        let own = self.own_mut();
        own.process = process;
        own.start_up = start_up;
        self.address = address;
    }

    /// Runs leveretctl (or `LEVERET_TEST_CTL`) with these arguments.
    pub async fn try_ctl(&self, arguments: &[&str]) -> CtlOutput {
        match &self.node {
            Node::Own(own) => Self::ctl_of(own.data.path(), arguments).await,
            Node::Elsewhere(_) => {
                let ctl =
                    std::env::var_os("LEVERET_TEST_CTL").expect("a test that asked for a ctl");
                run_ctl(Command::new(ctl), arguments).await
            }
        }
    }

    /// Runs leveretctl on the data directory of a broker that the test has started by itself.
    pub async fn ctl_of(data_dir: &Path, arguments: &[&str]) -> CtlOutput {
        let mut command = Command::new(&binaries().leveretctl);
        command.arg("--data-dir").arg(data_dir);
        run_ctl(command, arguments).await
    }

    /// Runs leveretctl, expects success and returns its standard output.
    pub async fn ctl(&self, arguments: &[&str]) -> String {
        let output = self.try_ctl(arguments).await;
        assert_eq!(
            output.status,
            Some(0),
            "leveretctl {arguments:?}: {output:?}"
        );
        output.stdout
    }

    /// Rows of `list_queues name <columns>` as text, sorted by name.
    pub async fn list_queues(&self, columns: &[&str]) -> Vec<Vec<String>> {
        let mut arguments = vec!["list_queues", "-q", "--formatter", "json", "name"];
        arguments.extend(columns);
        let json = self.ctl(&arguments).await;
        let queues: Vec<Value> = serde_json::from_str(&json).expect("an array of objects");
        let row = |queue: &Value| {
            arguments[4..]
                .iter()
                .map(|&column| plain_text(&queue[column]))
                .collect()
        };
        let mut rows: Vec<Vec<String>> = queues.iter().map(row).collect();
        rows.sort();
        rows
    }

    fn own(&self) -> &OwnNode {
        match &self.node {
            Node::Own(own) => own,
            Node::Elsewhere(_) => panic!("this test needs a broker of its own"),
        }
    }

    fn own_mut(&mut self) -> &mut OwnNode {
        match &mut self.node {
            Node::Own(own) => own,
            Node::Elsewhere(_) => panic!("this test needs a broker of its own"),
        }
    }
}

async fn run_ctl(mut command: Command, arguments: &[&str]) -> CtlOutput {
    command.args(arguments);
    let mut command = tokio::process::Command::from(command);
    command.kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(30), command.output())
        .await
        .unwrap_or_else(|_| panic!("leveretctl {arguments:?} hangs"))
        .expect("leveretctl runs");
    CtlOutput {
        status: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Starts the broker on a free port and waits for its ready line.
async fn launch(
    data: &Path,
    options: &[String],
    environment: &Environment,
) -> (Process, String, Duration) {
    let mut command = broker_command();
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command.args(["--bind", "127.0.0.1", "--port", "0", "--log-format", "json"]);
    command
        .args(["--log-level", "info", "--data-dir"])
        .arg(data)
        .args(options);
    // For a run of the whole suite with backlogs that leave memory at once.
    if let Some(memory) = std::env::var_os("LEVERET_TEST_QUEUE_MEMORY") {
        command.env("LEVERET_QUEUE_MEMORY", memory);
    }
    let mut process = Process::start("leveret", &mut command);
    let (address, start_up) = {
        let address = process.line("the ready line", ready_address).await;
        (address, process.age())
    };
    (process, address, start_up)
}

/// The broker's command without any flag and without settings from the environment.
pub fn broker_command() -> Command {
    let program: &PathBuf = &binaries().leveret;
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LEVERET_") {
            command.env_remove(name);
        }
    }
    command
}

/// The address in the log line that says the broker is ready.
pub fn ready_address(line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields")?;
    (fields.get("message")? == "ready")
        .then(|| fields.get("address")?.as_str().map(str::to_owned))
        .flatten()
}

/// A JSON value without the quotes of a string.
fn plain_text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// Whether the tests look at a broker that `LEVERET_TEST_ADDRESS` names.
pub(crate) fn against_another_broker() -> bool {
    std::env::var_os("LEVERET_TEST_ADDRESS").is_some()
}
