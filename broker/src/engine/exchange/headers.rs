//! Headers exchanges (spec 3.1.3.4, RabbitMQ: "Headers Exchange"): a binding's arguments are
//! compared with the message's headers.
//!
//! Bindings with the same arguments are matched once. They are found by one of the headers that
//! they require, so that the cost depends on the message's own headers and not on the number of
//! bindings.

use super::binding::{Binding, Destination, encoded};
use super::targets::Targets;
use indexmap::IndexSet;
use leveret_protocol::raw_table;
use leveret_protocol::values::{AMQPValue, FieldTable};
use smallvec::SmallVec;
use std::collections::HashMap;
use std::ops::Range;

/// The argument that says how the others must match.
pub(super) const X_MATCH: &str = "x-match";

/// How a binding's arguments must match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    All,
    Any,
}

/// Returns what `x-match` asks for: the mode, and whether arguments starting with `x-` count, too.
/// `None` if it is none of RabbitMQ's four values.
fn mode(arguments: &FieldTable) -> Option<(Mode, bool)> {
    match arguments.inner().get(X_MATCH) {
        None => Some((Mode::All, false)),
        Some(AMQPValue::LongString(mode)) => match mode.as_bytes() {
            b"all" => Some((Mode::All, false)),
            b"any" => Some((Mode::Any, false)),
            b"all-with-x" => Some((Mode::All, true)),
            b"any-with-x" => Some((Mode::Any, true)),
            _ => None,
        },
        Some(_) => None,
    }
}

/// Returns whether a binding may have these arguments.
pub(super) fn is_valid_match(arguments: &FieldTable) -> bool {
    mode(arguments).is_some()
}

/// Returns whether an argument of a binding is used: as `x-match`, or compared with the message's headers.
pub(super) fn is_compared(arguments: &FieldTable, name: &str) -> bool {
    let with_x = mode(arguments).is_some_and(|(_, with_x)| with_x);
    name == X_MATCH || with_x || !name.starts_with("x-")
}

/// A condition on a message: that a header is present, or that it has a value.
type Condition = Box<[u8]>;

/// Appends the condition, or fact, that a header is present.
fn presence(name: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&[b'?', name.len() as u8]);
    out.extend_from_slice(name);
}

/// Appends the condition, or fact, that it has this value.
fn equality(name: &[u8], value: raw_table::RawValue<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(&[b'=', name.len() as u8]);
    out.extend_from_slice(name);
    value.comparable(out);
}

/// Returns the conditions in a binding's arguments.
fn conditions(arguments: &[u8], with_x: bool) -> Vec<Condition> {
    raw_table::entries(arguments)
        .filter(|entry| entry.name != X_MATCH.as_bytes())
        .filter(|entry| with_x || !entry.name.starts_with(b"x-"))
        .map(|entry| {
            let mut condition = Vec::new();
            match entry.value.kind {
                // A void argument only requires that the header is present.
                b'V' => presence(entry.name, &mut condition),
                _ => equality(entry.name, entry.value, &mut condition),
            }
            condition.into_boxed_slice()
        })
        .collect()
}

/// The facts about a message's headers, sorted, in one piece of memory because messages are many.
#[derive(Default)]
struct Facts {
    bytes: Vec<u8>,
    each: SmallVec<[Range<usize>; 16]>,
}

impl Facts {
    /// `headers` is the table with its length prefix, or empty.
    fn of(headers: &[u8]) -> Facts {
        let mut entries: SmallVec<[raw_table::RawEntry<'_>; 8]> =
            raw_table::entries(headers).collect();
        // The sort is stable: of headers with the same name the last one counts.
        entries.sort_by(|a, b| a.name.cmp(b.name));
        let mut facts = Facts {
            // Each name is written twice, each value once: this rarely grows.
            bytes: Vec::with_capacity(2 * headers.len()),
            ..Facts::default()
        };
        for entry in entries.chunk_by(|a, b| a.name == b.name) {
            let Some(entry) = entry.last() else { continue };
            facts.add(|out| presence(entry.name, out));
            facts.add(|out| equality(entry.name, entry.value, out));
        }
        let bytes = &facts.bytes;
        facts
            .each
            .sort_unstable_by(|a, b| bytes[a.clone()].cmp(&bytes[b.clone()]));
        facts
    }

    fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        write(&mut self.bytes);
        self.each.push(start..self.bytes.len());
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.each.iter().map(|range| &self.bytes[range.clone()])
    }

    fn hold(&self, condition: &[u8]) -> bool {
        let found = self
            .each
            .binary_search_by(|range| self.bytes[range.clone()].cmp(condition));
        found.is_ok()
    }
}

/// How a binding's arguments compare with a message's headers, by the names of the headers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Compared {
    /// One header is enough (`x-match` is `any` or `any-with-x`).
    pub(super) any: bool,
    /// The headers that match.
    pub(super) equal: Vec<String>,
    /// Those that the message has with another value.
    pub(super) different: Vec<String>,
    /// Those that it lacks.
    pub(super) missing: Vec<String>,
}

