//! Closing whoever holds most when memory stays low: a peer that parks memory and goes silent must not keep everybody
//! else from publishing for as long as it stays.
//!
//! What peers may hold is bounded before that (see [`Ledger`](crate::plumbing::ledger::Ledger)); this is for what adds up all the
//! same, and for a watermark that was lowered.

use crate::domain::broker::Broker;
use crate::domain::connections::ConnectionInfo;
use crate::plumbing::ledger::Kind;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long memory has been low when somebody is closed for it.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// Nobody is closed who holds less.
const HOLDS_MUCH: u64 = 16 << 10;
/// This part of the watermark is freed beyond what is too much, twice as much each time that memory is low again soon
/// after: where many hold a little each, closing a few of them at a time would take for ever.
const MARGIN: u64 = 64;
/// The largest margin is so many times the first.
const MARGIN_MAX: u32 = 4;
/// Memory that is low again within this time needs no patience.
const SOON: Duration = Duration::from_secs(10);

/// A connection and the bytes that it holds, by kind, most first.
struct Holder {
    info: Arc<ConnectionInfo>,
    bytes: u64,
    kinds: Vec<(Kind, u64)>,
}

impl Holder {
    /// What the peer is told.
    fn reason(&self, why: &str) -> String {
        let mut text = why.to_owned();
        let kinds = self.kinds.iter().filter(|(_, bytes)| *bytes > 0);
        for (number, (kind, bytes)) in kinds.take(2).enumerate() {
            let before = if number == 0 { ":" } else { "," };
            // A string takes whatever is written.
            let _ = write!(text, "{before} {bytes} bytes of {kind}");
        }
        text
    }
}

/// Remembers since when memory is low, and when somebody was last closed for that.
#[derive(Debug, Default)]
pub(super) struct Evictor {
    low_since: Option<Instant>,
    /// And how often one after the other.
    evicted: Option<(Instant, u32)>,
}

impl Evictor {
    /// Closes those who hold most, if memory has been low for long and that may end it: as many as hold what is too much.
    pub(super) fn look(&mut self, broker: &Broker, now: Instant) {
        if !broker.alarms.in_force().has_memory() {
            self.low_since = None;
            return;
        }
        let soon = |(at, _): &(Instant, u32)| now.saturating_duration_since(*at) < SOON;
        let times = self.evicted.filter(soon).map_or(0, |(_, times)| times);
        let since = *self.low_since.get_or_insert(now);
        if times == 0 && now.saturating_duration_since(since) < PATIENCE {
            return;
        }
        let view = broker.alarms.view();
        let mark = view.memory_bytes;
        let margin = (mark / MARGIN) << times.min(MARGIN_MAX);
        let excess = view.reading.memory.saturating_sub(mark) + margin;
        // A watermark of 0 is meant to block publishers, not to close those who hold something.
        if mark > 0 && evict(broker, excess) {
            self.evicted = Some((now, times + 1));
        }
    }
}

