//! What each endpoint shows.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// Which metrics are asked for.
#[derive(Clone, Debug)]
pub enum Endpoint {
    /// `/metrics`: the sums of all objects.
    Aggregated,
    /// `/metrics/per-object`: every object.
    PerObject,
    /// `/metrics/detailed`: chosen families of chosen objects.
    Detailed(Selection),
    /// `/metrics/memory-breakdown`: memory by what has it.
    MemoryBreakdown,
}

impl Endpoint {
    /// Returns its name in the label `rabbitmq_endpoint`.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Endpoint::Aggregated => "aggregated",
            Endpoint::PerObject => "per-object",
            Endpoint::Detailed(_) => "detailed",
            Endpoint::MemoryBreakdown => "memory-breakdown",
        }
    }
}

/// Says which names are accepted.
pub type NameFilter = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// What `/metrics/detailed` is asked for.
#[derive(Clone, Default)]
pub struct Selection {
    /// The names of families; those that do not exist are ignored, as in RabbitMQ.
    pub families: BTreeSet<String>,
    /// Only the objects in these virtual hosts; `None` for all.
    pub vhosts: Option<BTreeSet<String>>,
    /// Only queues whose names this accepts.
    pub queues: Option<NameFilter>,
}

impl fmt::Debug for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Selection")
            .field("families", &self.families)
            .field("vhosts", &self.vhosts)
            .finish_non_exhaustive()
    }
}

impl Selection {
    pub(super) fn has_vhost(&self, name: &str) -> bool {
        self.vhosts
            .as_ref()
            .is_none_or(|vhosts| vhosts.contains(name))
    }

    pub(super) fn has_queue(&self, name: &str) -> bool {
        self.queues.as_ref().is_none_or(|accepts| accepts(name))
    }
}