/// Compares a binding's arguments with headers (the table with its length prefix, or empty), for people to read.
pub(super) fn compared(arguments: &FieldTable, headers: &[u8]) -> Compared {
    // Checked when it was bound.
    let (mode, with_x) = mode(arguments).unwrap_or((Mode::All, false));
    let facts = Facts::of(headers);
    let mut compared = Compared {
        any: mode == Mode::Any,
        ..Compared::default()
    };
    let arguments = encoded(arguments);
    let names = raw_table::entries(&arguments).map(|entry| entry.name);
    let names = names.filter(|name| *name != X_MATCH.as_bytes());
    let names = names.filter(|name| with_x || !name.starts_with(b"x-"));
    for (name, condition) in names.zip(conditions(&arguments, with_x)) {
        let mut present = Vec::new();
        presence(name, &mut present);
        let list = match (facts.hold(&condition), facts.hold(&present)) {
            (true, _) => &mut compared.equal,
            (false, true) => &mut compared.different,
            (false, false) => &mut compared.missing,
        };
        list.push(String::from_utf8_lossy(name).into_owned());
    }
    compared
}

/// A group's id, never reused.
type GroupId = u64;

/// A group of bindings with the same arguments.
#[derive(Debug)]
struct Group {
    mode: Mode,
    conditions: Vec<Condition>,
    /// The conditions by which the group can be found: all of them for `any`, otherwise one, and
    /// none if there are no conditions.
    found_by: Vec<Condition>,
    targets: Targets,
}

/// The bindings, indexed by their conditions.
#[derive(Debug, Default)]
pub(super) struct HeadersIndex {
    groups: HashMap<GroupId, Group>,
    by_arguments: HashMap<Box<[u8]>, GroupId>,
    by_condition: HashMap<Condition, IndexSet<GroupId>>,
    /// The groups without conditions, which match every message.
    always: IndexSet<GroupId>,
    next: GroupId,
}

impl HeadersIndex {
    pub(super) fn add(&mut self, binding: &Binding) {
        let arguments = encoded(&binding.arguments);
        let id = match self.by_arguments.get(&arguments) {
            Some(id) => *id,
            None => self.add_group(arguments, &binding.arguments),
        };
        if let Some(group) = self.groups.get_mut(&id) {
            group.targets.add(&binding.destination);
        }
    }

    fn add_group(&mut self, encoded: Box<[u8]>, arguments: &FieldTable) -> GroupId {
        // Checked when it was bound.
        let (mode, with_x) = mode(arguments).unwrap_or((Mode::All, false));
        let conditions = conditions(&encoded, with_x);
        let found_by = match mode {
            Mode::Any => conditions.clone(),
            // The condition with the fewest groups: one that all bindings share does not
            // discriminate.
            Mode::All => {
                let groups = |c: &&Condition| self.by_condition.get(*c).map_or(0, IndexSet::len);
                conditions
                    .iter()
                    .min_by_key(groups)
                    .cloned()
                    .into_iter()
                    .collect()
            }
        };
        let id = self.next;
        self.next += 1;
        for condition in &found_by {
            let groups = self.by_condition.entry(condition.clone());
            groups.or_default().insert(id);
        }
        if mode == Mode::All && conditions.is_empty() {
            self.always.insert(id);
        }
        self.by_arguments.insert(encoded, id);
        self.groups.insert(
            id,
            Group {
                mode,
                conditions,
                found_by,
                targets: Targets::default(),
            },
        );
        id
    }

    pub(super) fn remove(&mut self, binding: &Binding) {
        let arguments = encoded(&binding.arguments);
        let Some(&id) = self.by_arguments.get(&arguments) else {
            return;
        };
        let Some(group) = self.groups.get_mut(&id) else {
            return;
        };
        group.targets.remove(&binding.destination);
        if !group.targets.is_empty() {
            return;
        }
        for condition in &group.found_by {
            if let Some(groups) = self.by_condition.get_mut(condition) {
                groups.swap_remove(&id);
                if groups.is_empty() {
                    self.by_condition.remove(condition);
                }
            }
        }
        self.always.swap_remove(&id);
        self.groups.remove(&id);
        self.by_arguments.remove(&arguments);
    }

    /// `headers` is the table with its length prefix, or empty.
    pub(super) fn matching(&self, headers: &[u8], found: &mut dyn FnMut(&Destination)) {
        let mut matched = |id: &GroupId, holds: &dyn Fn(&Group) -> bool| {
            if let Some(group) = self.groups.get(id).filter(|group| holds(group)) {
                group.targets.each(found);
            }
        };
        for id in &self.always {
            matched(id, &|_| true);
        }
        if self.by_condition.is_empty() {
            return;
        }
        let facts = Facts::of(headers);
        for fact in facts.iter() {
            let groups = self.by_condition.get(fact);
            for id in groups.into_iter().flatten() {
                matched(id, &|group| {
                    let held = |condition: &Condition| facts.hold(condition);
                    group.mode == Mode::Any || group.conditions.iter().all(held)
                });
            }
        }
    }
}
