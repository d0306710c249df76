//! `leveret check` and `leveret repair`, on the store of a broker that is not running.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use leveret_storage::salvage::{self, Findings};
use leveret_storage::{Options, StorageError};

use crate::config::Command;
use crate::domain::durable::Definition;
use crate::engine::queue::body_bytes;
use crate::node::service::Reporter;
use crate::node::service::reporter::Report;
use crate::text::escape::{Form, escaped};

/// The output of a command, and its exit status.
#[derive(Debug)]
pub struct Outcome {
    /// The text for standard output.
    pub text: String,
    /// 0 if everything is intact, 1 if something is damaged or missing.
    pub status: u8,
}

/// Runs a command on the store in a data directory.
///
/// # Errors
/// When there is no store, a broker has it open, or it cannot be read or written.
pub fn run(command: &Command, data_dir: &Path) -> Result<Outcome, StorageError> {
    let options = Options {
        weigh: body_bytes,
        ..Options::new(data_dir.join("store"))
    };
    let progress = options.progress.clone();
    let look = move || {
        let step = progress.step();
        Report {
            text: step.to_string(),
            mark: step.done,
        }
    };
    // Without a thread for it, it is not reported.
    let _reporter = Reporter::on_terminal(look).ok();
    let findings = salvage::check(&options)?;
    if *command == Command::Check {
        return Ok(checked(&findings));
    }
    if findings.damage.is_empty() {
        let mut outcome = checked(&findings);
        outcome
            .text
            .push_str("Nothing to repair, and nothing was changed.\n");
        return Ok(outcome);
    }
    let repaired = salvage::repair(&options)?;
    let mut outcome = report(&repaired.findings);
    let _ = writeln!(
        outcome.text,
        "Repaired: everything intact is in {}. The damaged store was moved to {}; delete it when you no longer need it.",
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
        "Damaged: `leveret repair` rebuilds the store from what is intact, and keeps the damaged one."
    };
    let _ = writeln!(outcome.text, "{verdict}");
    outcome
}

/// Reports each queue on a line, then the damage.
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
            Err(error) => damage.push(error.to_string()),
        }
    }
    let mut text = String::from("queue\tintact\tbytes\tlost\tid\n");
    for queue in &findings.queues {
        let id = queue.queue.0;
        let name = names.remove(&id);
        // An empty queue without a definition is of no interest.
        if name.is_none() && queue.intact == 0 && queue.lost == 0 {
            continue;
        }
        let name = name.unwrap_or_else(|| "a queue whose definition is gone".to_owned());
        let (intact, bytes, lost) = (queue.intact, queue.bytes, queue.lost);
        let _ = writeln!(text, "{name}\t{intact}\t{bytes}\t{lost}\t{id}");
    }
    let mut empty: Vec<(String, u64)> = names.into_iter().map(|(id, name)| (name, id)).collect();
    empty.sort();
    for (name, id) in empty {
        let _ = writeln!(text, "{name}\t0\t0\t0\t{id}");
    }
    let _ = writeln!(text, "{} definitions", findings.definitions.len());
    if findings.torn_bytes > 0 {
        let _ = writeln!(
            text,
            "{} bytes at the end of the log are an incomplete commit, which was never confirmed",
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
