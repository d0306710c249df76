//! The broker: the directory of all declarations, shared by all connections.

use crate::config::Limits;
use crate::domain::auth::{AuthError, Change, LoginAttempts, Mechanisms, Users};
use crate::domain::connections::Connections;
use crate::domain::durable::{self, Definition};
use crate::domain::limits::{UsageCounts, VhostDefaults, VhostLimits};
use crate::domain::login_sources::LoginSources;
use crate::domain::logins::Logins;
use crate::domain::parameters::GlobalParameters;
use crate::domain::service::Service;
use crate::domain::vhost::spec::{VhostDeletionError, VhostSpec, VhostUpdate};
use crate::domain::vhost::{Vhost, Vhosts};
use crate::engine::clock::Clock;
use crate::engine::exchange::{Delays, Exchange, ExchangeKind, ExchangeSpec};
use crate::engine::queue::paging::PageMover;
use crate::engine::queue::{ConsumerId, Effects, Environment};
use crate::engine::statistics::Statistics;
use crate::plumbing::alarms::{Alarms, Resource};
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
use tokio::sync::watch;

/// The virtual host that a new broker has.
pub const DEFAULT_VHOST: &str = "/";

/// The broker.
pub struct Broker {
    /// Users and their permissions.
    pub users: Users,
    /// Who is asked about logins.
    pub logins: Logins,
    /// Those among them that settings configure.
    pub login_sources: LoginSources,
    /// The logins that were attempted.
    pub login_attempts: LoginAttempts,
    /// Values that operators set for the whole broker.
    pub global_parameters: GlobalParameters,
    /// The store of everything durable; `None` for a broker that keeps everything in memory.
    pub store: Option<Store>,
    /// Whether it serves clients.
    pub service: Service,
    /// The open connections.
    pub connections: Connections,
    /// The deadlines of queues and exchanges.
    pub timers: Arc<Timers>,
    /// The threads that read streams.
    pub readers: Arc<Readers>,
    /// Pages backlogs out of memory; `None` for a broker that keeps everything in memory.
    pub pager: Option<Arc<Pager>>,
    /// The broker's clock.
    pub clock: Clock,
    /// The number of connections and channels, for the limits that operators set.
    pub usage: Arc<UsageCounts>,
    /// The resource alarms.
    pub alarms: Arc<Alarms>,
    /// The memory that peers hold.
    pub ledger: Arc<Ledger>,
    /// The clients that wait for replies (direct reply-to).
    pub replies: Arc<ReplyAddresses>,
    /// What is counted, and how it was some time ago.
    pub statistics: Arc<Statistics>,
    /// When the broker started.
    pub started: Instant,
    /// Locked by each administrator's change until its records are on their way to the store, so that
    /// changes are stored in the order in which they took effect: a permission of a user that is being
    /// deleted must not be stored after the deletion.
    pub admin_changes: Mutex<()>,
    limits: RwLock<Limits>,
    vhost_defaults: RwLock<VhostDefaults>,
    mechanisms: RwLock<Arc<Mechanisms>>,
    pub(super) vhosts: Arc<Vhosts>,
    next_queue: AtomicU64,
    next_consumer: AtomicU64,
}

impl Broker {
    /// Returns a broker without virtual hosts and users.
    pub fn new(limits: Limits, loopback_users: Vec<String>, store: Option<Store>) -> Self {
        let alarms = Arc::<Alarms>::default();
        let ledger = Arc::new(Ledger::new(alarms.clone()));
        Broker {
            limits: RwLock::new(limits),
            vhost_defaults: RwLock::default(),
            users: Users::new(loopback_users),
            logins: Logins::default(),
            login_sources: LoginSources::default(),
            login_attempts: LoginAttempts::default(),
            global_parameters: GlobalParameters::default(),
            mechanisms: RwLock::default(),
            store,
            service: Service::default(),
            connections: Connections::new(ledger.clone()),
            timers: Arc::default(),
            readers: Arc::default(),
            pager: None,
            clock: Clock::start(),
            usage: Arc::default(),
            alarms,
            ledger,
            replies: Arc::default(),
            statistics: Arc::default(),
            started: Instant::now(),
            admin_changes: Mutex::default(),
            vhosts: Arc::default(),
            next_queue: AtomicU64::new(1),
            next_consumer: AtomicU64::new(1),
        }
    }

    /// Returns the limits that apply to clients.
    pub fn limits(&self) -> Limits {
        *self.limits.read()
    }

    /// Sets the limits that new virtual hosts get.
    pub fn set_vhost_defaults(&self, defaults: VhostDefaults) {
        *self.vhost_defaults.write() = defaults;
    }

