//! The map of a virtual host: its exchanges and queues, what leads from one to the other, and how much goes which way.
//!
//! A picture can hold so many nodes: of more queues, those with the same beginning of their names make a group. `groups`
//! decides which, `edges` finds what leads where. How the picture is drawn does not belong here.

mod edges;
mod groups;
mod nodes;
#[cfg(test)]
mod tests;

pub use edges::{Edge, EdgeKind};
pub use nodes::{MapExchange, MapGroup, MapQueue};

use crate::domain::broker::Broker;
use crate::domain::vhost::{SYSTEM_PREFIX, Vhost};
use crate::engine::exchange::Exchange;
use crate::engine::queue::Queue;
use edges::{Edges, Room};
use groups::Part;
use nodes::Rates;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;
use utoipa::ToSchema;

/// The queues and groups on a map at most.
const QUEUES_MAX: usize = 200;
/// The exchanges on a map at most.
const EXCHANGES_MAX: usize = 200;

/// A virtual host as a picture.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Map {
    /// The exchanges.
    pub exchanges: Vec<MapExchange>,
    /// The queues that stand for themselves.
    pub queues: Vec<MapQueue>,
    /// Queues with the same beginning of their names, together.
    pub groups: Vec<MapGroup>,
    /// What leads where.
    pub edges: Vec<Edge>,
    /// How many edges are left out, at least: what there are too many of to look at counts one each.
    pub edges_not_shown: usize,
    /// How many queues the virtual host has.
    pub total_queues: usize,
    /// How many of them were asked for.
    pub matching_queues: usize,
    /// How many exchanges the virtual host has, the default exchange not counted.
    pub total_exchanges: usize,
    /// How many of them were asked for, or lead to what was.
    pub matching_exchanges: usize,
}

/// Which part of a virtual host is asked for.
#[derive(Clone, Debug, Default)]
pub struct MapFilter {
    /// In lower case.
    name: String,
    prefix: String,
}

impl MapFilter {
    /// Returns a filter for queues and exchanges whose names contain `name`, whatever its case, and queues whose names begin
    /// with `prefix`, too; empty for all.
    pub fn new(name: &str, prefix: String) -> Self {
        MapFilter {
            name: name.to_lowercase(),
            prefix,
        }
    }

    fn is_everything(&self) -> bool {
        self.name.is_empty() && self.prefix.is_empty()
    }

    fn has_queue(&self, name: &str) -> bool {
        name.starts_with(&self.prefix) && self.contains(name)
    }

    /// Returns whether an exchange is shown for its own sake.
    fn has_exchange(&self, name: &str) -> bool {
        match self.name.is_empty() {
            true => self.prefix.is_empty(),
            false => self.contains(name),
        }
    }

    fn contains(&self, name: &str) -> bool {
        self.name.is_empty() || name.to_lowercase().contains(&self.name)
    }
}

/// A node of the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Node {
    /// An exchange, by its place among all of the virtual host, those that are missing after the others.
    Exchange(usize),
    /// A queue or a group, by its place among the parts.
    Part(usize),
}

impl Map {
    /// Draws the part of a virtual host that is asked for.
    pub fn of(broker: &Broker, vhost: &Vhost, filter: &MapFilter) -> Self {
        let (exchanges, mut queues) = (vhost.exchanges(), vhost.queues());
        let total_queues = queues.len();
        if !filter.is_everything() {
            queues.retain(|queue| filter.has_queue(queue.name().as_str()));
        }
        let names: Vec<&str> = queues.iter().map(|queue| queue.name().as_str()).collect();
        let parts = groups::parts(&names, &filter.prefix, QUEUES_MAX);
        let places = places(&queues, &parts);
        let edges = Edges::find(vhost, &exchanges, &queues, places, Room::default());
        let rates = Rates::of(broker);
        let (shown, matching_exchanges) = shown_exchanges(&edges, &exchanges, filter, &rates);
        let mut map = Map {
            total_queues,
            matching_queues: queues.len(),
            total_exchanges: exchanges.len(),
            matching_exchanges,
            ..Map::default()
        };
        let described = shown.iter().map(|at| match exchanges.get(*at) {
            Some(exchange) => MapExchange::of(exchange, &rates),
            None => MapExchange::missing(edges.name(*at)),
        });
        map.exchanges = described.collect();
        for part in &parts {
            let members = part.members.iter().map(|at| &queues[*at]);
            let is_bound = |queue: &Arc<Queue>| edges.is_bound(queue);
            match &part.prefix {
                None => {
                    let described =
                        members.map(|queue| MapQueue::of(queue, is_bound(queue), &rates));
                    map.queues.extend(described);
                }
                Some(prefix) => {
                    let group = MapGroup::of(prefix, members, is_bound, &rates);
                    map.groups.push(group);
                }
            }
        }
        let label = |at: usize| match &parts[at] {
            Part {
                prefix: Some(prefix),
                ..
            } => ("group", prefix.clone()),
            Part { members, .. } => {
                let name = members.first().map(|at| names[*at]);
                ("queue", name.unwrap_or_default().to_owned())
            }
        };
        (map.edges, map.edges_not_shown) = edges.described(&shown, label);
        map
    }
}

/// Returns the places of the exchanges to show, and how many there would be if there was room: those with the most traffic
/// and bindings are shown first. The system's exchanges are shown only if they are in use.
fn shown_exchanges(
    edges: &Edges<'_>,
    exchanges: &[Arc<Exchange>],
    filter: &MapFilter,
    rates: &Rates<'_>,
) -> (Vec<usize>, usize) {
    let mut shown = edges.exchanges_on_the_map(|name| filter.has_exchange(name));
    let linked = edges.linked();
    let rate = |at: usize| exchanges.get(at).map_or(0.0, |it| rates.of_exchange(it).0);
    if filter.name.is_empty() {
        shown.retain(|at| {
            let is_system = edges.name(*at).starts_with(SYSTEM_PREFIX);
            !is_system || linked.contains(at) || rate(*at) > 0.0
        });
    }
    let matching = shown.len();
    if matching > EXCHANGES_MAX {
        let weight = |at: usize| {
            let bindings = exchanges.get(at).map_or(0, |it| it.binding_count());
            (rate(at), bindings)
        };
        let mut weighed: Vec<_> = shown.into_iter().map(|at| (weight(at), at)).collect();
        weighed.sort_by(|((a, a_bindings), a_at), ((b, b_bindings), b_at)| {
            let heavier = b.total_cmp(a).then(b_bindings.cmp(a_bindings));
            heavier.then(a_at.cmp(b_at))
        });
        weighed.truncate(EXCHANGES_MAX);
        shown = weighed.into_iter().map(|(_, at)| at).collect();
    }
    shown.sort_unstable();
    (shown, matching)
}

/// Returns the part that each queue belongs to, by the queues' addresses.
fn places(queues: &[Arc<Queue>], parts: &[Part]) -> HashMap<usize, usize> {
    let mut places = HashMap::with_capacity(queues.len());
    for (place, part) in parts.iter().enumerate() {
        for member in &part.members {
            places.insert(Arc::as_ptr(&queues[*member]).addr(), place);
        }
    }
    places
}
