//! What the machines know of their environment: traits that the layers above implement.

use super::exchange::Directory;
use super::queue::{Consumer, Effects, Entry, Queue};
use super::stream::Budget;
use leveret_storage::QueueId;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// A connection's id, unique for the life of the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

impl fmt::Display for ConnectionId {
    /// The form that listings show and `close_connection` accepts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<leveret.{}.0>", self.0)
    }
}

/// Where a consumer's deliveries go: its connection's mailbox.
pub trait Inbox: fmt::Debug + Send + Sync {
    /// Returns its connection.
    fn connection(&self) -> ConnectionId;

    /// Adds a delivery. Returns true if the caller has to call [`Inbox::wake`] once it holds no
    /// lock.
    ///
    /// # Errors
    /// Returns the entry if the connection has ended.
    fn deliver(&self, consumer: &Arc<Consumer>, entry: Entry) -> Result<bool, Entry>;

    /// Returns whether no more deliveries should be sent now. If true, that is remembered: the connection resumes its
    /// consumers when it has caught up.
    fn is_full(&self) -> bool;

    /// Asks the connection to resume the consumers that queues have passed over.
    fn request_resume(&self);

    /// Tells the connection that the consumer's queue is gone.
    fn cancelled(&self, consumer: &Arc<Consumer>);

    /// Wakes the connection.
    fn wake(&self);

    /// Returns the budget for what was read for stream consumers and could not be delivered.
    fn read_ahead(&self) -> &Budget;
}

/// Something with deadlines. It keeps them itself and asks to be called by the earliest.
pub trait Timed: Send + Sync + 'static {
    /// Returns its id: queues and delayed exchanges share one number space.
    fn timer_id(&self) -> QueueId;

    /// Does a short slice of what is due at `now`, because others wait meanwhile. Returns when it wants to be called
    /// again; a time that has passed means that more is due.
    fn on_time(
        self: Arc<Self>,
        vhosts: &dyn VirtualHosts,
        now: Instant,
        fx: &mut Effects,
    ) -> Option<Instant>;
}

/// Calls things when their time has come.
pub trait Deadlines: Send + Sync {
    /// Makes sure that `what` is called by `at`; an earlier time that it asked for before stays.
    fn wake_at(&self, at: Instant, what: &Arc<dyn Timed>);

    /// Removes the deadlines of something that is gone.
    fn cancel(&self, id: QueueId);
}

/// The virtual hosts, for messages that move from one queue or exchange to others.
pub trait VirtualHosts: Send + Sync {
    /// Returns the virtual host with this name.
    fn find(&self, name: &str) -> Option<Arc<dyn VirtualHost>>;
}

/// A virtual host, as far as messages are concerned.
pub trait VirtualHost: Directory + Send + Sync {
    /// Returns a number that changes whenever routing may change.
    fn generation(&self) -> u64;

    /// Returns the queue with this name.
    fn queue(&self, name: &str) -> Option<Arc<Queue>>;

    /// Deletes a queue that has been unused for as long as its `x-expires` says.
    fn end_abandoned_queue(&self, queue: &Arc<Queue>, fx: &mut Effects);
}
