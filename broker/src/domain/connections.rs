//! The open connections: what listings show of them, and how to reach their tasks.

use crate::config::Limits;
use crate::domain::auth::{AccountId, Identity};
use crate::engine::interfaces::{ConnectionId, Inbox};
use crate::engine::statistics::{SharedMessageStats, Tracked};
use crate::net::Ends;
use crate::plumbing::alarms::AlarmSet;
use crate::plumbing::ledger::{Holdings, Ledger};
use crate::plumbing::mailbox::{Mailbox, Order};
use crate::plumbing::report::ConnectionReport;
use crate::text::names::NAME_MAX;
use crate::text::shorten::shortened;
use leveret_protocol::VhostName;
use leveret_protocol::values::{AMQPValue, FieldTable};
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::oneshot;

/// What is known about a connection without asking its task.
#[derive(Debug)]
pub struct ConnectionInfo {
    /// The connection's id.
    pub id: ConnectionId,
    /// The client's end, the broker's, and how it is encrypted.
    pub ends: Ends,
    /// When the connection was accepted.
    pub connected_at: SystemTime,
    /// The memory that the connection holds.
    pub holdings: Arc<Holdings>,
    /// What the sampler keeps of it.
    pub tracked: Tracked,
    /// What its channels have counted, including those that have closed, as of its last turn.
    pub stats: SharedMessageStats,
    details: Mutex<Details>,
    channels: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    published: AtomicU64,
    reads: AtomicU64,
    writes: AtomicU64,
    delivered: AtomicU64,
    blocked: AtomicBool,
    /// Whether it gets no deliveries because it holds all the memory it may.
    waits_for_memory: AtomicBool,
    /// Milliseconds from `accepted` to when it was last throttled, plus one; 0 for never.
    throttled_at: AtomicU64,
    accepted: Instant,
}

/// How long a connection is shown as throttled afterwards, as in RabbitMQ.
const FLOW_SHOWN: Duration = Duration::from_secs(5);

/// What a client says about itself while it logs in.
#[derive(Clone, Debug, Default)]
pub struct Details {
    /// The user; `None` before the login.
    pub user: Option<Identity>,
    /// The virtual host.
    pub vhost: Option<VhostName>,
    /// The client properties of `connection.start-ok`.
    pub client_properties: FieldTable,
    /// The login mechanism.
    pub mechanism: String,
    /// The negotiated maximum number of channels.
    pub channel_max: u16,
    /// The negotiated frame size in bytes.
    pub frame_max: u32,
    /// The negotiated heartbeat interval in seconds; 0 for none.
    pub heartbeat: u16,
}

impl Details {
    /// Returns the user's name; empty before the login.
    pub fn user_name(&self) -> &str {
        self.user.as_ref().map_or("", |user| user.name.as_str())
    }

    /// Returns the client property `connection_name`.
    pub fn connection_name(&self) -> Option<String> {
        match self.client_properties.inner().get("connection_name") {
            Some(AMQPValue::LongString(name)) => Some(name.to_string()),
            _ => None,
        }
    }
}

/// Who a connection is, for the log. What is not known yet is left out of its lines.
#[derive(Debug)]
pub struct Who {
    /// Its addresses: the client's and the broker's.
    pub connection: String,
    /// The client property `connection_name`.
    pub name: Option<String>,
    /// The user.
    pub user: Option<String>,
    /// The virtual host.
    pub vhost: Option<String>,
}

/// Logs an event of a connection: `log_connection!(warn, info, field = value, "message")`.
macro_rules! log_connection {
    ($level:ident, $info:expr, $($event:tt)+) => {{
        let who = $info.who();
        tracing::$level!(
            connection = who.connection,
            name = who.name,
            user = who.user,
            vhost = who.vhost,
            $($event)+
        );
    }};
}
pub(crate) use log_connection;

/// The bytes of a client's name for its connection that are logged at most.
const NAME_LOGGED: usize = 128;

/// The counters of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    /// Open channels.
    pub channels: u64,
    /// Bytes received.
    pub received: u64,
    /// Bytes sent.
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

