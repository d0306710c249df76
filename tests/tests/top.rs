//! `leveretctl top`: as text, as JSON, and on a terminal.

use std::process::{Command, Output};

use leveret_tests::{Client, TestBroker, binaries, eventually, isolate, run};
use serde_json::Value;

/// Runs `top` on a pseudo terminal of 24 lines, types what standard input says, and prints what the screen was sent.
const ON_A_TERMINAL: &str = r#"
import fcntl, os, pty, select, signal, struct, sys, termios, time
keys, seconds, command = sys.argv[1].encode(), float(sys.argv[2]), sys.argv[4:]
pid, screen = pty.fork()
if pid == 0:
    os.environ["TERM"] = "xterm"
    os.execv(command[0], command)
fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
def read(until):
    while time.time() < until:
        if select.select([screen], [], [], 0.1)[0]:
            try:
                sys.stdout.buffer.write(os.read(screen, 65536))
            except OSError:
                return
read(time.time() + seconds)
for key in keys:
    os.write(screen, bytes([key]))
    read(time.time() + 0.3)
if sys.argv[3] == "TERM":
    os.kill(pid, signal.SIGTERM)
else:
    os.write(screen, b"\x03")
read(time.time() + 5)
_, status = os.waitpid(pid, 0)
sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(status))
"#;

async fn with_two_queues() -> Option<(TestBroker, Client)> {
    let broker = TestBroker::start_with_ctl().await?;
    let client = broker.client().await;
    for (queue, messages) in [("few", 1), ("ma\u{1b}[31mny", 3)] {
        client
            .queue_declare(queue.into(), Default::default(), Default::default())
            .await
            .expect("declared");
        for _ in 0..messages {
            client
                .basic_publish(
                    "".into(),
                    queue.into(),
                    Default::default(),
                    b"x",
                    Default::default(),
                )
                .await
                .expect("published");
        }
    }
    eventually("the messages", async || {
        let listed = broker.ctl(&["list_queues", "-q", "messages"]).await;
        (listed.contains('1') && listed.contains('3')).then_some(())
    })
    .await;
    Some((broker, client))
}

#[test]
fn without_a_terminal_the_leading_queues_are_printed_once() {
    run(async {
        let Some((broker, _client)) = with_two_queues().await else {
            return;
        };
        let printed = broker.ctl(&["top", "--sort", "ready"]).await;
        let lines: Vec<&str> = printed.lines().collect();
        assert!(lines[0].starts_with("Leveret "), "{printed}");
        assert!(lines[1].starts_with("4 ready, 0 unacked; "), "{printed}");
        assert!(lines[2].contains(" 2 queues, "), "{printed}");
        let titles: Vec<&str> = lines[4].split_whitespace().collect();
        assert_eq!(titles[..4], ["QUEUE", "VHOST", "TYPE", "READY"]);
        // A client's name cannot colour the terminal.
        assert!(
            lines[5].starts_with("ma\\u{1b}[31mny  /      classic      3 "),
            "{printed}"
        );
        assert!(lines[6].starts_with("few"), "{printed}");
        let filtered = broker.ctl(&["top", "--filter", "FE"]).await;
        assert!(
            filtered.contains("\nfew ") && !filtered.contains("\nma"),
            "{filtered}"
        );
    });
}

#[test]
fn connections_and_several_looks_are_printed_as_json() {
    run(async {
        let Some((broker, _client)) = with_two_queues().await else {
            return;
        };
        let arguments = [
            "top",
            "connections",
            "--count",
            "2",
            "--interval",
            "1",
            "--formatter",
            "json",
        ];
        let printed = broker.ctl(&arguments).await;
        let looks: Vec<Value> = printed
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        assert_eq!(looks.len(), 2);
        assert_eq!(looks[1]["matching"], 1);
        assert_eq!(looks[1]["connections"][0]["user"], "guest");
        assert_eq!(looks[1]["activity"]["messages_ready"], 4);
    });
}

#[test]
fn wrong_arguments_are_named() {
    run(async {
        let Some(broker) = TestBroker::start_with_ctl().await else {
            return;
        };
        for (arguments, reason) in [
            (
                &["top", "channels"][..],
                "top shows queues or connections, not 'channels'",
            ),
            (
                &["top", "--sort", "size"],
                "--sort must be one of rate, ready, unacked",
            ),
            (
                &["top", "--interval", "0"],
                "--interval must be at least 1 second",
            ),
            (
                &["top", "--formatter", "csv"],
                "top has the formatters table and json",
            ),
            (&["top", "--sort", "x", "list"], "'list'"),
        ] {
            let output = broker.try_ctl(arguments).await;
            assert_eq!(output.status, Some(64), "{output:?}");
            assert!(output.stderr.contains(reason), "{output:?}");
        }
    });
}

/// Runs `top` on a terminal, types these keys, and ends it by Ctrl-C (`KEY`) or by SIGTERM (`TERM`).
async fn on_a_terminal(broker: &TestBroker, keys: &str, end: &str) -> Output {
    let mut command = Command::new("python3");
    command.args(["-c", ON_A_TERMINAL, keys, "1", end]);
    command.arg(&binaries().leveretctl).arg("--data-dir");
    command.arg(broker.data_dir()).arg("top");
    isolate(&mut command);
    let ended = tokio::task::spawn_blocking(move || command.output()).await;
    ended.expect("no panic").expect("python3 runs")
}

#[test]
fn a_signal_ends_it_and_the_screen_is_left_as_it_was() {
    run(async {
        let Some((broker, _client)) = with_two_queues().await else {
            return;
        };
        let output = on_a_terminal(&broker, "", "TERM").await;
        let screen = String::from_utf8_lossy(&output.stdout);
        assert!(
            screen.contains("\u{1b}[?1049l") && screen.contains("\u{1b}[?25h"),
            "{screen}"
        );
        // Python's exit with -15.
        assert_eq!(output.status.code(), Some(256 - 15), "{screen}");
    });
}

#[test]
fn on_a_terminal_typing_filters_and_the_screen_is_left_as_it_was() {
    run(async {
        let Some((broker, _client)) = with_two_queues().await else {
            return;
        };
        let output = on_a_terminal(&broker, "few", "KEY").await;
        let screen = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{screen}");
        assert!(
            screen.contains("QUEUE") && screen.contains("Leveret"),
            "{screen}"
        );
        assert!(
            screen.contains("filter:") && screen.contains("f_"),
            "{screen}"
        );
        let (entered, left) = ("\u{1b}[?1049h", "\u{1b}[?1049l");
        assert!(
            screen.contains(entered) && screen.contains(left),
            "{screen}"
        );
        assert!(!screen.contains("\u{1b}[31m"), "{screen}");
    });
}