    /// Returns what operators have to be told of: the alarms in force, and whether the commit log cannot be written.
    pub fn alarms_to_tell(&self) -> Vec<Resource> {
        let mut alarms: Vec<Resource> = self.alarms.in_force().iter().collect();
        if self.log_problem().is_some() {
            alarms.push(Resource::CommitLog);
        }
        alarms
    }

    /// Returns why the commit log cannot be written at present; `None` if all is well.
    pub fn log_problem(&self) -> Option<String> {
        self.store.as_ref()?.health().write
    }

    /// Returns the login mechanisms.
    pub fn mechanisms(&self) -> Arc<Mechanisms> {
        self.mechanisms.read().clone()
    }

    /// Sets the login mechanisms. Existing connections stay open.
    pub fn set_mechanisms(&self, mechanisms: Mechanisms) {
        *self.mechanisms.write() = Arc::new(mechanisms);
    }

    /// Changes the limits, for new and existing connections.
    pub fn set_limits(&self, limits: Limits) {
        // First, so that a connection that is not listed yet finds them here.
        *self.limits.write() = limits;
        self.connections.change_limits(limits);
    }

    /// Returns effects on this broker. The tokens of their records go to `sink`.
    pub fn effects(&self, sink: Option<&Arc<Mailbox>>) -> Effects {
        let sink = sink.map(|mailbox| mailbox.clone() as Arc<dyn CommitSink>);
        Effects::on(self.environment(), sink)
    }

    fn environment(&self) -> Environment {
        Environment {
            store: self.store.clone(),
            timers: Some(self.timers.clone()),
            clock: self.clock,
            vhosts: Some(self.vhosts.clone()),
            readers: Some(self.readers.clone()),
            pager: self.pager.clone().map(|pager| pager as Arc<dyn PageMover>),
            statistics: Some(self.statistics.clone()),
        }
    }

    /// Serves all timers until `stop` becomes true.
    pub fn serve_timers(
        &self,
        stop: watch::Receiver<bool>,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (timers, vhosts) = (self.timers.clone(), self.vhosts.clone());
        timers::serve(timers, vhosts, self.environment(), stop)
    }

    /// Returns whether paging out falls behind: then connections that publish are not read.
    pub fn pager_is_behind(&self) -> bool {
        self.pager.as_deref().is_some_and(Pager::over_mark)
    }

    /// Returns whether the store falls behind: then connections that publish persistent messages are not
    /// read.
    pub fn store_is_behind(&self) -> bool {
        self.store.as_ref().is_some_and(Store::backlog_over_mark)
    }

    /// Wakes the waker when the pager or the store, whichever is behind, has caught up.
    pub fn wake_when_caught_up(&self, waker: Waker) {
        match (&self.pager, &self.store) {
            (Some(pager), _) if pager.over_mark() => pager.wake_when_below(waker),
            (_, Some(store)) => store.wake_when_below(waker),
            (_, None) => waker.wake(),
        }
    }

    /// Returns a virtual host by name.
    pub fn vhost(&self, name: &str) -> Option<Arc<Vhost>> {
        self.vhosts.get(name)
    }

    /// Returns all virtual hosts, in the order of their names.
    pub fn vhosts(&self) -> Vec<Arc<Vhost>> {
        self.vhosts.all()
    }

    /// Adds a virtual host, with the limits for its name if there are some; returns false if the name exists.
    pub fn add_vhost(&self, spec: VhostSpec, fx: &mut Effects) -> bool {
        let mut vhosts = self.vhosts.write();
        if vhosts.contains_key(&spec.name) {
            return false;
        }
        let limits = self.vhost_defaults.read().of(spec.name.as_str());
        fx.store(Definition::virtual_host(&spec.name, &spec.metadata, limits).put());
        fx.submit();
        let name = spec.name.clone();
        let vhost = Vhost::new(spec);
        vhost.set_limits(limits);
        vhosts.insert(name, Arc::new(vhost));
        true
    }

    /// Restores a virtual host at startup; an existing one stays as it is.
    pub fn restore_vhost(&self, spec: VhostSpec) -> Arc<Vhost> {
        let mut vhosts = self.vhosts.write();
        vhosts
            .entry(spec.name.clone())
            .or_insert_with(|| Arc::new(Vhost::new(spec)))
            .clone()
    }

    /// Replaces or removes the limits of a virtual host. They apply from now on; existing connections and
    /// queues stay. Returns false if the virtual host does not exist.
    pub fn set_vhost_limits(
        &self,
        name: &str,
        limits: Option<VhostLimits>,
        fx: &mut Effects,
    ) -> bool {
        // Locked to the end, so that changes are stored in the order in which they took effect, and
        // never after the deletion of the virtual host.
        let vhosts = self.vhosts.write();
        let Some(vhost) = vhosts.get(name) else {
            return false;
        };
        vhost.set_limits(limits);
        fx.store(Definition::virtual_host(vhost.name(), &vhost.metadata(), limits).put());
        fx.submit();
        true
    }

