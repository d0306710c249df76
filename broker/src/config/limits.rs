//! What the broker offers to clients.

use super::Config;
use std::time::Duration;

/// What the broker offers to clients (RabbitMQ: "Networking").
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Channels per connection; 0 for no limit but the protocol's.
    pub channel_max: u16,
    /// Octets per frame.
    pub frame_max: u32,
    /// Seconds between heartbeats; 0 for none.
    pub heartbeat: u16,
    /// Octets of a message body.
    pub max_message_size: u64,
    /// Octets that a connection's transactions may hold before they are committed.
    pub max_transaction_size: u64,
    /// How long a consumer may hold a delivery, unless it or its queue says otherwise.
    pub consumer_timeout: Option<Duration>,
    /// Connections at a time.
    pub connection_max: Option<u64>,
    /// Channels at a time, on all connections together.
    pub channel_max_per_node: Option<u64>,
    /// Consumers on one channel.
    pub consumer_max_per_channel: Option<u64>,
}

impl Default for Limits {
    /// Those of a broker that was told nothing.
    fn default() -> Self {
        (&Config::with_data_dir(std::path::PathBuf::new())).into()
    }
}

impl From<&Config> for Limits {
    fn from(config: &Config) -> Self {
        Limits {
            channel_max: config.channel_max,
            frame_max: config.frame_max,
            heartbeat: config.heartbeat,
            max_message_size: config.max_message_size,
            consumer_timeout: config.consumer_timeout,
            connection_max: config.connection_max,
            channel_max_per_node: config.channel_max_per_node,
            consumer_max_per_channel: config.consumer_max_per_channel,
            max_transaction_size: config.max_transaction_size,
        }
    }
}
