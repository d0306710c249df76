//! The limits of virtual hosts and users (RabbitMQ: "Per Virtual Host Limits", "Per User Resource
//! Limits"), and the counts of connections and channels that they apply to.

mod definition;
mod usage;

pub use definition::{LimitError, UserLimits, VhostLimits};
pub use usage::{ChannelLimit, ConnectionAttempt, ConnectionLimit, UsageCounts, UsageGuard};