impl Traffic {
    /// Adds those of another connection.
    pub fn add(&mut self, other: &Traffic) {
        self.channels += other.channels;
        self.received += other.received;
        self.sent += other.sent;
        self.reads += other.reads;
        self.writes += other.writes;
        self.published += other.published;
        self.delivered += other.delivered;
    }
}

impl ConnectionInfo {
    /// Returns the information about a connection that has just been accepted.
    pub fn new(id: ConnectionId, ends: Ends) -> Self {
        ConnectionInfo {
            id,
            ends,
            connected_at: SystemTime::now(),
            holdings: Arc::default(),
            tracked: Tracked::default(),
            stats: SharedMessageStats::default(),
            details: Mutex::default(),
            channels: AtomicU64::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            published: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            blocked: AtomicBool::new(false),
            waits_for_memory: AtomicBool::new(false),
            throttled_at: AtomicU64::new(0),
            accepted: Instant::now(),
        }
    }

    /// Notes whether an alarm blocks the connection from publishing.
    pub fn set_blocked(&self, blocked: bool) {
        self.blocked.store(blocked, Ordering::Relaxed);
    }

    /// Notes whether it gets no deliveries because it holds all the memory it may.
    pub fn set_waits_for_memory(&self, waits: bool) {
        if self.waits_for_memory.load(Ordering::Relaxed) != waits {
            self.waits_for_memory.store(waits, Ordering::Relaxed);
        }
    }

    /// Notes that it is not read for a moment because it publishes faster than the disk can write.
    pub fn throttled(&self, now: Instant) {
        let since = now.saturating_duration_since(self.accepted).as_millis() as u64;
        self.throttled_at.store(since + 1, Ordering::Relaxed);
    }

