//! The connection machine: bytes in, bytes out, no sockets.
//!
//! One connection's task owns it. Input is split into frames in place; replies, deliveries and
//! confirms are encoded into one [`Output`]. What other tasks send to the connection waits in its
//! mailbox until [`Connection::take_mail`] fetches it.
//!
//! Publishes and acknowledgements of one read batch are collected and handed to their queues in
//! runs, one lock per run; whatever must see their effect flushes them first.
//!
//! Every file adds methods to [`Connection`], which is declared here, so each of them imports this one.

mod ack_timeout;
mod basic_class;
mod blocking;
mod channel;
mod channels;
mod close;
mod confirms;
mod content;
mod counting;
mod credential;
mod deferred;
mod dispatch;
mod exchange_class;
mod external;
mod fast_path;
mod firehose;
mod flush;
mod foreign;
mod handshake;
mod idle;
mod input;
mod mail;
mod memory_limits;
mod output;
mod publish;
mod queue_class;
mod reply_to;
mod route;
mod routes;
mod run;
mod settle;
mod transaction;
mod turns;
mod unacked;

pub use output::Output;

use crate::config::Limits;
use crate::domain::auth::Login;
use crate::domain::broker::Broker;
use crate::domain::connections::ConnectionInfo;
use crate::domain::limits::UsageGuard;
use crate::domain::operations::Caller;
use crate::domain::vhost::Vhost;
use crate::engine::message::{Message, SharedMessage};
use crate::engine::queue::{Effects, Queue};
use crate::plumbing::alarms::AlarmSet;
use crate::plumbing::ledger::Account;
use crate::plumbing::mailbox::{MailBatch, Mailbox};
use channel::Channel;
use channels::Channels;
use leveret_protocol::{AmqpError, ChannelId, texts};
use leveret_storage::{QueueId, Token};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// With more output than this, the peer's requests are not read either: it does not read our
/// replies.
const OUTPUT_MAX: usize = 4 << 20;
/// While memory is low, the rest of a frame larger than this is not read.
const LOW_FRAME_MAX: usize = 16 << 10;
/// Bytes of frames that may wait on channels that wait for the store.
const DEFERRED_MAX: usize = 1 << 20;
/// The largest frame before login, in bytes (RabbitMQ: `initial_frame_max`).
const INITIAL_FRAME_MAX: u32 = 8192;
/// How long a peer may take to answer connection.close, or to notice a refusal without a reply.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The phase of a connection (spec 2.2.4).
///
/// ```text
/// header -> start -> tune -> open -> open-ok ... close -> close-ok
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Only the protocol header is accepted.
    Header,
    /// connection.start was sent.
    Starting,
    /// start-ok was received, and whether the login is right is not known yet. Nothing is read meanwhile.
    LoggingIn,
    /// connection.tune was sent.
    Tuning,
    /// tune-ok was received.
    Opening,
    /// open-ok was sent.
    Running,
    /// We sent connection.close; everything but its answer is dropped.
    Closing { until: Instant },
    /// The remaining output is written, then the socket is closed.
    Ending,
    /// Nothing more is sent: the peer gets no reply, and its socket is closed at `until`.
    Refused { until: Instant },
}

/// What was negotiated.
#[derive(Clone, Copy, Debug)]
struct Tuned {
    channel_max: u16,
    /// In bytes; 0 for no limit.
    frame_max: u32,
    /// `None` if heartbeats are off.
    heartbeat: Option<Duration>,
}

