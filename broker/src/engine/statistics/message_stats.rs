//! The counters that RabbitMQ calls `message_stats`.

use std::ops::{Add, AddAssign, Sub};
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! message_stats {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// How many messages went which way, since the counting began. The names are RabbitMQ's.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct MessageStats {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// The same, counted by many at a time.
        #[derive(Debug, Default)]
        pub struct SharedMessageStats {
            $($name: AtomicU64,)*
        }

        impl MessageStats {
            /// The names of the counters, in the order of [`MessageStats::values`].
            pub const NAMES: [&str; [$(stringify!($name)),*].len()] = [$(stringify!($name)),*];

            /// Returns the counters, in the order of [`MessageStats::NAMES`].
            pub fn values(&self) -> [u64; Self::NAMES.len()] {
                [$(self.$name),*]
            }

            /// Returns the counters from their values.
            pub fn of_values(values: [u64; Self::NAMES.len()]) -> Self {
                let [$($name),*] = values;
                MessageStats { $($name),* }
            }
        }

        impl AddAssign for MessageStats {
            fn add_assign(&mut self, other: Self) {
                $(self.$name += other.$name;)*
            }
        }

        impl Sub for MessageStats {
            type Output = Self;

            /// What was counted since `earlier`; nothing where that is more.
            fn sub(self, earlier: Self) -> Self {
                MessageStats { $($name: self.$name.saturating_sub(earlier.$name)),* }
            }
        }

        impl SharedMessageStats {
            /// Adds what was counted in a batch. Counters that did not move are not touched.
            pub fn add(&self, batch: &MessageStats) {
                $(if batch.$name != 0 {
                    self.$name.fetch_add(batch.$name, Ordering::Relaxed);
                })*
            }

            /// Sets the counters, for the only one who counts them: plain stores are enough.
            pub fn set(&self, stats: &MessageStats) {
                $(self.$name.store(stats.$name, Ordering::Relaxed);)*
            }

            /// Returns the counters.
            pub fn get(&self) -> MessageStats {
                MessageStats { $($name: self.$name.load(Ordering::Relaxed)),* }
            }
        }
    };
}

message_stats! {
    /// Messages published: on a channel; for a queue, those that were routed to it.
    publish,
    /// Messages published to an exchange.
    publish_in,
    /// Messages routed from an exchange, each counted once per queue.
    publish_out,
    /// Publishes confirmed.
    confirm,
    /// Unroutable mandatory messages, which were returned.
    return_unroutable,
    /// Other unroutable messages, which were dropped.
    drop_unroutable,
    /// Deliveries to consumers that have to acknowledge.
    deliver,
    /// Deliveries to consumers that do not acknowledge.
    deliver_no_ack,
    /// Messages fetched with basic.get that have to be acknowledged.
    get,
    /// Messages fetched with basic.get that need no acknowledgement.
    get_no_ack,
    /// basic.get on an empty queue.
    get_empty,
    /// Deliveries and fetched messages among those above that had been delivered before.
    redeliver,
    /// Messages acknowledged.
    ack,
    /// Messages read from disk.
    disk_reads,
    /// Messages written to disk.
    disk_writes,
}

impl MessageStats {
    /// Returns all that left for clients: RabbitMQ's `deliver_get`.
    pub fn deliver_get(&self) -> u64 {
        self.deliver + self.deliver_no_ack + self.get + self.get_no_ack
    }

    /// Iterates over the counters and their names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Self::NAMES.into_iter().zip(self.values())
    }

    /// Returns whether nothing was counted.
    pub fn is_zero(&self) -> bool {
        *self == MessageStats::default()
    }

    /// Counts a delivery to a consumer.
    #[inline]
    pub fn count_delivery(&mut self, no_ack: bool, redelivered: bool) {
        // One write to memory for nearly all messages: the branches are predicted.
        match no_ack {
            true => self.deliver_no_ack += 1,
            false => self.deliver += 1,
        }
        if redelivered {
            self.redeliver += 1;
        }
    }

    /// Counts deliveries to a consumer, of which some had been delivered before.
    pub fn count_deliveries(&mut self, no_ack: bool, deliveries: u64, redelivered: u64) {
        match no_ack {
            true => self.deliver_no_ack += deliveries,
            false => self.deliver += deliveries,
        }
        self.redeliver += redelivered;
    }

    /// Takes back a delivery that has not reached its consumer.
    pub fn uncount_delivery(&mut self, redelivered: bool) {
        self.deliver = self.deliver.saturating_sub(1);
        self.redeliver = self.redeliver.saturating_sub(u64::from(redelivered));
    }

    /// Counts a message fetched with basic.get.
    pub fn count_get(&mut self, no_ack: bool, redelivered: bool) {
        self.get_no_ack += u64::from(no_ack);
        self.get += u64::from(!no_ack);
        self.redeliver += u64::from(redelivered);
    }
}

impl Add for MessageStats {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_stats() -> impl Strategy<Value = MessageStats> {
        prop::array::uniform15(0u64..1 << 40).prop_map(MessageStats::of_values)
    }

    proptest! {
        #[test]
        fn sums_and_differences_are_those_of_each_counter(
            batches in prop::collection::vec(any_stats(), 1..20),
        ) {
            let (shared, mut sum) = (SharedMessageStats::default(), MessageStats::default());
            for batch in &batches {
                shared.add(batch);
                let before = sum;
                sum += *batch;
                prop_assert_eq!(sum - before, *batch);
                prop_assert_eq!(before - sum, MessageStats::default());
                prop_assert_eq!(before + *batch, sum);
            }
            prop_assert_eq!(shared.get(), sum);
            for (at, (name, value)) in sum.iter().enumerate() {
                prop_assert_eq!(name, MessageStats::NAMES[at]);
                let expected: u64 = batches.iter().map(|batch| batch.values()[at]).sum();
                prop_assert_eq!(value, expected);
            }
            prop_assert_eq!(MessageStats::of_values(sum.values()), sum);
        }
    }

    #[test]
    fn everything_that_went_to_clients_is_delivered_or_fetched() {
        let mut stats = MessageStats::default();
        stats.count_delivery(false, true);
        stats.count_delivery(true, false);
        stats.count_get(false, false);
        stats.count_get(true, true);
        assert_eq!((stats.deliver_get(), stats.redeliver), (4, 2));
        stats.uncount_delivery(true);
        assert_eq!(
            (stats.deliver, stats.deliver_get(), stats.redeliver),
            (0, 3, 1)
        );
    }
}
