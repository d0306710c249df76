//! The model of a store: its state after each batch, from the last one known to be durable to the last one submitted.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::programs::programs;

/// How long opening and reading a store may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The contents of a store: lengths of messages by queue and position, versions and lengths of definitions.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Content {
    messages: BTreeMap<u64, BTreeMap<u64, u64>>,
    definitions: BTreeMap<u64, (u64, u64)>,
    /// A hash of everything above, to compare states quickly.
    hash: u64,
}

fn hash(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

impl Content {
    fn publish(&mut self, queue: u64, position: u64, len: u64) {
        self.messages
            .entry(queue)
            .or_default()
            .insert(position, len);
        self.hash ^= hash((queue, position, len));
    }

    fn forget(&mut self, queue: u64, first: u64, last: u64) {
        let Some(messages) = self.messages.get_mut(&queue) else {
            return;
        };
        let gone: Vec<u64> = messages
            .range(first..=last)
            .map(|(position, _)| *position)
            .collect();
        for position in gone {
            if let Some(len) = messages.remove(&position) {
                self.hash ^= hash((queue, position, len));
            }
        }
        self.messages.retain(|_, messages| !messages.is_empty());
    }

    fn define(&mut self, key: u64, value: Option<(u64, u64)>) {
        let before = match value {
            Some(value) => {
                self.hash ^= hash((key, value, "definition"));
                self.definitions.insert(key, value)
            }
            None => self.definitions.remove(&key),
        };
        if let Some(before) = before {
            self.hash ^= hash((key, before, "definition"));
        }
    }

    fn apply(&mut self, operation: &str) {
        let mut words = operation.split(' ');
        let kind = words.next().unwrap_or_default();
        let numbers: Vec<u64> = words.map(|word| word.parse().expect("a number")).collect();
        match (kind, &numbers[..]) {
            ("p", &[queue, position, len]) => self.publish(queue, position, len),
            ("a", &[queue, first, last]) => self.forget(queue, first, last),
            ("x", &[queue]) => self.forget(queue, 0, u64::MAX),
            ("d", &[key, version, len]) => self.define(key, Some((version, len))),
            ("u", &[key]) => self.define(key, None),
            _ => panic!("unknown operation {operation}"),
        }
    }

    /// Describes what is here and not there.
    fn beyond(&self, other: &Content) -> String {
        let mut out = String::new();
        for (queue, messages) in &self.messages {
            let others = other.messages.get(queue);
            let more: Vec<_> = messages
                .keys()
                .filter(|position| others.is_none_or(|others| !others.contains_key(position)))
                .collect();
            if !more.is_empty() {
                out += &format!(
                    "queue {queue}: {} messages {:?}; ",
                    more.len(),
                    &more[..more.len().min(12)]
                );
            }
        }
        for (key, value) in &self.definitions {
            if other.definitions.get(key) != Some(value) {
                out += &format!("definition {key} {value:?}; ");
            }
        }
        out
    }
}

/// What was found in a store.
#[derive(Debug, Clone)]
pub struct Found {
    content: Content,
    /// Messages or definitions that differ from what was stored.
    pub wrong: Vec<String>,
    /// Ranges that reading reported as damaged.
    pub damaged: Vec<String>,
    /// Losses that opening reported.
    pub losses: Vec<String>,
    /// Repairs that opening reported.
    pub repairs: Vec<String>,
    /// How the process ended; `None` if it took too long.
    pub status: Option<ExitStatus>,
    /// Its error output.
    pub errors: String,
    /// The number of messages that a check counted.
    pub counted: BTreeMap<u64, u64>,
}

impl Found {
    /// Opens the store in `dir` in a separate process and reads all of it, within this much address space.
    pub fn in_store(dir: &Path, megabytes: Option<u64>) -> Found {
        let mut command = Command::new(&programs().store);
        command.arg("check").arg(dir);
        command.args(megabytes.map(|megabytes| megabytes.to_string()));
        Found::by(&mut command)
    }

    /// Repairs the store in `dir` in a separate process, then opens and reads it.
    pub fn repaired(dir: &Path, megabytes: u64) -> Found {
        let mut command = Command::new(&programs().store);
        command.arg("repair").arg(dir).arg(megabytes.to_string());
        Found::by(&mut command)
    }

    /// Checks the store in `dir` without opening it: returns only numbers and damage.
    pub fn looked(dir: &Path) -> Found {
        let mut command = Command::new(&programs().store);
        command.arg("look").arg(dir);
        Found::by(&mut command)
    }

    /// Runs a command that prints the contents of a store.
    pub fn by(command: &mut Command) -> Found {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the helper runs");
        let (mut out, mut errors) = (
            child.stdout.take().expect("piped"),
            child.stderr.take().expect("piped"),
        );
        let read = std::thread::spawn(move || std::io::read_to_string(&mut errors));
        let told = std::thread::spawn(move || std::io::read_to_string(&mut out));
        let started = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().expect("a child") {
                break Some(status);
            }
            if started.elapsed() > PATIENCE {
                child.kill().expect("a child");
                child.wait().expect("a child");
                break None;
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        let text = told.join().expect("no panic").unwrap_or_default();
        let mut found = Found {
            content: Content::default(),
            wrong: Vec::new(),
            damaged: Vec::new(),
            losses: Vec::new(),
            repairs: Vec::new(),
            status,
            counted: BTreeMap::new(),
            errors: read.join().expect("no panic").unwrap_or_default(),
        };
        text.lines().for_each(|line| found.line(line));
        found
    }

    fn line(&mut self, line: &str) {
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        match kind {
            "m" => self.content.apply(&format!("p {rest}")),
            "d" => self.content.apply(line),
            "q" => {
                let (queue, count) = rest.split_once(' ').expect("two numbers");
                let count = count.parse().expect("a number");
                if count > 0 {
                    self.counted.insert(queue.parse().expect("a number"), count);
                }
            }
            "w" => self.wrong.push(rest.to_owned()),
            "l" => self.losses.push(rest.to_owned()),
            "r" => self.repairs.push(rest.to_owned()),
            _ => self.damaged.push(line.to_owned()),
        }
    }

    /// Returns whether the process ended normally after opening and reading everything.
    pub fn opened(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// Returns whether neither opening nor reading reported a loss or damage.
    pub fn is_silent(&self) -> bool {
        self.losses.is_empty() && self.damaged.is_empty()
    }

    /// Returns the messages found, by queue.
    pub fn counts(&self) -> BTreeMap<u64, u64> {
        let count =
            |(queue, messages): (&u64, &BTreeMap<u64, u64>)| (*queue, messages.len() as u64);
        self.content.messages.iter().map(count).collect()
    }

    /// Returns the number of messages found.
    pub fn messages(&self) -> usize {
        self.content.messages.values().map(BTreeMap::len).sum()
    }

    /// Describes what the other lacks; empty if it has everything.
    pub fn beyond(&self, other: &Found) -> String {
        self.content.beyond(&other.content)
    }
}

/// The states a store may be in.
#[derive(Debug, Default, Clone)]
pub struct Model {
    /// The state confirmed so far.
    durable: Content,
    told: u64,
    /// The batches submitted since, by number.
    open: VecDeque<(u64, String)>,
}

impl Model {
    /// Creates a model of a store with these contents.
    pub fn of(found: &Found) -> Model {
        Model {
            durable: found.content.clone(),
            ..Model::default()
        }
    }

    /// Applies a mark.
    pub fn mark(&mut self, mark: &str) {
        let mut words = mark.splitn(3, ' ');
        let (kind, number) = (
            words.next(),
            words.next().and_then(|word| word.parse().ok()),
        );
        match (kind, number) {
            (Some("S"), Some(number)) => {
                self.open
                    .push_back((number, words.next().unwrap_or_default().to_owned()));
            }
            (Some("T"), Some(number)) => {
                self.told = number;
                while self.open.front().is_some_and(|(n, _)| *n <= number) {
                    let (_, operations) = self.open.pop_front().unwrap_or_default();
                    operations
                        .split(';')
                        .for_each(|operation| self.durable.apply(operation));
                }
            }
            _ => panic!("unknown mark {mark}"),
        }
    }

    /// Checks whether a store may have these contents.
    ///
    /// # Errors
    /// A description of what is wrong.
    pub fn judge(&self, found: &Found) -> Result<(), String> {
        if !found.opened() {
            return Err(format!("{:?}: {}", found.status, found.errors));
        }
        if !found.wrong.is_empty() || !found.damaged.is_empty() {
            return Err(format!(
                "wrong {:?}, damaged {:?}",
                found.wrong, found.damaged
            ));
        }
        let mut state = self.durable.clone();
        for (_, operations) in &self.open {
            if state.hash == found.content.hash {
                break;
            }
            operations
                .split(';')
                .for_each(|operation| state.apply(operation));
        }
        if state.hash == found.content.hash && state == found.content {
            return Ok(());
        }
        Err(format!(
            "told {}, submitted up to {:?}\nlost against what was told: {}\nmore than was told: {}",
            self.told,
            self.open.back().map(|(number, _)| number),
            self.durable.beyond(&found.content),
            found.content.beyond(&self.durable),
        ))
    }
}
