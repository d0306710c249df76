//! RabbitMQ's configuration file: a broker that is started with it, and `leveret import-config`.

use leveret_tests::{CtlOutput, Process, TestBroker, broker_command, eventually, run, tools};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// A file such as those of production: what it sets is used, noted, or both.
const REALISTIC: &str = r"## Listeners: this machine only, on any free port
listeners.tcp.local    = 127.0.0.1:0
num_acceptors.tcp = 10
handshake_timeout = 10000
tcp_listen_options.backlog = 128
tcp_listen_options.nodelay = true
tcp_listen_options.keepalive = true
tcp_listen_options.send_timeout = 15000

management.tcp.ip   = 127.0.0.1
management.tcp.port = 0
management.tcp.compress = true
management.rates_mode = basic
management.sample_retention_policies.global.minute = 5
management.sample_retention_policies.global.hour = 60
prometheus.tcp.ip = 127.0.0.1
prometheus.tcp.port = 0
prometheus.return_per_object_metrics = false

default_vhost = shop
default_user = walker
default_pass = 'correct # horse'
default_user_tags.administrator = true
default_permissions.configure = .*
default_permissions.read = .*
default_permissions.write = .*
loopback_users.guest = true
default_limits.vhosts.small.pattern = ^dev-
default_limits.vhosts.small.max_queues = 2

auth_backends.1 = rabbit_auth_backend_internal
auth_mechanisms.1 = PLAIN
auth_mechanisms.2 = AMQPLAIN
password_hashing_module = rabbit_password_hashing_sha256

heartbeat = 60
frame_max = 131072
channel_max = 128
max_message_size = 4096
consumer_timeout = 900000
vm_memory_high_watermark.relative = 0.4
vm_memory_high_watermark_paging_ratio = 0.5
disk_free_limit.absolute = 1MB
collect_statistics_interval = 5000

cluster_name = dev3.example.local
cluster_partition_handling = ignore
cluster_formation.peer_discovery_backend = rabbit_peer_discovery_classic_config
cluster_formation.classic_config.nodes.1 = rabbit1@hostname
queue_master_locator = client-local
raft.wal_max_size_bytes = 1048576
mqtt.allow_anonymous = false
stomp.listeners.tcp.1 = 127.0.0.1:61613

log.console = true
log.console.level = info
log.console.formatter = json
log.file = false
log.syslog = false
net_ticktime = 60
";

/// A broker that is configured by a file of RabbitMQ's alone.
struct World {
    process: Process,
    folder: TempDir,
    address: String,
}

impl World {
    async fn start() -> Option<World> {
        // Skipped like other tests that need a broker of their own.
        TestBroker::start_own().await?;
        let folder = TempDir::with_prefix("leveret-test-").expect("a temporary directory");
        let file = folder.path().join("rabbitmq.conf");
        fs::write(&file, REALISTIC).expect("a file");
        let mut command = broker_command();
        command.env_remove("LEVERET_MANAGEMENT_PORT");
        command.arg("--config").arg(&file);
        command.arg("--data-dir").arg(folder.path().join("data"));
        let mut process = Process::start("leveret", &mut command);
        let address = process
            .line("the ready line", leveret_tests::ready_address)
            .await;
        Some(World {
            process,
            folder,
            address,
        })
    }

    async fn ctl(&self, arguments: &[&str]) -> CtlOutput {
        TestBroker::ctl_of(&self.folder.path().join("data"), arguments).await
    }

    /// Waits for a line of the log with these words.
    async fn says(&self, words: &str) {
        eventually(words, async || {
            let lines = self.process.lines();
            lines.iter().any(|line| line.contains(words)).then_some(())
        })
        .await;
    }
}

#[test]
fn a_broker_runs_on_rabbitmqs_file_and_reads_it_again() {
    run(async {
        let Some(world) = World::start().await else {
            return;
        };
        let uri = format!("amqp://walker:correct%20%23%20horse@{}/shop", world.address);
        let connected = lapin::Connection::connect(&uri, lapin::ConnectionProperties::default());
        let connection = connected.await.expect("the file's user logs in");
        assert_eq!(connection.configuration().channel_max(), 128);
        let users = world.ctl(&["list_users"]).await.stdout;
        assert!(users.contains("walker\t[administrator]"), "{users}");
        assert!(!users.contains("guest"), "{users}");
        world.ctl(&["add_vhost", "dev-1"]).await;
        let limits = world.ctl(&["list_vhost_limits", "--global"]).await.stdout;
        assert!(limits.contains("\"max-queues\":2"), "{limits}");
        for noted in [
            "cluster_formation (2 keys from line",
            "mqtt.allow_anonymous (line",
        ] {
            world.says(noted).await;
        }

        let file = world.folder.path().join("rabbitmq.conf");
        fs::write(&file, REALISTIC.replace("heartbeat = 60", "heartbaet = 7")).expect("a file");
        world.process.signal("HUP");
        world.says("did you mean heartbeat?").await;
        fs::write(&file, REALISTIC.replace("heartbeat = 60", "heartbeat = 7")).expect("a file");
        world.process.signal("HUP");
        world
            .says("\"setting\":\"heartbeat\",\"from\":\"60\",\"to\":\"7\"")
            .await;
        let connected = lapin::Connection::connect(&uri, lapin::ConnectionProperties::default());
        let connection = connected.await.expect("the file's user logs in");
        assert_eq!(connection.configuration().heartbeat(), 7);
    });
}

