//! Two real queues with the connections around them, reduced to what queues see of connections.

use super::dead_letters::{RETRY, new_vhost};
use super::fixtures::{Channel, Peer, Rules, new_channel, new_peer, new_queue};
use super::model::Model;
use super::time::SimulatedTime;
use super::{CHANNELS, PEERS, QUEUES, Step};
use crate::domain::vhost::{Vhost, Vhosts};
use crate::engine::message::SharedMessage;
use crate::engine::queue::paging::Holder;
use crate::engine::queue::{Consumer, Effects, Queue};
use crate::plumbing::paging::Pager;
use leveret_storage::Position;
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub(super) type ConsumerIndex = usize;

/// A consumer with what fairness is judged by.
pub(super) struct Subscriber {
    pub(super) real: Arc<Consumer>,
    pub(super) queue: usize,
    pub(super) channel: usize,
    pub(super) used: u32,
    pub(super) last_served: u64,
    /// Since when it could have been served at any time.
    pub(super) able_since: Option<u64>,
}

pub(super) struct World {
    pub(super) queues: Vec<Arc<Queue>>,
    pub(super) models: Vec<Model>,
    /// The queues that are not deleted.
    pub(super) current: [usize; QUEUES],
    pub(super) peers: Vec<Peer>,
    pub(super) channels: Vec<Channel>,
    pub(super) consumers: Vec<Subscriber>,
    pub(super) now: u64,
    pub(super) rules: [Rules; QUEUES],
    pub(super) next_id: u64,
    /// Messages that have places in queues and have not arrived.
    pub(super) travelling: Vec<(usize, Position, Vec<SharedMessage>)>,
    pub(super) vhost: Arc<Vhost>,
    pub(super) vhosts: Arc<Vhosts>,
    /// Dead letters find the way to the first queue.
    pub(super) way_open: bool,
    /// Dead letters that have found it.
    pub(super) sent: usize,
    pub(super) fx: Effects,
    pub(super) time: SimulatedTime,
}

impl World {
    /// A world whose second queue has rules.
    pub(super) fn new(rules: Rules) -> Self {
        World::with_pager(rules, None)
    }

    /// Likewise; with a pager, backlogs leave memory.
    pub(super) fn with_pager(rules: Rules, pager: Option<Arc<Pager>>) -> Self {
        let rules = [Rules::default(), rules];
        let (vhost, vhosts) = new_vhost();
        let (time, mut fx) = SimulatedTime::new(vhosts.clone(), pager);
        let epoch = time.epoch();
        let mut new = |i| new_queue(i, rules[i], &mut fx);
        let mut world = World {
            queues: (0..QUEUES).map(&mut new).collect(),
            models: rules.map(|rules| Model::new(rules, 0, epoch)).into(),
            rules,
            current: std::array::from_fn(|i| i),
            peers: (0..PEERS).map(|_| new_peer()).collect(),
            channels: (0..CHANNELS).map(new_channel).collect(),
            consumers: Vec::new(),
            now: 0,
            next_id: 0,
            travelling: Vec::new(),
            vhost,
            vhosts,
            way_open: false,
            sent: 0,
            fx,
            time,
        };
        for queue in world.queues.clone() {
            world.follow_way(queue);
        }
        world.set_way(true);
        world
    }

    pub(super) fn run(&mut self, step: Step) {
        match step {
            Step::Publish { queue, count, kind } => {
                self.publish(&[self.current[queue]], count, kind);
            }
            Step::PublishToBoth { kind } => self.publish(&self.current.clone(), 1, kind),
            Step::Reserve { queue, count, kind } => self.reserve(self.current[queue], count, kind),
            Step::Arrive => self.arrive(),
            Step::Consume(consume) => self.consume(&consume),
            Step::Cancel(which) => self.cancel_some(which),
            Step::Take { peer } => self.take(peer),
            Step::Settle {
                channel,
                which,
                multiple,
                fate,
            } => self.settle_some(channel, which, multiple, fate),
            Step::Get {
                queue,
                channel,
                no_ack,
            } => self.get(self.current[queue], channel, no_ack),
            Step::Purge { queue } => {
                let queue = self.current[queue];
                let count = self.queues[queue].purge(&mut self.fx);
                let model = &mut self.models[queue];
                assert_eq!(count, model.purged() + model.purged_letters());
                self.judge(queue);
            }
            Step::Policy {
                queue,
                limit,
                delays,
            } => self.set_policy(self.current[queue], limit, delays),
            Step::Limit { channel, limit } => {
                self.channels[channel].credit.set_limit(limit);
                self.resume_blocked(|c| c.channel == channel);
            }
            Step::CloseChannel { channel } => self.close_channel(channel),
            Step::End { peer, at_once } => self.end(peer, at_once),
            Step::Delete { queue } => self.delete(queue),
            Step::Write => {
                for (queue, model) in self.queues.iter().zip(&mut self.models) {
                    model.write(queue.id);
                }
            }
            Step::PageOutIdle { queue, everything } => {
                let queue = self.current[queue];
                self.queues[queue]
                    .clone()
                    .page_out_idle(everything, &mut self.fx);
                self.judge(queue);
            }
            Step::Way { open } => self.set_way(open),
            Step::Wait { milliseconds } => self.wait(milliseconds),
        }
        self.check_nobody_waits();
        self.check_wakes();
    }

    /// Lets everybody take and acknowledge all there is: nothing may be left.
    pub(super) fn finish(&mut self) {
        self.run(Step::Arrive);
        for channel in 0..CHANNELS {
            self.run(Step::Limit { channel, limit: 0 });
        }
        for peer in 0..PEERS {
            self.end(peer, false);
        }
        // Dead letters that could not be routed find a route now.
        self.set_policy(self.current[0], None, None);
        self.set_way(true);
        self.wait(RETRY);
        for queue in self.current {
            let kept = &self.models[queue].kept;
            assert!(kept.is_empty(), "not sent: {kept:?}");
            let waiting = &self.models[queue].waiting;
            assert!(waiting.is_empty(), "still waiting: {waiting:?}");
            let unacked = &self.models[queue].unacked;
            assert!(unacked.is_empty(), "lost: {unacked:?}");
            while !self.models[queue].ready.is_empty() {
                self.get(queue, 0, true);
            }
            assert!(self.queues[queue].get(true, &mut self.fx).is_none());
        }
    }

    fn check_wakes(&mut self) {
        self.fx.perform();
        for peer in self.peers.iter().filter(|peer| peer.asleep) {
            let waits = peer.mailbox.peek(|mail| !mail.is_empty());
            let woken = peer.bell.0.load(Ordering::SeqCst);
            assert!(woken || !waits, "mail waits and nobody is woken");
        }
    }
}
