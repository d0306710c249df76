//! The sizes of pools and limits.

/// Bytes that every connection may hold, regardless of others.
pub const ALWAYS_ALLOWED: u64 = 64 << 10;
/// The same when there is enough room.
const ALWAYS_MAX: u64 = 4 << 20;
/// The fraction of the watermark that all connections together may hold in that way.
const ALWAYS_DIVISOR: u64 = 8;
/// The fraction of the watermark that no connection may exceed.
const CONNECTION_MAX_DIVISOR: u64 = 4;

/// Bytes of deliveries that may wait for a peer to read them.
pub const WAITING: usize = 1 << 20;
/// The same when all peers together hold more deliveries than they should.
pub const WAITING_WHEN_SHORT: usize = 64 << 10;
/// The same when no more deliveries are to be sent at all.
pub(super) const STOPPED: usize = 0;

/// Bytes read from streams that may wait to be delivered, for all consumers together.
pub(super) const READ_AHEAD: u64 = 16 << 20;

/// The pools that peers' memory is divided into. They are separate so that consumers that hold their maximum do not
/// keep others from publishing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pool {
    /// Deliveries: when there are too many, consumers get no more.
    Deliveries,
    /// Requests: the one that exceeds the limit is refused.
    Requests,
}

impl Pool {
    pub(super) const ALL: [Pool; 2] = [Pool::Deliveries, Pool::Requests];

    /// Returns the size of the pool for a watermark of `mark` bytes: three eighths for deliveries and a quarter for
    /// requests; an eighth each while memory is tight.
    pub(super) fn size(self, mark: u64, tight: bool) -> u64 {
        match (self, tight) {
            (Pool::Deliveries, false) => mark / 8 * 3,
            (Pool::Requests, false) => mark / 4,
            (_, true) => mark / 8,
        }
    }
}

/// Returns the bytes that each connection may hold of a pool of which `held` are in use: twice what is left.
pub(super) fn limit(size: u64, held: u64, mark: u64, connections: u64) -> u64 {
    let always = (mark / ALWAYS_DIVISOR / connections.max(1)).clamp(ALWAYS_ALLOWED, ALWAYS_MAX);
    let left = size.saturating_sub(held);
    left.saturating_mul(2)
        .min(mark / CONNECTION_MAX_DIVISOR)
        .max(always)
}
