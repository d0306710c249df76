//! The broker: the directory of everything that is declared, shared by all connections.

use crate::config::Limits;
use crate::domain::auth::{AuthError, Change, Mechanisms, Users};
use crate::domain::connections::Connections;
use crate::domain::definitions::{self, Definition};
use crate::domain::limits::{Tally, VhostLimits};
use crate::domain::vhost::{Vhost, VhostSpec, Vhosts};
use crate::engine::clock::Clock;
use crate::engine::exchange::{Delays, Exchange, ExchangeKind, ExchangeSpec};
use crate::engine::queue::paging::PageMover;
use crate::engine::queue::{ConsumerId, Effects, Surroundings};
use crate::plumbing::alarms::Alarms;
use crate::plumbing::ledger::Ledger;
use crate::plumbing::mailbox::Mailbox;
use crate::plumbing::paging::Pager;
use crate::plumbing::replies::ReplyAddresses;
use crate::plumbing::stream_readers::Readers;
use crate::plumbing::timers::{self, Timers};
use leveret_protocol::VhostName;
use leveret_storage::{CommitSink, Op, QueueId, Store};
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::time::Instant;

/// The virtual host that every broker starts with.
pub const DEFAULT_VHOST: &str = "/";

/// The broker.
pub struct Broker {
    /// Who may do what.
    pub users: Users,
    /// What survives a restart; none for a broker that keeps everything in memory.
    pub store: Option<Store>,
    /// Who is connected.
    pub connections: Connections,
    /// Who wants to be looked at when.
    pub timers: Arc<Timers>,
    /// Who reads streams.
    pub readers: Arc<Readers>,
    /// Who takes backlogs out of memory; none for a broker that keeps everything there.
    pub pager: Option<Arc<Pager>>,
    /// Its time.
    pub clock: Clock,
    /// How many of them there are, for the limits that operators set.
    pub tally: Arc<Tally>,
    /// What the broker is short of.
    pub alarms: Arc<Alarms>,
    /// What peers hold.
    pub ledger: Arc<Ledger>,
    /// Who waits for replies.
    pub replies: Arc<ReplyAddresses>,
    /// When it started.
    pub started: Instant,
    /// Held by an administrator's change until it is on its way to the store, so that changes are
    /// stored in the order in which they took effect: a permission of a user who is being deleted
    /// must not come after the deletion.
    pub admin_changes: Mutex<()>,
    limits: RwLock<Limits>,
    mechanisms: RwLock<Arc<Mechanisms>>,
    vhosts: Arc<Vhosts>,
    next_queue: AtomicU64,
    next_consumer: AtomicU64,
}

impl Broker {
    /// A broker without any virtual host or user.
    pub fn new(limits: Limits, loopback_users: Vec<String>, store: Option<Store>) -> Self {
        let alarms = Arc::<Alarms>::default();
        let ledger = Arc::new(Ledger::new(alarms.clone()));
        Broker {
            limits: RwLock::new(limits),
            users: Users::new(loopback_users),
            mechanisms: RwLock::default(),
            store,
            connections: Connections::new(ledger.clone()),
            timers: Arc::default(),
            readers: Arc::default(),
            pager: None,
            clock: Clock::start(),
            tally: Arc::default(),
            alarms,
            ledger,
            replies: Arc::default(),
            started: Instant::now(),
            admin_changes: Mutex::default(),
            vhosts: Arc::default(),
            next_queue: AtomicU64::new(1),
            next_consumer: AtomicU64::new(1),
        }
    }

    /// What it offers to clients.
    pub fn limits(&self) -> Limits {
        *self.limits.read()
    }

    /// How clients may log in.
    pub fn mechanisms(&self) -> Arc<Mechanisms> {
        self.mechanisms.read().clone()
    }

    /// Sets how clients may log in. Nobody who is there already has to go.
    pub fn set_mechanisms(&self, mechanisms: Mechanisms) {
        *self.mechanisms.write() = Arc::new(mechanisms);
    }

    /// Sets other limits, for connections to come and for those that are there.
    pub fn set_limits(&self, limits: Limits) {
        // First: a connection that is not on the list yet finds them here.
        *self.limits.write() = limits;
        self.connections.change_limits(limits);
    }

    /// Effects on this broker; the tokens of their records go to `sink`.
    pub fn effects(&self, sink: Option<&Arc<Mailbox>>) -> Effects {
        let sink = sink.map(|mailbox| mailbox.clone() as Arc<dyn CommitSink>);
        Effects::on(self.surroundings(), sink)
    }

    fn surroundings(&self) -> Surroundings {
        Surroundings {
            store: self.store.clone(),
            timers: Some(self.timers.clone()),
            clock: self.clock,
            vhosts: Some(self.vhosts.clone()),
            readers: Some(self.readers.clone()),
            pager: self.pager.clone().map(|pager| pager as Arc<dyn PageMover>),
        }
    }

    /// What its timers need.
    pub fn around_timers(&self) -> timers::Around {
        timers::Around {
            timers: self.timers.clone(),
            surroundings: self.surroundings(),
            vhosts: self.vhosts.clone(),
            pager: self.pager.clone(),
        }
    }

    /// Whether more waits to be paged out than should: whoever publishes is not to be read.
    pub fn pager_is_behind(&self) -> bool {
        self.pager.as_deref().is_some_and(Pager::over_mark)
    }

