//! What must survive a restart: a commit log in front, sled behind.
//!
//! The store knows bytes and queue ids, not AMQP. Submitted batches are written to the commit log by one storage thread
//! (group commit: one write and one sync for everything that waits) and their tokens given back once they are durable. A
//! second thread folds closed log segments into sled, where whatever is older lives. See the modules for the parts:
//! `record` and `segment` for the log's format, `log` and `writer` for writing it, `contents`, `fold` and `checkpoint` for
//! the way into sled, `schema`, `messages` and `sled_store` for what is there, `catalogue` and `read` for finding it
//! again, `recover` for opening. `spill` is apart: a place for what leaves memory and need not survive.
//!
//! Promises:
//! - A token is given back only when its operation is on disk (or its message was acknowledged before it was written).
//! - Batches become durable in the order of submission, each as a whole.
//! - What is read back matched its checksum; damage is an error that names what is lost.

mod backup;
mod block;
mod catalogue;
mod census;
mod checkpoint;
mod chunk_entry;
mod commit;
mod contents;
mod convert;
mod definitions;
mod directory;
mod error;
mod extents;
mod fold;
mod housekeeping;
mod inbox;
mod io;
mod log;
mod messages;
mod options;
mod ranges;
mod read;
mod record;
mod recover;
mod replay;
mod room;
pub mod salvage;
mod schema;
mod segment;
mod sled_again;
mod sled_format;
mod sled_store;
mod sled_sync;
mod sled_watch;
mod sleds;
mod spill;
mod stats;
mod store;
#[cfg(test)]
mod tests;
mod types;
mod usage;
mod volume_file;
mod volumes;
mod writer;

pub use error::StorageError;
pub use options::{Options, Weigh};
pub use room::{FreeSpace, free_space};
pub use spill::{Spill, Spilled};
pub use stats::{Extent, Health, RecoveredQueue, Report, Stats};
pub use store::{Group, Opened, Store};
pub use types::{Batch, CommitSink, Op, Position, QueueId, Storable, Token};