    /// Changes what operators say about a virtual host. Returns false if it does not exist.
    pub fn update_vhost(&self, name: &str, update: VhostUpdate, fx: &mut Effects) -> bool {
        // Locked to the end, as for its limits.
        let vhosts = self.vhosts.write();
        let Some(vhost) = vhosts.get(name) else {
            return false;
        };
        let metadata = vhost.metadata().updated(update);
        fx.store(Definition::virtual_host(vhost.name(), &metadata, vhost.limits()).put());
        fx.submit();
        vhost.set_metadata(metadata);
        true
    }

    /// Deletes a virtual host and everything in it, and closes its connections.
    ///
    /// # Errors
    /// When it does not exist, or is protected.
    pub fn delete_vhost(&self, name: &str, fx: &mut Effects) -> Result<(), VhostDeletionError> {
        let vhost = self.take_vhost(name)?;
        self.connections
            .close_in_vhost(vhost.name(), &format!("vhost '{name}' is deleted"));
        vhost.clear(fx);
        self.statistics.retire(vhost.statistics.clone());
        for change in self.users.forget_vhost(name) {
            fx.store(change_op(change));
        }
        fx.store(Op::DeleteDefinition {
            key: durable::vhost_key(name),
        });
        Ok(())
    }

    /// Removes a virtual host from the directory, unless it is protected.
    fn take_vhost(&self, name: &str) -> Result<Arc<Vhost>, VhostDeletionError> {
        let mut vhosts = self.vhosts.write();
        let vhost = vhosts.get(name).ok_or(VhostDeletionError::NoSuchVhost)?;
        if vhost.metadata().protected_from_deletion {
            return Err(VhostDeletionError::Protected);
        }
        vhosts.remove(name).ok_or(VhostDeletionError::NoSuchVhost)
    }

    /// Returns whether this virtual host still exists; another one with its name does not count.
    pub fn has_vhost(&self, vhost: &Arc<Vhost>) -> bool {
        let there = self.vhosts.get(vhost.name().as_str());
        there.is_some_and(|there| Arc::ptr_eq(&there, vhost))
    }

    /// Deletes a user with its permissions and closes its connections.
    ///
    /// # Errors
    /// When the user does not exist.
    pub fn delete_user(&self, name: &str, fx: &mut Effects) -> Result<(), AuthError> {
        let (account, changes) = self.users.delete_user(name)?;
        let reason = format!("user '{name}' is deleted");
        self.connections.close_of_account(account, &reason);
        for change in changes {
            self.store_change(change, fx);
        }
        Ok(())
    }

    /// Stores a change of users or permissions.
    pub fn store_change(&self, change: Change, fx: &mut Effects) {
        if let Change::PutUser(user) = &change {
            // Whoever failed because of the old password need not wait with the new one.
            self.logins.forget_failures(&user.name);
        }
        fx.store(change_op(change));
    }

    /// Returns an unused id for a queue or a delayed exchange.
    pub fn next_queue_id(&self) -> QueueId {
        QueueId(self.next_queue.fetch_add(1, Ordering::Relaxed))
    }

    /// Creates an exchange that is being declared.
    pub fn new_exchange(&self, vhost: &VhostName, spec: ExchangeSpec) -> Exchange {
        if spec.kind != ExchangeKind::DelayedMessage {
            return Exchange::new(spec);
        }
        let delays = Delays::new(self.next_queue_id(), vhost, &spec, self.clock);
        Exchange::delayed(spec, Arc::new(delays))
    }

    /// Marks the ids up to and including this one as used.
    pub fn reserve_queue_id(&self, id: QueueId) {
        self.next_queue.fetch_max(id.0 + 1, Ordering::Relaxed);
    }

    /// Returns an unused id for a consumer.
    pub fn next_consumer_id(&self) -> ConsumerId {
        ConsumerId(self.next_consumer.fetch_add(1, Ordering::Relaxed))
    }
}

pub(super) fn change_op(change: Change) -> Op {
    match change {
        Change::PutUser(user) => Definition::User(user).put(),
        Change::RemoveUser(name) => Op::DeleteDefinition {
            key: durable::user_key(&name),
        },
        Change::PutPermission(permission) => Definition::Permission(permission).put(),
        Change::RemovePermission { user, vhost } => Op::DeleteDefinition {
            key: durable::permission_key(&vhost, &user),
        },
        Change::PutTopicPermission(permission) => Definition::TopicPermission(permission).put(),
        Change::RemoveTopicPermission(permission) => {
            Definition::TopicPermission(permission).delete()
        }
    }
}

#[cfg(test)]
impl crate::engine::interfaces::VirtualHosts for Broker {
    fn find(&self, name: &str) -> Option<Arc<dyn crate::engine::interfaces::VirtualHost>> {
        self.vhosts.find(name)
    }
}
