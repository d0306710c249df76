//! How large published messages are (RabbitMQ: `rabbitmq_message_size_bytes`).

use std::sync::atomic::{AtomicU64, Ordering};

/// The upper bounds of the classes but the last, in bytes; RabbitMQ's.
pub const SIZE_BOUNDS: [u64; 8] = [
    100,
    1000,
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    50_000_000,
    100_000_000,
];
const CLASSES: usize = SIZE_BOUNDS.len() + 1;

/// The sizes of some messages, in classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageSizes {
    /// The number of messages in each class; the last has those above every bound.
    pub classes: [u64; CLASSES],
    /// The sum of all sizes in bytes.
    pub bytes: u64,
}

impl MessageSizes {
    /// Counts a message whose body has this many bytes.
    #[inline]
    pub fn count(&mut self, bytes: u64) {
        // Most messages are small: the first comparisons decide.
        let class = SIZE_BOUNDS.iter().take_while(|bound| bytes > **bound);
        self.classes[class.count()] += 1;
        self.bytes += bytes;
    }
}

/// The sizes of all messages, counted by many at a time.
#[derive(Debug, Default)]
pub struct SharedMessageSizes {
    classes: [AtomicU64; CLASSES],
    bytes: AtomicU64,
}

impl SharedMessageSizes {
    /// Adds a batch. Classes that did not move are not touched.
    pub fn add(&self, batch: &MessageSizes) {
        for (sum, count) in self.classes.iter().zip(batch.classes) {
            if count != 0 {
                sum.fetch_add(count, Ordering::Relaxed);
            }
        }
        if batch.bytes != 0 {
            self.bytes.fetch_add(batch.bytes, Ordering::Relaxed);
        }
    }

    /// Returns the sizes of all messages so far.
    pub fn get(&self) -> MessageSizes {
        let get = |sum: &AtomicU64| sum.load(Ordering::Relaxed);
        MessageSizes {
            classes: self.classes.each_ref().map(get),
            bytes: get(&self.bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_class() {
        let (mut batch, all) = (MessageSizes::default(), SharedMessageSizes::default());
        for bytes in [0, 100, 101, 1000, 100_000_000, 100_000_001] {
            batch.count(bytes);
        }
        all.add(&batch);
        all.add(&batch);
        let found = all.get();
        assert_eq!(found.classes, [4, 4, 0, 0, 0, 0, 0, 2, 2]);
        assert_eq!(found.bytes, 2 * 200_001_202);
    }
}
