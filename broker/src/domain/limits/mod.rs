//! What an operator allows a virtual host or a user (RabbitMQ: "Per Virtual Host Limits", "Per
//! User Resource Limits"): the limits, and the count of who is there.

mod definition;
mod tally;

pub use definition::{LimitError, UserLimits, VhostLimits};
pub use tally::{ChannelsFull, Entry, Full, Seat, Tally};
