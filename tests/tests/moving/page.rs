//! The page on moving: its shell blocks, and a terminal in which a test runs them as they are written.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use leveret_tests::{RabbitMq, binaries};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

const PAGE: &str = include_str!("../../../docs/moving-from-rabbitmq.md");
/// How long a block may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Returns the blocks of a section that are to be run, in their order. A block of another language than `sh` is an example.
pub fn blocks(section: &str) -> Vec<String> {
    let heading = format!("\n## {section}. ");
    let (_, rest) = PAGE.split_once(&heading).expect("the section");
    let section = rest.split("\n## ").next().expect("its text");
    let blocks = section.split("\n```sh\n").skip(1);
    blocks
        .map(|block| block.split("\n```").next().expect("a block").to_owned())
        .collect()
}

/// Returns every block of the page.
pub fn all_blocks() -> BTreeSet<String> {
    let sections = PAGE.lines().filter_map(|line| line.strip_prefix("## "));
    let numbers = sections.filter_map(|line| line.split_once(". ").map(|(number, _)| number));
    numbers.flat_map(blocks).collect()
}

/// What a block printed, and the status of its last command.
#[derive(Debug)]
pub struct Outcome {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

/// A shell like the reader's: variables and functions of a block are there for the next one.
pub struct Terminal {
    folder: TempDir,
    _shell: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    run: BTreeSet<String>,
}

impl Terminal {
    /// Opens a terminal in which `rabbitmqctl` talks to this node, and `leveretctl` to the broker on this directory.
    pub fn open(old: &RabbitMq, data_dir: &Path) -> Self {
        let folder = TempDir::with_prefix("leveret-terminal-").expect("a temporary directory");
        let programs = folder.path().join("bin");
        std::fs::create_dir(&programs).expect("a folder");
        old.write_rabbitmqctl(&programs);
        let ours = binaries();
        let directory = data_dir.display();
        for (name, program) in [("leveret", &ours.leveret), ("leveretctl", &ours.leveretctl)] {
            // The test kills shovels by their pids.
            let script = format!(
                "#!/bin/sh\necho $$ > '{}'\nexport LEVERET_CONFIG=none LEVERET_DATA_DIR='{directory}'\nexec '{}' \"$@\"\n",
                folder.path().join("pid").display(),
                program.display()
            );
            write_program(&programs.join(name), &script);
        }
        write_sudo(&programs, &folder.path().join("leveret.toml"));
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("bash")
            .env("PATH", format!("{}:{path}", programs.display()))
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("bash");
        let input = shell.stdin.take().expect("its input");
        let output = BufReader::new(shell.stdout.take().expect("its output")).lines();
        Self {
            folder,
            _shell: shell,
            input,
            output,
            run: BTreeSet::new(),
        }
    }

    /// Returns the path of a file in the folder where the terminal is.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a block.
    pub async fn run(&mut self, block: &str) -> Outcome {
        self.run.insert(block.to_owned());
        std::fs::write(self.file("block"), block).expect("it is written");
        let line = "source ./block </dev/null >out 2>err; echo \"done $?\"\n";
        self.input
            .write_all(line.as_bytes())
            .await
            .expect("a shell");
        let read = tokio::time::timeout(PATIENCE, self.output.next_line());
        let line = read
            .await
            .unwrap_or_else(|_| panic!("it hangs: {block}\n{}", self.printed()));
        let line = line.expect("its output").expect("a shell");
        let status = line
            .strip_prefix("done ")
            .and_then(|status| status.parse().ok());
        let read = |name: &str| std::fs::read_to_string(self.file(name)).expect("a text");
        Outcome {
            status: status.expect("a status"),
            stdout: read("out"),
            stderr: read("err"),
        }
    }

    fn printed(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.file(name)).unwrap_or_default();
        read("out") + &read("err")
    }

    /// Runs a block that has to succeed.
    pub async fn succeed(&mut self, block: &str) -> Outcome {
        let outcome = self.run(block).await;
        assert_eq!(outcome.status, 0, "{block}\n{outcome:#?}");
        outcome
    }

    /// Says where things are in place of the page's first block: the addresses are the reader's own.
    pub async fn settings(&mut self, old: &RabbitMq) {
        let given = &blocks("0")[0];
        for name in ["RABBITMQ_CONF", "LEVERET_CONF", "OLD", "NEW"] {
            assert!(given.contains(&format!("\n{name}=")), "{name}");
        }
        self.succeed(given).await;
        let (theirs, ours) = (old.configuration(), self.file("leveret.toml"));
        let files = format!(
            "RABBITMQ_CONF='{}'\nLEVERET_CONF='{}'",
            theirs.display(),
            ours.display()
        );
        self.succeed(&files).await;
        self.turn_to_old(old).await;
    }

    /// Makes `rabbitmqctl` and `OLD` those of this node.
    pub async fn turn_to_old(&mut self, old: &RabbitMq) {
        old.write_rabbitmqctl(&self.file("bin"));
        let address = old.address();
        self.succeed(&format!("OLD=amqp://mover:$MOVER@{address}"))
            .await;
    }

    /// Makes `NEW` the broker with this address.
    pub async fn turn_to_new(&mut self, address: &str) {
        self.succeed(&format!("NEW=amqp://mover:$MOVER@{address}"))
            .await;
    }

    /// Checks that nothing of the page was left out.
    pub fn has_run_the_whole_page(&self) {
        let left: Vec<_> = all_blocks().difference(&self.run).cloned().collect();
        assert!(left.is_empty(), "not run: {left:#?}");
    }
}

/// Writes a `sudo` that checks the configuration as the service's user would: a test has neither that user nor files in /etc.
fn write_sudo(programs: &Path, configuration: &Path) {
    let script = format!(
        "#!/bin/sh\n[ \"$*\" = '-u leveret leveret --check-config' ] || exit 64\nexec leveret --check-config --config '{}'\n",
        configuration.display()
    );
    write_program(&programs.join("sudo"), &script);
}

fn write_program(path: &Path, script: &str) {
    std::fs::write(path, script).expect("it is written");
    let all = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(path, all).expect("a program");
}
