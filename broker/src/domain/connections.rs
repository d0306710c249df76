//! Who is connected: what listings show, and how to reach a connection's task.

use crate::config::Limits;
use crate::domain::auth::{AccountId, Identity};
use crate::engine::interfaces::ConnectionId;
use crate::plumbing::alarms::AlarmSet;
use crate::plumbing::ledger::{Holdings, Ledger};
use crate::plumbing::mailbox::{Mailbox, Order};
use crate::plumbing::report::ConnectionReport;
use leveret_protocol::VhostName;
use leveret_protocol::values::FieldTable;
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::oneshot;

/// What is known of a connection without asking its task.
#[derive(Debug)]
pub struct ConnectionInfo {
    /// Its identity.
    pub id: ConnectionId,
    /// The client's address.
    pub peer: SocketAddr,
    /// Our address.
    pub local: SocketAddr,
    /// When it was accepted.
    pub connected_at: SystemTime,
    /// What it holds in memory.
    pub held: Arc<Holdings>,
    details: Mutex<Details>,
    channels: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    published: AtomicU64,
    reads: AtomicU64,
    writes: AtomicU64,
    delivered: AtomicU64,
    blocked: AtomicBool,
    /// It gets no deliveries before it may hold more.
    waits_for_room: AtomicBool,
    /// Milliseconds from `accepted` to when it was last held up for a moment, plus one; 0 for
    /// never.
    held_up: AtomicU64,
    accepted: Instant,
}

/// How long a connection is shown as held up after it was (RabbitMQ: the same).
const FLOW_SHOWN: Duration = Duration::from_secs(5);

/// What a connection says of itself while it logs in.
#[derive(Clone, Debug, Default)]
pub struct Details {
    /// Who is logged in; none before the login.
    pub user: Option<Identity>,
    /// The virtual host.
    pub vhost: Option<VhostName>,
    /// The client's description of itself.
    pub client_properties: FieldTable,
    /// PLAIN or AMQPLAIN.
    pub mechanism: String,
    /// Agreed number of channels.
    pub channel_max: u16,
    /// Agreed frame size in octets.
    pub frame_max: u32,
    /// Agreed heartbeat in seconds; 0 for none.
    pub heartbeat: u16,
}

impl Details {
    /// The user's name; empty before the login.
    pub fn user_name(&self) -> &str {
        self.user.as_ref().map_or("", |user| user.name.as_str())
    }
}

/// Counters of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    /// Open channels.
    pub channels: u64,
    /// Octets received.
    pub received: u64,
    /// Octets sent.
    pub sent: u64,
    /// Reads from the socket.
    pub reads: u64,
    /// Writes to the socket.
    pub writes: u64,
    /// Messages published to queues.
    pub published: u64,
    /// Messages delivered to consumers.
    pub delivered: u64,
}

impl ConnectionInfo {
    /// A connection that has just been accepted.
    pub fn new(id: ConnectionId, peer: SocketAddr, local: SocketAddr) -> Self {
        ConnectionInfo {
            id,
            peer,
            local,
            connected_at: SystemTime::now(),
            held: Arc::default(),
            details: Mutex::default(),
            channels: AtomicU64::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            published: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            blocked: AtomicBool::new(false),
            waits_for_room: AtomicBool::new(false),
            held_up: AtomicU64::new(0),
            accepted: Instant::now(),
        }
    }

    /// An alarm has stopped its publishing, or lets it go on.
    pub fn set_blocked(&self, blocked: bool) {
        self.blocked.store(blocked, Ordering::Relaxed);
    }

    /// It gets no deliveries, for it holds all that it may; or does again.
    pub fn set_waits_for_room(&self, waits: bool) {
        if self.waits_for_room.load(Ordering::Relaxed) != waits {
            self.waits_for_room.store(waits, Ordering::Relaxed);
        }
    }

    /// It is not read for a moment, because it publishes faster than the disk takes.
    pub fn held_up(&self, now: Instant) {
        let since = now.saturating_duration_since(self.accepted).as_millis() as u64;
        self.held_up.store(since + 1, Ordering::Relaxed);
    }

