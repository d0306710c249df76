//! The broker under test: Leveret's release build on a free port, or one that runs elsewhere.

use std::collections::HashMap;
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
use crate::machine::isolate;
use crate::process::Process;

/// A broker for one test. Dropping it kills the process and removes its data.
#[derive(Debug)]
pub struct TestBroker {
    address: String,
    node: Node,
}

/// The addresses in the log line that says the broker is ready, by the line's names; each may be several, separated by
/// commas.
type Addresses = HashMap<String, String>;

#[derive(Debug)]
enum Node {
    Own(Box<OwnNode>),
    /// A shared broker, used by one test at a time: the guard is held for the duration of the test.
    Elsewhere(#[allow(dead_code, reason = "held, not read")] OwnedMutexGuard<()>),
}

#[derive(Debug)]
struct OwnNode {
    addresses: Addresses,
    process: Process,
    data: TempDir,
    options: Vec<String>,
    environment: Environment,
    start_up: Duration,
}

/// Environment variables for the broker's process.
type Environment = Vec<(&'static str, OsString)>;

/// The output of a run of leveretctl.
#[derive(Debug)]
pub struct CtlOutput {
    /// The exit status; `None` if a signal ended it.
    pub status: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl TestBroker {
    /// Starts Leveret and waits until it is ready, or uses the broker that `LEVERET_TEST_ADDRESS`
    /// names.
    pub async fn start() -> Self {
        match std::env::var("LEVERET_TEST_ADDRESS") {
            Ok(address) => Self::elsewhere(address).await,
            Err(_) => Self::start_with(&[]).await,
        }
    }

    /// Starts Leveret for a test that stops it, kills it or inspects its process. Returns `None`
    /// and prints a line about it if the suite runs against another broker.
    pub async fn start_own() -> Option<Self> {
        Self::start_own_with(&[]).await
    }

    /// Like [`TestBroker::start_own`], with additional flags.
    pub async fn start_own_with(options: &[&str]) -> Option<Self> {
        if against_another_broker() {
            eprintln!("skipped: this test needs a broker of its own");
            return None;
        }
        Some(Self::start_with(options).await)
    }

    /// Like [`TestBroker::start`], for a test that runs leveretctl. Returns `None` if the suite
    /// runs against another broker and `LEVERET_TEST_CTL` does not name its command.
    pub async fn start_with_ctl() -> Option<Self> {
        if against_another_broker() && std::env::var_os("LEVERET_TEST_CTL").is_none() {
            eprintln!("skipped: this test needs leveretctl or LEVERET_TEST_CTL");
            return None;
        }
        Some(Self::start().await)
    }

    /// Starts Leveret with additional flags.
    pub async fn start_with(options: &[&str]) -> Self {
        let data = TempDir::with_prefix("leveret-test-").expect("a temporary directory");
        Self::start_in(data, options, Vec::new()).await
    }

    /// Starts Leveret on a data directory with additional flags and environment variables.
    pub async fn start_in(data: TempDir, options: &[&str], environment: Environment) -> Self {
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        let (process, addresses, start_up) = launch(data.path(), &options, &environment).await;
        Self {
            address: first_address(&addresses),
            node: Node::Own(Box::new(OwnNode {
                addresses,
                process,
                data,
                options,
                environment,
                start_up,
            })),
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

    /// Returns the address it listens on: `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns the address of its management HTTP API: `127.0.0.1:PORT`. Panics for a broker elsewhere, or without it.
    pub fn management(&self) -> &str {
        self.listener("management", 0)
    }

    /// Returns the address where anybody may read its metrics. Panics for a broker that has none.
    pub fn prometheus(&self) -> &str {
        self.listener("prometheus", 0)
    }

    /// Returns one of the addresses that the ready line names so: `address`, `tls`, `management`, `management_tls`,
    /// `prometheus`, `prometheus_tls`. Panics for a broker elsewhere, or without it.
    pub fn listener(&self, name: &str, number: usize) -> &str {
        let addresses = &self.own().addresses;
        let listed = addresses
            .get(name)
            .and_then(|all| all.split(',').nth(number));
        listed.unwrap_or_else(|| panic!("no listener {name} {number} in {addresses:?}"))
    }

    /// Returns the port it listens on.
    pub fn port(&self) -> u16 {
        self.address
            .rsplit_once(':')
            .and_then(|(_, port)| port.parse().ok())
            .expect("an address with a port")
    }

    /// Opens a new connection as guest with one channel.
    pub async fn client(&self) -> Client {
        Client::connect(self).await
    }

    /// Returns its process id, unless it runs elsewhere.
    pub fn pid(&self) -> Option<u32> {
        match &self.node {
            Node::Own(own) => Some(own.process.id()),
            Node::Elsewhere(_) => None,
        }
    }

    /// Returns its data directory. Panics for a broker elsewhere.
    pub fn data_dir(&self) -> &Path {
        self.own().data.path()
    }

    /// Returns its process. Panics for a broker elsewhere.
    pub fn process(&mut self) -> &mut Process {
        &mut self.own_mut().process
    }

    /// Returns the time from the start of the process to its ready line.
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

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        self.process().kill();
    }

    /// Sets the environment variables for its next start.
    pub fn set_environment(&mut self, environment: Environment) {
        self.own_mut().environment = environment;
    }

    /// Starts it again on the same data, on another port.
    pub async fn start_again(&mut self) {
        let own = self.own();
        let launch = launch(own.data.path(), &own.options, &own.environment);
        let (process, addresses, start_up) = launch.await;
        self.address = first_address(&addresses);
        let own = self.own_mut();
        own.addresses = addresses;
        own.process = process;
        own.start_up = start_up;
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

    /// Runs leveretctl on the data directory of a broker that the test has started itself.
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

    /// Returns the rows of `list_queues name <columns>` as text, sorted by name.
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
    isolate(&mut command);
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
) -> (Process, Addresses, Duration) {
    let mut command = broker_command();
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command.args(["--log-format", "json"]);
    let given = |flag| options.iter().any(|option| option == flag);
    if !given("--listeners") {
        command.args(["--bind", "127.0.0.1", "--port", "0"]);
    }
    // Tests run beside each other: nobody can have the default ports.
    if given("--tls-certfile") {
        for (flag, instead) in [
            ("--tls-port", "--listeners"),
            ("--management-tls-port", "--management-listeners"),
        ] {
            if !given(flag) && !given(instead) {
                command.args([flag, "0"]);
            }
        }
    }
    command
        .args(["--log-level", "info", "--data-dir"])
        .arg(data)
        .args(options);
    // Allows running the whole suite with backlogs that are paged out at once.
    if let Some(memory) = std::env::var_os("LEVERET_TEST_QUEUE_MEMORY") {
        command.env("LEVERET_QUEUE_MEMORY", memory);
    }
    let mut process = Process::start("leveret", &mut command);
    let addresses = process.line("the ready line", ready_addresses).await;
    let start_up = process.age();
    (process, addresses, start_up)
}

/// Returns the broker's command without flags and without settings from the environment or `/etc`.
pub fn broker_command() -> Command {
    let program: &PathBuf = &binaries().leveret;
    let mut command = Command::new(program);
    isolate(&mut command);
    for (name, _) in std::env::vars_os() {
        let name_shown = name.to_string_lossy();
        // The service manager of the tests is not that of the broker.
        let of_manager = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];
        let is_setting = name_shown.starts_with("LEVERET_") && name != "LEVERET_CONFIG";
        if is_setting || of_manager.contains(&&*name_shown) {
            command.env_remove(name);
        }
    }
    // Tests run beside each other, and beside a broker that has the default port.
    command.env("LEVERET_MANAGEMENT_PORT", "0");
    command
}

/// Returns the address in the log line that says the broker is ready.
pub fn ready_address(line: &str) -> Option<String> {
    ready_addresses(line).map(|addresses| first_address(&addresses))
}

/// Returns the first address for AMQP.
fn first_address(addresses: &Addresses) -> String {
    let listed = addresses.get("address").or(addresses.get("tls"));
    let first = listed.and_then(|all| all.split(',').next());
    first.expect("an address in the ready line").to_owned()
}

fn ready_addresses(line: &str) -> Option<Addresses> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields")?;
    (fields.get("message")? == "ready").then_some(())?;
    let fields = fields.as_object()?.iter();
    let texts = fields.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    Some(texts.collect())
}

/// Formats a JSON value, strings without quotes.
fn plain_text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// Returns whether the tests run against the broker that `LEVERET_TEST_ADDRESS` names.
pub(crate) fn against_another_broker() -> bool {
    std::env::var_os("LEVERET_TEST_ADDRESS").is_some()
}
