//! A message in one queue.

use crate::clock::Time;
use crate::message::SharedMessage;
use leveret_storage::Position;

/// A message in one queue: as large as its place, a pointer and one word.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its place in the queue's order, kept when it is requeued.
    pub position: Position,
    /// The message.
    pub message: SharedMessage,
    state: State,
}

/// What a queue remembers of a message, in one word: from the highest bit whether it was delivered
/// before, 15 bits that count how often it came back, and 48 bits of the millisecond in which it
/// expires, 0 when it does not.
#[derive(Clone, Copy, Debug, Default)]
struct State(u64);

const REDELIVERED: u64 = 1 << 63;
const COUNT_SHIFT: u32 = 48;
/// The most that are counted; there it stays.
const COUNT_MAX: u16 = 0x7fff;
const COUNT: u64 = (COUNT_MAX as u64) << COUNT_SHIFT;
const EXPIRY: u64 = (1 << COUNT_SHIFT) - 1;

impl Entry {
    /// A message that has just come.
    pub fn new(position: Position, message: SharedMessage) -> Self {
        Entry {
            position,
            message,
            state: State::default(),
        }
    }

    /// Bytes that it takes in memory; see [`Message::weight`](crate::message::Message::weight).
    pub fn weight(&self) -> u64 {
        size_of::<Entry>() as u64 + self.message.weight()
    }

    /// All that is known of it besides the message, for whoever writes it down.
    pub(super) fn word(&self) -> u64 {
        self.state.0
    }

    /// A message as it was written down.
    pub(super) fn with_word(position: Position, message: SharedMessage, word: u64) -> Self {
        Entry {
            position,
            message,
            state: State(word),
        }
    }

    /// Whether it was given to a consumer before (basic.deliver's `redelivered`).
    pub fn redelivered(&self) -> bool {
        self.state.0 & REDELIVERED != 0
    }

    /// It was given to a consumer, who may have acted upon it.
    pub fn mark_redelivered(&mut self) {
        self.state.0 |= REDELIVERED;
    }

    /// How often it came back from a consumer, 32 767 at most. Only queues that limit this count.
    pub fn delivery_count(&self) -> u16 {
        // 15 bits.
        ((self.state.0 & COUNT) >> COUNT_SHIFT) as u16
    }

    /// It came back so often; see [`Entry::delivery_count`].
    pub fn set_delivery_count(&mut self, count: u16) {
        let count = u64::from(count.min(COUNT_MAX)) << COUNT_SHIFT;
        self.state.0 = self.state.0 & !COUNT | count;
    }

    /// When it expires.
    pub fn expiry(&self) -> Option<Time> {
        match self.state.0 & EXPIRY {
            0 => None,
            millis => Some(Time::from_millis(millis)),
        }
    }

    /// It expires in the millisecond of this time, or never.
    pub fn set_expiry(&mut self, at: Option<Time>) {
        // Those after the year 10 000 can wait until then.
        let millis = at.map_or(0, |at| at.millis().clamp(1, EXPIRY));
        self.state.0 = self.state.0 & !EXPIRY | millis;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::MessageBuilder;
    use std::sync::Arc;

    #[test]
    fn an_entry_is_small_and_its_parts_do_not_touch_each_other() {
        assert_eq!(size_of::<Entry>(), 24);
        let message = MessageBuilder::new(b"", b"", &[0, 0], true, 0).finish(true);
        let mut entry = Entry::new(Position(1), Arc::new(message));
        let parts = |e: &Entry| {
            (
                e.redelivered(),
                e.delivery_count(),
                e.expiry().map(Time::millis),
            )
        };
        assert_eq!(parts(&entry), (false, 0, None));
        entry.set_expiry(Some(Time::from_millis(1_800_000_000_000)));
        assert_eq!(parts(&entry), (false, 0, Some(1_800_000_000_000)));
        entry.set_delivery_count(7);
        entry.mark_redelivered();
        assert_eq!(parts(&entry), (true, 7, Some(1_800_000_000_000)));
        entry.set_delivery_count(u16::MAX);
        entry.set_expiry(Some(Time::from_millis(u64::MAX)));
        assert_eq!(parts(&entry), (true, COUNT_MAX, Some(EXPIRY)));
        entry.set_expiry(None);
        entry.set_delivery_count(0);
        assert_eq!(parts(&entry), (true, 0, None));
        entry.set_expiry(Some(Time::from_millis(0)));
        assert_eq!(entry.expiry(), Some(Time::from_millis(1)), "not never");
    }
}
