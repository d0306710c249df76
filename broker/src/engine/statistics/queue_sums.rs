//! What the queues of a virtual host hold together. Whoever wants to know visits the queues that have moved since the
//! last visit, and no others: idle queues cost nothing, however many there are.

use super::message_stats::MessageStats;
use crate::engine::queue::{Counts, Queue, QueueKind};
use parking_lot::Mutex;
use std::ops::{AddAssign, SubAssign};

const KINDS: usize = QueueKind::ALL.len();

/// What queues hold: one, or many together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueSums {
    /// How many they are.
    pub queues: u64,
    /// Their messages and consumers.
    pub counts: Counts,
    /// Messages that they have read from disk, those that are gone included.
    pub disk_reads: u64,
    /// Messages that they have written to disk, those that are gone included.
    pub disk_writes: u64,
}

impl QueueSums {
    /// Returns those of a queue.
    pub fn of(counts: Counts, stats: &MessageStats) -> Self {
        QueueSums {
            queues: 1,
            counts,
            disk_reads: stats.disk_reads,
            disk_writes: stats.disk_writes,
        }
    }
}

impl AddAssign for QueueSums {
    fn add_assign(&mut self, other: Self) {
        self.queues += other.queues;
        self.counts += other.counts;
        self.disk_reads += other.disk_reads;
        self.disk_writes += other.disk_writes;
    }
}

impl SubAssign for QueueSums {
    fn sub_assign(&mut self, other: Self) {
        self.queues -= other.queues;
        self.counts -= other.counts;
        self.disk_reads -= other.disk_reads;
        self.disk_writes -= other.disk_writes;
    }
}

/// What a queue has added to the sums of its virtual host.
#[derive(Debug, Default)]
pub struct Share(Mutex<State>);

#[derive(Debug, Default)]
enum State {
    /// It holds nothing and never did, as far as is known, which takes no memory.
    #[default]
    Nothing,
    /// As of the last visit.
    Visited(Box<QueueSums>),
    /// It was deleted.
    Ended,
}

/// The sums of the queues of a virtual host, by their kind.
#[derive(Debug, Default)]
pub struct SharedQueueSums(Mutex<[QueueSums; KINDS]>);

impl SharedQueueSums {
    /// Returns the sums by kind, as of the last visits. The number of queues is always right.
    pub fn get(&self) -> [QueueSums; KINDS] {
        *self.0.lock()
    }

    /// Adds a queue, before it is visited.
    pub fn begin(&self, queue: &Queue) {
        self.0.lock()[queue.kind as usize].queues += 1;
    }

    /// Corrects the sums by what has changed in a queue since the last visit.
    pub fn visit(&self, queue: &Queue) {
        let mut share = queue.share.0.lock();
        let before = match &*share {
            State::Nothing => None,
            State::Visited(before) => Some(**before),
            State::Ended => return,
        };
        let now = queue.sums();
        let mut sums = self.0.lock();
        let sum = &mut sums[queue.kind as usize];
        match before {
            Some(before) => {
                *sum += now;
                *sum -= before;
            }
            None => *sum += QueueSums { queues: 0, ..now },
        }
        drop(sums);
        let nothing = QueueSums {
            queues: now.queues,
            ..QueueSums::default()
        };
        match (&mut *share, now == nothing) {
            (State::Visited(before), false) => **before = now,
            (share, false) => *share = State::Visited(Box::new(now)),
            (share, true) => *share = State::Nothing,
        }
    }

    /// Takes out a queue that was deleted. What it has read and written stays.
    pub fn end(&self, queue: &Queue) {
        let mut share = queue.share.0.lock();
        let before = match std::mem::replace(&mut *share, State::Ended) {
            State::Nothing => QueueSums {
                queues: 1,
                ..QueueSums::default()
            },
            State::Visited(before) => *before,
            State::Ended => return,
        };
        let last = QueueSums {
            queues: 0,
            counts: Counts::default(),
            ..queue.sums()
        };
        let mut sums = self.0.lock();
        let sum = &mut sums[queue.kind as usize];
        *sum += last;
        *sum -= before;
    }
}
