//! Sending dead letters on: each is routed by the exchange that its queue names, and enters the
//! resulting queues and leaves its own in a single batch of the store. This waits for nobody:
//! letters that a target queue rejects are lost to it, as in RabbitMQ, unless the source queue
//! loses none; then they go back there.
//!
//! Which messages die, and why, does not belong here: the queue decides that.

mod death;
#[cfg(test)]
mod order_tests;

use crate::engine::exchange::{
    DelayedMessage, Delays, Directory, Exchange, Placed, Postponed, Routable, Route,
};
use crate::engine::interfaces::{VirtualHost, VirtualHosts};
use crate::engine::message::SharedMessage;
use crate::engine::queue::{DeadLetter, Effects, Origin, Outgoing, Queue, Reason, Transfer};
use death::{Buffers, Death, Deaths};
use leveret_storage::QueueId;
use parking_lot::MutexGuard;
use smallvec::SmallVec;
use std::sync::Arc;

/// Approximate bytes for the store after which a batch is complete.
const BATCH_BYTES: usize = 8 << 20;
/// The maximum number of dead letters in a batch.
const BATCH_LETTERS: usize = 4096;

/// The number of dead letters caused immediately by others (they go to full queues that dead-letter
/// themselves) that are sent on in any case ...
const CHAIN_MIN: usize = 4096;
/// ... and this many more for each initial one.
const CHAIN_FACTOR: usize = 16;

/// Limits how many dead letters others may cause immediately. Among ten queues with `x-max-length`
/// 0 that dead-letter to all ten, a single message would cause ten million, as no letter revisits a
/// queue but may take any path through the others.
#[derive(Debug)]
pub struct Chain {
    /// How many more are allowed.
    left: usize,
}

impl Default for Chain {
    fn default() -> Self {
        Chain { left: CHAIN_MIN }
    }
}

impl Chain {
    /// Returns whether this letter may be sent on.
    fn takes(&mut self, letter: &DeadLetter) -> bool {
        if !letter.chained {
            self.left = self.left.saturating_add(CHAIN_FACTOR);
            return true;
        }
        let takes = self.left > 0;
        self.left = self.left.saturating_sub(1);
        takes
    }
}

