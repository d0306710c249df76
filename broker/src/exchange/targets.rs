//! The destinations under one binding key.

use super::bindings::Destination;
use indexmap::IndexMap;

/// Destinations, each with the number of bindings that lead there (bindings may differ in their
/// arguments alone). Adding and removing take constant time however many there are: a fanout
/// exchange keeps all of its destinations in one of these.
#[derive(Debug, Default)]
pub(super) struct Targets(IndexMap<usize, Target>);

#[derive(Debug)]
struct Target {
    destination: Destination,
    bindings: usize,
}

impl Targets {
    pub(super) fn add(&mut self, destination: &Destination) {
        let target = self.0.entry(destination.identity());
        let target = target.or_insert_with(|| Target {
            destination: destination.clone(),
            bindings: 0,
        });
        target.bindings += 1;
    }

    pub(super) fn remove(&mut self, destination: &Destination) {
        let identity = destination.identity();
        if let Some(target) = self.0.get_mut(&identity) {
            target.bindings -= 1;
            if target.bindings == 0 {
                self.0.swap_remove(&identity);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn each(&self, found: &mut dyn FnMut(&Destination)) {
        for target in self.0.values() {
            found(&target.destination);
        }
    }
}
