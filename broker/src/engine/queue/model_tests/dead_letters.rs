//! Dead letters on the road: they are sent as the broker sends them, through an exchange that comes
//! and goes, to the first queue.

use super::model::{Kept, Known, Model};
use super::world::World;
use crate::domain::vhost::spec::VhostSpec;
use crate::domain::vhost::{Vhost, Vhosts};
use crate::engine::dead_letters;
use crate::engine::exchange::{Binding, Destination, Exchange, ExchangeKind, ExchangeSpec};
use crate::engine::queue::{DeadLetter, Outgoing, Queue};
use std::sync::Arc;

/// The exchange that queues name for their dead letters.
pub(super) const EXCHANGE: &str = "dlx";

/// Milliseconds after which a letter that could not be routed is sent again.
pub(super) const RETRY: u64 = 1000;

/// A virtual host for the queues, and where it is found.
pub(super) fn new_vhost() -> (Arc<Vhost>, Arc<Vhosts>) {
    let vhost = Arc::new(Vhost::new(VhostSpec::named("/")));
    let vhosts = Arc::<Vhosts>::default();
    vhosts.write().insert("/".into(), vhost.clone());
    (vhost, vhosts)
}

impl World {
    /// From now on dead letters find their way to the first queue, or find none.
    pub(super) fn set_way(&mut self, open: bool) {
        let name = EXCHANGE.into();
        let gone = self.vhost.delete_exchange(&name, false, &mut self.fx);
        assert_eq!(gone, Ok(self.way_open));
        self.way_open = open;
        if !open {
            return;
        }
        let exchange = Arc::new(Exchange::new(ExchangeSpec {
            name,
            kind: ExchangeKind::Fanout,
            durable: false,
            auto_delete: false,
            internal: false,
            arguments: Default::default(),
        }));
        self.vhost.insert_exchange(exchange.clone());
        let binding = Binding {
            destination: Destination::Queue(self.queues[self.current[0]].clone()),
            key: "".into(),
            arguments: Default::default(),
        };
        self.vhost.restore_binding(&exchange, binding);
    }

    /// Another queue took the place of one of the current ones.
    pub(super) fn follow_way(&mut self, queue: Arc<Queue>) {
        self.vhost.restore_queue(queue);
        self.set_way(self.way_open);
    }

    /// Takes all letters of a queue that are to be sent.
    pub(super) fn take_letters(&mut self, queue: usize, routes: u64) -> Option<Outgoing> {
        let queue = self.queues[queue].clone();
        let mut taken: Option<Outgoing> = None;
        loop {
            match queue.take_letters(u64::MAX, routes, &mut self.fx) {
                Some(next) => match &mut taken {
                    Some(taken) => taken.letters.extend(next.letters),
                    None => taken = Some(next),
                },
                // A page of them may have come only now.
                None if !self.fx.forget_letters() => return taken,
                None => {}
            }
        }
    }

    /// Sends the letters of a queue on, and tells the models. Says which queue got some.
    pub(super) fn send(&mut self, from: usize, outgoing: &Outgoing) -> Option<usize> {
        let to = self.current[0];
        let sent_before = self.sent;
        // What a full queue does with many depends on how those before were served.
        let at_once = match self.models[to].drops() || !self.models[from].loses_none() {
            true => 1,
            false => outgoing.letters.len().max(1),
        };
        for letters in outgoing.letters.chunks(at_once) {
            let sure = self.models[from].loses_none();
            let places = self.expect_sent(from, to, letters);
            let (queue, part) = (self.queues[from].clone(), outgoing.part(letters));
            dead_letters::send_these(&queue, part, &*self.vhosts, &mut self.fx);
            self.sent += places.len();
            let model = &mut self.models[to];
            let entered = places.iter().filter(|place| model.arrived(**place, sure));
            let any_entered = entered.count() > 0;
            // A queue that turns letters away does nothing else, unless a page came back meanwhile:
            // what has expired in it goes.
            let paged = self.fx.pager().is_some() && !places.is_empty();
            if paged && !any_entered {
                self.queues[to].serve_next(&mut self.fx);
            }
            if paged || any_entered {
                self.judge_deliveries(to);
                self.models[to].buried(&[], paged);
            }
        }
        (self.sent > sent_before).then_some(to)
    }

    /// Tells the models what becomes of letters that are sent together. Returns the places that are
    /// taken at the queue they go to.
    fn expect_sent(&mut self, from: usize, to: usize, letters: &[DeadLetter]) -> Vec<u64> {
        let mut places = Vec::new();
        let mut bytes = 0;
        let loses_none = self.models[from].loses_none();
        for letter in letters {
            let known = Known::of_letter(letter);
            let others = places.len() as u64;
            let room = !loses_none
                || !self.models[from].blocked && self.models[to].has_room(&known, others, bytes);
            if self.way_open && room {
                bytes += known.bytes;
                places.push(self.models[to].reserve(known));
            } else if loses_none {
                let way_open = self.way_open;
                let model = &mut self.models[from];
                model.keep(Kept::of(letter));
                // Those behind it must not be there before it.
                model.blocked |= way_open;
            }
        }
        places
    }
}

impl Model {
    /// Purges the letters that could not be routed; returns their number.
    pub(super) fn purged_letters(&mut self) -> u64 {
        let kept = std::mem::take(&mut self.kept);
        self.left
            .extend(kept.iter().filter_map(|kept| kept.stored_at));
        (self.retry_at, self.blocked) = (None, false);
        kept.len() as u64
    }
}
