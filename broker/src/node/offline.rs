//! `leveret check` and `leveret repair`: what is done to the store of a broker that is not running.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use leveret_storage::salvage::{self, Findings};
use leveret_storage::{Options, StorageError};

use crate::config::Command;
use crate::domain::definitions::Definition;
use crate::engine::queue::body_bytes;
use crate::text::escape::{Form, escaped};

/// What came of it: what to print, and the exit status.
#[derive(Debug)]
pub struct Outcome {
    /// For standard output.
    pub text: String,
    /// 0: all is intact; 1: something is damaged or missing.
    pub status: u8,
}

/// Does what the operator asked for to the store of a data directory.
///
/// # Errors
/// There is no store, a broker has it open, or the system cannot read or write.
pub fn run(command: &Command, data_dir: &Path) -> Result<Outcome, StorageError> {
    let options = Options {
        weigh: body_bytes,
        ..Options::new(data_dir.join("store"))
    };
    let findings = salvage::check(&options)?;
    if *command == Command::Check {
        return Ok(checked(&findings));
    }
    if findings.damage.is_empty() {
        let mut outcome = checked(&findings);
        outcome
            .text
            .push_str("Nothing to repair: nothing was changed.\n");
        return Ok(outcome);
    }
    let repaired = salvage::repair(&options)?;
    let mut outcome = report(&repaired.findings);
    let _ = writeln!(
        outcome.text,
        "Repaired: everything intact is in {}. The damaged store is now {}; remove it when you need it no more.",
        options.path.display(),
        repaired.set_aside.display()
    );
    Ok(outcome)
}

fn checked(findings: &Findings) -> Outcome {
    let mut outcome = report(findings);
    let verdict = if findings.damage.is_empty() {
        "Everything is intact."
    } else {
        "Damaged: `leveret repair` makes a sound store of what is intact, and sets this one aside."
    };
    let _ = writeln!(outcome.text, "{verdict}");
    outcome
}

/// A line for each queue, then what is wrong.
fn report(findings: &Findings) -> Outcome {
    let mut names = HashMap::new();
    let mut damage = findings.damage.clone();
    for (key, value) in &findings.definitions {
        match Definition::decode(key, value) {
            Ok(Definition::Queue {
                vhost, name, id, ..
            }) => {
                let name = format!("{name} (vhost {vhost})");
                names.insert(id, escaped(&name, Form::Line).into_owned());
            }
            Ok(_) => {}
            Err(error) => damage.push(format!("a definition does not decode: {error}")),
        }
    }
    let mut text = String::from("queue\tintact\tbytes\tlost\n");
    for queue in &findings.queues {
        let id = queue.queue.0;
        let name = names.remove(&id);
        // Those without anything, known by their number only, are of no interest to anybody.
        if name.is_none() && queue.intact == 0 && queue.lost == 0 {
            continue;
        }
        let name = name.unwrap_or_else(|| format!("number {id}"));
        let (intact, bytes, lost) = (queue.intact, queue.bytes, queue.lost);
        let _ = writeln!(text, "{name}\t{intact}\t{bytes}\t{lost}");
    }
    let mut empty: Vec<String> = names.into_values().collect();
    empty.sort();
    for name in empty {
        let _ = writeln!(text, "{name}\t0\t0\t0");
    }
    let _ = writeln!(text, "{} definitions", findings.definitions.len());
    if findings.torn_bytes > 0 {
        let _ = writeln!(
            text,
            "{} bytes at the log's end are no whole commit: nobody was told of them",
            findings.torn_bytes
        );
    }
    for what in &damage {
        let _ = writeln!(text, "damaged: {}", escaped(what, Form::Line));
    }
    Outcome {
        text,
        status: u8::from(!damage.is_empty()),
    }
}
