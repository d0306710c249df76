//! The publishes that wait for their confirms.

use leveret_protocol::ChannelId;
use leveret_protocol::method::Method;
use std::collections::VecDeque;
use std::io;

/// Marks a settled publish in place of its time of publishing.
const SETTLED: u64 = 0;

/// Unconfirmed publishes on all channels of a connection, on which messages are published in turn.
#[derive(Debug)]
pub(super) struct Windows {
    /// Those of channel 1 first.
    channels: Vec<Window>,
    /// The channel of the next message.
    next: usize,
    outstanding: u64,
}

/// Unconfirmed publishes on a channel, in the order of their delivery tags.
#[derive(Clone, Debug, Default)]
struct Window {
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

impl Windows {
    pub(super) fn new(channels: u16) -> Self {
        Windows {
            channels: vec![Window::default(); usize::from(channels)],
            next: 0,
            outstanding: 0,
        }
    }

    pub(super) fn outstanding(&self) -> u64 {
        self.outstanding
    }

    /// Records messages as published, on the next channels in turn.
    pub(super) fn sent(&mut self, messages: u64, at: u64) {
        self.outstanding += messages;
        let channels = self.channels.len() as u64;
        let (each, more) = (messages / channels, messages % channels);
        for turn in 0..channels.min(messages) {
            self.channels[self.next].sent(each + u64::from(turn < more), at);
            self.next = (self.next + 1) % self.channels.len();
        }
        if each > 0 {
            // Everyone had a turn; the rest began where this did.
            self.next = (self.next + more as usize) % self.channels.len();
        }
    }

    /// Processes a basic.ack or basic.nack from the broker. Returns false for any other method.
    pub(super) fn settle(
        &mut self,
        channel: ChannelId,
        method: &Method<'_>,
        now: u64,
        settled: &mut Settled,
    ) -> io::Result<bool> {
        let at = usize::from(channel.0).wrapping_sub(1);
        let Some(window) = self.channels.get_mut(at) else {
            return Ok(false);
        };
        let before = window.sent.len();
        let taken = window.settle(method, now, settled)?;
        self.outstanding -= (before - window.sent.len()) as u64;
        Ok(taken)
    }
}

impl Window {
    fn sent(&mut self, messages: u64, at: u64) {
        let messages = usize::try_from(messages).unwrap_or(usize::MAX);
        self.sent.extend(std::iter::repeat_n(at.max(1), messages));
    }

    fn settle(&mut self, method: &Method<'_>, now: u64, settled: &mut Settled) -> io::Result<bool> {
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
        assert!(window.sent.is_empty());
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
        assert_eq!((window.sent.len(), settled.confirmed), (0, 3));
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
        assert_eq!(window.sent.len(), 1);
    }

    #[test]
    fn channels_take_turns_and_settle_apart() {
        let mut windows = Windows::new(3);
        let mut settled = Settled::default();
        let mut expected = [0; 3];
        let mut next = 0;
        for messages in [1, 2, 4, 3, 7, 1, 9] {
            windows.sent(messages, 1);
            for _ in 0..messages {
                expected[next] += 1;
                next = (next + 1) % 3;
            }
            let sent: Vec<usize> = windows.channels.iter().map(|on| on.sent.len()).collect();
            assert_eq!(sent, expected);
        }
        assert_eq!(windows.outstanding(), 27);
        let mut settle = |channel, tag| {
            let method = ack(tag, true);
            windows.settle(ChannelId(channel), &method, 2, &mut settled)
        };
        assert!(settle(2, 9).expect("outstanding"));
        settle(2, 10).expect_err("never published");
        assert!(!settle(0, 1).expect("not for us"));
        assert!(!settle(4, 1).expect("not for us"));
        assert_eq!((windows.outstanding(), settled.confirmed), (18, 9));
    }
}
