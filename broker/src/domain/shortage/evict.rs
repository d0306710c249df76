//! Closes the connections that hold most memory when memory stays low: a peer that holds memory and goes silent must not
//! keep everybody else from publishing for as long as it stays.
//!
//! The [`Ledger`](crate::plumbing::ledger::Ledger) limits what each peer may hold; eviction is for what still adds up, and for
//! a watermark that was lowered.

use crate::domain::broker::Broker;
use crate::domain::connections::{ConnectionInfo, log_connection};
use crate::plumbing::ledger::Kind;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long memory has to be low before connections are closed.
pub(super) const EVICTION_DELAY: Duration = Duration::from_secs(3);
/// Connections that hold less are not closed.
const MIN_HELD_BYTES: u64 = 16 << 10;
/// The part of the watermark that is freed beyond the excess. It doubles each time that memory is low again soon: if many
/// connections hold a little each, closing a few at a time would take too long.
const MARGIN: u64 = 64;
/// How often the margin doubles at most.
const MARGIN_DOUBLINGS: u32 = 4;
/// If memory is low again within this time of an eviction, connections are closed without delay.
const SOON: Duration = Duration::from_secs(10);

/// A connection and the bytes that it holds, by kind, the largest first.
struct Holder {
    info: Arc<ConnectionInfo>,
    bytes: u64,
    kinds: Vec<(Kind, u64)>,
}

impl Holder {
    /// Returns the reason sent to the peer.
    fn reason(&self, why: &str) -> String {
        let mut text = why.to_owned();
        let kinds = self.kinds.iter().filter(|(_, bytes)| *bytes > 0);
        for (number, (kind, bytes)) in kinds.take(2).enumerate() {
            let before = if number == 0 { ":" } else { "," };
            // Writing to a String cannot fail.
            let _ = write!(text, "{before} {bytes} bytes of {kind}");
        }
        text
    }
}

/// Tracks since when memory has been low, and the last eviction.
#[derive(Debug, Default)]
pub(super) struct Evictor {
    low_since: Option<Instant>,
    /// When connections were last closed, and how often in a row.
    evicted: Option<(Instant, u32)>,
}

impl Evictor {
    /// If memory has been low for long enough, closes the connections that hold most, until they held as much as is in excess.
    pub(super) fn check(&mut self, broker: &Broker, now: Instant) {
        if !broker.alarms.in_force().has_memory() {
            self.low_since = None;
            return;
        }
        let soon = |(at, _): &(Instant, u32)| now.saturating_duration_since(*at) < SOON;
        let times = self.evicted.filter(soon).map_or(0, |(_, times)| times);
        let since = *self.low_since.get_or_insert(now);
        if times == 0 && now.saturating_duration_since(since) < EVICTION_DELAY {
            return;
        }
        let view = broker.alarms.view();
        let mark = view.memory_bytes;
        let margin = (mark / MARGIN) << times.min(MARGIN_DOUBLINGS);
        let excess = view.reading.memory.saturating_sub(mark) + margin;
        // With a watermark of 0 an operator blocks publishers; it is not about what connections hold.
        if mark > 0 && evict(broker, excess) {
            self.evicted = Some((now, times + 1));
        }
    }
}

/// Finds idle requests if requests take much memory, and closes the connections that hold most of them if they take too
/// much.
pub(super) fn check_idle_requests(broker: &Broker) {
    let ledger = &broker.ledger;
    if !ledger.requests_are_many() {
        return ledger.count_idle(0);
    }
    let mut holders = holders(broker, Kind::REQUESTS);
    holders.retain(|holder| ledger.is_idle(&holder.info.holdings));
    let excess = ledger.requests_excess();
    let why = "others need the memory that this connection holds";
    let freed = if excess > 0 {
        close(broker, &holders, excess, why)
    } else {
        0
    };
    let all: u64 = holders.iter().map(|holder| holder.bytes).sum();
    ledger.count_idle(all - freed);
}

/// Closes the connections that hold most, if that can help. Returns whether any was closed.
fn evict(broker: &Broker, excess: u64) -> bool {
    let holders = holders(broker, &Kind::ALL);
    let all: u64 = holders.iter().map(|holder| holder.bytes).sum();
    // If even closing all of them would not help, none is closed.
    let why = "memory is low and this connection holds most of it";
    all >= excess / 2 && close(broker, &holders, excess, why) > 0
}

/// Closes as many connections as hold the excess. Returns the bytes that they held.
fn close(broker: &Broker, holders: &[Holder], excess: u64, why: &str) -> u64 {
    let mut freed = 0;
    for holder in holders {
        if freed >= excess {
            break;
        }
        freed += holder.bytes;
        let reason = holder.reason(why);
        log_connection!(
            info,
            holder.info,
            held_bytes = holder.bytes,
            "this connection holds much and is closed"
        );
        broker.connections.close(holder.info.id, &reason);
    }
    freed
}

/// Returns the connections that hold much of these kinds, the largest first.
fn holders(broker: &Broker, of: &[Kind]) -> Vec<Holder> {
    let connections = broker.connections.parts();
    let holders = connections.into_iter().map(|(info, mailbox)| {
        let held = |kind| {
            let waiting = match kind {
                Kind::Output => mailbox.waiting() as u64,
                _ => 0,
            };
            (kind, info.holdings.of(kind) + waiting)
        };
        let mut kinds: Vec<(Kind, u64)> = of.iter().map(|kind| held(*kind)).collect();
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
    use crate::net::Ends;
    use crate::plumbing::alarms::Reading;
    use crate::plumbing::ledger::Account;
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
        let (info, mailbox) = broker.connections.add(Ends::new(address, address));
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
    fn where_many_hold_a_little_each_they_go_in_numbers_that_grow() {
        let broker = broker(100 << 20, (100 << 20) + 1);
        let all: Vec<_> = (0..60).map(|_| holding(&broker, 1 << 20)).collect();
        let (mut evictor, now) = (Evictor::default(), Instant::now());
        let gone = |evictor: &mut Evictor, seconds| {
            evictor.check(&broker, now + Duration::from_secs(seconds));
            all.iter().filter_map(|mailbox| closed(mailbox)).count()
        };
        assert_eq!(gone(&mut evictor, 0), 0);
        assert_eq!(gone(&mut evictor, 3), 2);
        // Those that were closed are still on the list here.
        assert_eq!(gone(&mut evictor, 4), 4);
        assert_eq!(gone(&mut evictor, 5), 7);
    }

    #[test]
    fn what_lies_idle_does_not_count_against_others_and_goes_where_it_is_too_much() {
        let broker = broker(100 << 20, 50 << 20);
        let ledger = &broker.ledger;
        let holding = |bytes| {
            let mailbox = holding(&broker, bytes);
            let (info, _) = broker.connections.parts().pop().unwrap();
            let mut account = Account::open(ledger, &info.holdings);
            account.report();
            (mailbox, info, account)
        };
        let parked = holding(14 << 20);
        let limit = ledger.requests_limit();
        for look in 0..4 {
            check_idle_requests(&broker);
            assert_eq!(ledger.requests_limit() > limit, look == 3, "{look}");
        }
        assert_eq!(closed(&parked.0), None, "there is room for others");
        let mut busy = holding(14 << 20);
        check_idle_requests(&broker);
        let reason = "others need the memory that this connection holds: 14680064 bytes of \
                      unfinished messages";
        assert_eq!(closed(&parked.0).as_deref(), Some(reason));
        busy.1.holdings.set(Kind::Unfinished, 1);
        busy.2.report();
        assert_eq!(closed(&busy.0), None);
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
