//! Consistent-hash exchanges (RabbitMQ: "Consistent Hash Exchange Type"): each message goes to one
//! destination, messages with the same hashed value to the same one, and each destination gets a
//! share that is proportional to its weight, its binding key.
//!
//! The destination is found by weighted rendezvous hashing: each draws a number from the message's
//! hash and its own name, and the highest wins. So the result depends only on the names and weights
//! of what is bound: not on the order of the bindings, not on a restart. A new destination takes
//! its share from all others, a removed one leaves its share to all others, and nothing else moves.
//! Shares are exact for any weights, and need no memory; the price is to evaluate every
//! destination, a nanosecond or two each.

use super::Routable;
use super::binding::{AllBindings, Binding, BindingId, Destination, leading_to};
use indexmap::IndexMap;
use leveret_protocol::content::{Property, property};
use leveret_protocol::raw_table;
use leveret_protocol::values::{AMQPValue, FieldTable};
use std::collections::BTreeMap;
use std::sync::OnceLock;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// The largest weight of a binding, as in RabbitMQ 4.3.
pub(super) const MAX_WEIGHT: u32 = 10_000;
/// The argument that names a header to hash in place of the routing key.
pub(super) const HASH_HEADER: &str = "hash-header";
/// The argument that names a property to hash in place of the routing key.
pub(super) const HASH_PROPERTY: &str = "hash-property";

/// The part of a message that is hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum HashOn {
    RoutingKey,
    Header(Box<str>),
    Property(Property),
}

/// Returns the property that can be hashed with this name in RabbitMQ.
pub(super) fn hashable_property(name: &[u8]) -> Option<Property> {
    match name {
        b"correlation_id" => Some(Property::CorrelationId),
        b"message_id" => Some(Property::MessageId),
        b"timestamp" => Some(Property::Timestamp),
        _ => None,
    }
}

impl HashOn {
    fn new(arguments: &FieldTable) -> Self {
        let text = |name: &str| match arguments.inner().get(name) {
            Some(AMQPValue::LongString(text)) => Some(text.as_bytes()),
            _ => None,
        };
        if let Some(header) = text(HASH_HEADER) {
            HashOn::Header(String::from_utf8_lossy(header).into())
        } else if let Some(property) = text(HASH_PROPERTY).and_then(hashable_property) {
            HashOn::Property(property)
        } else {
            HashOn::RoutingKey
        }
    }

    /// Messages without the header or property all have the same hash.
    fn hash(&self, message: &Routable<'_>) -> u64 {
        match self {
            HashOn::RoutingKey => xxh3_64(message.routing_key()),
            HashOn::Header(name) => {
                let mut value = Vec::new();
                if let Some(found) = raw_table::find(message.headers(), name) {
                    found.comparable(&mut value);
                }
                xxh3_64(&value)
            }
            HashOn::Property(wanted) => {
                xxh3_64(property(message.properties, *wanted).unwrap_or_default())
            }
        }
    }
}

/// The destinations with their weights.
#[derive(Debug)]
pub(super) struct ConsistentHashIndex {
    hash_on: HashOn,
    bound: IndexMap<usize, Bound>,
    /// Computed from `bound` by the first message after a change.
    classes: OnceLock<Vec<Class>>,
}

/// A destination. Only the first of its bindings counts.
#[derive(Debug)]
struct Bound {
    destination: Destination,
    first: BindingId,
    weight: u32,
}

/// Destinations of equal weight: among them the highest draw wins, regardless of the weight.
#[derive(Debug)]
struct Class {
    weight: f64,
    /// A number for each destination, from its name.
    seeds: Vec<u64>,
    destinations: Vec<Destination>,
}

impl ConsistentHashIndex {
    pub(super) fn new(arguments: &FieldTable) -> Self {
        ConsistentHashIndex {
            hash_on: HashOn::new(arguments),
            bound: IndexMap::new(),
            classes: OnceLock::new(),
        }
    }