/// A connection.
pub struct Connection {
    broker: Arc<Broker>,
    info: Arc<ConnectionInfo>,
    mailbox: Arc<Mailbox>,
    phase: Phase,
    /// The broker's limits, copied so that no lock is needed to read them.
    limits: Limits,
    tuned: Tuned,
    /// The login that is being checked.
    pending_login: Option<handshake::Pending>,
    login: Option<Login>,
    /// When the login ends by itself.
    credential_expires: Option<Instant>,
    /// Who performs its operations, once a virtual host is open.
    caller: Option<Caller>,
    /// Counts the connection and its channels towards the limits, once a virtual host is open.
    usage: Option<UsageGuard>,
    wants_close_on_refusal: bool,
    wants_cancel_notice: bool,
    wants_blocked_notice: bool,
    /// The alarms in force when this batch was read.
    alarms: AlarmSet,
    /// It published while an alarm was in force.
    blocked: bool,
    ack_watch: ack_timeout::Watch,
    channels: Channels,
    /// The queue that was resumed last when the mailbox had room again.
    last_turn: Option<QueueId>,
    next_epoch: u16,
    exclusive_queues: Vec<Arc<Queue>>,
    /// The number of exclusive queues at which deleted ones are removed from the list.
    exclusive_checked_at: usize,
    out: Output,
    fx: Effects,
    run: run::Run,
    route: route::RouteCache,
    tally: Box<counting::ConnectionCounts>,
    settled: Vec<unacked::Delivery>,
    /// Like `settled`, but rejected without requeue.
    discarded: Vec<unacked::Delivery>,
    unconfirmed_news: Vec<ChannelId>,
    /// See [`Connection::has_committed`].
    has_committed: bool,
    mail_batch: MailBatch,
    /// Tokens that the store has made durable, not processed yet.
    tokens: VecDeque<Token>,
    deferred_bytes: usize,
    /// Channels whose frames wait for the peer to read earlier answers.
    unread: Vec<ChannelId>,
    /// The read buffer may hold complete frames, because there was too much output to go on.
    has_rest: bool,
    /// The time passed to the current call.
    now: Instant,
    has_published: bool,
    /// It has published messages that are stored.
    has_stored: bool,
    /// Total bytes of the frame at the front of the input.
    need: usize,
    /// The size of the largest read buffer so far, in bytes.
    buffer_size: usize,
    /// Effort since the clock was last checked.
    effort: u32,
    /// A placeholder for messages that do not have to be kept.
    no_message: SharedMessage,
    /// What it holds in memory, and what was reported to the ledger.
    account: Account,
    /// Total bytes of its consumers' arguments.
    argument_bytes: memory_limits::UpperBound,
}

