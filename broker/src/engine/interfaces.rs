//! What the machines know of their environment: traits, which the layers above implement.

use super::exchange::Directory;
use super::queue::{Consumer, Effects, Entry, Queue, Settings};
use super::stream::Budget;
use leveret_protocol::values::FieldTable;
use leveret_storage::QueueId;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// A connection's identity for the life of the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

impl fmt::Display for ConnectionId {
    /// The form that listings show and `close_connection` takes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<leveret.{}.0>", self.0)
    }
}

/// Where a consumer's deliveries go: its connection's mailbox.
pub trait Inbox: fmt::Debug + Send + Sync {
    /// Whose it is.
    fn connection(&self) -> ConnectionId;

    /// Adds a delivery. `true`: the caller owes a [`Inbox::wake`] once it holds no lock.
    ///
    /// # Errors
    /// The entry comes back when the connection has ended.
    fn deliver(&self, consumer: &Arc<Consumer>, entry: Entry) -> Result<bool, Entry>;

    /// Whether no more deliveries should be sent now. A `true` is remembered: the connection resumes its consumers when it
    /// has caught up.
    fn is_full(&self) -> bool;

    /// Asks the connection to resume the consumers that queues have passed over.
    fn request_resume(&self);

    /// Tells the connection that the consumer's queue is gone.
    fn cancelled(&self, consumer: &Arc<Consumer>);

    /// Wakes the connection.
    fn wake(&self);

    /// What all consumers of streams together may keep of what was read for them and could not be delivered.
    fn read_ahead(&self) -> &Budget;
}

/// The policies that apply to a queue or an exchange, together.
pub trait AppliedPolicy: fmt::Debug + Send + Sync {
    /// What a queue with these arguments is set to.
    fn settings(&self, arguments: &FieldTable) -> Arc<Settings>;

    /// A setting that is a text.
    fn text(&self, key: &str) -> Option<&str>;

    /// Every setting.
    fn definition(&self) -> Vec<(&str, &serde_json::Value)>;

    /// The name of the policy.
    fn policy_name(&self) -> Option<&str>;

    /// The name of the operator policy.
    fn operator_name(&self) -> Option<&str>;
}

/// Something that has deadlines. It keeps them itself and asks to be looked at by the earliest.
pub trait Timed: Send + Sync + 'static {
    /// Its identity: queues and delayed exchanges take theirs from the same numbers.
    fn timer_id(&self) -> QueueId;

    /// Does what is due at `now`: a slice of it that is over soon, for others wait meanwhile. Returns when it wants to be
    /// looked at again; a time that has come already means that there is more to do.
    fn on_time(
        self: Arc<Self>,
        vhosts: &dyn VirtualHosts,
        now: Instant,
        fx: &mut Effects,
    ) -> Option<Instant>;
}

/// Who looks at things when their time has come.
pub trait Deadlines: Send + Sync {
    /// Makes sure that `what` is looked at by `at`; an earlier time that it asked for before stays.
    fn wake_at(&self, at: Instant, what: &Arc<dyn Timed>);

    /// Forgets about what is gone.
    fn cancel(&self, id: QueueId);
}

/// The virtual hosts, for messages that go on from one queue or exchange to others.
pub trait VirtualHosts: Send + Sync {
    /// The virtual host of this name.
    fn find(&self, name: &str) -> Option<Arc<dyn VirtualHost>>;
}

/// A virtual host, as far as messages go.
pub trait VirtualHost: Directory + Send + Sync {
    /// A number that changes whenever a message could go elsewhere than before.
    fn generation(&self) -> u64;

    /// The queue of this name.
    fn queue(&self, name: &str) -> Option<Arc<Queue>>;

    /// Deletes a queue that nobody has used for as long as its `x-expires` says.
    fn end_abandoned_queue(&self, queue: &Arc<Queue>, fx: &mut Effects);
}
