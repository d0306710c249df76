//! A ring of samples with one interval.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

/// The memory for the rings of all objects together.
#[derive(Debug)]
pub struct RingMemory {
    used: AtomicU64,
    max: u64,
}

impl RingMemory {
    /// Allows this many bytes.
    pub fn new(max: u64) -> Self {
        RingMemory {
            used: AtomicU64::new(0),
            max,
        }
    }

    /// Returns the bytes in use.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: u64) -> bool {
        let taken = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.max);
        let taken = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken);
        taken.is_ok()
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Samples that every ring may keep, so that there is a rate even when memory is used up.
const FEW: usize = 2;

/// Samples of the same counters, oldest first, at most one for each interval.
///
/// A sample stands for the time until the next one, so nothing is added while nothing moves.
#[derive(Debug)]
pub(super) struct Ring {
    /// In milliseconds.
    interval: i64,
    /// The maximum number of samples.
    capacity: usize,
    /// The number of samples that there is room for.
    room: usize,
    /// For each sample its time, in milliseconds since the epoch, and its values.
    samples: VecDeque<u64>,
    /// The values before the first sample.
    base: Box<[u64]>,
}

impl Ring {
    pub(super) fn new(interval: i64, capacity: usize, base: Box<[u64]>) -> Self {
        Ring {
            interval: interval.max(1),
            capacity: capacity.max(FEW),
            room: 0,
            samples: VecDeque::new(),
            base,
        }
    }

    /// Returns how many milliseconds it covers once it is full.
    pub(super) fn covers(&self) -> i64 {
        self.interval.saturating_mul(self.capacity as i64)
    }

    fn stride(&self) -> usize {
        self.base.len() + 1
    }

    fn len(&self) -> usize {
        self.samples.len() / self.stride()
    }

    fn time(&self, sample: usize) -> i64 {
        self.samples[sample * self.stride()] as i64
    }

    fn bucket(&self, time: i64) -> i64 {
        time.div_euclid(self.interval)
    }

    /// Records the values at a time. Samples later than that are dropped, because the clock was set back.
    pub(super) fn record(&mut self, time: i64, values: &[u64], memory: &RingMemory) {
        let stride = self.stride();
        while let Some(last) = self.len().checked_sub(1)
            && self.bucket(self.time(last)) >= self.bucket(time)
        {
            self.samples.truncate(last * stride);
        }
        if self.len() >= self.room {
            self.grow(memory);
        }
        while self.len() >= self.room {
            if self.samples.is_empty() {
                // There is no room at all.
                self.base.copy_from_slice(values);
                return;
            }
            self.samples.pop_front();
            for (base, value) in self.base.iter_mut().zip(self.samples.drain(..stride - 1)) {
                *base = value;
            }
        }
        self.samples.push_back(time as u64);
        self.samples.extend(values);
    }

    fn bytes(&self, samples: usize) -> u64 {
        (samples * self.stride() * size_of::<u64>()) as u64
    }

    fn grow(&mut self, memory: &RingMemory) {
        let room = (self.room * 2).clamp(FEW, self.capacity);
        if room > self.room && (room <= FEW || memory.take(self.bytes(room - self.room.max(FEW)))) {
            self.room = room;
            let missing = room * self.stride() - self.samples.len();
            self.samples.reserve_exact(missing);
        }
    }

    /// Returns the values at a time.
    pub(super) fn at(&self, time: i64) -> impl Iterator<Item = u64> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            match self.time(middle) <= time {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        let sample = low.checked_sub(1).map(|sample| sample * self.stride() + 1);
        (0..self.base.len()).map(move |column| match sample {
            Some(at) => self.samples[at + column],
            None => self.base[column],
        })
    }

    /// Drops the samples; from now on the values were always the last ones.
    pub(super) fn release(&mut self, memory: &RingMemory) {
        let last: Box<[u64]> = self.at(i64::MAX).collect();
        self.base = last;
        memory.give_back(self.bytes(self.room.saturating_sub(FEW)));
        self.room = 0;
        self.samples = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All samples, with the rule of one per interval applied when asked.
    #[derive(Default)]
    struct Model(Vec<(i64, Vec<u64>)>);

    impl Model {
        fn record(&mut self, time: i64, values: Vec<u64>, interval: i64) {
            let bucket = |time: i64| time.div_euclid(interval);
            self.0
                .retain(|(earlier, _)| bucket(*earlier) < bucket(time));
            self.0.push((time, values));
        }

        fn at(&self, time: i64) -> Option<Vec<u64>> {
            let mut samples = self.0.iter().rev();
            let (_, values) = samples.find(|(earlier, _)| *earlier <= time)?;
            Some(values.clone())
        }
    }

    proptest! {
        #[test]
        fn it_answers_like_a_list_of_its_last_samples(
            interval in 1i64..20,
            capacity in 2usize..20,
            steps in prop::collection::vec((-3i64..40, any::<u16>()), 1..200),
            asked in prop::collection::vec(-100i64..4000, 1..20),
        ) {
            let memory = RingMemory::new(1 << 20);
            let mut ring = Ring::new(interval, capacity, vec![0, 0].into());
            let (mut model, mut now, mut most) = (Model::default(), 0, 0);
            for (step, value) in steps {
                now = (now + step).max(0);
                let values = vec![u64::from(value), now as u64];
                ring.record(now, &values, &memory);
                model.record(now, values, interval);
                most = most.max(model.0.len());
                prop_assert!(ring.len() <= capacity);
                let room = (capacity - FEW.min(capacity)) * 24;
                prop_assert!(memory.used() <= room as u64);
            }
            // Of more samples than these, the oldest are gone.
            if most <= capacity {
                for time in asked {
                    let found: Vec<u64> = ring.at(time).collect();
                    prop_assert_eq!(found, model.at(time).unwrap_or(vec![0, 0]));
                }
            }
            let last = model.0.last().cloned().unwrap_or_default().1;
            prop_assert_eq!(ring.at(now).collect::<Vec<_>>(), last.clone());
            ring.release(&memory);
            prop_assert_eq!(memory.used(), 0);
            prop_assert_eq!(ring.at(0).collect::<Vec<_>>(), last);
        }

        #[test]
        fn without_memory_the_last_two_samples_remain(
            values in prop::collection::vec(any::<u64>(), 2..50),
        ) {
            let memory = RingMemory::new(0);
            let mut ring = Ring::new(5, 100, vec![0].into());
            for (n, value) in values.iter().enumerate() {
                ring.record(n as i64 * 5, &[*value], &memory);
            }
            let last = values.len() - 1;
            for back in 0..2 {
                let time = (last - back) as i64 * 5;
                prop_assert_eq!(ring.at(time).collect::<Vec<_>>(), vec![values[last - back]]);
            }
            prop_assert_eq!(memory.used(), 0);
        }
    }
}
