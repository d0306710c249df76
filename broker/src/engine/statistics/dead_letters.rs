//! How many messages died, and of what (RabbitMQ: `rabbitmq_global_messages_dead_lettered_*`).

use crate::engine::queue::{QueueKind, Reason};
use std::sync::atomic::{AtomicU64, Ordering};

/// What a queue does with messages that die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// It drops them.
    Disabled,
    /// It sends them on; they may get lost.
    AtMostOnce,
    /// It keeps them until they have arrived.
    AtLeastOnce,
}

impl Strategy {
    /// All strategies.
    pub const ALL: [Strategy; 3] = [
        Strategy::Disabled,
        Strategy::AtMostOnce,
        Strategy::AtLeastOnce,
    ];

    /// Returns RabbitMQ's name for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Strategy::Disabled => "disabled",
            Strategy::AtMostOnce => "at_most_once",
            Strategy::AtLeastOnce => "at_least_once",
        }
    }
}

const REASONS: usize = Reason::ALL.len();
const STRATEGIES: usize = Strategy::ALL.len();
const CELLS: usize = QueueKind::ALL.len() * REASONS * STRATEGIES;

fn cell(kind: QueueKind, reason: Reason, strategy: Strategy) -> usize {
    (kind as usize * REASONS + reason as usize) * STRATEGIES + strategy as usize
}

/// The messages that died in a batch.
#[derive(Clone, Debug)]
pub struct DeadLetterCounts([u64; CELLS]);

impl Default for DeadLetterCounts {
    fn default() -> Self {
        DeadLetterCounts([0; CELLS])
    }
}

impl DeadLetterCounts {
    /// Counts a message.
    pub fn count(&mut self, kind: QueueKind, reason: Reason, strategy: Strategy) {
        self.0[cell(kind, reason, strategy)] += 1;
    }
}

/// All messages that ever died, counted by many at a time.
#[derive(Debug)]
pub struct SharedDeadLetters([AtomicU64; CELLS]);

impl Default for SharedDeadLetters {
    fn default() -> Self {
        SharedDeadLetters([const { AtomicU64::new(0) }; CELLS])
    }
}

impl SharedDeadLetters {
    /// Adds a batch.
    pub fn add(&self, batch: &DeadLetterCounts) {
        for (sum, count) in self.0.iter().zip(batch.0) {
            if count != 0 {
                sum.fetch_add(count, Ordering::Relaxed);
            }
        }
    }

    /// Returns how many messages of queues of this kind died of this reason while the queue had this strategy.
    pub fn get(&self, kind: QueueKind, reason: Reason, strategy: Strategy) -> u64 {
        self.0[cell(kind, reason, strategy)].load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_reason_and_strategy_is_counted_by_itself() {
        let (mut batch, all) = (DeadLetterCounts::default(), SharedDeadLetters::default());
        let mut cells = Vec::new();
        for kind in QueueKind::ALL {
            for reason in Reason::ALL {
                cells.extend(Strategy::ALL.map(|strategy| (kind, reason, strategy)));
            }
        }
        assert_eq!(cells.len(), CELLS);
        for (times, (kind, reason, strategy)) in cells.iter().enumerate() {
            (0..times).for_each(|_| batch.count(*kind, *reason, *strategy));
        }
        all.add(&batch);
        for (times, (kind, reason, strategy)) in cells.into_iter().enumerate() {
            assert_eq!(all.get(kind, reason, strategy), times as u64);
        }
    }
}
