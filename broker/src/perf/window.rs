//! The publishes that wait for their confirms.

use leveret_protocol::method::Method;
use std::collections::VecDeque;
use std::io;

/// Marks a settled publish in place of its time of publishing.
const SETTLED: u64 = 0;

/// Unconfirmed publishes, in the order of their delivery tags.
#[derive(Debug, Default)]
pub(super) struct Window {
    settled_through: u64,
    /// When each was published.
    sent: VecDeque<u64>,
}

/// What was settled by confirms.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) confirmed: u64,
    pub(super) refused: u64,
    /// How long confirms took in nanoseconds, and how many took the same time.
    pub(super) times: Vec<(u64, u64)>,
}

impl Window {
    pub(super) fn outstanding(&self) -> u64 {
        self.sent.len() as u64
    }

    pub(super) fn sent(&mut self, messages: u64, at: u64) {
        let messages = usize::try_from(messages).unwrap_or(usize::MAX);
        self.sent.extend(std::iter::repeat_n(at.max(1), messages));
    }

    /// Processes a basic.ack or basic.nack from the broker. Returns false for any other method.
    pub(super) fn settle(
        &mut self,
        method: &Method<'_>,
        now: u64,
        settled: &mut Settled,
    ) -> io::Result<bool> {
        let (tag, multiple, good) = match *method {
            Method::Ack { tag, multiple } => (tag, multiple, true),
            Method::Nack { tag, multiple, .. } => (tag, multiple, false),
            _ => return Ok(false),
        };
        let last = match (tag.0, multiple) {
            (0, true) => self.sent.len(),
            (tag, _) => (tag.saturating_sub(self.settled_through)) as usize,
        };
        if last > self.sent.len() || last == 0 && !multiple {
            let text = format!("the broker confirmed {}, which was not outstanding", tag.0);
            return Err(io::Error::other(text));
        }
        let first = if multiple { 0 } else { last - 1 };
        for sent in self.sent.range_mut(first..last) {
            if *sent == SETTLED {
                continue;
            }
            let took = now.saturating_sub(*sent);
            *sent = SETTLED;
            if !good {
                settled.refused += 1;
                continue;
            }
            settled.confirmed += 1;
            match settled.times.last_mut() {
                Some((same, messages)) if *same == took => *messages += 1,
                _ => settled.times.push((took, 1)),
            }
        }
        while self.sent.front() == Some(&SETTLED) {
            self.sent.pop_front();
            self.settled_through += 1;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leveret_protocol::DeliveryTag;

    fn ack(tag: u64, multiple: bool) -> Method<'static> {
        let tag = DeliveryTag(tag);
        Method::Ack { tag, multiple }
    }

    #[test]
    fn confirms_settle_in_any_order_and_count_once() {
        let mut window = Window::default();
        let mut settled = Settled::default();
        window.sent(3, 100);
        window.sent(2, 200);
        let mut settle = |method| window.settle(&method, 300, &mut settled).expect("it waits");
        assert!(settle(ack(2, false)));
        assert!(settle(ack(4, true)));
        let (tag, multiple, requeue) = (DeliveryTag(5), false, false);
        assert!(settle(Method::Nack {
            tag,
            multiple,
            requeue
        }));
        assert_eq!(window.outstanding(), 0);
        assert_eq!((settled.confirmed, settled.refused), (4, 1));
        assert_eq!(settled.times, [(200, 3), (100, 1)]);
    }

    #[test]
    fn everything_so_far_may_be_written_as_zero() {
        let mut window = Window::default();
        let mut settled = Settled::default();
        window.sent(3, 100);
        window
            .settle(&ack(0, true), 100, &mut settled)
            .expect("all of them");
        assert_eq!((window.outstanding(), settled.confirmed), (0, 3));
    }

    #[test]
    fn a_confirm_of_what_was_not_published_is_an_error() {
        let mut window = Window::default();
        let mut settled = Settled::default();
        window.sent(1, 100);
        for wrong in [ack(2, false), ack(2, true), ack(0, false)] {
            window
                .settle(&wrong, 200, &mut settled)
                .expect_err("it never was");
        }
        assert_eq!(window.outstanding(), 1);
    }
}
