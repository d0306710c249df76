//! A message in one queue.

use crate::engine::clock::Time;
use crate::engine::message::SharedMessage;
use leveret_storage::Position;

/// A message in one queue: a position, a pointer and one word.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its position in the queue, kept when it is requeued.
    pub position: Position,
    /// The message.
    pub message: SharedMessage,
    state: State,
}

/// The queue's state of a message in one word: from the highest bit whether it was delivered before, 11 bits counting
/// its failed deliveries, 10 counting its other returns, and 42 bits for the millisecond in which it expires, 0 if it
/// does not.
#[derive(Clone, Copy, Debug, Default)]
struct State(u64);

const REDELIVERED: u64 = 1 << 63;
const FAILED_SHIFT: u32 = 52;
const RELEASED_SHIFT: u32 = 42;
const EXPIRY: u64 = (1 << RELEASED_SHIFT) - 1;
const COUNTS: u64 = !REDELIVERED & !EXPIRY;

/// How often a message came back from consumers. Counted only by queues that limit or delay this.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Returns {
    /// Its failed deliveries (`x-delivery-count`), at most 2047.
    pub failed: u16,
    /// Its other returns, at most 1023.
    pub released: u16,
}

/// How a delivery comes back to its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// It never reached the client: its state does not change.
    Unseen,
    /// The client released it (basic.nack, basic.recover).
    Released,
    /// The delivery failed: the client rejected it, or ended without settling it.
    Failed,
}

impl Returns {
    /// The maximum count of failed deliveries.
    pub const FAILED_MAX: u16 = 0x7ff;
    /// The maximum count of other returns.
    pub const RELEASED_MAX: u16 = 0x3ff;

    /// Returns their sum (`x-acquired-count`).
    pub fn all(self) -> u16 {
        self.failed + self.released
    }

    /// Returns whether there was none.
    pub fn is_zero(self) -> bool {
        self.all() == 0
    }

    /// Returns the counts plus one more return.
    pub fn and(self, how: Return) -> Returns {
        let Returns { failed, released } = self;
        match how {
            Return::Unseen => self,
            Return::Released => Returns {
                released: (released + 1).min(Self::RELEASED_MAX),
                ..self
            },
            Return::Failed => Returns {
                failed: (failed + 1).min(Self::FAILED_MAX),
                ..self
            },
        }
    }
}

impl Entry {
    /// Creates the entry of a new message.
    pub fn new(position: Position, message: SharedMessage) -> Self {
        Entry {
            position,
            message,
            state: State::default(),
        }
    }

    /// Returns the memory it takes in bytes; see [`Message::weight`](crate::engine::message::Message::weight).
    pub fn weight(&self) -> u64 {
        size_of::<Entry>() as u64 + self.message.weight()
    }

    /// Returns its state besides the message, for encoding.
    pub(crate) fn word(&self) -> u64 {
        self.state.0
    }

    /// Restores an encoded entry.
    pub(crate) fn with_word(position: Position, message: SharedMessage, word: u64) -> Self {
        Entry {
            position,
            message,
            state: State(word),
        }
    }

    /// Returns whether it was delivered before (basic.deliver's `redelivered`).
    pub fn redelivered(&self) -> bool {
        self.state.0 & REDELIVERED != 0
    }

    /// Marks it as delivered: its consumer may have acted upon it.
    pub fn mark_redelivered(&mut self) {
        self.state.0 |= REDELIVERED;
    }

    /// Returns how often it came back from consumers.
    pub fn returns(&self) -> Returns {
        // 11 and 10 bits.
        Returns {
            failed: (self.state.0 >> FAILED_SHIFT) as u16 & Returns::FAILED_MAX,
            released: (self.state.0 >> RELEASED_SHIFT) as u16 & Returns::RELEASED_MAX,
        }
    }

    /// Sets how often it came back.
    pub fn set_returns(&mut self, returns: Returns) {
        let failed = u64::from(returns.failed.min(Returns::FAILED_MAX)) << FAILED_SHIFT;
        let released = u64::from(returns.released.min(Returns::RELEASED_MAX)) << RELEASED_SHIFT;
        self.state.0 = self.state.0 & !COUNTS | failed | released;
    }

    /// Returns when it expires.
    pub fn expiry(&self) -> Option<Time> {
        match self.state.0 & EXPIRY {
            0 => None,
            millis => Some(Time::from_millis(millis)),
        }
    }

    /// Sets it to expire in the millisecond of this time, or never.
    pub fn set_expiry(&mut self, at: Option<Time>) {
        // Later times are capped at May 2109.
        let millis = at.map_or(0, |at| at.millis().clamp(1, EXPIRY));
        self.state.0 = self.state.0 & !EXPIRY | millis;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::message::MessageBuilder;
    use std::sync::Arc;

    #[test]
    fn an_entry_is_small_and_its_parts_do_not_touch_each_other() {
        assert_eq!(size_of::<Entry>(), 24);
        let message = MessageBuilder::new(b"", b"", &[0, 0], true, 0).finish(true);
        let mut entry = Entry::new(Position(1), Arc::new(message));
        let parts = |e: &Entry| {
            let Returns { failed, released } = e.returns();
            let expiry = e.expiry().map(Time::millis);
            (e.redelivered(), failed, released, expiry)
        };
        let returns = |failed, released| Returns { failed, released };
        assert_eq!(parts(&entry), (false, 0, 0, None));
        entry.set_expiry(Some(Time::from_millis(1_800_000_000_000)));
        assert_eq!(parts(&entry), (false, 0, 0, Some(1_800_000_000_000)));
        entry.set_returns(returns(7, 0));
        entry.mark_redelivered();
        assert_eq!(parts(&entry), (true, 7, 0, Some(1_800_000_000_000)));
        entry.set_returns(returns(u16::MAX, 5));
        entry.set_expiry(Some(Time::from_millis(u64::MAX)));
        assert_eq!(parts(&entry), (true, 2047, 5, Some(EXPIRY)));
        entry.set_returns(returns(1, u16::MAX));
        assert_eq!(parts(&entry), (true, 1, 1023, Some(EXPIRY)));
        entry.set_expiry(None);
        entry.set_returns(Returns::default());
        assert_eq!(parts(&entry), (true, 0, 0, None));
        entry.set_expiry(Some(Time::from_millis(0)));
        assert_eq!(entry.expiry(), Some(Time::from_millis(1)), "not never");
    }

    #[test]
    fn returns_are_counted_up_to_a_bound_and_by_kind() {
        let mut returns = Returns::default();
        for _ in 0..3000 {
            returns = returns.and(Return::Unseen).and(Return::Failed);
        }
        returns = returns.and(Return::Released);
        assert_eq!((returns.failed, returns.released), (2047, 1));
        for _ in 0..3000 {
            returns = returns.and(Return::Released);
        }
        assert_eq!(returns.all(), 2047 + 1023);
    }
}
