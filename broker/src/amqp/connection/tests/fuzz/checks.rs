//! Invariants that hold after every turn, and at the end.

use super::methods::VHOSTS;
use super::peer::Peer;
use super::sent::Sent;
use super::world::World;
use crate::amqp::connection::Connection;
use crate::amqp::connection::channel::Channel;
use crate::amqp::connection::memory_limits::{CHANNEL, CONSUMER};
use crate::amqp::connection::unacked::Delivery;
use crate::domain::broker::Broker;
use crate::domain::limits::ConnectionAttempt;
use crate::engine::queue::{Consumer, Queue, QueueKind};
use crate::engine::statistics::QueueSums;
use crate::manage::statistics::visit;
use crate::plumbing::ledger::Kind;
use crate::plumbing::mailbox::{Mail, REPORT_STEP};
use leveret_storage::{Batch, Position, QueueId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a restart brings back of each durable queue: virtual host, name and persistent messages.
pub(super) type Kept = Vec<(String, String, u64)>;

/// All queues of all virtual hosts.
fn queues(broker: &Broker) -> Vec<Arc<Queue>> {
    broker
        .vhosts()
        .iter()
        .flat_map(|vhost| vhost.queues())
        .collect()
}

/// After every turn, when nobody has anything to do.
pub(super) fn while_running(world: &mut World) {
    unacknowledged_messages_are_in_one_place(world);
    the_ledger_adds_up(world);
    the_sums_of_queues_add_up(&world.broker);
    for peer in &world.peers {
        credit_is_counted(peer);
        everything_was_read(peer);
    }
    let holds_too_much = |peer: &mut Peer| peer.connection.holds_too_much();
    let over_limit: Vec<bool> = world.peers.iter_mut().map(holds_too_much).collect();
    for queue in queues(&world.broker) {
        world
            .queues
            .entry(queue.id)
            .or_insert_with(|| Arc::downgrade(&queue));
        // A head that is on disk is on its way; see `unrest`.
        if queue.has_head() {
            nobody_waits_in_vain(&queue, &world.peers, &over_limit);
        }
    }
}

/// The sums that are kept of all queues are those of a full count, though only queues that have moved were visited.
pub(super) fn the_sums_of_queues_add_up(broker: &Broker) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        visit(broker);
        let kept = broker.vhosts().into_iter().map(|vhost| {
            let sums = vhost.statistics.sums().by_kind;
            (vhost.name().clone(), sums.map(without_disk))
        });
        let kept: BTreeMap<_, _> = kept.collect();
        let mut found: BTreeMap<_, _> = kept
            .keys()
            .cloned()
            .map(|name| (name, Default::default()))
            .collect();
        for queue in queues(broker) {
            let sums: &mut [QueueSums; QueueKind::ALL.len()] = found.get_mut(&queue.vhost).unwrap();
            sums[queue.kind as usize] += without_disk(queue.sums());
        }
        if kept == found {
            return;
        }
        // What the store does with a stream's messages it does at its own pace.
        assert!(Instant::now() < deadline, "{kept:#?} and not {found:#?}");
        std::thread::yield_now();
    }
}

/// What deleted queues have read and written stays in the sums.
fn without_disk(sums: QueueSums) -> QueueSums {
    QueueSums {
        disk_reads: 0,
        disk_writes: 0,
        ..sums
    }
}

/// The accounted memory of every connection equals the sum added up again.
fn the_ledger_adds_up(world: &mut World) {
    let mut all = recount(&mut world.prober.connection);
    for peer in &mut world.peers {
        all += recount(&mut peer.connection);
        let (told, waiting) = peer.mailbox.reported();
        let untold = waiting.abs_diff(told);
        assert!(untold < REPORT_STEP, "{told} of {waiting} waiting");
        all += told as u64;
    }
    assert_eq!(world.broker.ledger.total(), all);
}

/// Adds up the bytes that a connection holds, by kind.
pub(in crate::amqp::connection) fn recount(connection: &mut Connection) -> u64 {
    connection.report_to_ledger();
    let channels = || connection.channels.iter();
    let unsettled = |channel: &Channel| unsettled(channel).map(Delivery::bytes).sum::<u64>();
    let consumers = channels().flat_map(|channel| channel.consumers.values());
    let arguments = |it: &Arc<Consumer>| it.tag.as_str().len() + it.arguments.bytes();
    let kept: Vec<u64> = consumers
        .map(|it| CONSUMER + arguments(it) as u64)
        .collect();
    let deferred = channels().filter_map(|channel| channel.deferred.as_ref());
    let frames = deferred.flat_map(|deferred| deferred.frames.iter());
    let found = [
        (Kind::Unacknowledged, channels().map(unsettled).sum()),
        (
            Kind::Unfinished,
            channels().map(|it| it.content.weight()).sum(),
        ),
        (
            Kind::Declared,
            channels().count() as u64 * CHANNEL + kept.iter().sum::<u64>(),
        ),
        (
            Kind::Deferred,
            frames.map(|(frame, _)| frame.total() as u64).sum(),
        ),
        (Kind::Output, connection.out.memory()),
        (
            Kind::Uncommitted,
            channels()
                .filter_map(|it| it.transaction.as_ref())
                .map(|it| it.weight())
                .sum(),
        ),
    ];
    let known = connection.account.holdings();
    for (kind, bytes) in found {
        assert_eq!(known.of(kind), bytes, "{kind:?}");
    }
    found.iter().map(|(_, bytes)| bytes).sum()
}

