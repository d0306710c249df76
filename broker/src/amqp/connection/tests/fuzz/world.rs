//! One broker, three clients that do anything and one that behaves.

use super::super::client::Client;
use super::super::{add_user, broker, requests};
use super::heard::Confirmed;
use super::methods::{PROBE, VHOSTS};
use super::peer::{Manner, Peer};
use super::sent::Sent;
use super::turns::{Case, PEERS, Turn};
use super::{checks, probe};
use crate::config::{Config, PasswordHashing};
use crate::domain::broker::Broker;
use crate::domain::recovery;
use crate::engine::interfaces::ConnectionId;
use crate::engine::interfaces::Deadlines;
use crate::engine::queue::paging::Limits;
use crate::engine::queue::{Queue, Return};
use crate::plumbing::paging::Pager;
use leveret_protocol::classes::BasicProperties;
use leveret_storage::{Options, QueueId, Spill, Store};
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// More rounds than this and the connections only keep each other busy.
const MOST_ROUNDS: usize = 20_000;

/// Everybody and everything.
pub(super) struct World {
    pub(super) broker: Arc<Broker>,
    pub(super) peers: Vec<Peer>,
    pub(super) prober: Client,
    /// Messages of the probe are numbered from 1 to this.
    pub(super) probes: u64,
    pub(super) confirmed: Confirmed,
    /// Who was given which of them.
    pub(super) holders: BTreeMap<u64, Vec<(ConnectionId, u16, u64, bool)>>,
    /// What connections that have ended had sent.
    pub(super) past: BTreeMap<ConnectionId, Sent>,
    /// Every queue that there ever was.
    pub(super) queues: BTreeMap<QueueId, Weak<Queue>>,
    pub(super) now: Instant,
}

/// Runs a case on a broker that keeps everything in memory.
pub(super) fn in_memory(case: Case) {
    let world = World::new(broker());
    world.run(&case.0);
}

/// Runs a case on a broker with a store, and looks whether another broker finds all of it there.
pub(super) fn with_a_store(case: Case) {
    let directory = tempfile::tempdir().unwrap();
    let config = Config {
        // Quick, as there are many worlds.
        password_hashing_module: PasswordHashing::Sha256,
        ..Config::with_data_dir(directory.path().to_owned())
    };
    let open = || Store::open(Options::new(directory.path().join("store"))).unwrap();
    let mut broker = recovery::recover(&config, open()).unwrap();
    let store = broker.store.clone().unwrap();
    // Backlogs leave memory early, and move while nobody is judging.
    let spill = Spill::open(&directory.path().join("pages")).unwrap();
    let (limits, records) = (Limits::with_budget(16 << 10), Box::new(store.clone()));
    broker.pager = Some(Arc::new(Pager::at_once(limits, Some(records), spill)));
    let broker = Arc::new(broker);
    let kept = World::new(broker).run(&case.0);
    store.close().unwrap();
    drop(store);
    let again = recovery::recover(&config, open()).unwrap();
    assert_eq!(checks::kept(&again), kept, "after a restart");
    again.store.as_ref().unwrap().close().unwrap();
}

impl World {
    fn new(broker: Arc<Broker>) -> Self {
        add_user(&broker, "prober", ".*");
        let now = Instant::now();
        let mut prober = Client::open_as(&broker, "prober");
        prober.open_channel(1);
        prober.open_channel(2);
        prober.send(1, requests::declare_with(PROBE, |d| d.durable = true));
        prober.hears_until(&format!("1 declare-ok {PROBE} 0 0"));
        assert_eq!(prober.ask(requests::confirm_select()), ["1 select-ok"]);
        let mut world = World {
            broker,
            peers: Vec::new(),
            prober,
            probes: 0,
            confirmed: Confirmed::default(),
            holders: BTreeMap::new(),
            past: BTreeMap::new(),
            queues: BTreeMap::new(),
            now,
        };
        world.add_other_vhost();
        let manner = world.usual();
        world.peers = (0..PEERS)
            .map(|_| Peer::connect(&world.broker, &manner, now))
            .collect();
        // Something to work with from the start.
        for (peer, queue) in [(0, "a"), (1, "b")] {
            world.peers[peer].ask(1, &requests::declare(queue));
            world.peers[1 - peer].ask(2, &requests::consume(queue, "first"));
        }
        let stream = requests::declare_with("d", |declare| {
            declare.durable = true;
            declare.arguments = requests::table([("x-queue-type", requests::text("stream"))]);
        });
        world.peers[0].ask(1, &stream);
        world.peers[1].ask(1, &requests::qos(20, false));
        world.peers[1].ask(1, &requests::consume("d", "reader"));
        world
    }

    fn usual(&self) -> Manner {
        Manner {
            greeting: Vec::new(),
            vhost: VHOSTS[0],
            frame_max: 131_072,
            channels: 3,
        }
    }

    /// Runs all turns and ends; returns what a restart must bring back.
    fn run(mut self, turns: &[Turn]) -> checks::Kept {
        self.settle_down();
        for turn in turns {
            self.turn(turn);
            self.settle_down();
            checks::while_running(&mut self);
            self.peers.iter_mut().for_each(Peer::answer);
            self.settle_down();
            self.renew_ended();
        }
        self.finish()
    }