    /// Whether more waits to be stored than should: whoever publishes what is stored is not to be
    /// read.
    pub fn store_is_behind(&self) -> bool {
        self.store.as_ref().is_some_and(Store::backlog_over_mark)
    }

    /// Wakes when less waits for the disk, in one of both places.
    pub fn wake_when_ahead(&self, waker: Waker) {
        match (&self.pager, &self.store) {
            (Some(pager), _) if pager.over_mark() => pager.wake_when_below(waker),
            (_, Some(store)) => store.wake_when_below(waker),
            (_, None) => waker.wake(),
        }
    }

    /// A virtual host by name.
    pub fn vhost(&self, name: &str) -> Option<Arc<Vhost>> {
        self.vhosts.get(name)
    }

    /// All virtual hosts, in the order of their names.
    pub fn vhosts(&self) -> Vec<Arc<Vhost>> {
        self.vhosts.all()
    }

    /// Adds a virtual host; `false` when there is one of that name.
    pub fn add_vhost(&self, spec: VhostSpec, fx: &mut Effects) -> bool {
        let mut vhosts = self.vhosts.write();
        if vhosts.contains_key(&spec.name) {
            return false;
        }
        fx.store(Definition::virtual_host(&spec, None).put());
        fx.submit();
        vhosts.insert(spec.name.clone(), Arc::new(Vhost::new(spec)));
        true
    }

    /// Puts back a virtual host at start; one that is there already stays as it is.
    pub fn restore_vhost(&self, spec: VhostSpec) -> Arc<Vhost> {
        let mut vhosts = self.vhosts.write();
        vhosts
            .entry(spec.name.clone())
            .or_insert_with(|| Arc::new(Vhost::new(spec)))
            .clone()
    }

    /// Sets the limits of a virtual host in place of those before, or takes them away. They count
    /// from now on; nobody who is there already has to go. `false` when there is none of that
    /// name.
    pub fn set_vhost_limits(
        &self,
        name: &str,
        limits: Option<VhostLimits>,
        fx: &mut Effects,
    ) -> bool {
        // Held to the end: changes are stored in the order in which they took effect, and never
        // after the virtual host's deletion.
        let vhosts = self.vhosts.write();
        let Some(vhost) = vhosts.get(name) else {
            return false;
        };
        vhost.set_limits(limits);
        fx.store(Definition::virtual_host(&vhost.spec, limits).put());
        fx.submit();
        true
    }

    /// Removes a virtual host with all that is in it; its connections are closed. `false` when
    /// there is none of that name.
    pub fn delete_vhost(&self, name: &str, fx: &mut Effects) -> bool {
        let Some(vhost) = self.vhosts.write().remove(name) else {
            return false;
        };
        self.connections
            .close_in_vhost(vhost.name(), &format!("vhost '{name}' is deleted"));
        vhost.clear(fx);
        for change in self.users.forget_vhost(name) {
            fx.store(change_op(change));
        }
        fx.store(Op::DeleteDefinition {
            key: definitions::vhost_key(name),
        });
        true
    }

    /// Whether this virtual host, not another one of its name, is there.
    pub fn has_vhost(&self, vhost: &Arc<Vhost>) -> bool {
        let there = self.vhosts.get(vhost.name().as_str());
        there.is_some_and(|there| Arc::ptr_eq(&there, vhost))
    }

    /// Removes a user with its permissions; its connections are closed.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn delete_user(&self, name: &str, fx: &mut Effects) -> Result<(), AuthError> {
        let (account, changes) = self.users.delete_user(name)?;
        let reason = format!("user '{name}' is deleted");
        self.connections.close_of_account(account, &reason);
        for change in changes {
            self.store_change(change, fx);
        }
        Ok(())
    }

    /// What storing a change of users or permissions takes.
    pub fn store_change(&self, change: Change, fx: &mut Effects) {
        fx.store(change_op(change));
    }

    /// An identity for a queue, or a delayed exchange, that was never used.
    pub fn next_queue_id(&self) -> QueueId {
        QueueId(self.next_queue.fetch_add(1, Ordering::Relaxed))
    }

    /// An exchange that has just been declared.
    pub fn new_exchange(&self, vhost: &VhostName, spec: ExchangeSpec) -> Exchange {
        if spec.kind != ExchangeKind::DelayedMessage {
            return Exchange::new(spec);
        }
        let delays = Delays::new(self.next_queue_id(), vhost, &spec, self.clock);
        Exchange::delayed(spec, Arc::new(delays))
    }

    /// Identities up to and including this one are taken.
    pub fn reserve_queue_id(&self, id: QueueId) {
        self.next_queue.fetch_max(id.0 + 1, Ordering::Relaxed);
    }

    /// A consumer identity that was never used.
    pub fn next_consumer_id(&self) -> ConsumerId {
        ConsumerId(self.next_consumer.fetch_add(1, Ordering::Relaxed))
    }
}

fn change_op(change: Change) -> Op {
    match change {
        Change::PutUser(user) => Definition::User(user).put(),
        Change::RemoveUser(name) => Op::DeleteDefinition {
            key: definitions::user_key(&name),
        },
        Change::PutPermission(permission) => Definition::Permission(permission).put(),
        Change::RemovePermission { user, vhost } => Op::DeleteDefinition {
            key: definitions::permission_key(&vhost, &user),
        },
    }
}

#[cfg(test)]
impl crate::engine::outside::VirtualHosts for Broker {
    fn find(&self, name: &str) -> Option<Arc<dyn crate::engine::outside::VirtualHost>> {
        self.vhosts.find(name)
    }
}