    /// What `list_connections state` shows (`rabbit_reader:i/2`): `blocked` by an alarm,
    /// `blocking` when the next publish will be, `flow` when it was held up of late.
    pub fn state(&self, alarms: AlarmSet, now: Instant) -> &'static str {
        let held_up = self.held_up.load(Ordering::Relaxed);
        let held_up = held_up > 0
            && now.saturating_duration_since(self.accepted + Duration::from_millis(held_up))
                < FLOW_SHOWN;
        if self.details.lock().vhost.is_none() {
            "starting"
        } else if self.blocked.load(Ordering::Relaxed) {
            "blocked"
        } else if !alarms.is_empty() {
            "blocking"
        } else if held_up {
            "flow"
        } else {
            "running"
        }
    }

    /// `peer -> local`, as RabbitMQ names connections.
    pub fn label(&self) -> String {
        format!("{} -> {}", self.peer, self.local)
    }

    /// What the connection said of itself.
    pub fn details(&self) -> Details {
        self.details.lock().clone()
    }

    /// The login succeeded.
    pub fn set_client(&self, user: Identity, properties: FieldTable, mechanism: String) {
        let mut details = self.details.lock();
        details.user = Some(user);
        details.client_properties = properties;
        details.mechanism = mechanism;
    }

    /// Both sides agreed on limits.
    pub fn set_tuned(&self, channel_max: u16, frame_max: u32, heartbeat: u16) {
        let mut details = self.details.lock();
        details.channel_max = channel_max;
        details.frame_max = frame_max;
        details.heartbeat = heartbeat;
    }

    /// A virtual host was opened.
    pub fn set_vhost(&self, vhost: VhostName) {
        self.details.lock().vhost = Some(vhost);
    }

    /// Counts a channel.
    pub fn channel_opened(&self) {
        self.channels.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a channel off.
    pub fn channel_closed(&self) {
        self.channels.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts octets read.
    pub fn received(&self, octets: u64) {
        self.received.fetch_add(octets, Ordering::Relaxed);
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts octets written.
    pub fn sent(&self, octets: u64) {
        self.sent.fetch_add(octets, Ordering::Relaxed);
        self.writes.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts messages that went to queues.
    pub fn published(&self, messages: u64) {
        self.published.fetch_add(messages, Ordering::Relaxed);
    }

    /// Counts messages that went to consumers.
    pub fn delivered(&self, messages: u64) {
        self.delivered.fetch_add(messages, Ordering::Relaxed);
    }

    /// The counters.
    pub fn traffic(&self) -> Traffic {
        Traffic {
            channels: self.channels.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
            reads: self.reads.load(Ordering::Relaxed),
            writes: self.writes.load(Ordering::Relaxed),
            published: self.published.load(Ordering::Relaxed),
            delivered: self.delivered.load(Ordering::Relaxed),
        }
    }
}

/// What there is of a connection outside its task.
pub(crate) type Member = (Arc<ConnectionInfo>, Arc<Mailbox>);

/// Everybody who is connected.
#[derive(Debug, Default)]
pub struct Connections {
    all: RwLock<BTreeMap<ConnectionId, Member>>,
    next: AtomicU64,
    ledger: Arc<Ledger>,
}

impl Connections {
    /// Nobody yet; what waits in mailboxes is counted in this ledger.
    pub fn new(ledger: Arc<Ledger>) -> Self {
        Connections {
            ledger,
            ..Connections::default()
        }
    }

    /// Takes a new connection in.
    pub fn add(&self, peer: SocketAddr, local: SocketAddr) -> (Arc<ConnectionInfo>, Arc<Mailbox>) {
        let id = ConnectionId(self.next.fetch_add(1, Ordering::Relaxed) + 1);
        let info = Arc::new(ConnectionInfo::new(id, peer, local));
        let mailbox = Arc::new(Mailbox::counted(id, self.ledger.clone()));
        self.all.write().insert(id, (info.clone(), mailbox.clone()));
        (info, mailbox)
    }

    /// A connection has ended.
    pub fn remove(&self, id: ConnectionId) {
        self.all.write().remove(&id);
    }

    /// All of them, oldest first.
    pub fn list(&self) -> Vec<Arc<ConnectionInfo>> {
        self.all
            .read()
            .values()
            .map(|(info, _)| info.clone())
            .collect()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.all.read().len()
    }

    /// Closes one with 320 CONNECTION_FORCED; `false` when it is not there.
    pub fn close(&self, id: ConnectionId, reason: &str) -> bool {
        let mailbox = self.all.read().get(&id).map(|(_, mailbox)| mailbox.clone());
        let found = mailbox.is_some();
        if let Some(mailbox) = mailbox {
            mailbox.order(Order::Close(reason.to_owned()));
        }
        found
    }

    /// Lets all of them look at their consumers and at the store again.
    pub fn wake_all(&self) {
        for (_, mailbox) in self.members() {
            mailbox.request_resume();
        }
    }

    /// Lets those look again that get no deliveries because of what they hold: others may hold less by now.
    pub fn wake_those_without_room(&self) {
        let all = self.all.read();
        let waits = |(info, _): &&Member| info.waits_for_room.load(Ordering::Relaxed);
        let waiting: Vec<_> = all.values().filter(waits).cloned().collect();
        drop(all);
        for (_, mailbox) in waiting {
            mailbox.request_resume();
        }
    }

    /// All of them with their mailboxes.
    pub(crate) fn members(&self) -> Vec<Member> {
        self.all.read().values().cloned().collect()
    }

    /// Whether a connection is there.
    pub fn is_connected(&self, id: ConnectionId) -> bool {
        self.all.read().contains_key(&id)
    }

    /// Closes up to `limit` of those in a virtual host (none: in any) and says how many.
    pub fn close_some(&self, vhost: Option<&VhostName>, limit: Option<u64>, reason: &str) -> usize {
        let mut left = limit.unwrap_or(u64::MAX);
        self.close_where(reason, |info| {
            let chosen = left > 0
                && vhost.is_none_or(|vhost| info.details.lock().vhost.as_ref() == Some(vhost));
            left -= u64::from(chosen);
            chosen
        })
    }

    /// Closes all of them and says how many.
    pub fn close_all(&self, reason: &str) -> usize {
        self.close_where(reason, |_| true)
    }

    /// Closes those that use a virtual host and says how many.
    pub fn close_in_vhost(&self, vhost: &VhostName, reason: &str) -> usize {
        self.close_where(reason, |info| {
            info.details.lock().vhost.as_ref() == Some(vhost)
        })
    }

    /// Closes those of whoever is logged in under this name and says how many.
    pub fn close_of_user(&self, name: &str, reason: &str) -> usize {
        self.close_where(reason, |info| {
            let details = info.details.lock();
            details.user.is_some() && details.user_name() == name
        })
    }

    /// Closes those that are logged in to an account and says how many.
    pub fn close_of_account(&self, account: AccountId, reason: &str) -> usize {
        self.close_where(reason, |info| {
            let details = info.details.lock();
            details.user.as_ref().map(|user| user.account) == Some(account)
        })
    }

    fn close_where(&self, reason: &str, mut wanted: impl FnMut(&ConnectionInfo) -> bool) -> usize {
        let chosen = self.members().into_iter();
        let count = chosen
            .filter(|(info, _)| wanted(info))
            .map(|(_, mailbox)| mailbox.order(Order::Close(reason.to_owned())))
            .count();
        tracing::info!(connections = count, reason, "closing connections");
        count
    }

    /// Lets those go on that alarms have blocked.
    pub fn unblock(&self) {
        self.order_all(|| Order::Unblock);
    }

    /// Tells all of them of other limits.
    pub fn change_limits(&self, limits: Limits) {
        self.order_all(|| Order::Limits(Box::new(limits)));
    }

    fn order_all(&self, order: impl Fn() -> Order) {
        for (_, mailbox) in self.members() {
            mailbox.order(order());
        }
    }

    /// Asks every connection about itself; one that ends meanwhile is left out.
    pub async fn reports(&self) -> Vec<(Arc<ConnectionInfo>, ConnectionReport)> {
        let asked: Vec<_> = self
            .members()
            .into_iter()
            .map(|(info, mailbox)| {
                let (answer, report) = oneshot::channel();
                mailbox.order(Order::Report(answer));
                (info, report)
            })
            .collect();
        let mut reports = Vec::with_capacity(asked.len());
        for (info, report) in asked {
            if let Ok(report) = report.await {
                reports.push((info, report));
            }
        }
        reports
    }
}
