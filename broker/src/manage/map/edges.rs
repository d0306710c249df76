//! What leads where on a map: bindings, alternate exchanges, and where dead letters go.

use super::Node;
use crate::domain::vhost::Vhost;
use crate::engine::exchange::{Destination, Exchange};
use crate::engine::queue::Queue;
use serde::Serialize;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use utoipa::ToSchema;

/// The edges on a map at most.
const EDGES_MAX: usize = 2000;
/// The keys of an edge at most.
const KEYS_MAX: usize = 5;
/// The bindings that are looked at for a map at most.
const BINDINGS_MAX: usize = 200_000;
/// The edges that are kept to choose from at most.
const WAYS_MAX: usize = 20_000;

/// One or more ways from one node of a map to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Edge {
    /// The kind of the node, `exchange`, `queue` or `group`, and its name, or the prefix of a group.
    #[schema(value_type = Vec<String>)]
    pub from: (&'static str, String),
    /// The same of the other end.
    #[schema(value_type = Vec<String>)]
    pub to: (&'static str, String),
    /// What leads from one to the other.
    pub kind: EdgeKind,
    /// The routing keys of some.
    pub keys: Vec<String>,
    /// How many there are.
    pub count: usize,
}

/// What leads from one node to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EdgeKind {
    /// Bindings.
    Binding,
    /// A queue's dead letters go to its dead-letter exchange, or by the default exchange to another queue.
    DeadLetter,
    /// What matches no binding goes to the alternate exchange.
    Alternate,
}

/// Ways between two nodes, and their keys.
#[derive(Debug, Default)]
struct Ways {
    keys: Vec<String>,
    count: usize,
}

/// What is still looked at and kept: a map has to be cheap whatever there is.
pub(super) struct Room {
    /// Bindings to look at.
    pub(super) bindings: usize,
    /// Ways to keep.
    pub(super) ways: usize,
}

impl Default for Room {
    fn default() -> Self {
        Room {
            bindings: BINDINGS_MAX,
            ways: WAYS_MAX,
        }
    }
}

/// What leads where in a virtual host.
pub(super) struct Edges<'a> {
    vhost: &'a Vhost,
    exchanges: &'a [Arc<Exchange>],
    /// The places of exchanges by their names; those that do not exist come after the others.
    by_name: HashMap<String, usize>,
    missing: Vec<String>,
    /// The parts that queues belong to, by the queues' addresses. What leads to other queues is left out.
    parts: HashMap<usize, usize>,
    /// The addresses of queues with bindings.
    bound: HashSet<usize>,
    ways: HashMap<(Node, Node, EdgeKind), Ways>,
    room: Room,
    /// What there was no room for.
    left_out: usize,
    /// Not all bindings were looked at.
    is_cut: bool,
}

fn address<T>(of: &Arc<T>) -> usize {
    Arc::as_ptr(of).addr()
}

impl<'a> Edges<'a> {
    /// Returns the edges between these exchanges and queues, of which `parts` has the places by their addresses.
    pub(super) fn find(
        vhost: &'a Vhost,
        exchanges: &'a [Arc<Exchange>],
        queues: &[Arc<Queue>],
        parts: HashMap<usize, usize>,
        room: Room,
    ) -> Self {
        let named = exchanges.iter().enumerate();
        let by_name = named.map(|(at, exchange)| (exchange.name().to_string(), at));
        let mut edges = Edges {
            vhost,
            exchanges,
            by_name: by_name.collect(),
            missing: Vec::new(),
            parts,
            bound: HashSet::new(),
            ways: HashMap::new(),
            room,
            left_out: 0,
            is_cut: false,
        };
        for (at, exchange) in exchanges.iter().enumerate() {
            edges.add_bindings(at, exchange);
            if let Some(alternate) = exchange.alternate() {
                let to = edges.exchange_named(alternate.as_str());
                edges.add(Node::Exchange(at), to, EdgeKind::Alternate, None);
            }
        }
        queues
            .iter()
            .for_each(|queue| edges.add_dead_letters(queue));
        edges
    }

    fn add_bindings(&mut self, at: usize, exchange: &Exchange) {
        let from = Node::Exchange(at);
        if self.room.bindings == 0 {
            let bindings = exchange.binding_count();
            self.left_out += bindings;
            self.is_cut |= bindings > 0;
            return;
        }
        exchange.each_binding(|binding| {
            let Some(room) = self.room.bindings.checked_sub(1) else {
                self.left_out += 1;
                self.is_cut = true;
                return;
            };
            self.room.bindings = room;
            let to = match &binding.destination {
                Destination::Queue(queue) => {
                    let address = address(queue);
                    let Some(part) = self.parts.get(&address) else {
                        return;
                    };
                    self.bound.insert(address);
                    Node::Part(*part)
                }
                Destination::Exchange(exchange) => {
                    match self.by_name.get(exchange.name().as_str()) {
                        Some(place) => Node::Exchange(*place),
                        // Declared just now.
                        None => return,
                    }
                }
            };
            self.add(from, to, EdgeKind::Binding, Some(binding.key.as_str()));
        });
    }

