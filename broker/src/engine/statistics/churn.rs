//! How often things come and go (RabbitMQ: `churn_rates`).

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! churn {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Counters of what comes and goes.
        #[derive(Debug, Default)]
        pub struct Churn {
            $($(#[$doc])* pub $name: ChurnCounter,)*
        }

        /// What [`Churn`] has counted so far.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct ChurnCounts {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Churn {
            /// Returns what was counted.
            pub fn get(&self) -> ChurnCounts {
                ChurnCounts { $($name: self.$name.get()),* }
            }
        }

        impl ChurnCounts {
            /// The names of the counters, in the order of [`ChurnCounts::values`].
            pub const NAMES: [&str; [$(stringify!($name)),*].len()] = [$(stringify!($name)),*];

            /// Returns the counters, in the order of [`ChurnCounts::NAMES`].
            pub fn values(&self) -> [u64; Self::NAMES.len()] {
                [$(self.$name),*]
            }
        }
    };
}

churn! {
    /// Connections that were opened.
    connection_created,
    /// Connections that ended after they were opened.
    connection_closed,
    /// Channels that were opened.
    channel_created,
    /// Channels that were closed.
    channel_closed,
    /// Declarations of queues, passive ones excepted, whether or not the queue existed.
    queue_declared,
    /// Queues that did not exist before.
    queue_created,
    /// Queues that were deleted.
    queue_deleted,
}

/// One of them.
#[derive(Debug, Default)]
pub struct ChurnCounter(AtomicU64);

impl ChurnCounter {
    /// Counts one.
    pub fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how many there were.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
