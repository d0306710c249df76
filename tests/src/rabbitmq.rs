//! A RabbitMQ node of Debian's, with ports, directories and an epmd of its own, all on loopback.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::process::Process;
use crate::tools::{debian, needed, programs};
use crate::wait::{eventually, eventually_within};

/// How long a node may take to start: Erlang is slow on a busy machine.
const START: Duration = Duration::from_secs(120);

/// A RabbitMQ node that ends with the test.
#[derive(Debug)]
pub struct RabbitMq {
    // In the order in which they have to end.
    server: Option<Process>,
    epmd: Process,
    home: TempDir,
    scripts: PathBuf,
    port: u16,
    environment: Vec<(String, String)>,
}

/// Returns where the scripts of RabbitMQ are, if it and Erlang are there.
fn installed() -> Option<(PathBuf, PathBuf)> {
    let scripts = debian().map(|root| root.join("usr/lib/rabbitmq/bin"));
    let found = scripts
        .into_iter()
        .find(|folder| folder.join("rabbitmq-server").is_file());
    let epmd = programs("erl").next().and_then(|_| programs("epmd").next());
    found.zip(epmd)
}

/// Returns a port of 127.0.0.1 that was free just now.
fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}

impl RabbitMq {
    /// Starts a node with these lines in its rabbitmq.conf. `None` where there is no RabbitMQ.
    pub async fn start(configuration: &str) -> Option<Self> {
        let (scripts, epmd) = needed("RabbitMQ with Erlang", installed())?;
        let home = TempDir::new().expect("a temporary directory");
        let conf = format!("log.console = true\nlog.file = false\n{configuration}\n");
        std::fs::write(home.path().join("rabbitmq.conf"), conf).expect("it is written");
        std::fs::write(home.path().join("plugins"), "[].").expect("it is written");
        let (port, epmd_port) = (free_port(), free_port().to_string());
        let environment = environment(home.path(), port, &epmd_port);
        // In the foreground and of our own: a node would start one that stays.
        let mut command = Command::new(epmd);
        command.args(["-port", &epmd_port, "-address", "127.0.0.1"]);
        let epmd = Process::start("epmd", &mut command);
        let mut node = Self {
            server: None,
            epmd,
            home,
            scripts,
            port,
            environment,
        };
        node.listens(&epmd_port).await;
        node.start_again().await;
        Some(node)
    }

    async fn listens(&mut self, epmd_port: &str) {
        let address = format!("127.0.0.1:{epmd_port}");
        eventually("epmd listens", async || {
            assert!(self.epmd.exited().is_none(), "epmd has ended");
            std::net::TcpStream::connect(&address).ok()
        })
        .await;
    }

    /// Starts it on the data that it had.
    pub async fn start_again(&mut self) {
        let mut command = Command::new(self.scripts.join("rabbitmq-server"));
        command.envs(self.environment.iter().cloned());
        // Makes the script become the node, so that the node's process is ours.
        command.env("RUNNING_UNDER_SYSTEMD", "true");
        command.current_dir(self.home.path());
        let mut server = Process::start("RabbitMQ", &mut command);
        eventually_within(START, "RabbitMQ has started", async || {
            assert!(
                server.exited().is_none(),
                "RabbitMQ has ended:\n{}",
                server.tail()
            );
            let lines = server.lines();
            let started = |line: &String| line.contains("Server startup complete");
            lines.iter().any(started).then_some(())
        })
        .await;
        self.server = Some(server);
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        self.server.take().expect("a running node").kill();
    }

    /// Returns the address for AMQP.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns the path of its rabbitmq.conf.
    pub fn configuration(&self) -> PathBuf {
        self.home.path().join("rabbitmq.conf")
    }

    /// Writes a program `rabbitmqctl` to the folder, which talks to this node.
    pub fn write_rabbitmqctl(&self, folder: &Path) {
        let mut script = "#!/bin/sh\n".to_owned();
        for (name, value) in &self.environment {
            script.push_str(&format!("export {name}='{value}'\n"));
        }
        let program = self.scripts.join("rabbitmqctl");
        script.push_str(&format!("exec {} \"$@\"\n", program.display()));
        let path = folder.join("rabbitmqctl");
        std::fs::write(&path, script).expect("it is written");
        let all = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(path, all).expect("a program");
    }
}

/// Returns the variables of the node and of the tools that talk to it.
fn environment(home: &Path, port: u16, epmd_port: &str) -> Vec<(String, String)> {
    let in_home = |name: &str| home.join(name).display().to_string();
    // Erlang's distribution listens on every address otherwise.
    let loopback = "-kernel inet_dist_use_interface {127,0,0,1}".to_owned();
    let values = [
        ("HOME", in_home("")),
        ("LC_ALL", "C.UTF-8".to_owned()),
        ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
        ("ERL_EPMD_PORT", epmd_port.to_owned()),
        ("RABBITMQ_NODENAME", format!("old{port}@localhost")),
        ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1".to_owned()),
        ("RABBITMQ_NODE_PORT", port.to_string()),
        ("RABBITMQ_DIST_PORT", free_port().to_string()),
        ("RABBITMQ_MNESIA_BASE", in_home("mnesia")),
        ("RABBITMQ_LOG_BASE", in_home("log")),
        ("RABBITMQ_CONFIG_FILE", in_home("rabbitmq")),
        ("RABBITMQ_ADVANCED_CONFIG_FILE", in_home("advanced.config")),
        ("RABBITMQ_ENABLED_PLUGINS_FILE", in_home("plugins")),
        // There is none: that of the machine is for its own node.
        ("RABBITMQ_CONF_ENV_FILE", in_home("env.conf")),
        ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", loopback.clone()),
        ("RABBITMQ_CTL_ERL_ARGS", loopback),
        ("RABBITMQ_CTL_DIST_PORT_MIN", "0".to_owned()),
        ("RABBITMQ_CTL_DIST_PORT_MAX", "0".to_owned()),
    ];
    values
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
