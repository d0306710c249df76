//! What connections tell an administrator about themselves.

use leveret_protocol::ChannelId;

/// A connection's channels, as its own task sees them.
#[derive(Clone, Debug, Default)]
pub struct ConnectionReport {
    /// Its open channels.
    pub channels: Vec<ChannelReport>,
}

/// One channel.
#[derive(Clone, Debug)]
pub struct ChannelReport {
    /// Its number.
    pub number: ChannelId,
    /// In confirm mode.
    pub confirm: bool,
    /// In transactional mode.
    pub transactional: bool,
    /// Publishes that wait for the commit.
    pub uncommitted: u64,
    /// Acknowledgements that wait for the commit.
    pub uncommitted_acks: u64,
    /// Consumers on it.
    pub consumers: u64,
    /// Deliveries it has not acknowledged.
    pub unacknowledged: u64,
    /// Publishes that are not confirmed yet.
    pub unconfirmed: u64,
    /// Prefetch of consumers that are started next; 0 for no limit.
    pub prefetch: u32,
    /// Prefetch of the channel as a whole; 0 for no limit.
    pub global_prefetch: u32,
}
