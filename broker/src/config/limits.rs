//! The limits that apply to clients.

use super::Config;
use std::time::Duration;

/// The limits that apply to clients (RabbitMQ: "Networking").
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The maximum number of channels per connection; 0 for the protocol's limit only.
    pub channel_max: u16,
    /// The maximum frame size in bytes.
    pub frame_max: u32,
    /// The heartbeat interval in seconds; 0 for none.
    pub heartbeat: u16,
    /// The maximum size of a message body in bytes.
    pub max_message_size: u64,
    /// The maximum size in bytes of the uncommitted messages in one connection's transactions.
    pub max_transaction_size: u64,
    /// How long a consumer may take to acknowledge a delivery, unless it or its queue overrides this.
    pub consumer_timeout: Option<Duration>,
    /// The maximum number of connections.
    pub connection_max: Option<u64>,
    /// The maximum number of channels on all connections together.
    pub channel_max_per_node: Option<u64>,
    /// The maximum number of consumers per channel.
    pub consumer_max_per_channel: Option<u64>,
}

impl Default for Limits {
    /// Returns the limits of a broker with default settings.
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
