//! Signals: three stop the broker, one makes it reload its configuration, and no other does any harm.

use std::fs;
use std::path::Path;

use leveret_tests::raw::Raw;
use leveret_tests::{CtlOutput, Process, TestBroker, broker_command, eventually, run};
use tempfile::TempDir;

const SHUTDOWN: &str =
    "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'";

#[test]
fn only_three_signals_end_it() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let mut raw = Raw::connect(&broker).await;
        raw.open_channel(1).await;
        for signal in [
            "HUP", "USR1", "USR2", "PIPE", "ALRM", "VTALRM", "PROF", "POLL", "XCPU", "XFSZ",
            "CHLD", "WINCH", "URG", "CONT", "PWR", "STKFLT", "TTIN", "TTOU", "TRAP", "SYS", "34",
            "64",
        ] {
            broker.process().signal(signal);
            // An answer sent after the signal.
            raw.declare(1, "q").await;
            assert!(broker.process().exited().is_none(), "{signal}");
        }
        broker.process().signal("QUIT");
        assert_eq!(raw.closed().await, (320, SHUTDOWN.to_owned()));
        assert_eq!(broker.process().ended().await.code(), Some(0));
        let stopping = |line: &String| line.contains("SIGQUIT");
        assert!(broker.process().lines().iter().any(stopping));
    });
}

/// A broker that is configured by its file alone.
struct World {
    process: Process,
    data: TempDir,
    address: String,
}

impl World {
    async fn start(settings: &str) -> Option<World> {
        // Skipped like other tests that need a broker of their own.
        TestBroker::start_own().await?;
        let data = TempDir::with_prefix("leveret-test-").expect("a temporary directory");
        write(data.path(), settings);
        let mut command = broker_command();
        command
            .arg("--config")
            .arg(data.path().join("leveret.toml"));
        command.args(["--bind", "127.0.0.1", "--port", "0", "--log-format", "json"]);
        let mut process = Process::start("leveret", &mut command);
        let address = process
            .line("the ready line", leveret_tests::ready_address)
            .await;
        Some(World {
            process,
            data,
            address,
        })
    }

    /// Makes the broker reload these settings, and waits until it has logged this.
    async fn reload(&mut self, settings: &str, said: &str) {
        let before = self.process.lines().len();
        write(self.data.path(), settings);
        self.process.signal("HUP");
        eventually(said, async || {
            let lines = self.process.lines();
            lines[before..]
                .iter()
                .any(|line| line.contains(said))
                .then_some(())
        })
        .await;
    }

    async fn ctl(&self, arguments: &[&str]) -> CtlOutput {
        TestBroker::ctl_of(&self.data.path().join("data"), arguments).await
    }

    fn count(&self, what: &str) -> usize {
        self.process
            .lines()
            .iter()
            .filter(|line| line.contains(what))
            .count()
    }
}

/// Replaces the file atomically.
fn write(folder: &Path, settings: &str) {
    let new = folder.join("new.toml");
    fs::write(&new, format!("data_dir = 'data'\n{settings}")).expect("a file");
    fs::rename(new, folder.join("leveret.toml")).expect("a file");
}

#[test]
fn a_hangup_brings_other_limits_and_watermarks_into_force() {
    run(async {
        let Some(mut world) = World::start("").await else {
            return;
        };
        let mut raw = Raw::connect_to(&world.address).await;
        raw.open_channel(1).await;
        let changed = "setting changed\",\"setting\":\"vm_memory_high_watermark\"";
        world
            .reload(
                "vm_memory_high_watermark = '1MB'\nmax_message_size = 4",
                changed,
            )
            .await;
        let alarms = world.ctl(&["alarms"]).await;
        assert!(alarms.stdout.contains("Memory alarm"), "{alarms:?}");
        world.reload("max_message_size = 4", changed).await;
        let alarms = world.ctl(&["alarms"]).await;
        assert!(!alarms.stdout.contains("Memory alarm"), "{alarms:?}");
        // On a connection opened before.
        raw.publish_method(1, "q").await;
        raw.content_header(1, 5).await;
        let text = "PRECONDITION_FAILED - message size 5 is larger than configured max size 4";
        assert_eq!(raw.channel_closed(1).await, (406, text.to_owned()));
    });
}

#[test]
fn a_hangup_changes_what_is_logged_and_says_what_needs_a_restart() {
    run(async {
        let Some(mut world) = World::start("log_level = 'info'").await else {
            return;
        };
        world
            .reload(
                "log_level = 'error'",
                "\"log_level\",\"from\":\"info\",\"to\":\"error\"",
            )
            .await;
        let before = world.count("user authenticated and granted access");
        let mut raw = Raw::connect_to(&world.address).await;
        raw.open_channel(1).await;
        assert_eq!(
            world.count("user authenticated and granted access"),
            before,
            "nobody is told of what goes well"
        );
        // Whatever the level, a mistake is logged and changes nothing.
        world.reload("log_level = 'nonsense'", "not reloaded").await;
        assert!(world.count("'nonsense' is not a log level") > 0);
        world.reload("prot = 1", "unknown key `prot`").await;
        raw.declare(1, "q").await;
        world
            .reload(
                "log_level = 'info'\nqueue_memory = '1MB'",
                "takes effect after a restart",
            )
            .await;
        Raw::connect_to(&world.address).await;
        eventually("connections are told of again", async || {
            (world.count("user authenticated and granted access") > before).then_some(())
        })
        .await;
        world.process.signal("TERM");
        assert_eq!(world.process.ended().await.code(), Some(0));
    });
}