fn open_channels(peer: &Peer) -> impl Iterator<Item = &Channel> {
    peer.connection.channels.iter()
}

/// What a channel was given and has neither acknowledged for good nor rejected.
fn unsettled(channel: &Channel) -> impl Iterator<Item = &Delivery> {
    let uncommitted = channel.transaction.iter().flat_map(|tx| tx.deliveries());
    let unacked = channel.unacked.entries().map(|(_, delivery)| delivery);
    unacked.chain(uncommitted)
}

/// Deliveries that wait in a mailbox for an acknowledgement later on.
fn mail(peer: &Peer) -> Vec<(Arc<Consumer>, Position)> {
    peer.mailbox.peek(|mail| {
        mail.iter()
            .filter_map(|mail| match mail {
                Mail::Deliver(consumer, entry) if !consumer.no_ack => {
                    Some((consumer.clone(), entry.position))
                }
                _ => None,
            })
            .collect()
    })
}

/// Every unacknowledged message that a queue counts is with one client, or on its way there, and
/// no message is in two places. What is read in a stream is everywhere, and counted nowhere.
fn unacknowledged_messages_are_in_one_place(world: &World) {
    let mut held: BTreeMap<QueueId, BTreeSet<Position>> = BTreeMap::new();
    let mut hold = |queue: QueueId, position: Position| {
        let new = held.entry(queue).or_default().insert(position);
        assert!(new, "{position:?} of {queue:?} was given out twice");
    };
    for peer in &world.peers {
        let deliveries = open_channels(peer).flat_map(unsettled);
        for delivery in deliveries.filter(|delivery| delivery.queue.stream().is_none()) {
            hold(delivery.queue.id, delivery.entry.position);
        }
        let mail = mail(peer).into_iter();
        for (consumer, position) in mail.filter(|(consumer, _)| !reads_a_stream(consumer)) {
            hold(consumer.queue.id, position);
        }
    }
    for queue in queues(&world.broker) {
        let expected = held
            .get(&queue.id)
            .map_or(0, |positions| positions.len() as u64);
        assert_eq!(queue.counts().unacked, expected, "queue {}", queue.name());
    }
}

fn reads_a_stream(consumer: &Consumer) -> bool {
    consumer.queue.stream().is_some()
}

/// A consumer's credit, and its channel's, is used by what it has and nothing else. A reader of a
/// stream may be receiving something at this moment.
fn credit_is_counted(peer: &Peer) {
    let mail = mail(peer);
    for channel in open_channels(peer) {
        let mut readers = channel.consumers.values();
        let of_stream = |delivery: &Delivery| delivery.queue.stream().is_some();
        if readers.any(|consumer| reads_a_stream(consumer)) || unsettled(channel).any(of_stream) {
            continue;
        }
        let on_channel =
            |consumer: &Arc<Consumer>| Arc::ptr_eq(&consumer.channel_credit, &channel.credit);
        let given = unsettled(channel).filter_map(|delivery| delivery.consumer.as_ref());
        let given: Vec<_> = given
            .chain(mail.iter().map(|(consumer, _)| consumer))
            .collect();
        let used = given.iter().filter(|consumer| on_channel(consumer)).count();
        assert_eq!(
            channel.credit.used() as usize,
            used,
            "credit of channel {}",
            channel.id
        );
        for consumer in channel.consumers.values() {
            let used = given
                .iter()
                .filter(|other| Arc::ptr_eq(other, consumer))
                .count();
            assert_eq!(
                consumer.credit.used() as usize,
                used,
                "credit of {}",
                consumer.tag
            );
        }
    }
}

/// A client that reads has received all that the server knows to have sent.
fn everything_was_read(peer: &Peer) {
    if !peer.reads_all() {
        return;
    }
    assert!(
        peer.heard.is_between_frames(),
        "the server stops in the middle"
    );
    for channel in open_channels(peer) {
        if let Some(confirms) = &channel.confirms {
            let told = confirms.published() - confirms.outstanding();
            assert_eq!(
                peer.heard.confirmed(channel.id.0),
                told,
                "confirms of {}",
                channel.id
            );
        }
    }
}

/// Whether a consumer has as many deliveries as it may.
fn is_spent(consumer: &Consumer) -> bool {
    let spent = |credit: &crate::engine::queue::Credit| {
        credit.limit() != 0 && credit.used() >= credit.limit()
    };
    spent(&consumer.channel_credit) || (!consumer.no_ack && spent(&consumer.credit))
}

