//! A child process that keeps its output and never outlives its test.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::machine::isolate;
use crate::wait::{PATIENCE, eventually, eventually_within};

/// The number of lines kept per process; the oldest are dropped first.
const LINES_KEPT: usize = 20_000;
/// The number of lines printed when a test fails.
const LINES_SHOWN: usize = 200;

/// A running child process. Both output streams are read as lines. It is killed when dropped, and
/// if the test is failing its last lines are printed.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    lines: Arc<Lines>,
    started: Instant,
}

type Lines = Mutex<VecDeque<String>>;

impl Process {
    /// Starts the command, without the machine's settings of brokers; `name` is for messages.
    pub fn start(name: &str, command: &mut Command) -> Self {
        isolate(command);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let started = Instant::now();
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let lines = Arc::new(Lines::default());
        keep_lines(
            child.stdout.take().expect("a piped stdout"),
            Arc::clone(&lines),
        );
        keep_lines(
            child.stderr.take().expect("a piped stderr"),
            Arc::clone(&lines),
        );
        Self {
            name: name.to_owned(),
            child,
            lines,
            started,
        }
    }

    /// Returns the process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the time since the process was started.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Returns everything printed so far, both streams in order of arrival.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().iter().cloned().collect()
    }

    /// Waits for a line that `pick` accepts and returns what it returned. Panics if the process
    /// ends without one, or after 30 seconds.
    pub async fn line<T>(&mut self, what: &str, pick: impl Fn(&str) -> Option<T>) -> T {
        let found = {
            let this = &mut *self;
            let pick = &pick;
            let mut looked = move || {
                // Checks for the end first, so that everything a dead process printed is there.
                let ended = this.exited().is_some() && this.output_ended();
                match this.lines.lock().iter().find_map(|line| pick(line)) {
                    Some(found) => Some(Ok(found)),
                    None => ended.then_some(Err(())),
                }
            };
            eventually(what, async || looked()).await
        };
        found.unwrap_or_else(|()| panic!("{} ended without: {what}", self.name))
    }

    /// Sends a signal by name (`TERM`, `INT`, `STOP`).
    pub fn signal(&self, signal: &str) {
        // Uses kill(1), because the standard library knows only SIGKILL.
        let status = Command::new("kill")
            .args(["-s", signal, &self.id().to_string()])
            .status()
            .expect("kill(1) runs");
        assert!(status.success(), "no {signal} to {}", self.name);
    }

    /// Kills it with SIGKILL and reaps it.
    pub fn kill(&mut self) {
        // An error means that it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Returns its exit status if it has ended.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of ours")
    }

    /// Waits for it to end; panics after 30 seconds.
    pub async fn ended(&mut self) -> ExitStatus {
        self.ended_within(PATIENCE).await
    }

    async fn ended_within(&mut self, patience: Duration) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        eventually_within(patience, &what, async || self.exited()).await
    }

    /// Waits for it to end, expects success and returns what it printed.
    pub async fn succeeded(self) -> Vec<String> {
        self.succeeded_within(PATIENCE).await
    }

    /// Like [`Process::succeeded`], but panics after `patience`: for programs with much to do.
    pub async fn succeeded_within(mut self, patience: Duration) -> Vec<String> {
        let status = self.ended_within(patience).await;
        eventually("the last of the output", async || {
            self.output_ended().then_some(())
        })
        .await;
        assert!(
            status.success(),
            "{} ended with {status}:\n{}",
            self.name,
            self.tail()
        );
        self.lines()
    }

    /// Returns whether both streams have been read to their end.
    fn output_ended(&self) -> bool {
        Arc::strong_count(&self.lines) == 1
    }

    /// Returns the last lines, for messages.
    pub fn tail(&self) -> String {
        let lines = self.lines.lock();
        let skipped = lines.len().saturating_sub(LINES_SHOWN);
        let mut tail = String::new();
        for line in lines.iter().skip(skipped) {
            let _ = writeln!(tail, "{} | {line}", self.name);
        }
        tail
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!(
                "--- {} (pid {}) printed:\n{}",
                self.name,
                self.id(),
                self.tail()
            );
        }
    }
}

/// Reads a stream to its end on its own thread.
fn keep_lines(stream: impl Read + Send + 'static, lines: Arc<Lines>) {
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            let mut kept = lines.lock();
            if kept.len() == LINES_KEPT {
                kept.pop_front();
            }
            kept.push_back(
                String::from_utf8_lossy(&line)
                    .trim_end_matches('\r')
                    .to_owned(),
            );
        }
    });
}