    pub(super) fn hashes_routing_key(&self) -> bool {
        self.hash_on == HashOn::RoutingKey
    }

    /// Returns whether this binding is the one that counts among those to its destination.
    pub(super) fn counts(&self, id: &BindingId, binding: &Binding) -> bool {
        let bound = self.bound.get(&binding.destination.identity());
        bound.is_some_and(|bound| bound.first == *id)
    }

    /// Returns what is hashed, in words.
    pub(super) fn hashed(&self) -> String {
        match &self.hash_on {
            HashOn::RoutingKey => "routing key".to_owned(),
            HashOn::Header(name) => format!("header \"{name}\""),
            HashOn::Property(Property::CorrelationId) => "property correlation_id".to_owned(),
            HashOn::Property(Property::MessageId) => "property message_id".to_owned(),
            HashOn::Property(_) => "property timestamp".to_owned(),
        }
    }

    pub(super) fn add(&mut self, id: &BindingId, binding: &Binding) {
        let bound = self.bound.entry(binding.destination.identity());
        bound.or_insert_with(|| Bound::by(id, binding));
        self.classes.take();
    }

    /// `all` are the bindings that remain.
    pub(super) fn remove(&mut self, id: &BindingId, binding: &Binding, all: &AllBindings) {
        let identity = binding.destination.identity();
        if self
            .bound
            .get(&identity)
            .is_none_or(|bound| bound.first != *id)
        {
            return;
        }
        match leading_to(all, &binding.destination.name()).next() {
            Some((id, next)) => self.bound.insert(identity, Bound::by(id, next)),
            None => self.bound.swap_remove(&identity),
        };
        self.classes.take();
    }

    pub(super) fn matching(&self, message: &Routable<'_>, found: &mut dyn FnMut(&Destination)) {
        let classes = self.classes.get_or_init(|| self.classes());
        if let [class] = classes.as_slice()
            && let [only] = class.destinations.as_slice()
        {
            return found(only);
        }
        let hash = self.hash_on.hash(message);
        // The highest draw of each class, then of those the shortest wait: -ln(u) / weight, with u
        // uniform between 0 and 1, is an exponential clock whose rate is the weight.
        let waits = classes.iter().filter_map(|class| {
            let draws = class.seeds.iter().map(|seed| mix(hash ^ seed));
            let (at, draw) = draws.enumerate().max_by_key(|(_, draw)| *draw)?;
            Some((-unit(draw).ln() / class.weight, &class.destinations[at]))
        });
        if let Some((_, destination)) = waits.min_by(|a, b| a.0.total_cmp(&b.0)) {
            found(destination);
        }
    }

    fn classes(&self) -> Vec<Class> {
        let mut by_weight: BTreeMap<u32, Class> = BTreeMap::new();
        for bound in self.bound.values() {
            let class = by_weight.entry(bound.weight).or_insert_with(|| Class {
                weight: f64::from(bound.weight),
                seeds: Vec::new(),
                destinations: Vec::new(),
            });
            class.seeds.push(seed(&bound.destination));
            class.destinations.push(bound.destination.clone());
        }
        by_weight.into_values().collect()
    }
}

impl Bound {
    fn by(first: &BindingId, binding: &Binding) -> Self {
        Bound {
            destination: binding.destination.clone(),
            first: first.clone(),
            // Checked at bind time.
            weight: binding.key.as_str().parse().unwrap_or(1),
        }
    }
}

fn seed(destination: &Destination) -> u64 {
    match destination {
        Destination::Queue(queue) => xxh3_64_with_seed(queue.name().as_str().as_bytes(), 1),
        Destination::Exchange(exchange) => {
            xxh3_64_with_seed(exchange.name().as_str().as_bytes(), 2)
        }
    }
}

/// The finalizer of SplitMix64: each input bit changes half of the output bits.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Returns a draw as a number between 0 and 1, never exactly 0.
fn unit(draw: u64) -> f64 {
    ((draw >> 11) as f64 + 0.5) / (1u64 << 53) as f64
}
