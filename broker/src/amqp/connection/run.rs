//! The publishes of a read batch on their way to their queues, collected so that each queue is
//! locked once for many of them, even if destinations alternate.

use crate::engine::exchange::{Delays, Postponed};
use crate::engine::message::SharedMessage;
use crate::engine::queue::{Effects, Incoming, Queue};
use leveret_storage::Token;
use std::sync::Arc;

/// Messages that a queue gets under one lock, so that other connections get a turn.
pub(super) const RUN_MAX: usize = 256;
/// Messages that may wait for all queues together; one that goes to several is counted for each.
const WAITING_MAX: usize = 1024;
/// The number of queues that have a place.
const QUEUES_MAX: usize = 64;
/// A message for up to this many queues waits in the place of each.
const COPIED_UP_TO: usize = 4;

/// Messages that are not handed over yet.
#[derive(Default)]
pub(super) struct Run {
    /// Messages for few queues, by queue. Each queue gets them in the order in which they came.
    places: Vec<Place>,
    /// How many places are in use; the others keep their memory for later queues.
    used: usize,
    /// The number of messages in all places.
    waiting: usize,
    /// A place has as many messages as a queue gets at a time.
    is_full: bool,
    /// Messages for the same large set of queues. While some wait, all places are empty: otherwise a queue could get a
    /// later message first.
    wide: Vec<Incoming>,
    wide_queues: Arc<[Arc<Queue>]>,
    /// The number of messages, each counted once.
    published: u64,
    /// Messages for delayed exchanges that came in between.
    pub(super) postponed: Vec<(Arc<Delays>, Postponed)>,
}

struct Place {
    queue: Arc<Queue>,
    messages: Vec<Incoming>,
    /// One of the messages goes to other queues, too.
    shared: bool,
}

impl Run {
    /// Returns whether a message for these queues can be added before others are handed over.
    #[inline]
    pub(super) fn has_room(&self, queues: &Arc<[Arc<Queue>]>) -> bool {
        if queues.len() > COPIED_UP_TO {
            return self.waiting == 0 && self.wide.len() < RUN_MAX && self.fits_wide(queues);
        }
        self.wide.is_empty()
            && !self.is_full
            && self.waiting + COPIED_UP_TO <= WAITING_MAX
            && self.used + COPIED_UP_TO <= QUEUES_MAX
    }

    fn fits_wide(&self, queues: &Arc<[Arc<Queue>]>) -> bool {
        self.wide.is_empty() || same_queues(queues, &self.wide_queues)
    }

    /// Adds a message, for which there must be room. `hint` is where the place of its last queue
    /// may be; the actual place is returned as the next hint.
    #[inline(always)]
    pub(super) fn push(
        &mut self,
        queues: &Arc<[Arc<Queue>]>,
        message: SharedMessage,
        token: Option<Token>,
        hint: usize,
    ) -> usize {
        let Some((last, others)) = queues.split_last() else {
            return hint;
        };
        self.published += 1;
        if queues.len() > COPIED_UP_TO {
            if self.wide.is_empty() {
                self.wide_queues = queues.clone();
            }
            self.wide.push((message, token));
            return hint;
        }
        for queue in others {
            let at = self.place_of(queue, hint);
            self.add(at, (message.clone(), token), true);
        }
        let at = self.place_of(last, hint);
        self.add(at, (message, token), !others.is_empty());
        at
    }

    // Always inlined: the message is then written directly to its final place, and not read again immediately in pieces
    // of other sizes than it was written in, which stalls the processor (a tenth of the cost of a small message).
    #[inline(always)]
    fn add(&mut self, at: usize, message: Incoming, shared: bool) {
        let place = &mut self.places[at];
        place.messages.push(message);
        place.shared |= shared;
        self.waiting += 1;
        self.is_full |= place.messages.len() >= RUN_MAX;
    }

    #[inline]
    fn place_of(&mut self, queue: &Arc<Queue>, hint: usize) -> usize {
        let used = &self.places[..self.used];
        let is_its = |place: &Place| Arc::ptr_eq(&place.queue, queue);
        if used.get(hint).is_some_and(is_its) {
            return hint;
        }
        match used.iter().position(is_its) {
            Some(at) => at,
            None => self.take_place(queue),
        }
    }

    fn take_place(&mut self, queue: &Arc<Queue>) -> usize {
        let at = self.used;
        match self.places.get_mut(at) {
            // An unused place.
            Some(place) => place.queue = queue.clone(),
            None => self.places.push(Place {
                queue: queue.clone(),
                messages: Vec::new(),
                shared: false,
            }),
        }
        self.used += 1;
        at
    }

    /// Returns the number of messages to be handed over, each counted once.
    pub(super) fn published(&self) -> u64 {
        self.published
    }