/// A queue with messages has no consumer that could take one. `over_limit` marks the clients that get no more because
/// of what they hold already.
fn nobody_waits_in_vain(queue: &Queue, peers: &[Peer], over_limit: &[bool]) {
    if queue.stream().is_some() {
        // What a consumer has read stays; others bring it further, at their own time.
        return;
    }
    for consumer in queue.consumers() {
        let owner = |peer: &&Peer| peer.info.id == consumer.mailbox.connection();
        let (peer, over_limit) = peers
            .iter()
            .zip(over_limit)
            .find(|(peer, _)| owner(peer))
            .expect("consumers of ended connections are gone");
        if peer.reads_all() && !over_limit {
            assert!(
                is_spent(&consumer),
                "{} of {} waits in vain",
                consumer.tag,
                queue.name()
            );
        }
    }
}

/// Returns what is still under way, including the store's answers; empty if nothing is.
pub(super) fn unrest(world: &World) -> String {
    let mut unrest = String::new();
    if world.confirmed.count() != world.probes {
        unrest += &format!("{:?} of {} probes; ", world.confirmed, world.probes);
    }
    for queue in queues(&world.broker) {
        let consumed = queue.stream().is_none() && !queue.consumers().is_empty();
        if consumed && !queue.has_head() && queue.counts().ready > 0 {
            unrest += &format!("the head of {} is on disk; ", queue.name());
        }
    }
    for peer in &world.peers {
        if !peer.is_read() {
            unrest += &format!("{} is not read; ", peer.id());
        }
        for channel in open_channels(peer) {
            let outstanding = channel.confirms.as_ref().map_or(0, |c| c.outstanding());
            if channel.deferred.is_some() || outstanding > 0 {
                unrest += &format!("{} {channel:?}; ", peer.id());
            }
        }
    }
    unrest
}

/// When all connections have ended.
pub(super) fn at_the_end(world: &World) {
    the_sums_of_queues_add_up(&world.broker);
    for queue in queues(&world.broker) {
        let counts = queue.counts();
        assert_eq!(
            (counts.unacked, counts.unacked_bytes),
            (0, 0),
            "queue {}",
            queue.name()
        );
        assert_eq!(counts.consumers, 0, "queue {}", queue.name());
        assert!(
            queue.spec.exclusive_to.is_none(),
            "{}'s connection is gone",
            queue.name()
        );
    }
    let held = world.prober.connection.account.holdings();
    assert_eq!(world.broker.ledger.total(), held.of(Kind::Output));
    // A prober without channels stays.
    assert_eq!(world.broker.connections.count(), 1);
    let (user, vhost) = ("guest".into(), VHOSTS[0].into());
    let attempt = ConnectionAttempt {
        user,
        vhost,
        vhost_limit: Some(2),
        user_limit: Some(1),
    };
    let usage = world.broker.usage.admit(attempt);
    let mut usage = usage.expect("nobody else is there");
    let channel = usage.open_channel(Some(1), Some(1));
    channel.expect("no other channels are there");
    let known: BTreeSet<QueueId> = queues(&world.broker).iter().map(|queue| queue.id).collect();
    for (id, queue) in &world.queues {
        let is_released = || known.contains(id) || queue.strong_count() == 0;
        // Whoever reads a stream may have its last turn just now.
        let until = Instant::now() + Duration::from_secs(20);
        while !is_released() && Instant::now() < until {
            std::thread::yield_now();
        }
        assert!(
            is_released(),
            "{:?} is held by nothing known",
            queue.upgrade()
        );
    }
}

/// What a restart has to bring back.
pub(super) fn kept(broker: &Broker) -> Kept {
    if let Some(store) = &broker.store {
        // Streams count what they are told is stored, an instant after that: what is committed
        // behind it comes later still.
        store.flush().unwrap();
        store.submit(Batch {
            ops: Vec::new(),
            sink: None,
        });
        store.flush().unwrap();
    }
    let mut kept: Kept = queues(broker)
        .iter()
        .filter(|queue| queue.spec.is_stored())
        .map(|queue| {
            (
                queue.vhost.to_string(),
                queue.name().to_string(),
                queue.counts().persistent,
            )
        })
        .collect();
    kept.sort();
    kept
}

/// Every message of the probe is in its queue, in order and once, or somebody was given it who may
/// have acknowledged it, or who need not and was gone before the answer was there.
pub(super) fn probes(world: &mut World) {
    let left = world.left_probes();
    assert!(left.is_sorted_by(|a, b| a < b), "out of order: {left:?}");
    if world.past.values().any(|sent| sent.forfeits) {
        return;
    }
    let left: BTreeSet<u64> = left.into_iter().collect();
    let mut unheard: u64 = world.past.values().map(Sent::may_have_taken).sum();
    for id in 1..=world.probes {
        if left.contains(&id) {
            continue;
        }
        let holders = world.holders.get(&id).cloned().unwrap_or_default();
        let may_have_settled = |(connection, channel, tag, no_ack): &(_, u16, u64, bool)| {
            *no_ack
                || world
                    .past
                    .get_mut(connection)
                    .is_some_and(|sent| sent.on(*channel).may_have_settled(*tag))
        };
        if holders.iter().any(may_have_settled) {
            continue;
        }
        assert!(unheard > 0, "message {id} is lost; given to {holders:?}");
        unheard -= 1;
    }
}
