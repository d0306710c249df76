//! Commands of a tool with what is expected of each: `tests/tools/README.md`.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::process::Command;

use super::text;
use leveret_tests::isolate;

/// The commands, in order.
pub struct Table {
    rows: Vec<Row>,
    /// Commands, or groups of them, that are not run.
    without: Vec<String>,
}

struct Row {
    /// `file:line`.
    place: String,
    status: i32,
    words: Vec<String>,
    /// Parts of the output.
    parts: Vec<String>,
}

impl Table {
    /// Reads a file of `tests/tools/`; panics with the line that does not parse.
    pub fn read(file: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tools")
            .join(file);
        let lines = std::fs::read_to_string(&path).expect("a table");
        let mut rows: Vec<Row> = Vec::new();
        let mut without = Vec::new();
        for (index, line) in lines.lines().enumerate() {
            let place = format!("{file}:{}", index + 1);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match line.split_once(' ') {
                Some((">", part)) => {
                    let row = rows.last_mut();
                    let row = row.unwrap_or_else(|| panic!("{place}: no command"));
                    row.parts.push(part.to_owned());
                }
                Some(("without", commands)) => without.push(commands.to_owned()),
                Some((status, command)) => rows.push(Row {
                    status: status
                        .parse()
                        .unwrap_or_else(|_| panic!("{place}: no status")),
                    words: words(command),
                    parts: Vec::new(),
                    place,
                }),
                None => panic!("{place}: no command"),
            }
        }
        Table { rows, without }
    }

    /// Panics with those of the commands that are neither run nor left out by a line that says so.
    pub fn has_all(&self, commands: &BTreeSet<String>) {
        let is_there = |command: &str| {
            let begins_with =
                |text: &str, start: &str| format!("{text} ").starts_with(&format!("{start} "));
            self.rows
                .iter()
                .any(|row| begins_with(&row.words.join(" "), command))
                || self
                    .without
                    .iter()
                    .any(|without| begins_with(command, without))
        };
        let missing: Vec<&String> = commands
            .iter()
            .filter(|command| !is_there(command))
            .collect();
        assert!(missing.is_empty(), "commands that are not run: {missing:?}");
    }

    /// Runs every command, after the words of `tool`, with the values of the names that begin with `$`. Returns what is
    /// not as expected.
    pub fn run(&self, names: &HashMap<&str, String>, tool: impl Fn() -> Command) -> Vec<String> {
        let failures = self.rows.iter().filter_map(|row| row.run(names, tool()));
        failures.collect()
    }
}

impl Row {
    fn run(&self, names: &HashMap<&str, String>, mut command: Command) -> Option<String> {
        let valued = |word: &String| {
            let value = |word: String, (name, value): (&&str, &String)| word.replace(name, value);
            names.iter().fold(word.clone(), value)
        };
        command.args(self.words.iter().map(valued));
        isolate(&mut command);
        let output = command.output();
        let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let text = text(&output);
        let has = |part: &String| text.contains(&valued(part));
        if output.status.code() == Some(self.status) && self.parts.iter().all(has) {
            return None;
        }
        let (place, words) = (&self.place, self.words.join(" "));
        Some(format!("{place}: {words}: {}\n{text}", output.status))
    }
}

/// Splits at spaces that are not between single quotes.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in command.split('\'').enumerate() {
        match index % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}
