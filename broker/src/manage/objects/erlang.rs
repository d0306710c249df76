//! Keys of RabbitMQ's objects about Erlang's runtime, which clients may read. Here they are zero.

use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

/// What RabbitMQ says about the Erlang process of an object.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub struct ErlangProcess {
    /// The collections of its garbage.
    garbage_collection: GarbageCollection,
    /// The work that it has done.
    reductions: u64,
    /// How that changes.
    reductions_details: Rate,
}

#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
struct GarbageCollection {
    fullsweep_after: u64,
    max_heap_size: u64,
    min_bin_vheap_size: u64,
    min_heap_size: u64,
    minor_gcs: u64,
}

#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
struct Rate {
    rate: f64,
}

/// The figures of a node that only Erlang's runtime and RabbitMQ's files have.
const NODE_FIGURES: [&str; 20] = [
    "context_switches",
    "gc_bytes_reclaimed",
    "gc_num",
    "io_read_avg_time",
    "io_read_bytes",
    "io_read_count",
    "io_reopen_count",
    "io_seek_avg_time",
    "io_seek_count",
    "io_sync_avg_time",
    "io_sync_count",
    "io_write_avg_time",
    "io_write_bytes",
    "io_write_count",
    "mnesia_disk_tx_count",
    "mnesia_ram_tx_count",
    "msg_store_read_count",
    "msg_store_write_count",
    "queue_index_read_count",
    "queue_index_write_count",
];

/// Returns the figures of a node that are zero here, with their rates.
pub(super) fn node_figures() -> Map<String, Value> {
    let mut figures = Map::new();
    for name in NODE_FIGURES {
        figures.insert(name.to_owned(), 0.into());
        figures.insert(format!("{name}_details"), json!(Rate::default()));
    }
    figures
}