    fn turn(&mut self, turn: &Turn) {
        match turn {
            Turn::Send { peer, acts, piece } => {
                let peer = &mut self.peers[*peer];
                peer.piece = *piece;
                acts.iter().for_each(|act| peer.act(act));
            }
            Turn::Read { peer, octets } => self.peers[*peer].reads = *octets,
            Turn::Drop { peer, manner } => self.replace(*peer, manner),
            Turn::Flood(queue, count) => {
                let body = vec![b'x'; 300_000];
                for _ in 0..*count {
                    let publish = requests::publish("", queue);
                    self.prober
                        .publish_with(2, publish, &BasicProperties::default(), &body);
                }
            }
            Turn::Probe(count) => (0..*count).for_each(|_| self.publish_probe()),
            Turn::Wait(time) => {
                self.now += *time;
                self.peers.iter_mut().for_each(|peer| peer.wait(*time));
            }
            Turn::Operate(operation) => self.operate(*operation),
        }
    }

    fn publish_probe(&mut self) {
        self.probes += 1;
        let mode = 1 + u8::from(!self.probes.is_multiple_of(3));
        let properties = BasicProperties::default().with_delivery_mode(mode);
        let publish = requests::publish("", PROBE);
        self.prober
            .publish_with(1, publish, &properties, &probe::body(self.probes));
    }

    /// Does what is due; `true` when something was.
    fn look_after_timers(&self) -> bool {
        let Some(what) = self.broker.timers.take_due(self.now) else {
            return false;
        };
        let mut fx = self.broker.effects(None);
        let again = what.clone().on_time(&*self.broker, self.now, &mut fx);
        fx.perform();
        if let Some(at) = again {
            self.broker.timers.wake_at(at, &what);
        }
        true
    }

    /// Lets everybody do what there is to do, until nobody has anything.
    pub(super) fn settle_down(&mut self) {
        for _ in 0..MOST_ROUNDS {
            if self.round() {
                continue;
            }
            // The prober may have been blocked, and publish only now.
            self.look_at_probes();
            if !self.round() {
                return;
            }
        }
        panic!("no end after {MOST_ROUNDS} rounds");
    }

    /// Everybody's turn; `true` when somebody had something to do.
    fn round(&mut self) -> bool {
        let mut progress = self.look_after_timers();
        for peer in &mut self.peers {
            progress |= peer.round();
        }
        progress
    }

    fn look_at_probes(&mut self) {
        for peer in &mut self.peers {
            for (probe, came) in peer.heard.probes.drain(..) {
                let holder = (peer.info.id, came.channel, came.tag, came.no_ack);
                self.holders.entry(probe).or_default().push(holder);
            }
        }
        for line in self.prober.hears() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["1", "ack", tag] => self.confirmed.add(tag.parse().unwrap(), false, self.probes),
                ["1", "ack", tag, "multiple"] => {
                    self.confirmed.add(tag.parse().unwrap(), true, self.probes);
                }
                ["0", "blocked", ..] | ["0", "unblocked"] => {}
                _ => panic!("the prober hears {line}"),
            }
        }
    }

    /// Where a connection has ended, another begins.
    fn renew_ended(&mut self) {
        for at in 0..PEERS {
            if self.peers[at].is_over() {
                let manner = self.usual();
                self.replace(at, &manner);
            }
        }
    }

    fn replace(&mut self, at: usize, manner: &Manner) {
        self.end(at);
        self.peers[at] = Peer::connect(&self.broker, manner, self.now);
    }

    fn end(&mut self, at: usize) {
        let peer = &mut self.peers[at];
        peer.end(&self.broker);
        self.past
            .insert(peer.info.id, std::mem::take(&mut peer.sent));
        self.look_at_probes();
    }

    /// Everybody reads again, all that is on its way arrives, everybody leaves.
    fn finish(mut self) -> checks::Kept {
        let deadline = Instant::now() + Duration::from_secs(30);
        self.alarm(false, false);
        self.peers
            .iter_mut()
            .for_each(|peer| peer.reads = usize::MAX);
        loop {
            self.settle_down();
            if checks::unrest(&self).is_empty() {
                break;
            }
            assert!(
                Instant::now() < deadline,
                "no rest: {}",
                checks::unrest(&self)
            );
            std::thread::yield_now();
        }
        checks::while_running(&mut self);
        for at in 0..PEERS {
            self.end(at);
        }
        // What a connection remembers for its next publish may be a queue that is gone.
        self.peers.clear();
        self.renew_prober();
        checks::at_the_end(&self);
        let kept = checks::kept(&self.broker);
        checks::probes(&mut self);
        kept
    }

    fn renew_prober(&mut self) {
        self.prober.connection.end();
        self.broker
            .connections
            .remove(self.prober.connection.info.id);
        self.prober = Client::open_as(&self.broker, "prober");
    }

    /// Takes what is left of the probe's messages, in their order, and puts them back.
    pub(super) fn left_probes(&mut self) -> Vec<u64> {
        let queue = self
            .broker
            .vhost(VHOSTS[0])
            .and_then(|vhost| vhost.queue(PROBE));
        let queue = queue.expect("nobody deletes it");
        let mut fx = self.broker.effects(None);
        let taken: Vec<_> = std::iter::from_fn(|| queue.get(false, &mut fx))
            .map(|(entry, _)| entry)
            .collect();
        let ids = taken
            .iter()
            .filter_map(|entry| probe::read(entry.message.body()))
            .collect();
        let taken = taken.into_iter().map(|entry| (entry, Return::Unseen));
        queue.requeue(taken, &mut fx);
        fx.perform();
        ids
    }
}
