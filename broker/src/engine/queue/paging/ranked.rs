//! A message with its rank: what is sorted, and what a page of that holds.

use crate::engine::queue::entry::Entry;

/// The rank of a message: lower ones come first.
pub type Rank = (u64, u64);

/// A message with additional state.
#[derive(Clone, Debug)]
pub struct Ranked {
    /// The message.
    pub entry: Entry,
    /// Routing keys besides the message's own, of one that still has to be routed.
    pub more_keys: Option<Box<MoreKeys>>,
}

/// Routing keys besides the first.
pub type MoreKeys = Box<[Box<[u8]>]>;

/// A page of ranked messages.
pub type RankedPage = Vec<(Rank, Ranked)>;

/// Bytes that a slot takes besides the message.
const PLACE: u64 = (size_of::<Rank>() + size_of::<usize>()) as u64;

impl Ranked {
    /// Creates a message without additional state.
    pub fn new(entry: Entry) -> Self {
        Ranked {
            entry,
            more_keys: None,
        }
    }

    /// Returns the bytes it takes in memory.
    pub fn weight(&self) -> u64 {
        let keys = self.more_keys.iter().flat_map(|keys| keys.iter());
        let keys = keys.map(|key| (size_of_val(key) + key.len()) as u64);
        PLACE + self.entry.weight() + keys.sum::<u64>()
    }
}
