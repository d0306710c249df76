//! The durable store: a commit log in front, sled behind.
//!
//! The store handles bytes and queue ids and knows nothing of AMQP. One storage thread writes submitted batches to the
//! commit log (group commit: one write and one sync for everything that is waiting) and gives back their tokens once
//! they are durable. A second thread, the checkpoint, folds closed log segments into sled, which holds everything
//! older. The modules: `record` and `segment` define the log's format, `log` and `writer` write it, `contents`, `fold`
//! and `checkpoint` move it into sled, `schema`, `messages` and `sled_store` store it there, `catalogue` and `read`
//! find it again, and `recover` opens a store. `presence` notices that the files are deleted
//! meanwhile. `spill` is separate: it holds data that leaves memory and need not
//! survive a restart. `sled_reopen` replaces the database inside a `SledStore`, so these two import each other.
//!
//! What does not belong here: what the bytes mean, and when a message may be forgotten. The broker says both.
//!
//! Promises:
//! - A token is given back only when its operation is on disk, or its message was acknowledged before it was written.
//! - Batches become durable in the order of submission, and each as a whole.
//! - Everything read back matches its checksum; damage is an error that names what is lost.

mod advice;
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
mod disk_space;
mod error;
mod extents;
mod fold;
mod housekeeping;
mod inbox;
mod io;
mod log;
mod messages;
mod options;
mod presence;
mod progress;
mod pulse;
mod ranges;
mod read;
mod record;
mod recover;
mod replay;
pub mod salvage;
mod schema;
mod segment;
mod sled_format;
mod sled_reopen;
mod sled_store;
mod sled_sync;
mod sled_watchdog;
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
pub use options::{FreeSpace, Options, Weigh, free_space};
pub use progress::{Progress, Stage, Step};
pub use spill::{Spill, Spilled};
pub use stats::{Extent, Health, Latency, RecoveredQueue, Report, Stats};
pub use store::{Group, Opened, Store};
pub use types::{Batch, CommitSink, Op, Position, QueueId, Storable, Token};
