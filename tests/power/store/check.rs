//! Opens a store and prints its contents.
//!
//! `m QUEUE POSITION LENGTH` is a message, `w QUEUE POSITION` one that differs from what was published, `x QUEUE FIRST
//! LAST` damaged ones, `d KEY VERSION LENGTH` a definition, `l TEXT` a loss and `r TEXT` a repair that opening
//! reported.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use leveret_storage::{Opened, Position, QueueId, StorageError, Store, salvage};

use crate::contents::{definition, filling, options, shared_filling};

/// Limits the address space of this process.
pub(crate) fn limit(megabytes: u64) {
    let limit = Some(megabytes << 20);
    let limit = rustix::process::Rlimit {
        current: limit,
        maximum: limit,
    };
    rustix::process::setrlimit(rustix::process::Resource::As, limit).expect("a limit");
}

/// Prints what a check finds: damage, and a line `q QUEUE MESSAGES` for each queue.
pub(crate) fn look(dir: &Path) -> ExitCode {
    match salvage::check(&options(dir)) {
        Ok(findings) => {
            for damage in &findings.damage {
                println!("l {damage}");
            }
            for queue in &findings.queues {
                println!("q {} {}", queue.queue.0, queue.intact);
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("refused: {error}");
            ExitCode::from(3)
        }
    }
}

/// Repairs, then prints.
pub(crate) fn repair(dir: &Path) -> ExitCode {
    match salvage::repair(&options(dir)) {
        Ok(repaired) => {
            for damage in &repaired.findings.damage {
                println!("l {damage}");
            }
            check(dir)
        }
        Err(error) => {
            eprintln!("repair: {error}");
            ExitCode::from(5)
        }
    }
}

pub(crate) fn check(dir: &Path) -> ExitCode {
    let opened = match Store::open(options(dir)) {
        Ok(opened) => opened,
        Err(error) => {
            eprintln!("refused: {error}");
            return ExitCode::from(3);
        }
    };
    let mut out = String::new();
    print(&opened, &mut out);
    std::io::stdout().write_all(out.as_bytes()).expect("stdout");
    if let Err(error) = opened.store.close() {
        eprintln!("close: {error}");
        return ExitCode::from(4);
    }
    ExitCode::SUCCESS
}

fn print(opened: &Opened, out: &mut String) {
    use std::fmt::Write;
    for loss in &opened.report.losses {
        writeln!(out, "l {loss}").expect("a string");
    }
    for repair in &opened.report.repairs {
        writeln!(out, "r {repair}").expect("a string");
    }
    for queue in &opened.queues {
        messages(&opened.store, queue.queue, out);
    }
    for (key, value) in &opened.definitions {
        let key: u64 = std::str::from_utf8(key)
            .ok()
            .and_then(|key| key.parse().ok())
            .unwrap_or(u64::MAX);
        let version = value
            .first_chunk()
            .map_or(u64::MAX, |v| u64::from_be_bytes(*v));
        let len = value.len().saturating_sub(8);
        let right = value[..] == definition(key, version, len)[..];
        let kind = if right { 'd' } else { 'w' };
        writeln!(out, "{kind} {key} {version} {len}").expect("a string");
    }
}

fn messages(store: &Store, queue: QueueId, out: &mut String) {
    use std::fmt::Write;
    let mut from = Position(0);
    loop {
        match store.read(queue, from, 200, 1 << 20) {
            Ok(messages) => {
                let Some((last, _)) = messages.last() else {
                    return;
                };
                from = Position(last.0.saturating_add(1));
                for (position, body) in messages {
                    let right = body[..] == filling(queue.0, position.0, body.len())[..]
                        || body[..] == shared_filling(body.len())[..];
                    let kind = if right { 'm' } else { 'w' };
                    writeln!(out, "{kind} {} {} {}", queue.0, position.0, body.len())
                        .expect("a string");
                }
            }
            Err(StorageError::DamagedMessages { first, last, .. }) => {
                writeln!(out, "x {} {} {}", queue.0, first.0, last.0).expect("a string");
                assert!(last >= from, "reading on gets nowhere: {from:?} {last:?}");
                from = Position(last.0.saturating_add(1));
            }
            Err(error) => {
                eprintln!("reading queue {}: {error}", queue.0);
                writeln!(out, "e {}", queue.0).expect("a string");
                return;
            }
        }
    }
}
