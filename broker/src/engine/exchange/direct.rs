//! Direct exchanges (spec 3.1.3.1): the routing key equals the binding key.

use super::binding::{Binding, Destination};
use super::targets::{IndexKey, Targets};
use std::collections::HashMap;

/// Destinations by binding key.
#[derive(Debug, Default)]
pub(super) struct DirectIndex(HashMap<IndexKey, Targets>);

impl DirectIndex {
    pub(super) fn add(&mut self, binding: &Binding) {
        let key = binding.key.as_str().as_bytes();
        self.0
            .entry(key.into())
            .or_default()
            .add(&binding.destination);
    }

    pub(super) fn remove(&mut self, binding: &Binding) {
        let key = binding.key.as_str().as_bytes();
        if let Some(targets) = self.0.get_mut(key) {
            targets.remove(&binding.destination);
            if targets.is_empty() {
                self.0.remove(key);
            }
        }
    }

    pub(super) fn matching(&self, routing_keys: &[&[u8]], found: &mut dyn FnMut(&Destination)) {
        for key in routing_keys {
            if let Some(targets) = self.0.get(*key) {
                targets.each(found);
            }
        }
    }
}
