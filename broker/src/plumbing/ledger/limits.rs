//! How much is how much.

/// Bytes that every connection may hold, whatever others hold.
pub const ALWAYS: u64 = 64 << 10;
/// The same where there is room for it.
const ALWAYS_MAX: u64 = 4 << 20;
/// All connections together may hold this part of the watermark in that way.
const ALWAYS_SHARE: u64 = 8;
/// Nobody holds more than this part of the watermark.
const ONE_SHARE: u64 = 4;

/// Bytes of deliveries that may wait for a peer to read them.
pub const WAITING: usize = 1 << 20;
/// The same when all peers together hold more deliveries than they should.
pub const WAITING_WHEN_SHORT: usize = 64 << 10;
/// The same when no more deliveries are to be sent at all.
pub(super) const STOPPED: usize = 0;

/// Bytes that were read from streams and may wait to be delivered, for all consumers together.
pub(super) const READ_AHEAD: u64 = 16 << 20;

/// What the memory of peers is divided into. They are kept apart so that consumers who hold all that they may do not
/// keep others from publishing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pool {
    /// What peers were sent: their consumers get no more when it is too much.
    Deliveries,
    /// What peers have sent: the request that makes it too much is refused.
    Requests,
}

impl Pool {
    pub(super) const ALL: [Pool; 2] = [Pool::Deliveries, Pool::Requests];

    /// Bytes that it should have at most, of a watermark of so many: three eighths for deliveries and a quarter for
    /// requests; an eighth each while memory is tight.
    pub(super) fn size(self, mark: u64, tight: bool) -> u64 {
        match (self, tight) {
            (Pool::Deliveries, false) => mark / 8 * 3,
            (Pool::Requests, false) => mark / 4,
            (_, true) => mark / 8,
        }
    }
}

/// Bytes that each of so many connections may hold of a pool of which so many are held: twice what is left.
pub(super) fn limit(size: u64, held: u64, mark: u64, connections: u64) -> u64 {
    let always = (mark / ALWAYS_SHARE / connections.max(1)).clamp(ALWAYS, ALWAYS_MAX);
    let left = size.saturating_sub(held);
    left.saturating_mul(2).min(mark / ONE_SHARE).max(always)
}