/// Sends the dead letters of these queues on, in order per queue, until as many are under way as
/// had arrived when this was requested. The first batch includes what `fx` has collected before.
///
/// Queues must be sorted by id, and no lock may be held.
pub fn send(
    queues: &[(Arc<Queue>, u64)],
    vhosts: &dyn VirtualHosts,
    chain: &mut Chain,
    fx: &mut Effects,
) {
    let senders: SmallVec<[(Sender<'_>, u64); 1]> = queues
        .iter()
        .map(|(queue, until)| (Sender::new(queue, vhosts), *until))
        .collect();
    let mut more = true;
    while more {
        let batches: Batches<'_, '_> = senders
            .iter()
            .filter_map(|(sender, until)| Some((sender, sender.take(*until, fx)?)))
            .collect();
        more = batches.iter().any(|(_, outgoing)| outgoing.more);
        if !batches.is_empty() {
            send_batches(batches, chain, fx);
        }
    }
}

/// Letters from the outboxes of several queues, each batch with its sender.
type Batches<'a, 'b> = SmallVec<[(&'b Sender<'a>, Outgoing); 1]>;

fn send_batches(batches: Batches<'_, '_>, chain: &mut Chain, fx: &mut Effects) {
    let mut sorter = Sorter::new(fx);
    let results: SmallVec<[_; 1]> = batches
        .into_iter()
        .map(|(sender, outgoing)| (sender, sender.send(outgoing, &mut sorter, chain, fx)))
        .collect();
    sorter.carry_out(fx);
    for (sender, result) in results {
        sender.finish(result, fx);
    }
}

/// Sends letters that were taken from a queue's outbox.
#[cfg(test)]
pub fn send_these(
    queue: &Arc<Queue>,
    outgoing: Outgoing,
    vhosts: &dyn VirtualHosts,
    fx: &mut Effects,
) {
    let sender = Sender::new(queue, vhosts);
    send_batches(
        smallvec::smallvec![(&sender, outgoing)],
        &mut Chain::default(),
        fx,
    );
}

/// The right to send the letters of a queue, held by one sender at a time.
struct Sender<'a> {
    _only: MutexGuard<'a, ()>,
    vhost: Option<Arc<dyn VirtualHost>>,
    queue: &'a Arc<Queue>,
}

/// The result of sending letters.
struct SendResult {
    outgoing: Outgoing,
    /// Letters that could not be routed and must not be lost.
    stuck: Vec<DeadLetter>,
    /// Whether the dead-letter exchange exists.
    exchange_exists: bool,
    /// The number of letters dropped because others caused too many.
    given_up: usize,
    /// The number of queues left out because a letter would have cycled forever, and the queues in
    /// which the first such letter died, this one first.
    cycles: u64,
    cycle: Vec<String>,
}

impl<'q> Sender<'q> {
    fn new(queue: &'q Arc<Queue>, vhosts: &dyn VirtualHosts) -> Self {
        Sender {
            _only: queue.sender(),
            vhost: vhosts.find(queue.vhost.as_str()),
            queue,
        }
    }

    fn take(&self, until: u64, fx: &mut Effects) -> Option<Outgoing> {
        let routes = self.vhost.as_deref().map_or(0, VirtualHost::generation);
        self.queue.take_letters(until, routes, fx)
    }

    fn send(
        &self,
        mut outgoing: Outgoing,
        sorter: &mut Sorter,
        chain: &mut Chain,
        fx: &mut Effects,
    ) -> SendResult {
        let letters = std::mem::take(&mut outgoing.letters);
        let origin = outgoing.origin.clone();
        let target = origin.as_deref().and_then(|origin| self.target(origin));
        let loses_none = origin.as_ref().is_some_and(|origin| origin.loses_none);
        let mut result = SendResult {
            outgoing,
            stuck: Vec::new(),
            exchange_exists: target.is_some(),
            given_up: 0,
            cycles: 0,
            cycle: Vec::new(),
        };
        for letter in letters {
            let may_go = chain.takes(&letter);
            result.given_up += usize::from(!may_go);
            let target = target.as_ref().filter(|_| may_go);
            let sent = target.is_some_and(|target| sorter.sort(&letter, target, &mut result));
            if !sent && loses_none {
                result.stuck.push(letter);
                continue;
            }
            sorter.left.push((self.queue.id, letter));
            if sorter.is_full() {
                sorter.carry_out(fx);
            }
        }
        result
    }

    /// Returns where letters go; `None` if there is no such exchange.
    fn target<'a>(&self, origin: &'a Origin) -> Option<DeadLetterTarget<'a>> {
        let vhost = self.vhost.clone()?;
        let exchange = match origin.exchange.as_str() {
            "" => None,
            name => Some(vhost.exchange(name)?),
        };
        Some(DeadLetterTarget {
            origin,
            vhost,
            exchange,
        })
    }

    fn finish(&self, result: SendResult, fx: &mut Effects) {
        let (queue, vhost) = (self.queue.name(), &self.queue.vhost);
        if result.given_up > 0 {
            tracing::warn!(
                %queue,
                %vhost,
                lost = result.given_up,
                "dead letters keep causing more dead letters: dropping the latest ones"
            );
        }
        if result.cycles > 0
            && let Some(times) = self.queue.count_cycles(result.cycles, fx)
        {
            // `rabbit_dead_letter:log_cycle_once` logs each list of queues once.
            tracing::warn!(
                %queue,
                %vhost,
                times,
                queues = ?result.cycle,
                "Message dropped because the following list of queues (ordered by death recency) contains a \
                 dead letter cycle without reason 'rejected'"
            );
        }
        if !result.stuck.is_empty()
            && let Some(letters) = self.queue.count_stuck(result.stuck.len() as u64, fx)
        {
            // `rabbit_fifo_dlx_worker:log_missing_dlx_once`, `log_no_route_once`.
            let why = match result.exchange_exists {
                true => {
                    "no queue accepts them: none is bound to their dead-letter exchange, or the bound ones are full"
                }
                false => "their dead-letter exchange does not exist",
            };
            let exchange = result
                .outgoing
                .origin
                .as_ref()
                .map(|origin| origin.exchange.as_str());
            tracing::warn!(
                %queue,
                %vhost,
                exchange,
                letters,
                "dead letters cannot leave their quorum queue: {why}"
            );
        }
        self.queue.letters_tried(result.outgoing, result.stuck, fx);
    }
}

/// The exchange that a queue's dead letters go to. It may come and go; without it they are lost.
struct DeadLetterTarget<'a> {
    origin: &'a Origin,
    vhost: Arc<dyn VirtualHost>,
    /// `None` for the default exchange.
    exchange: Option<Arc<Exchange>>,
}

impl DeadLetterTarget<'_> {
    fn find(&self, message: &Routable<'_>, route: &mut Route) {
        if let Some(exchange) = &self.exchange {
            route.find(exchange, message, &*self.vhost as &dyn Directory);
            return;
        }
        let named = |key: &&[u8]| self.vhost.queue(std::str::from_utf8(key).ok()?);
        route.kept_by.clear();
        route.queues.clear();
        route
            .queues
            .extend(message.routing_keys.iter().filter_map(named));
        route.queues.sort_unstable_by_key(|queue| queue.id);
        route.queues.dedup_by_key(|queue| queue.id);
    }
}

