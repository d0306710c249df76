//! Exchanges that send each message to one of their bindings, whatever its key: at random
//! (RabbitMQ: "Random Exchange Type", "Local Random Exchange") or by the hash of the routing key
//! (`x-modulus-hash` of RabbitMQ: "Sharding Plugin").

use super::binding::{AllBindings, Destination};
use std::sync::OnceLock;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// How the binding is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// At random.
    Chance,
    /// By the hash of the routing keys, modulo the number of bindings.
    RoutingKeys,
}

/// The bindings' destinations in the order of the bindings, which a restart does not change. A
/// queue that is bound twice appears twice, as in RabbitMQ.
///
/// The list is built by the first message after a change: n bindings in a row cost n and not n².
#[derive(Debug)]
pub(super) struct OneOfIndex {
    choice: Choice,
    list: OnceLock<Box<[Destination]>>,
}

impl OneOfIndex {
    pub(super) fn new(choice: Choice) -> Self {
        OneOfIndex {
            choice,
            list: OnceLock::new(),
        }
    }

    /// Invalidates the list after bindings have changed.
    pub(super) fn forget(&mut self) {
        self.list.take();
    }

    pub(super) fn chooses_by_key(&self) -> bool {
        self.choice == Choice::RoutingKeys
    }

    pub(super) fn matching(
        &self,
        routing_keys: &[&[u8]],
        all: &AllBindings,
        found: &mut dyn FnMut(&Destination),
    ) {
        let collect = || all.values().map(|binding| binding.destination.clone());
        let list = self.list.get_or_init(|| collect().collect());
        if list.is_empty() {
            return;
        }
        let chosen = match self.choice {
            Choice::Chance => rand::random_range(0..list.len()),
            Choice::RoutingKeys => {
                let hash = |seed, key: &&[u8]| xxh3_64_with_seed(key, seed);
                // The remainder is less than the list's length.
                (routing_keys.iter().fold(0, hash) % list.len() as u64) as usize
            }
        };
        found(&list[chosen]);
    }
}
