//! Queues: a pure machine per queue, and the lock around it.

pub mod arguments;
mod consumer;
mod credit;
mod effects;
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
pub use effects::Effects;
pub use handle::{Incoming, Queue, QueueSpec};
pub use machine::{AfterRemoval, ConsumeRefused, Counts, Remains};
pub use ready::Entry;
pub use settings::{QueueKind, Settings, age as max_age};
pub use transfer::Transfer;