impl Connection {
    /// Creates a connection that has just been accepted.
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
            broker,
            info,
            mailbox,
            phase: Phase::Header,
            limits,
            tuned,
            pending_login: None,
            login: None,
            credential_expires: None,
            caller: None,
            usage: None,
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
            tally: Box::default(),
            settled: Vec::new(),
            discarded: Vec::new(),
            unconfirmed_news: Vec::new(),
            has_committed: false,
            mail_batch: MailBatch::default(),
            tokens: VecDeque::new(),
            deferred_bytes: 0,
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
            argument_bytes: memory_limits::UpperBound::default(),
        }
    }

    /// Returns the output to write.
    pub fn output(&mut self) -> &mut Output {
        &mut self.out
    }

    /// Returns whether to read the socket. No while there is too much output or too many deferred
    /// frames, the storage backlog is over its mark and this connection adds to it, or an alarm
    /// blocks it.
    pub fn wants_read(&self) -> bool {
        self.out.len() < OUTPUT_MAX
            && self.deferred_bytes < DEFERRED_MAX
            && !matches!(
                self.phase,
                Phase::LoggingIn | Phase::Ending | Phase::Refused { .. }
            )
            && !self.is_blocked()
            && !self.waits_for_memory()
            && !self.waits_for_storage()
    }

    /// Returns whether a large, partly received frame has to wait until memory is no longer low.
    pub fn waits_for_memory(&self) -> bool {
        self.need > LOW_FRAME_MAX
            && self.phase == Phase::Running
            && self.broker.alarms.in_force().has_memory()
    }

    /// Returns whether reading waits for the disk to catch up.
    pub fn waits_for_storage(&self) -> bool {
        (self.has_published && self.broker.pager_is_behind())
            || (self.has_stored && self.broker.store_is_behind())
    }

    /// Returns whether to fetch deliveries. No while the peer reads too slowly or holds too many
    /// unacknowledged bytes.
    pub fn wants_mail(&mut self) -> bool {
        let too_much = self.holds_too_much();
        self.info.set_waits_for_memory(too_much);
        !too_much && self.out.len() < self.broker.ledger.waiting_mark()
    }

    /// Returns whether [`Connection::input`] left complete frames in the read buffer, and has to be
    /// called again as soon as [`Connection::wants_read`].
    pub fn has_rest(&self) -> bool {
        self.has_rest
    }

    /// Returns the bytes that the read buffer needs for the frame at its front, once known.
    pub fn needed_buffer(&self) -> usize {
        self.need
    }

    /// Returns whether the socket can be closed because everything has been written.
    pub fn is_over(&self, now: Instant) -> bool {
        match self.phase {
            Phase::Ending => self.out.is_empty(),
            Phase::Closing { until } | Phase::Refused { until } => now >= until,
            _ => false,
        }
    }

    /// Returns whether the broker, or both sides, have closed it: the client's end of the socket may follow.
    pub fn is_closing(&self) -> bool {
        matches!(
            self.phase,
            Phase::Closing { .. } | Phase::Ending | Phase::Refused { .. }
        )
    }

    /// Returns when the connection needs attention even if nothing arrives.
    pub fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Closing { until } | Phase::Refused { until } => Some(until),
            _ => {
                // Before it is running, opening a virtual host looks at the credential.
                let expiry = self.credential_expires;
                let expiry = expiry.filter(|_| self.phase == Phase::Running);
                let deadlines = [self.ack_watch.deadline(), expiry];
                deadlines.into_iter().flatten().min()
            }
        }
    }

    /// Returns whether the peer has logged in and opened a virtual host.
    pub fn is_running(&self) -> bool {
        self.phase == Phase::Running
    }

    /// Returns whether the peer has yet to log in and open a virtual host.
    pub fn is_handshaking(&self) -> bool {
        matches!(
            self.phase,
            Phase::Header | Phase::Starting | Phase::LoggingIn | Phase::Tuning | Phase::Opening
        )
    }

    /// Returns whether the login is being checked.
    pub fn is_logging_in(&self) -> bool {
        self.phase == Phase::LoggingIn
    }

    /// Returns whether only the last output remains to be written.
    pub fn is_ending(&self) -> bool {
        self.phase == Phase::Ending
    }

    /// Returns whether the connection was opened and has not ended.
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::Closing { .. })
    }

    /// Returns the negotiated heartbeat interval; `None` if heartbeats are off or not negotiated
    /// yet.
    pub fn heartbeat(&self) -> Option<Duration> {
        self.tuned.heartbeat.filter(|_| self.is_open())
    }

    /// Returns the largest frame size in bytes. Before login it is RabbitMQ's `initial_frame_max`, so that a peer that
    /// is not authenticated cannot use much memory.
    fn frame_limit(&self) -> u32 {
        match self.phase {
            Phase::Header | Phase::Starting | Phase::LoggingIn | Phase::Tuning => {
                self.tuned.frame_max.min(INITIAL_FRAME_MAX)
            }
            _ => self.tuned.frame_max,
        }
    }

    /// Writes a heartbeat to the output.
    pub fn send_heartbeat(&mut self) {
        leveret_protocol::method::encode_heartbeat(self.out.buffer());
    }

    /// Sets the time at which the following operations happen.
    fn begin_at(&mut self, now: Instant) {
        self.now = now;
        self.fx.begin_at(now);
    }

    fn caller(&self) -> Result<&Caller, AmqpError> {
        // Channels exist only after the connection is open.
        self.caller.as_ref().ok_or_else(texts::channel_not_open)
    }

    /// Returns who performs an operation, and the effects to collect from it.
    fn caller_and_effects(&mut self) -> Result<(&mut Caller, &mut Effects), AmqpError> {
        let caller = self.caller.as_mut().ok_or_else(texts::channel_not_open)?;
        Ok((caller, &mut self.fx))
    }

    fn vhost(&self) -> Result<&Arc<Vhost>, AmqpError> {
        Ok(self.caller()?.vhost())
    }

    fn channel_mut(&mut self, id: ChannelId) -> Option<&mut Channel> {
        self.channels.get_mut(id)
    }

    /// Returns the channel that a method handler was called for.
    fn open_channel(&mut self, id: ChannelId) -> Result<&mut Channel, AmqpError> {
        self.channel_mut(id).ok_or_else(texts::channel_not_open)
    }
}

#[cfg(test)]
mod tests;
