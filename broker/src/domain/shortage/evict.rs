//! Closes the connections that hold most memory when memory stays low: a peer that holds memory and goes silent must not
//! keep everybody else from publishing for as long as it stays.
//!
//! The [`Ledger`](crate::plumbing::ledger::Ledger) limits what each peer may hold; eviction is for what still adds up, and for
//! a watermark that was lowered.

use crate::domain::broker::Broker;
use crate::domain::connections::ConnectionInfo;
use crate::plumbing::ledger::Kind;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long memory has to be low before connections are closed.
pub(super) const EVICTION_DELAY: Duration = Duration::from_secs(3);
/// Connections that hold less are not closed.
const MIN_HELD_BYTES: u64 = 256 << 10;

/// A connection and the bytes that it holds, by kind, the largest first.
struct Holder {
    info: Arc<ConnectionInfo>,
    bytes: u64,
    kinds: Vec<(Kind, u64)>,
}

impl Holder {
    /// Returns the reason sent to the peer.
    fn reason(&self) -> String {
        let mut text = "memory is low and this connection holds most of it".to_owned();
        let kinds = self.kinds.iter().filter(|(_, bytes)| *bytes > 0);
        for (number, (kind, bytes)) in kinds.take(2).enumerate() {
            let before = if number == 0 { ":" } else { "," };
            // Writing to a String cannot fail.
            let _ = write!(text, "{before} {bytes} bytes of {kind}");
        }
        text
    }
}

/// Tracks since when memory has been low.
#[derive(Debug, Default)]
pub(super) struct Evictor {
    low_since: Option<Instant>,
}

impl Evictor {
    /// If memory has been low for long enough, closes the connections that hold most, until they held as much as is in excess.
    pub(super) fn check(&mut self, broker: &Broker, now: Instant) {
        if !broker.alarms.in_force().has_memory() {
            self.low_since = None;
            return;
        }
        let since = *self.low_since.get_or_insert(now);
        if now.saturating_duration_since(since) < EVICTION_DELAY {
            return;
        }
        let view = broker.alarms.view();
        let excess = view.reading.memory.saturating_sub(view.memory_octets);
        // With a watermark of 0 an operator blocks publishers; it is not about what connections hold.
        if view.memory_octets > 0 {
            evict(broker, excess);
        }
    }
}

fn evict(broker: &Broker, excess: u64) {
    let holders = holders(broker);
    let all: u64 = holders.iter().map(|holder| holder.bytes).sum();
    if all < excess / 2 {
        // Even closing all of them would not help.
        return;
    }
    let mut freed = 0;
    for holder in holders {
        if freed >= excess {
            return;
        }
        freed += holder.bytes;
        let reason = holder.reason();
        let (details, connection) = (holder.info.details(), holder.info.label());
        let vhost = details.vhost.as_ref().map(|vhost| vhost.as_str());
        tracing::warn!(
            connection,
            user = details.user_name(),
            vhost,
            held_bytes = holder.bytes,
            "closing connection: {reason}"
        );
        broker.connections.close(holder.info.id, &reason);
    }
}

/// Returns the connections that hold much memory, the largest first.
fn holders(broker: &Broker) -> Vec<Holder> {
    let connections = broker.connections.parts();
    let holders = connections.into_iter().map(|(info, mailbox)| {
        let held = |kind| {
            let waiting = match kind {
                Kind::Output => mailbox.waiting() as u64,
                _ => 0,
            };
            (kind, info.holdings.of(kind) + waiting)
        };
        let mut kinds: Vec<(Kind, u64)> = Kind::ALL.into_iter().map(held).collect();
        kinds.sort_unstable_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        Holder {
            info,
            bytes: kinds.iter().map(|(_, bytes)| bytes).sum(),
            kinds,
        }
    });
    let mut holders: Vec<Holder> = holders.filter(|it| it.bytes >= MIN_HELD_BYTES).collect();
    holders.sort_unstable_by_key(|holder| std::cmp::Reverse(holder.bytes));
    holders
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Limits;
    use crate::config::MemoryWatermark;
    use crate::domain::broker::Broker;
    use crate::plumbing::alarms::Reading;
    use crate::plumbing::mailbox::{Mailbox, Order};
    use std::net::SocketAddr;
    use std::task::Waker;

    fn broker(mark: u64, used: u64) -> Broker {
        let broker = Broker::new(Limits::default(), Vec::new(), None);
        let alarms = &broker.alarms;
        alarms.set_memory_watermark(MemoryWatermark::Absolute(mark));
        alarms.update(Reading {
            memory: used,
            total_memory: 1 << 40,
            disk_free: None,
        });
        broker
    }

    fn holding(broker: &Broker, bytes: u64) -> Arc<Mailbox> {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let (info, mailbox) = broker.connections.add(address, address);
        info.holdings.set(Kind::Unfinished, bytes);
        info.holdings.set(Kind::Input, 10);
        mailbox
    }

    fn closed(mailbox: &Mailbox) -> Option<String> {
        let orders = mailbox.take_orders(Waker::noop());
        orders.into_iter().find_map(|order| match order {
            Order::Close(reason) => Some(reason),
            _ => None,
        })
    }

    #[test]
    fn as_many_go_as_hold_what_is_too_much_and_the_largest_first() {
        let broker = broker(100 << 20, 112 << 20);
        let bytes = [4 << 20, 9 << 20, 1 << 10, 6 << 20];
        let [small, large, tiny, middle] = bytes.map(|bytes| holding(&broker, bytes));
        let (mut evictor, now) = (Evictor::default(), Instant::now());
        evictor.check(&broker, now);
        evictor.check(&broker, now + EVICTION_DELAY / 2);
        assert_eq!(closed(&large), None, "it may still end by itself");
        evictor.check(&broker, now + EVICTION_DELAY);
        let reason = "memory is low and this connection holds most of it: 9437184 bytes of \
                      unfinished messages, 10 bytes of unfinished frames";
        assert_eq!(closed(&large).as_deref(), Some(reason));
        assert!(closed(&middle).is_some());
        assert_eq!((closed(&small), closed(&tiny)), (None, None));
    }

    #[test]
    fn nobody_goes_for_what_is_not_theirs() {
        let now = Instant::now();
        for (mark, used, held) in [
            (100 << 20, 200 << 20, 20 << 20),
            (0, 10 << 20, 9 << 20),
            (100 << 20, 99 << 20, 90 << 20),
            (100, 200, 100),
        ] {
            let broker = broker(mark, used);
            let mailbox = holding(&broker, held);
            let mut evictor = Evictor::default();
            evictor.check(&broker, now);
            evictor.check(&broker, now + 2 * EVICTION_DELAY);
            assert_eq!(closed(&mailbox), None, "{mark} {used} {held}");
        }
    }

    #[test]
    fn an_alarm_that_comes_again_begins_anew() {
        let broker = broker(100 << 20, 101 << 20);
        let mailbox = holding(&broker, 20 << 20);
        let (mut evictor, now) = (Evictor::default(), Instant::now());
        evictor.check(&broker, now);
        let reading = broker.alarms.view().reading;
        let free = Reading {
            memory: 0,
            ..reading
        };
        broker.alarms.update(free);
        evictor.check(&broker, now + EVICTION_DELAY);
        broker.alarms.update(reading);
        evictor.check(&broker, now + EVICTION_DELAY);
        assert_eq!(closed(&mailbox), None);
        evictor.check(&broker, now + 2 * EVICTION_DELAY);
        assert!(closed(&mailbox).is_some());
    }
}
