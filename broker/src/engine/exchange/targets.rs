//! The destinations under one binding key.

use super::binding::Destination;
use indexmap::IndexMap;
use smallvec::SmallVec;

/// A key, or a word of one, as indexes store it: inline if it is short, so that a look-up among
/// very many does not follow a pointer into cold memory.
pub(super) type IndexKey = SmallVec<[u8; 24]>;

/// Destinations, each with the number of bindings that lead there (bindings may differ only in
/// their arguments). Adding and removing take constant time regardless of their number: a fanout
/// exchange keeps all of its destinations in one of these.
#[derive(Debug, Default)]
pub(super) enum Targets {
    #[default]
    None,
    /// Most keys have one destination; it is stored inline.
    One(Target),
    /// By the destinations' identities.
    Many(Box<IndexMap<usize, Target>>),
}

#[derive(Debug)]
pub(super) struct Target {
    destination: Destination,
    bindings: u32,
}

impl Targets {
    pub(super) fn add(&mut self, destination: &Destination) {
        let identity = destination.identity();
        let one_more = |target: &mut Target| target.bindings += 1;
        let new = Target {
            destination: destination.clone(),
            bindings: 1,
        };
        *self = match std::mem::take(self) {
            Targets::None => Targets::One(new),
            Targets::One(mut only) if only.destination.identity() == identity => {
                one_more(&mut only);
                Targets::One(only)
            }
            Targets::One(first) => {
                let first = (first.destination.identity(), first);
                Targets::Many(Box::new(IndexMap::from([first, (identity, new)])))
            }
            Targets::Many(mut targets) => {
                targets.entry(identity).and_modify(one_more).or_insert(new);
                Targets::Many(targets)
            }
        };
    }

    pub(super) fn remove(&mut self, destination: &Destination) {
        let identity = destination.identity();
        match self {
            Targets::One(only) if only.destination.identity() == identity => {
                only.bindings -= 1;
                if only.bindings == 0 {
                    *self = Targets::None;
                }
            }
            Targets::Many(targets) => {
                if let Some(target) = targets.get_mut(&identity) {
                    target.bindings -= 1;
                    if target.bindings == 0 {
                        targets.swap_remove(&identity);
                    }
                }
                if targets.is_empty() {
                    *self = Targets::None;
                }
            }
            Targets::One(_) | Targets::None => {}
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Targets::None)
    }

    pub(super) fn each(&self, found: &mut dyn FnMut(&Destination)) {
        match self {
            Targets::None => {}
            Targets::One(only) => found(&only.destination),
            Targets::Many(targets) => targets.values().for_each(|t| found(&t.destination)),
        }
    }
}
