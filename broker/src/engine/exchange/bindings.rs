//! The bindings of one exchange, kept twice: as declared, in an order that depends on nothing else,
//! and indexed for the exchange's type.

use super::binding::{AllBindings, Binding, BindingId, Destination, DestinationName, leading_to};
use super::consistent_hash::ConsistentHashIndex;
use super::direct::DirectIndex;
use super::headers::HeadersIndex;
use super::one_of::{Choice, OneOfIndex};
use super::targets::Targets;
use super::topic::TopicIndex;
use super::{ExchangeKind, ExchangeSpec, Routable};
use leveret_protocol::RoutingKey;
use leveret_protocol::values::FieldTable;
use std::collections::BTreeMap;

#[derive(Debug)]
enum Index {
    Direct(DirectIndex),
    Fanout(Targets),
    Topic(TopicIndex),
    Headers(HeadersIndex),
    ConsistentHash(ConsistentHashIndex),
    OneOf(OneOfIndex),
}

/// The bindings of one exchange.
#[derive(Debug)]
pub(super) struct Bindings {
    all: AllBindings,
    index: Index,
}

/// A binding, and what is known of it.
pub(super) struct Known<'a> {
    pub(super) binding: &'a Binding,
    /// Whether it counts at all: a consistent-hash exchange considers only one of those that lead to the same destination.
    pub(super) counts: bool,
    /// Bytes of its arguments, encoded.
    pub(super) bytes: usize,
}

impl Bindings {
    pub(super) fn new(spec: &ExchangeSpec) -> Self {
        let index = match spec.routed_by() {
            // The latter is never used for routing: it names one of the others for that.
            ExchangeKind::Direct | ExchangeKind::DelayedMessage => {
                Index::Direct(DirectIndex::default())
            }
            ExchangeKind::Fanout => Index::Fanout(Targets::default()),
            ExchangeKind::Topic => Index::Topic(TopicIndex::default()),
            ExchangeKind::Headers => Index::Headers(HeadersIndex::default()),
            ExchangeKind::ConsistentHash => {
                Index::ConsistentHash(ConsistentHashIndex::new(&spec.arguments))
            }
            ExchangeKind::Random | ExchangeKind::LocalRandom => {
                Index::OneOf(OneOfIndex::new(Choice::Chance))
            }
            ExchangeKind::ModulusHash => Index::OneOf(OneOfIndex::new(Choice::RoutingKeys)),
        };
        Bindings {
            all: BTreeMap::new(),
            index,
        }
    }

    pub(super) fn add(&mut self, binding: Binding) -> bool {
        let id = BindingId::of(&binding);
        if self.all.contains_key(&id) {
            return false;
        }
        match &mut self.index {
            Index::Direct(index) => index.add(&binding),
            Index::Fanout(targets) => targets.add(&binding.destination),
            Index::Topic(index) => index.add(&binding),
            Index::Headers(index) => index.add(&binding),
            Index::ConsistentHash(index) => index.add(&id, &binding),
            Index::OneOf(index) => index.forget(),
        }
        self.all.insert(id, binding);
        true
    }

    pub(super) fn remove(
        &mut self,
        to: &DestinationName,
        key: &RoutingKey,
        arguments: &FieldTable,
    ) -> bool {
        let id = BindingId::new(to.clone(), key, arguments);
        let Some(binding) = self.all.remove(&id) else {
            return false;
        };
        self.unindex(&id, &binding);
        true
    }

    pub(super) fn remove_destination(&mut self, to: &DestinationName) -> Vec<Binding> {
        let ids: Vec<BindingId> = leading_to(&self.all, to)
            .map(|(id, _)| id.clone())
            .collect();
        let mut removed = Vec::with_capacity(ids.len());
        for id in ids {
            if let Some(binding) = self.all.remove(&id) {
                self.unindex(&id, &binding);
                removed.push(binding);
            }
        }
        removed
    }

    fn unindex(&mut self, id: &BindingId, binding: &Binding) {
        match &mut self.index {
            Index::Direct(index) => index.remove(binding),
            Index::Fanout(targets) => targets.remove(&binding.destination),
            Index::Topic(index) => index.remove(binding),
            Index::Headers(index) => index.remove(binding),
            Index::ConsistentHash(index) => index.remove(id, binding, &self.all),
            Index::OneOf(index) => index.forget(),
        }
    }

    pub(super) fn matching(&self, message: &Routable<'_>, found: &mut dyn FnMut(&Destination)) {
        match &self.index {
            Index::Direct(index) => index.matching(message.routing_keys, found),
            Index::Fanout(targets) => targets.each(found),
            Index::Topic(index) => index.matching(message.routing_keys, found),
            Index::Headers(index) => index.matching(message.headers(), found),
            Index::ConsistentHash(index) => index.matching(message, found),
            Index::OneOf(index) => index.matching(message.routing_keys, &self.all, found),
        }
    }

    /// Iterates over the bindings, with what is known of each.
    pub(super) fn known(&self) -> impl Iterator<Item = Known<'_>> {
        self.all.iter().map(|(id, binding)| Known {
            binding,
            counts: match &self.index {
                Index::ConsistentHash(index) => index.counts(id, binding),
                _ => true,
            },
            bytes: id.arguments_len(),
        })
    }

    /// Returns what a consistent-hash exchange hashes, in words.
    pub(super) fn hashed(&self) -> Option<String> {
        match &self.index {
            Index::ConsistentHash(index) => Some(index.hashed()),
            _ => None,
        }
    }

    /// Returns whether messages with equal routing keys go the same way.
    pub(super) fn match_by_key_alone(&self) -> bool {
        match &self.index {
            Index::Direct(_) | Index::Fanout(_) | Index::Topic(_) => true,
            Index::Headers(_) => false,
            Index::ConsistentHash(index) => index.hashes_routing_key(),
            Index::OneOf(index) => index.chooses_by_key(),
        }
    }

    pub(super) fn leads_to(&self, to: &DestinationName) -> bool {
        leading_to(&self.all, to).next().is_some()
    }

    pub(super) fn has(&self, binding: &Binding) -> bool {
        self.all.contains_key(&BindingId::of(binding))
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Binding> {
        self.all.values()
    }

    pub(super) fn into_all(self) -> impl Iterator<Item = Binding> {
        self.all.into_values()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}