/// Routes letters, and collects them until they are transferred.
struct Sorter {
    /// Wall clock time in seconds.
    seconds: u64,
    route: Route,
    buffers: Buffers,
    transfer: Transfer,
    postponed: Vec<(Arc<Delays>, Postponed)>,
    /// Letters that leave their queues with this batch.
    left: Vec<(QueueId, DeadLetter)>,
}

impl Sorter {
    fn new(fx: &mut Effects) -> Self {
        let now = fx.now();
        Sorter {
            seconds: fx.clock().wall_millis(now) / 1000,
            route: Route::default(),
            buffers: Buffers::default(),
            transfer: Transfer::default(),
            postponed: Vec::new(),
            left: Vec::new(),
        }
    }

    /// Routes a letter; returns whether it goes anywhere.
    fn sort(
        &mut self,
        letter: &DeadLetter,
        target: &DeadLetterTarget<'_>,
        result: &mut SendResult,
    ) -> bool {
        let (message, origin) = (&letter.message, target.origin);
        let death = Death::new(letter, origin, self.seconds);
        let keys = match &origin.routing_key {
            Some(key) => SmallVec::from_slice(&[&key[..]]),
            None => death.routing_keys.clone(),
        };
        let deaths = death.note(&mut self.buffers);
        let routable = Routable {
            routing_keys: &keys,
            properties: &self.buffers.properties,
        };
        target.find(&routable, &mut self.route);
        if letter.reason != Reason::Rejected {
            leave_out_cycles(&mut self.route, &deaths, result);
        }
        let (queues, kept_by) = (&self.route.queues, &self.route.kept_by);
        if queues.is_empty() && kept_by.is_empty() {
            return false;
        }
        let blocked = &mut result.outgoing.blocked;
        if !blocked.is_empty() && queues.iter().any(|queue| blocked.contains(&queue.id)) {
            blocked.extend(queues.iter().map(|queue| queue.id));
            return false;
        }
        let stored = queues
            .iter()
            .filter(|queue| queue.stores(message.persistent()));
        // A routing key is a short string, however it was given.
        let key = keys.first().copied().unwrap_or_default();
        let key = &key[..key.len().min(usize::from(u8::MAX))];
        let exchange = origin.exchange.as_str().as_bytes();
        let cancellable = stored.count() == 1 && kept_by.is_empty();
        let sent = message.forwarded(exchange, key, routable.properties, cancellable);
        let sent: SharedMessage = Arc::new(sent.into_letter());
        if origin.loses_none {
            if !self.transfer.add_if_room(&sent, queues) {
                blocked.extend(queues.iter().map(|queue| queue.id));
                return false;
            }
        } else {
            self.transfer.add(&sent, queues);
        }
        let delay = routable.delay().unwrap_or_default();
        let postponed = kept_by.iter().map(|delays| {
            let delayed = DelayedMessage {
                message: sent.clone(),
                more_keys: keys[1..].iter().map(|key| (*key).into()).collect(),
            };
            let token = None;
            (
                delays.clone(),
                Postponed {
                    delayed,
                    delay,
                    token,
                },
            )
        });
        self.postponed.extend(postponed);
        true
    }

    fn is_full(&self) -> bool {
        self.transfer.bytes() >= BATCH_BYTES || self.left.len() >= BATCH_LETTERS
    }

    /// Transfers what was collected.
    fn carry_out(&mut self, fx: &mut Effects) {
        let postponed = std::mem::take(&mut self.postponed);
        let mut placed: Vec<(Arc<Delays>, Vec<Placed>)> = Vec::new();
        let left = &mut self.left;
        let leave = |fx: &mut Effects| {
            let now = fx.now();
            let now = fx.clock().instant(now);
            for (delays, postponed) in postponed {
                let places = delays.place([postponed], now, fx);
                placed.push((delays, places));
            }
            for (queue, letter) in left.drain(..) {
                letter.leave(queue, fx);
            }
        };
        self.transfer.perform(leave, fx);
        for (delays, placed) in placed {
            delays.keep(placed, fx);
        }
    }
}

/// Removes the queues between which the message would cycle forever.
fn leave_out_cycles(route: &mut Route, deaths: &Deaths<'_>, result: &mut SendResult) {
    route.queues.retain(|queue| {
        let name = queue.name().as_str();
        let cycles = deaths.would_cycle(name);
        if cycles && result.cycles == 0 {
            result.cycle = deaths.queues(name);
        }
        result.cycles += u64::from(cycles);
        !cycles
    });
}
