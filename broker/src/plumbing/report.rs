//! What connections report about themselves to an administrator.

use crate::engine::statistics::{MessageStats, Tracked};
use leveret_protocol::ChannelId;
use std::sync::Arc;

/// A connection's channels, as its own task sees them.
#[derive(Clone, Debug, Default)]
pub struct ConnectionReport {
    /// Its open channels.
    pub channels: Vec<ChannelReport>,
    /// What its channels have counted, including those that have closed.
    pub stats: MessageStats,
}

/// One channel.
#[derive(Clone, Debug)]
pub struct ChannelReport {
    /// Its number.
    pub number: ChannelId,
    /// It is in confirm mode.
    pub confirm: bool,
    /// It is in transactional mode.
    pub transactional: bool,
    /// Publishes that wait for the commit.
    pub uncommitted: u64,
    /// Acknowledgements that wait for the commit.
    pub uncommitted_acks: u64,
    /// Its consumers.
    pub consumers: u64,
    /// Unacknowledged deliveries.
    pub unacknowledged: u64,
    /// Publishes that are not confirmed yet.
    pub unconfirmed: u64,
    /// Prefetch for consumers that are started from now on; 0 for no limit.
    pub prefetch: u32,
    /// Prefetch of the channel as a whole; 0 for no limit.
    pub global_prefetch: u32,
    /// What it has counted.
    pub stats: MessageStats,
    /// Its history.
    pub tracked: Arc<Tracked>,
}
