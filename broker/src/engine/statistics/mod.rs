//! What happens to messages, in numbers: plain counters for those who hold a lock or own a task, atomic sums for what
//! many share, and how both were some time ago.
//!
//! Counting belongs here, and what is kept of it; when samples are taken and how they are shown does not. No counter
//! costs an atomic or a lock per message: machines count under their own lock, connections in their own task, and both add
//! what a batch amounts to.

mod broker;
mod churn;
mod dead_letters;
mod history;
mod message_sizes;
mod message_stats;
mod queue_sums;
mod ring;
mod tracked;
mod traffic;
mod utilisation;

pub use broker::{Statistics, VhostStatistics, VhostSums};
pub use churn::{Churn, ChurnCounter, ChurnCounts};
pub use dead_letters::{DeadLetterCounts, SharedDeadLetters, Strategy};
pub use history::{History, Retention, Row};
pub use message_sizes::{MessageSizes, SIZE_BOUNDS, SharedMessageSizes};
pub use message_stats::{MessageStats, SharedMessageStats};
pub use queue_sums::{QueueSums, Share, SharedQueueSums};
pub use ring::RingMemory;
pub use tracked::{Moved, Tracked};
pub use traffic::{ExchangeCounts, SharedTraffic, Traffic};
pub use utilisation::Utilisation;