    /// Returns what `list_connections state` shows (`rabbit_reader:i/2`): `blocked` by an alarm,
    /// `blocking` if the next publish will be blocked, `flow` if it was throttled recently.
    pub fn state(&self, alarms: AlarmSet, now: Instant) -> &'static str {
        let throttled_at = self.throttled_at.load(Ordering::Relaxed);
        let throttled = throttled_at > 0
            && now.saturating_duration_since(self.accepted + Duration::from_millis(throttled_at))
                < FLOW_SHOWN;
        if !self.is_open() {
            "starting"
        } else if self.blocked.load(Ordering::Relaxed) {
            "blocked"
        } else if !alarms.is_empty() {
            "blocking"
        } else if throttled {
            "flow"
        } else {
            "running"
        }
    }

    /// Returns `peer -> local`, which is RabbitMQ's name for a connection.
    pub fn label(&self) -> String {
        self.ends.to_string()
    }

    /// Returns whether the client has logged in and named a virtual host.
    pub fn is_open(&self) -> bool {
        self.details.lock().vhost.is_some()
    }

    /// Returns who the connection is, for the log.
    pub fn who(&self) -> Who {
        let details = self.details.lock();
        Who {
            connection: self.label(),
            name: details
                .connection_name()
                .map(|name| shortened(&name, NAME_LOGGED).into_owned()),
            user: details.user.as_ref().map(|user| user.name.to_string()),
            vhost: details.vhost.as_ref().map(ToString::to_string),
        }
    }

    /// Returns what the client said about itself.
    pub fn details(&self) -> Details {
        self.details.lock().clone()
    }

    /// Notes what the client says about itself.
    pub fn set_client_properties(&self, properties: FieldTable) {
        self.details.lock().client_properties = properties;
    }

    /// Notes a successful login.
    pub fn set_client(&self, user: Identity, mechanism: String) {
        let mut details = self.details.lock();
        details.user = Some(user);
        details.mechanism = mechanism;
    }

    /// Notes the negotiated limits.
    pub fn set_tuned(&self, channel_max: u16, frame_max: u32, heartbeat: u16) {
        let mut details = self.details.lock();
        details.channel_max = channel_max;
        details.frame_max = frame_max;
        details.heartbeat = heartbeat;
    }

    /// Notes the virtual host that was opened.
    pub fn set_vhost(&self, vhost: VhostName) {
        self.details.lock().vhost = Some(vhost);
    }

    /// Counts an opened channel.
    pub fn channel_opened(&self) {
        self.channels.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a closed channel.
    pub fn channel_closed(&self) {
        self.channels.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts bytes read.
    pub fn received(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts bytes written.
    pub fn sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
        self.writes.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts messages published to queues.
    pub fn published(&self, messages: u64) {
        self.published.fetch_add(messages, Ordering::Relaxed);
    }

    /// Counts messages delivered to consumers.
    pub fn delivered(&self, messages: u64) {
        self.delivered.fetch_add(messages, Ordering::Relaxed);
    }

    /// Returns the bytes received and sent.
    pub fn bytes(&self) -> [u64; 2] {
        [&self.received, &self.sent].map(|bytes| bytes.load(Ordering::Relaxed))
    }

    /// Returns the counters.
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

/// The shared parts of a connection.
pub(crate) type ConnectionParts = (Arc<ConnectionInfo>, Arc<Mailbox>);

/// The open connections.
#[derive(Debug, Default)]
pub struct Connections {
    all: RwLock<BTreeMap<ConnectionId, ConnectionParts>>,
    /// The sums of those that have ended; locked under `all`.
    ended: Mutex<Traffic>,
    next: AtomicU64,
    ledger: Arc<Ledger>,
}

impl Connections {
    /// Returns an empty list; the contents of mailboxes are counted in this ledger.
    pub fn new(ledger: Arc<Ledger>) -> Self {
        Connections {
            ledger,
            ..Connections::default()
        }
    }

    /// Adds a new connection.
    pub fn add(&self, ends: Ends) -> (Arc<ConnectionInfo>, Arc<Mailbox>) {
        let id = ConnectionId(self.next.fetch_add(1, Ordering::Relaxed) + 1);
        let info = Arc::new(ConnectionInfo::new(id, ends));
        let mailbox = Arc::new(Mailbox::counted(id, self.ledger.clone()));
        self.all.write().insert(id, (info.clone(), mailbox.clone()));
        (info, mailbox)
    }

    /// Removes a connection that has ended.
    pub fn remove(&self, id: ConnectionId) {
        let mut all = self.all.write();
        if let Some((info, _)) = all.remove(&id) {
            let traffic = Traffic {
                channels: 0,
                ..info.traffic()
            };
            self.ended.lock().add(&traffic);
        }
    }

    /// Returns the sums of all connections that there ever were, and calls `each` for those that are open.
    pub fn totals(&self, mut each: impl FnMut(&ConnectionInfo)) -> Traffic {
        let all = self.all.read();
        let mut sum = *self.ended.lock();
        for (info, _) in all.values() {
            sum.add(&info.traffic());
            each(info);
        }
        sum
    }

    /// Returns all connections, oldest first.
    pub fn list(&self) -> Vec<Arc<ConnectionInfo>> {
        self.all
            .read()
            .values()
            .map(|(info, _)| info.clone())
            .collect()
    }

    /// Returns the number of connections.
    pub fn count(&self) -> usize {
        self.all.read().len()
    }

    /// Closes a connection with 320 CONNECTION_FORCED; returns false if it does not exist.
    pub fn close(&self, id: ConnectionId, reason: &str) -> bool {
        let mailbox = self.all.read().get(&id).map(|(_, mailbox)| mailbox.clone());
        let found = mailbox.is_some();
        if let Some(mailbox) = mailbox {
            mailbox.order(Order::Close(reason.to_owned()));
        }
        found
    }

    /// Wakes all connections, so that they look at their consumers and at the store again.
    pub fn wake_all(&self) {
        for (_, mailbox) in self.parts() {
            mailbox.request_resume();
        }
    }

    /// Wakes the connections that get no deliveries because of the memory they hold: others may hold less by now.
    pub fn wake_those_waiting_for_memory(&self) {
        let all = self.all.read();
        let waits = |(info, _): &&ConnectionParts| info.waits_for_memory.load(Ordering::Relaxed);
        let waiting: Vec<_> = all.values().filter(waits).cloned().collect();
        drop(all);
        for (_, mailbox) in waiting {
            mailbox.request_resume();
        }
    }

    /// Returns the shared parts of a connection.
    pub(crate) fn parts_of(&self, id: ConnectionId) -> Option<ConnectionParts> {
        self.all.read().get(&id).cloned()
    }

    /// Returns the shared parts of all connections.
    pub(crate) fn parts(&self) -> Vec<ConnectionParts> {
        self.all.read().values().cloned().collect()
    }

    /// Returns a connection.
    pub fn get(&self, id: ConnectionId) -> Option<Arc<ConnectionInfo>> {
        self.all.read().get(&id).map(|(info, _)| info.clone())
    }

    /// Closes up to `limit` connections to a virtual host, or to any, with a pause between two of them, and returns their
    /// number. Blocks for that long.
    pub fn close_some(
        &self,
        (vhost, limit): (Option<&VhostName>, Option<u64>),
        pause: Duration,
        reason: &str,
    ) -> usize {
        let mut closed = 0;
        self.close_where(reason, |info| {
            let chosen = limit.is_none_or(|limit| closed < limit)
                && vhost.is_none_or(|vhost| info.details.lock().vhost.as_ref() == Some(vhost));
            if chosen && closed > 0 {
                std::thread::sleep(pause);
            }
            closed += u64::from(chosen);
            chosen
        })
    }

    /// Closes all connections and returns their number.
    pub fn close_all(&self, reason: &str) -> usize {
        self.close_where(reason, |_| true)
    }

    /// Closes the connections to a virtual host and returns their number.
    pub fn close_in_vhost(&self, vhost: &VhostName, reason: &str) -> usize {
        self.close_where(reason, |info| {
            info.details.lock().vhost.as_ref() == Some(vhost)
        })
    }

    /// Closes the connections of users with this name and returns their number.
    pub fn close_of_user(&self, name: &str, reason: &str) -> usize {
        self.close_where(reason, |info| {
            let details = info.details.lock();
            details.user.is_some() && details.user_name() == name
        })
    }

    /// Closes the connections of an account and returns their number.
    pub fn close_of_account(&self, account: AccountId, reason: &str) -> usize {
        self.close_where(reason, |info| {
            let details = info.details.lock();
            details
                .user
                .as_ref()
                .is_some_and(|user| user.is_of(account))
        })
    }

    fn close_where(&self, reason: &str, mut wanted: impl FnMut(&ConnectionInfo) -> bool) -> usize {
        let chosen = self.parts().into_iter();
        let count = chosen
            .filter(|(info, _)| wanted(info))
            .map(|(_, mailbox)| mailbox.order(Order::Close(reason.to_owned())))
            .count();
        let reason = shortened(reason, NAME_MAX);
        tracing::info!(connections = count, %reason, "closing connections");
        count
    }

    /// Unblocks the connections that alarms have blocked.
    pub fn unblock(&self) {
        self.order_all(|| Order::Unblock);
    }

    /// Tells all connections about changed limits.
    pub fn change_limits(&self, limits: Limits) {
        self.order_all(|| Order::Limits(Box::new(limits)));
    }

    fn order_all(&self, order: impl Fn() -> Order) {
        for (_, mailbox) in self.parts() {
            mailbox.order(order());
        }
    }

    /// Asks every connection for a report. Connections that end meanwhile are left out.
    pub async fn reports(&self) -> Vec<(Arc<ConnectionInfo>, ConnectionReport)> {
        self.reports_where(|_| true, Duration::MAX).await
    }

    /// Asks these connections for a report. Those that end or do not answer in this time are left out.
    pub async fn reports_where(
        &self,
        wanted: impl Fn(&ConnectionInfo) -> bool,
        patience: Duration,
    ) -> Vec<(Arc<ConnectionInfo>, ConnectionReport)> {
        let asked: Vec<_> = self
            .parts()
            .into_iter()
            .filter(|(info, _)| wanted(info))
            .map(|(info, mailbox)| {
                let (answer, report) = oneshot::channel();
                mailbox.order(Order::Report(answer));
                (info, report)
            })
            .collect();
        let mut reports = Vec::with_capacity(asked.len());
        let asked_at = tokio::time::Instant::now();
        for (info, report) in asked {
            let left = patience.saturating_sub(asked_at.elapsed());
            if let Ok(Ok(report)) = tokio::time::timeout(left, report).await {
                reports.push((info, report));
            }
        }
        reports
    }
}
