//! Queues: a pure machine per queue, and the lock around it.

pub mod arguments;
mod consumer;
mod credit;
mod effects;
mod entry;
mod handle;
mod limits;
mod machine;
#[cfg(test)]
mod model_tests;
mod ready;
mod settings;
mod transfer;

pub use consumer::{Consumer, ConsumerId};
pub use credit::Credit;
pub use effects::{Effects, Surroundings};
pub use entry::Entry;
pub use handle::{Incoming, Queue, QueueSpec};
pub use machine::{AfterRemoval, ConsumeRefused, Counts, Remains};
pub use settings::{QueueKind, Settings};
pub use transfer::Transfer;
