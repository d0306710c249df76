//! The connection machine: bytes in, bytes out, no sockets.
//!
//! One connection's task owns it. Input is split into frames in place; replies, deliveries and
//! confirms are encoded into one [`Output`]. What other tasks have for the connection waits in its
//! mailbox until [`Connection::take_mail`] fetches it.
//!
//! Publishes and acknowledgements of one read batch are collected and handed to their queues in
//! runs, one lock per run; anything that has to see their effect flushes them first.

mod ack_timeout;
mod basic;
mod blocking;
mod burden;
mod channel;
mod channels;
mod close;
mod confirms;
mod copies;
mod exchange_class;
mod flush;
mod handshake;
mod held;
mod idle;
mod ignored;
mod input;
mod mail;
mod one_pass;
mod output;
mod publish;
mod queue_class;
mod quorum;
mod reply_to;
mod route;
mod routes;
mod run;
mod settle;
mod stream;
mod transaction;
mod turns;
mod unacked;

pub use output::Output;

use crate::config::Limits;
use crate::domain::auth::{Access, Identity};
use crate::domain::broker::Broker;
use crate::domain::connections::ConnectionInfo;
use crate::domain::limits::UsageGuard;
use crate::domain::vhost::Vhost;
use crate::engine::message::{Message, SharedMessage};
use crate::engine::outside::ConnectionId;
use crate::engine::queue::{Effects, Queue};
use crate::plumbing::alarms::AlarmSet;
use crate::plumbing::ledger::Account;
use crate::plumbing::mailbox::{Mailbox, Taken};
use channel::Channel;
use channels::Channels;
use leveret_protocol::texts::{self, Entity};
use leveret_protocol::{AmqpError, ChannelId};
use leveret_storage::{QueueId, Token};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Above this much, the peer's requests are not read either: it does not read our replies.
const OUTPUT_MAX: usize = 4 << 20;
/// While memory is low, a frame of more bytes than this is not read to its end.
const LOW_FRAME_MAX: usize = 16 << 10;
/// How many octets of frames may wait on channels that wait for the store.
const HELD_MAX: usize = 1 << 20;
/// Octets of a frame before the login (RabbitMQ: `initial_frame_max`).
const INITIAL_FRAME_MAX: u32 = 8192;
/// How long a peer may take to answer connection.close, or to notice a silent refusal.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Where a connection stands (spec 2.2.4).
///
/// ```text
/// header -> start -> tune -> open -> open-ok ... close -> close-ok
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing but the protocol header is taken.
    Header,
    /// connection.start is sent.
    Starting,
    /// connection.tune is sent.
    Tuning,
    /// tune-ok has come.
    Opening,
    /// open-ok is sent.
    Running,
    /// We sent connection.close; everything but its answer is dropped.
    Closing { until: Instant },
    /// What is still to write goes out, then the socket closes.
    Ending,
    /// Nothing goes out any more: the peer is told nothing, and its socket closes at `until`.
    Refused { until: Instant },
}

/// Who is logged in, and where.
struct Login {
    user: Identity,
    vhost: Arc<Vhost>,
}

/// What both peers agreed on.
#[derive(Clone, Copy, Debug)]
struct Tuned {
    channel_max: u16,
    /// Octets; 0 for no limit.
    frame_max: u32,
    /// None when heartbeats are off.
    heartbeat: Option<Duration>,
}

