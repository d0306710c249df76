//! Headers exchanges (spec 3.1.3.4, RabbitMQ: "Headers Exchange"): a binding's arguments are
//! compared with the message's headers.

use super::bindings::{Binding, Destination};
use leveret_protocol::table;
use leveret_protocol::values::{AMQPValue, FieldTable};

/// The bindings, each tried in turn: headers cannot be looked up by one key.
#[derive(Debug, Default)]
pub(super) struct HeadersIndex(Vec<Binding>);

/// How a binding's arguments have to match (`x-match`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Match {
    All,
    Any,
}

/// The values of `x-match`; the `-with-x` forms look at arguments that start with `x-` too.
fn mode(arguments: &FieldTable) -> Option<(Match, bool)> {
    match arguments.inner().get("x-match") {
        None => Some((Match::All, false)),
        Some(AMQPValue::LongString(mode)) => match mode.as_bytes() {
            b"all" => Some((Match::All, false)),
            b"any" => Some((Match::Any, false)),
            b"all-with-x" => Some((Match::All, true)),
            b"any-with-x" => Some((Match::Any, true)),
            _ => None,
        },
        Some(_) => None,
    }
}

/// Whether a binding may carry these arguments.
pub fn is_valid_match(arguments: &FieldTable) -> bool {
    mode(arguments).is_some()
}

fn matches(arguments: &FieldTable, headers: &FieldTable) -> bool {
    let Some((mode, with_x)) = mode(arguments) else {
        return false;
    };
    let mut wanted = arguments
        .into_iter()
        .filter(|(name, _)| name.as_str() != "x-match")
        .filter(|(name, _)| with_x || !name.as_str().starts_with("x-"));
    let holds = |(name, value): (&_, &AMQPValue)| {
        let name: &leveret_protocol::values::ShortString = name;
        match headers.inner().get(name.as_str()) {
            // A void argument asks for the header's presence alone.
            Some(present) => *value == AMQPValue::Void || table::equivalent(value, present),
            None => false,
        }
    };
    match mode {
        Match::All => wanted.all(holds),
        Match::Any => wanted.any(holds),
    }
}

impl HeadersIndex {
    pub(super) fn add(&mut self, binding: &Binding) {
        self.0.push(binding.clone());
    }

    pub(super) fn remove(&mut self, binding: &Binding) {
        let name = binding.destination.name();
        let same = |b: &Binding| {
            b.destination.name() == name && b.key == binding.key && b.arguments == binding.arguments
        };
        if let Some(at) = self.0.iter().position(same) {
            self.0.swap_remove(at);
        }
    }

    pub(super) fn matching(&self, headers: &FieldTable, found: &mut dyn FnMut(&Destination)) {
        for binding in &self.0 {
            if matches(&binding.arguments, headers) {
                found(&binding.destination);
            }
        }
    }
}
