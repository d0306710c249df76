//! The limits of virtual hosts and users (RabbitMQ: "Per Virtual Host Limits", "Per User Resource
//! Limits"), and the counts of connections and channels that they apply to.
//!
//! Where a limit is checked, and the refusal that a client gets, do not belong here.

mod definition;
mod usage;
mod vhost_defaults;

pub use definition::{LimitError, UserLimits, VhostLimits};
pub use usage::{ChannelLimit, ConnectionAttempt, ConnectionLimit, UsageCounts, UsageGuard};
pub use vhost_defaults::VhostDefaults;