/// A connection.
pub struct Connection {
    id: ConnectionId,
    broker: Arc<Broker>,
    info: Arc<ConnectionInfo>,
    mailbox: Arc<Mailbox>,
    phase: Phase,
    /// The broker's, kept here so that nothing is locked for a look at them.
    limits: Limits,
    tuned: Tuned,
    user: Option<Identity>,
    /// The user may publish in the name of others.
    impersonates: bool,
    login: Option<Login>,
    /// Its place among those that limits count.
    seat: Option<UsageGuard>,
    wants_close_on_refusal: bool,
    wants_cancel_notice: bool,
    wants_blocked_notice: bool,
    /// The alarms in force when this batch was read.
    alarms: AlarmSet,
    /// It has published while an alarm was in force.
    blocked: bool,
    ack_watch: ack_timeout::Watch,
    channels: Channels,
    /// The queue that was resumed last when the mailbox had room again.
    last_turn: Option<QueueId>,
    next_epoch: u16,
    exclusive_queues: Vec<Arc<Queue>>,
    /// At how many of them the deleted ones are looked for.
    exclusive_checked_at: usize,
    out: Output,
    fx: Effects,
    run: run::Run,
    route: route::RouteCache,
    settled: Vec<unacked::Delivery>,
    /// As `settled`, but rejected without requeue.
    discarded: Vec<unacked::Delivery>,
    unconfirmed_news: Vec<ChannelId>,
    /// See [`Connection::has_committed`].
    has_committed: bool,
    taken: Taken,
    /// What the store has made safe, not looked at yet.
    tokens: VecDeque<Token>,
    held_octets: usize,
    /// Channels whose frames wait for the peer to read what it was answered.
    unread: Vec<ChannelId>,
    /// Whole frames may stand in the read buffer: too much output waited to go on.
    has_rest: bool,
    /// The time that the current call was given.
    now: Instant,
    has_published: bool,
    /// It has published what the store keeps.
    has_stored: bool,
    /// Octets that the frame at the front of the input needs in all.
    need: usize,
    /// Bytes that the largest read buffer has had.
    buffer_size: usize,
    /// Work that was done since the clock was last looked at.
    effort: u32,
    /// What stands in place of messages that need not be kept.
    no_message: SharedMessage,
    /// What it holds in memory, and what the ledger knows of that.
    account: Account,
    /// Octets of its consumers' arguments.
    kept_arguments: burden::Bound,
    /// Arguments that the log has been told of.
    told: ignored::Told,
}

impl Connection {
    /// A connection that has just been accepted.
    pub fn new(broker: Arc<Broker>, info: Arc<ConnectionInfo>, mailbox: Arc<Mailbox>) -> Self {
        let limits = broker.limits();
        let tuned = Tuned {
            channel_max: limits.channel_max,
            frame_max: limits.frame_max,
            heartbeat: None,
        };
        let fx = broker.effects(Some(&mailbox));
        let account = Account::open(&broker.ledger, &info.holdings);
        let ack_watch = ack_timeout::Watch::new(limits.consumer_timeout);
        Connection {
            id: info.id,
            broker,
            info,
            mailbox,
            phase: Phase::Header,
            limits,
            tuned,
            user: None,
            impersonates: false,
            login: None,
            seat: None,
            wants_close_on_refusal: false,
            wants_cancel_notice: false,
            wants_blocked_notice: false,
            alarms: AlarmSet::default(),
            blocked: false,
            ack_watch,
            channels: Channels::default(),
            last_turn: None,
            next_epoch: 0,
            exclusive_queues: Vec::new(),
            exclusive_checked_at: 16,
            out: Output::default(),
            fx,
            run: run::Run::default(),
            route: route::RouteCache::default(),
            settled: Vec::new(),
            discarded: Vec::new(),
            unconfirmed_news: Vec::new(),
            has_committed: false,
            taken: Taken::default(),
            tokens: VecDeque::new(),
            held_octets: 0,
            unread: Vec::new(),
            has_rest: false,
            now: Instant::now(),
            has_published: false,
            has_stored: false,
            need: 0,
            buffer_size: 0,
            effort: 0,
            no_message: Message::small((b"", b""), &[0, 0], b"", false, false),
            account,
            kept_arguments: burden::Bound::default(),
            told: ignored::Told::default(),
        }
    }

    /// What has to be written.
    pub fn output(&mut self) -> &mut Output {
        &mut self.out
    }

    /// Whether the socket should be read: not while replies pile up, held frames do, the storage
    /// backlog is over its mark and this connection adds to it, or an alarm has blocked it.
    pub fn wants_read(&self) -> bool {
        self.out.len() < OUTPUT_MAX
            && self.held_octets < HELD_MAX
            && !matches!(self.phase, Phase::Ending | Phase::Refused { .. })
            && !self.is_blocked()
            && !self.waits_for_memory()
            && !self.waits_for_storage()
    }

    /// Whether a large frame, of which a part has come, has to wait until memory is not low any more.
    pub fn waits_for_memory(&self) -> bool {
        self.need > LOW_FRAME_MAX
            && self.phase == Phase::Running
            && self.broker.alarms.in_force().has_memory()
    }

    /// Whether reading waits for the disk to catch up.
    pub fn waits_for_storage(&self) -> bool {
        (self.has_published && self.broker.pager_is_behind())
            || (self.has_stored && self.broker.store_is_behind())
    }

