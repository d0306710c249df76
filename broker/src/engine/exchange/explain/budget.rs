//! What an explanation may cost. Whoever asks for one may have chosen the bindings, and the message, so that they are hard to
//! compare.

use std::time::{Duration, Instant};

/// Comparisons of a binding with a message at most.
const COMPARISONS: usize = 100_000;
/// Bytes of bindings that are copied at most, approximately.
const BYTES: usize = 32 << 20;
/// How long comparisons may take, all together.
const TIME: Duration = Duration::from_secs(1);
/// What a copy takes besides the binding's arguments, approximately.
const COPY: usize = 256;

/// What is left of it.
#[derive(Debug)]
pub(in crate::engine::exchange) struct Budget {
    comparisons: usize,
    bytes: usize,
    time: Duration,
    /// When the time is up, since the first comparison.
    until: Option<Instant>,
}

impl Default for Budget {
    fn default() -> Self {
        Budget {
            comparisons: COMPARISONS,
            bytes: BYTES,
            time: TIME,
            until: None,
        }
    }
}

impl Budget {
    #[cfg(test)]
    pub(in crate::engine::exchange) fn of(comparisons: usize, bytes: usize) -> Self {
        Budget {
            comparisons,
            bytes,
            // Tests may run slowly.
            time: 1000 * TIME,
            until: None,
        }
    }

    /// Takes what a comparison costs; returns whether there was enough.
    pub(super) fn compare(&mut self) -> bool {
        let now = Instant::now();
        let until = *self.until.get_or_insert(now + self.time);
        let enough = self.comparisons > 0 && now < until;
        self.comparisons = self.comparisons.saturating_sub(1);
        enough
    }

    /// Takes what a copy of a binding with so many bytes of arguments costs; returns whether there was enough.
    pub(super) fn copy(&mut self, arguments: usize) -> bool {
        let left = self.bytes.checked_sub(arguments + COPY);
        self.bytes = left.unwrap_or(self.bytes);
        left.is_some()
    }
}