/// Counts what was sent and lies idle, where others need the room; closes those who hold most of it where it is too much.
pub(super) fn look_for_idle(broker: &Broker) {
    let ledger = &broker.ledger;
    if !ledger.requests_are_many() {
        return ledger.count_idle(0);
    }
    let mut holders = holders(broker, Kind::REQUESTS);
    holders.retain(|holder| ledger.is_idle(&holder.info.held));
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

/// Closes those who hold most, if that may help; says whether it did.
fn evict(broker: &Broker, excess: u64) -> bool {
    let holders = holders(broker, &Kind::ALL);
    let all: u64 = holders.iter().map(|holder| holder.bytes).sum();
    // Where closing all of them would not help, nobody is.
    let why = "memory is low and this connection holds most of it";
    all >= excess / 2 && close(broker, &holders, excess, why) > 0
}

/// Closes as many of them as hold what is too much. Returns the bytes that they held.
fn close(broker: &Broker, holders: &[Holder], excess: u64, why: &str) -> u64 {
    let mut freed = 0;
    for holder in holders {
        if freed >= excess {
            break;
        }
        freed += holder.bytes;
        let reason = holder.reason(why);
        let (details, connection) = (holder.info.details(), holder.info.label());
        let vhost = details.vhost.as_ref().map(|vhost| vhost.as_str());
        tracing::warn!(
            connection,
            user = details.user_name(),
            vhost,
            held = holder.bytes,
            "closing a connection: {reason}"
        );
        broker.connections.close(holder.info.id, &reason);
    }
    freed
}

/// Those who hold much of these kinds, largest first.
fn holders(broker: &Broker, of: &[Kind]) -> Vec<Holder> {
    let members = broker.connections.members();
    let holders = members.into_iter().map(|(info, mailbox)| {
        let held = |kind| {
            let waiting = match kind {
                Kind::Output => mailbox.waiting() as u64,
                _ => 0,
            };
            (kind, info.held.of(kind) + waiting)
        };
        let mut kinds: Vec<(Kind, u64)> = of.iter().map(|kind| held(*kind)).collect();
        kinds.sort_unstable_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        Holder {
            info,
            bytes: kinds.iter().map(|(_, bytes)| bytes).sum(),
            kinds,
        }
    });
    let mut holders: Vec<Holder> = holders.filter(|it| it.bytes >= HOLDS_MUCH).collect();
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
        let (info, mailbox) = broker.connections.add(address, address);
        info.held.set(Kind::Unfinished, bytes);
        info.held.set(Kind::Input, 10);
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
        evictor.look(&broker, now);
        evictor.look(&broker, now + PATIENCE / 2);
        assert_eq!(closed(&large), None, "it may still end by itself");
        evictor.look(&broker, now + PATIENCE);
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
            evictor.look(&broker, now);
            evictor.look(&broker, now + 2 * PATIENCE);
            assert_eq!(closed(&mailbox), None, "{mark} {used} {held}");
        }
    }

    #[test]
    fn where_many_hold_a_little_each_they_go_in_numbers_that_grow() {
        let broker = broker(100 << 20, (100 << 20) + 1);
        let all: Vec<_> = (0..60).map(|_| holding(&broker, 1 << 20)).collect();
        let (mut evictor, now) = (Evictor::default(), Instant::now());
        let gone = |evictor: &mut Evictor, seconds| {
            evictor.look(&broker, now + Duration::from_secs(seconds));
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
            let (info, _) = broker.connections.members().pop().unwrap();
            let mut account = Account::open(ledger, &info.held);
            account.tell();
            (mailbox, info, account)
        };
        let parked = holding(14 << 20);
        let limit = ledger.requests_limit();
        for look in 0..4 {
            look_for_idle(&broker);
            assert_eq!(ledger.requests_limit() > limit, look == 3, "{look}");
        }
        assert_eq!(closed(&parked.0), None, "there is room for others");
        let mut busy = holding(14 << 20);
        look_for_idle(&broker);
        let reason = "others need the memory that this connection holds: 14680064 bytes of \
                      unfinished messages";
        assert_eq!(closed(&parked.0).as_deref(), Some(reason));
        busy.1.held.set(Kind::Unfinished, 1);
        busy.2.tell();
        assert_eq!(closed(&busy.0), None);
    }

    #[test]
    fn an_alarm_that_comes_again_begins_anew() {
        let broker = broker(100 << 20, 101 << 20);
        let mailbox = holding(&broker, 20 << 20);
        let (mut evictor, now) = (Evictor::default(), Instant::now());
        evictor.look(&broker, now);
        let reading = broker.alarms.view().reading;
        let free = Reading {
            memory: 0,
            ..reading
        };
        broker.alarms.update(free);
        evictor.look(&broker, now + PATIENCE);
        broker.alarms.update(reading);
        evictor.look(&broker, now + PATIENCE);
        assert_eq!(closed(&mailbox), None);
        evictor.look(&broker, now + 2 * PATIENCE);
        assert!(closed(&mailbox).is_some());
    }
}