    /// Whether mail should be fetched: not while the peer does not read what was delivered, nor
    /// while it holds too much of that without acknowledging it.
    pub fn wants_mail(&mut self) -> bool {
        let too_much = self.holds_too_much();
        self.info.set_waits_for_memory(too_much);
        !too_much && self.out.len() < self.broker.ledger.waiting_mark()
    }

    /// Whether [`Connection::input`] left whole frames in the read buffer, to be called again as
    /// soon as [`Connection::wants_read`].
    pub fn has_rest(&self) -> bool {
        self.has_rest
    }

    /// Octets that a read buffer needs for the frame at its front, once known.
    pub fn needed_buffer(&self) -> usize {
        self.need
    }

    /// Whether the socket can be closed: all is written that will be.
    pub fn is_over(&self, now: Instant) -> bool {
        match self.phase {
            Phase::Ending => self.out.is_empty(),
            Phase::Closing { until } | Phase::Refused { until } => now >= until,
            _ => false,
        }
    }

    /// When the connection has to be looked at though nothing came.
    pub fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Closing { until } | Phase::Refused { until } => Some(until),
            _ => self.ack_watch.deadline(),
        }
    }

    /// Whether the peer has logged in and opened a virtual host.
    pub fn is_running(&self) -> bool {
        self.phase == Phase::Running
    }

    /// Whether the peer has still to log in and open a virtual host.
    pub fn is_handshaking(&self) -> bool {
        matches!(
            self.phase,
            Phase::Header | Phase::Starting | Phase::Tuning | Phase::Opening
        )
    }

    /// Whether only the last output is still to be written.
    pub fn is_ending(&self) -> bool {
        self.phase == Phase::Ending
    }

    /// Whether the connection was opened and has not ended.
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::Closing { .. })
    }

    /// The agreed heartbeat interval; none when heartbeats are off or not agreed yet.
    pub fn heartbeat(&self) -> Option<Duration> {
        self.tuned.heartbeat.filter(|_| self.is_open())
    }

    /// Octets of a frame at most. Before the login RabbitMQ takes as much as its `initial_frame_max`, so that who is
    /// nobody yet cannot have much kept.
    fn frame_limit(&self) -> u32 {
        match self.phase {
            Phase::Header | Phase::Starting | Phase::Tuning => {
                self.tuned.frame_max.min(INITIAL_FRAME_MAX)
            }
            _ => self.tuned.frame_max,
        }
    }

    /// Puts a heartbeat into the output.
    pub fn send_heartbeat(&mut self) {
        leveret_protocol::method::encode_heartbeat(self.out.buffer());
    }

    /// What follows happens at this time.
    fn begin_at(&mut self, now: Instant) {
        self.now = now;
        self.fx.begin_at(now);
    }

    fn vhost(&self) -> Result<&Arc<Vhost>, AmqpError> {
        // Channels exist only once the connection is open.
        self.login
            .as_ref()
            .map(|login| &login.vhost)
            .ok_or_else(texts::channel_not_open)
    }

    fn check_access(&self, access: Access, entity: Entity<'_>) -> Result<(), AmqpError> {
        let Some(login) = &self.login else {
            return Err(texts::channel_not_open());
        };
        let (vhost, user) = (login.vhost.name(), &login.user);
        // RabbitMQ checks the default exchange under this name.
        let default = leveret_protocol::ExchangeName::from("amq.default");
        let entity = match entity {
            Entity::Exchange(name) if name.is_empty() => Entity::Exchange(&default),
            other => other,
        };
        let name = match entity {
            Entity::Queue(name) => name.as_str(),
            Entity::Exchange(name) => name.as_str(),
        };
        if self
            .broker
            .users
            .permits(user, vhost.as_str(), access, name)
        {
            return Ok(());
        }
        Err(texts::access_refused(
            access.as_str(),
            entity,
            vhost,
            &user.name,
        ))
    }

    fn channel_mut(&mut self, id: ChannelId) -> Option<&mut Channel> {
        self.channels.get_mut(id)
    }

    /// The channel that a method handler was called for.
    fn open_channel(&mut self, id: ChannelId) -> Result<&mut Channel, AmqpError> {
        self.channel_mut(id).ok_or_else(texts::channel_not_open)
    }
}

#[cfg(test)]
mod tests;
