//! Queues: a pure machine per queue, and the lock around it.
//!
//! Files import one another in circles here, on purpose. Each rule (`activity`, `expiry`, `limits`, `dead_letter`,
//! `outbox`, `returned` with `waiting`) keeps the state that [`Machine`](machine::Machine) holds for it beside its own part
//! of `impl Machine`, so that a rule can be read in one place. A consumer names its queue (`handle`), which knows its
//! consumers (`consumers`, `single_active`); `effects` and `outcome` name both.

mod activity;
pub mod arguments;
#[cfg(test)]
mod commit_tests;
mod consumer;
mod consumers;
mod credit;
mod dead_letter;
mod delivery_count;
mod effects;
mod entry;
mod expiry;
mod handle;
pub mod ignored;
mod kept_arguments;
mod limits;
mod line;
mod listing;
mod machine;
#[cfg(test)]
mod model_tests;
mod outbox;
mod outcome;
pub mod paging;
mod priority;
mod ready;
mod retry;
mod return_headers;
mod returned;
mod settings;
mod single_active;
mod spec;
mod stored;
mod transfer;
mod waiting;

pub use consumer::{Consumer, ConsumerId};
pub use credit::Credit;
pub use dead_letter::{DeadLetter, Origin, Reason};
pub use delivery_count::DeliveryCount;
pub use effects::{Effects, Environment};
pub use entry::{Entry, Return, Returns};
pub use handle::{Incoming, Queue};
pub use ignored::Ignored;
pub use kept_arguments::KeptArguments;
pub use outbox::Outgoing;
pub use outcome::{AfterRemoval, ConsumeRefused, Counts, Deleted, Parked};
pub use retry::{Retry, RetryKind};
pub use returned::Found;
pub use settings::{QueueKind, Settings, age};
pub use spec::QueueSpec;
pub use stored::{body_bytes, decode};
pub use transfer::Transfer;