/// Runs `leveret import-config`.
fn import(arguments: &[&Path]) -> Output {
    let mut command = broker_command();
    command.arg("import-config").args(arguments);
    command.output().expect("it runs")
}

#[test]
fn import_config_writes_a_file_that_the_broker_accepts() {
    if std::env::var_os("LEVERET_TEST_ADDRESS").is_some() {
        return;
    }
    let folder = TempDir::with_prefix("leveret-test-").expect("a temporary directory");
    let path = |name: &str| folder.path().join(name);
    fs::write(path("rabbitmq.conf"), REALISTIC).expect("a file");
    let printed = import(&[&path("rabbitmq.conf")]);
    assert!(printed.status.success(), "{printed:?}");
    let text = String::from_utf8(printed.stdout).expect("UTF-8");
    assert!(
        text.contains("default_pass = \"correct # horse\""),
        "{text}"
    );
    assert!(text.contains("# - cluster_formation (2 keys"), "{text}");

    let output = [Path::new("--output"), &path("leveret.toml")];
    let arguments = [&*path("rabbitmq.conf"), output[0], output[1]];
    let written = import(&arguments);
    assert!(written.status.success(), "{written:?}");
    assert_eq!(fs::read_to_string(output[1]).expect("a file"), text);
    let mode = fs::metadata(output[1])
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = import(&arguments);
    assert_eq!(again.status.code(), Some(78), "{again:?}");
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(said.contains("is not overwritten"), "{said}");

    fs::write(path("advanced.config"), "[{rabbit, []}].").expect("a file");
    let refused = import(&[folder.path()]);
    assert_eq!(refused.status.code(), Some(78), "{refused:?}");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        said.contains("advanced.config") && said.contains("--without-advanced"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
    let left_out = import(&[folder.path(), Path::new("--without-advanced")]);
    assert!(left_out.status.success(), "{left_out:?}");
}

/// Reads a file with RabbitMQ's own reader and schemas, and prints what they say.
const ASK_RABBITMQ: &str = r#"
[Plugins, File] = init:get_plain_arguments(),
logger:set_primary_config(level, none),
Schemas = lists:sort(filelib:wildcard(Plugins ++ "/*/priv/schema/*.schema")),
Schema = cuttlefish_schema:files(Schemas),
Said = case cuttlefish_conf:files([File]) of
    {errorlist, Errors} -> Errors;
    Conf ->
        case cuttlefish_generator:map(Schema, Conf) of
            {error, _, {errorlist, Errors}} -> Errors;
            _ -> accepted
        end
end,
io:format("~0p", [Said]),
halt().
"#;

/// Returns the folder of RabbitMQ's plugins, where Debian's package has it.
fn plugins_of_rabbitmq() -> Option<PathBuf> {
    tools::debian().into_iter().find_map(|root| {
        let servers = fs::read_dir(root.join("usr/lib/rabbitmq/lib")).ok()?;
        let mut plugins = servers
            .flatten()
            .map(|server| server.path().join("plugins"));
        plugins.find(|plugins| plugins.is_dir())
    })
}

#[test]
fn rabbitmq_accepts_the_file_that_these_tests_use() {
    let erlang = tools::programs("erl").next();
    let found = tools::needed("RabbitMQ", erlang.zip(plugins_of_rabbitmq()));
    let Some((erlang, plugins)) = found else {
        return;
    };
    let folder = TempDir::with_prefix("leveret-test-").expect("a temporary directory");
    let file = folder.path().join("rabbitmq.conf");
    // RabbitMQ 3.10 has no default limits.
    let lines = REALISTIC.lines();
    let lines = lines.filter(|line| !line.starts_with("default_limits"));
    fs::write(&file, lines.collect::<Vec<_>>().join("\n")).expect("a file");
    let mut command = Command::new(erlang);
    command
        .current_dir(folder.path())
        .arg("-noshell")
        .arg("-pa");
    for plugin in fs::read_dir(&plugins).expect("a folder").flatten() {
        command.arg(plugin.path().join("ebin"));
    }
    command.args(["-eval", ASK_RABBITMQ, "-extra"]);
    let asked = command.arg(plugins).arg(file).output().expect("it runs");
    assert_eq!(
        String::from_utf8_lossy(&asked.stdout),
        "accepted",
        "{asked:?}"
    );
}