    /// Hands the messages to their queues, locking each once.
    pub(super) fn hand_over(&mut self, fx: &mut Effects) {
        // A message for several queues reaches the store in one batch per queue, each under its queue's lock.
        let shared = |place: &Place| place.shared && !place.messages.is_empty();
        let together = !self.wide.is_empty() || self.places[..self.used].iter().any(shared);
        let _group = together.then(|| fx.group());
        for place in &mut self.places[..self.used] {
            if place.messages.is_empty() {
                continue;
            }
            let shared = std::mem::take(&mut place.shared);
            place.queue.publish(place.messages.drain(..), shared, fx);
        }
        if !self.wide.is_empty() {
            for queue in self.wide_queues.iter() {
                queue.publish(self.wide.iter().cloned(), true, fx);
            }
            self.wide.clear();
        }
        if self.used + COPIED_UP_TO > QUEUES_MAX {
            self.used = 0;
        }
        self.published = 0;
        self.waiting = 0;
        self.is_full = false;
    }

    /// Frees the memory of empty buffers.
    pub(super) fn release_memory(&mut self) {
        if self.waiting == 0 {
            self.places = Vec::new();
            self.used = 0;
        }
        if self.wide.is_empty() {
            self.wide_queues = Arc::default();
        }
        self.wide.shrink_to_fit();
        self.postponed.shrink_to_fit();
    }
}

/// Returns whether two lists contain the same queues in the same order, as routing yields them.
pub(super) fn same_queues(a: &Arc<[Arc<Queue>]>, b: &Arc<[Arc<Queue>]>) -> bool {
    let each = || a.iter().zip(b.iter()).all(|(a, b)| Arc::ptr_eq(a, b));
    Arc::ptr_eq(a, b) || a.len() == b.len() && each()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::message::MessageBuilder;
    use crate::engine::queue::QueueSpec;
    use leveret_protocol::VhostName;
    use leveret_storage::{Position, QueueId};
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    fn queue(id: u64) -> Arc<Queue> {
        let spec = QueueSpec {
            name: format!("q{id}").as_str().into(),
            durable: false,
            auto_delete: false,
            exclusive_to: None,
            arguments: Default::default(),
        };
        let vhost = VhostName::from("/");
        Arc::new(Queue::new(QueueId(id), vhost, spec, Position(0)))
    }

    fn message(n: u32) -> SharedMessage {
        let body = n.to_be_bytes();
        let mut builder = MessageBuilder::new(b"", b"", &[0, 0], false, body.len() as u64);
        builder.push(&body).unwrap();
        Arc::new(builder.finish(false))
    }

    fn drained(queue: &Arc<Queue>) -> Vec<u32> {
        let mut fx = Effects::default();
        std::iter::from_fn(|| queue.get(true, &mut fx))
            .map(|(entry, _)| u32::from_be_bytes(entry.message.body().try_into().unwrap()))
            .collect()
    }

    /// Each queue has what was published to it, in that order, whatever lists of queues take turns.
    #[test]
    fn every_queue_gets_its_messages_in_order() {
        let seed = rand::rng().random::<u64>();
        println!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let queues: Vec<Arc<Queue>> = (0..200).map(queue).collect();
        let lists: Vec<Arc<[Arc<Queue>]>> = (0..300)
            .map(|n| {
                let size =
                    [1, 1, 1, 2, COPIED_UP_TO, COPIED_UP_TO + 1, 30][random.random_range(0..7)];
                // The first few queues meet often.
                let most = if n % 2 == 0 { 8 } else { queues.len() };
                let mut list: Vec<_> = (0..size)
                    .map(|_| queues[random.random_range(0..most)].clone())
                    .collect();
                list.sort_by_key(|queue| queue.id);
                list.dedup_by_key(|queue| queue.id);
                list.into()
            })
            .collect();
        let mut wanted: Vec<Vec<u32>> = vec![Vec::new(); queues.len()];
        let (mut run, mut fx, mut hint) = (Run::default(), Effects::default(), 0);
        let mut counted = 0;
        for n in 0..20_000 {
            let list = &lists[random.random_range(0..lists.len())];
            if !run.has_room(list) {
                counted += run.published();
                run.hand_over(&mut fx);
            }
            assert!(run.has_room(list));
            hint = run.push(list, message(n), None, hint);
            assert!(run.waiting <= WAITING_MAX && run.wide.len() <= RUN_MAX);
            assert!(run.places.len() <= QUEUES_MAX);
            for queue in list.iter() {
                wanted[queue.id.0 as usize].push(n);
            }
        }
        counted += run.published();
        run.hand_over(&mut fx);
        assert_eq!((counted, run.published()), (20_000, 0));
        for (queue, wanted) in queues.iter().zip(wanted) {
            assert_eq!(drained(queue), wanted, "{:?}", queue.id);
        }
    }

    #[test]
    fn a_queue_gets_no_more_than_a_run_at_a_time() {
        let list: Arc<[Arc<Queue>]> = vec![queue(1)].into();
        let mut run = Run::default();
        for n in 0..RUN_MAX {
            assert!(run.has_room(&list), "{n}");
            run.push(&list, message(0), None, 0);
        }
        assert!(!run.has_room(&list));
    }

    #[test]
    fn destinations_that_take_turns_wait_for_one_hand_over() {
        let lists: Vec<Arc<[Arc<Queue>]>> = (0..8).map(|id| vec![queue(id)].into()).collect();
        let mut run = Run::default();
        for n in 0..800 {
            let list = &lists[n % lists.len()];
            assert!(run.has_room(list), "{n}");
            run.push(list, message(0), None, 0);
        }
        assert_eq!(run.published(), 800);
    }
}