    fn add_dead_letters(&mut self, queue: &Arc<Queue>) {
        let Some(part) = self.parts.get(&address(queue)).copied() else {
            return;
        };
        let settings = queue.settings();
        let Some(exchange) = &settings.dead_letter_exchange else {
            return;
        };
        let key = settings.dead_letter_routing_key.as_deref();
        let key = key.map(String::from_utf8_lossy);
        let to = match exchange.as_str() {
            // Without a key of its own, a letter goes to whichever queue its message's key names.
            "" => {
                let queue = key.as_deref().and_then(|name| self.vhost.queue(name));
                let part = queue.and_then(|queue| self.parts.get(&address(&queue)).copied());
                match part {
                    Some(part) => Node::Part(part),
                    None => return,
                }
            }
            name => self.exchange_named(name),
        };
        self.add(Node::Part(part), to, EdgeKind::DeadLetter, key.as_deref());
    }

    /// Returns the node of an exchange, which may be missing.
    fn exchange_named(&mut self, name: &str) -> Node {
        if let Some(place) = self.by_name.get(name) {
            return Node::Exchange(*place);
        }
        let place = self.exchanges.len() + self.missing.len();
        self.missing.push(name.to_owned());
        self.by_name.insert(name.to_owned(), place);
        Node::Exchange(place)
    }

    fn add(&mut self, from: Node, to: Node, kind: EdgeKind, key: Option<&str>) {
        let has_room = self.ways.len() < self.room.ways;
        let ways = match self.ways.entry((from, to, kind)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) if has_room => new.insert(Ways::default()),
            Entry::Vacant(_) => {
                self.left_out += 1;
                return;
            }
        };
        ways.count += 1;
        if let Some(key) = key
            && ways.keys.len() < KEYS_MAX
            && !ways.keys.iter().any(|known| known == key)
        {
            ways.keys.push(key.to_owned());
        }
    }

    /// Returns whether a queue has a binding besides the implicit one, or may have one.
    pub(super) fn is_bound(&self, queue: &Arc<Queue>) -> bool {
        self.is_cut || self.bound.contains(&address(queue))
    }

    /// Returns the name of an exchange by its place.
    pub(super) fn name(&self, exchange: usize) -> &str {
        match self.exchanges.get(exchange) {
            Some(exchange) => exchange.name().as_str(),
            None => &self.missing[exchange - self.exchanges.len()],
        }
    }

    /// Returns the places of the exchanges that belong on the map: those that `wanted` accepts by their names, those that
    /// lead to a part of it, and those that these or the queues on it turn to.
    pub(super) fn exchanges_on_the_map(&self, wanted: impl Fn(&str) -> bool) -> Vec<usize> {
        let mut leading: HashMap<usize, Vec<usize>> = HashMap::new();
        let mut turning: HashMap<usize, Vec<usize>> = HashMap::new();
        let all = 0..self.exchanges.len() + self.missing.len();
        let mut next: Vec<usize> = all.filter(|at| wanted(self.name(*at))).collect();
        let mut found: HashSet<usize> = HashSet::new();
        let mut targets = Vec::new();
        for (from, to, kind) in self.ways.keys() {
            match (from, to) {
                (Node::Exchange(from), Node::Exchange(to)) => {
                    leading.entry(*to).or_default().push(*from);
                    if *kind == EdgeKind::Alternate {
                        turning.entry(*from).or_default().push(*to);
                    }
                }
                (Node::Exchange(from), Node::Part(_)) => next.push(*from),
                (Node::Part(_), Node::Exchange(to)) => targets.push(*to),
                (Node::Part(_), Node::Part(_)) => {}
            }
        }
        while let Some(exchange) = next.pop() {
            if found.insert(exchange) {
                next.extend(leading.get(&exchange).into_iter().flatten());
            }
        }
        targets.extend(found.iter().flat_map(|at| turning.get(at)).flatten());
        while let Some(exchange) = targets.pop() {
            if found.insert(exchange) {
                targets.extend(turning.get(&exchange).into_iter().flatten());
            }
        }
        found.into_iter().collect()
    }

    /// Returns the places of exchanges that something leads to or from.
    pub(super) fn linked(&self) -> HashSet<usize> {
        let mut linked = HashSet::new();
        for (from, to, _) in self.ways.keys() {
            for node in [from, to] {
                if let Node::Exchange(at) = node {
                    linked.insert(*at);
                }
            }
        }
        linked
    }

    /// Describes the edges between these exchanges and the parts, of which `part` returns the kind and the name. Returns how
    /// many are left out, too.
    pub(super) fn described(
        self,
        shown: &[usize],
        part: impl Fn(usize) -> (&'static str, String),
    ) -> (Vec<Edge>, usize) {
        let shown: HashSet<usize> = shown.iter().copied().collect();
        let is_shown = |node: &Node| match node {
            Node::Exchange(at) => shown.contains(at),
            Node::Part(_) => true,
        };
        let mut ways: Vec<_> = self.ways.iter().collect();
        ways.retain(|((from, to, _), _)| is_shown(from) && is_shown(to));
        if ways.len() > EDGES_MAX {
            ways.sort_by_key(|(edge, ways)| (std::cmp::Reverse(ways.count), **edge));
        }
        let not_shown = self.left_out + ways.len().saturating_sub(EDGES_MAX);
        ways.truncate(EDGES_MAX);
        ways.sort_by_key(|(edge, _)| **edge);
        let label = |node: &Node| match node {
            Node::Exchange(at) => ("exchange", self.name(*at).to_owned()),
            Node::Part(at) => part(*at),
        };
        let edges = ways.into_iter().map(|((from, to, kind), ways)| Edge {
            from: label(from),
            to: label(to),
            kind: *kind,
            keys: ways.keys.clone(),
            count: ways.count,
        });
        (edges.collect(), not_shown)
    }
}
