//! A connection's mailbox: other tasks put deliveries, confirms, cancels and orders here. Its own
//! task takes them, assigns delivery tags and encodes: nobody else writes into its output, so
//! replies and deliveries cannot overtake each other.

use crate::config::Limits;
use crate::engine::interfaces::{ConnectionId, Inbox};
use crate::engine::message::SharedMessage;
use crate::engine::queue::{Consumer, Entry};
use crate::engine::stream::Budget;
use crate::plumbing::ledger::{Ledger, WAITING_WHEN_SHORT};
use crate::plumbing::report::ConnectionReport;
use leveret_storage::{CommitSink, Token};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Waker;
use tokio::sync::oneshot;

#[cfg(test)]
pub(crate) use crate::plumbing::ledger::WAITING as HIGH_MARK;

/// Bytes that a waiting delivery takes besides its message.
pub(crate) const DELIVERY_OVERHEAD: usize = 96;
/// The step in bytes by which waiting deliveries are reported to the ledger.
pub(crate) const REPORT_STEP: usize = 64 << 10;

/// An item for a connection.
#[derive(Debug)]
pub enum Mail {
    /// A message for one of its consumers.
    Deliver(Arc<Consumer>, Entry),
    /// The queue of this consumer is gone (RabbitMQ: "Consumer Cancellation Notification").
    Cancel(Arc<Consumer>),
    /// A message published to the reply address of one of its channels.
    Reply(Reply),
}

/// A message for a channel that waits for replies (RabbitMQ: "Direct Reply-to").
#[derive(Debug)]
pub struct Reply {
    message: SharedMessage,
    /// The address, if it is not the message's routing key.
    copy_for: Option<Box<[u8]>>,
}

impl Reply {
    /// Creates a reply to the message's routing key.
    pub fn new(message: SharedMessage) -> Self {
        Reply {
            message,
            copy_for: None,
        }
    }

    /// Creates a reply to an address given in addition to the routing key.
    pub fn copy(message: SharedMessage, address: &[u8]) -> Self {
        Reply {
            message,
            copy_for: Some(address.into()),
        }
    }

    /// Returns the message.
    pub fn message(&self) -> &SharedMessage {
        &self.message
    }

    /// Returns the address it was sent to.
    pub fn address(&self) -> &[u8] {
        self.copy_for
            .as_deref()
            .unwrap_or(self.message.routing_key())
    }
}

/// An order from the broker or an administrator. Orders are processed even while mail waits because
/// the peer does not read.
#[derive(Debug)]
pub enum Order {
    /// Close: 320 CONNECTION_FORCED with this reason.
    Close(String),
    /// No alarm is in force any more: publishers may continue.
    Unblock,
    /// Apply these limits from now on.
    Limits(Box<Limits>),
    /// Describe yourself.
    Report(oneshot::Sender<ConnectionReport>),
}

/// A connection's mailbox.
#[derive(Debug)]
pub struct Mailbox {
    connection: ConnectionId,
    state: Mutex<State>,
    /// Bytes of waiting deliveries; written under the lock, read without. Above the ledger's mark, queues treat the
    /// connection's consumers as not ready. The connection takes everything at once, so the low mark is an empty
    /// mailbox.
    waiting: AtomicUsize,
    ledger: Arc<Ledger>,
    /// A queue passed a consumer over because the mailbox was full.
    starved: AtomicBool,
    /// The connection's task is committing what it submitted, and will check for the results itself.
    committing: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    mail: Vec<Mail>,
    orders: Vec<Order>,
    tokens: Vec<Token>,
    /// The bytes reported to the ledger.
    reported: usize,
    resume_requested: bool,
    closed: bool,
    /// A wake-up is due or done, and the task has not looked since.
    notified: bool,
    waker: Option<Waker>,
}

/// What a connection's task takes from its mailbox; buffers are swapped, not copied.
#[derive(Debug, Default)]
pub struct MailBatch {
    /// In the order in which it was sent.
    pub mail: Vec<Mail>,
    /// Tokens that the store has made durable.
    pub tokens: Vec<Token>,
    /// Consumers that were passed over should be resumed.
    pub resume: bool,
}

impl MailBatch {
    /// Returns whether there was nothing.
    pub fn is_empty(&self) -> bool {
        self.mail.is_empty() && self.tokens.is_empty() && !self.resume
    }
}

impl Mailbox {
    /// Creates an empty mailbox for this connection.
    pub fn new(connection: ConnectionId) -> Self {
        Mailbox::counted(connection, Arc::default())
    }

    /// Creates an empty mailbox for this connection that reports to the ledger.
    pub fn counted(connection: ConnectionId, ledger: Arc<Ledger>) -> Self {
        Mailbox {
            connection,
            state: Mutex::default(),
            waiting: AtomicUsize::new(0),
            ledger,
            starved: AtomicBool::new(false),
            committing: AtomicBool::new(false),
        }
    }

    /// Returns the ledger that counts its contents.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Adds anything else and wakes the connection.
    pub fn send(&self, mail: Mail) {
        self.with_state(|state| {
            if !state.closed {
                state.mail.push(mail);
            }
        });
    }

    /// Adds a reply, or drops it if the connection does not read.
    pub fn reply(&self, reply: Reply) {
        let size = reply.message.weight() as usize + DELIVERY_OVERHEAD;
        self.with_state(|state| {
            let waiting = self.waiting.load(Ordering::Relaxed);
            if !state.closed && waiting < self.ledger.waiting_mark().max(WAITING_WHEN_SHORT) {
                self.waiting.store(waiting + size, Ordering::SeqCst);
                self.report(state, waiting + size);
                state.mail.push(Mail::Reply(reply));
            }
        });
    }

    /// Adds an order. Orders to a connection that has ended are dropped; whoever waits for a report
    /// notices.
    pub fn order(&self, order: Order) {
        self.with_state(|state| {
            if !state.closed {
                state.orders.push(order);
            }
        });
    }

    /// Takes the orders; the next one wakes `waker`.
    pub fn take_orders(&self, waker: &Waker) -> Vec<Order> {
        let mut state = self.state.lock();
        state.listen(waker);
        std::mem::take(&mut state.orders)
    }

    fn with_state(&self, change: impl FnOnce(&mut State)) {
        let waker = {
            let mut state = self.state.lock();
            change(&mut state);
            state.notified = true;
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Runs a commit by the connection's own task, which checks for tokens afterwards and need not be woken for them.
    pub fn while_committing(&self, commit: impl FnOnce()) {
        self.committing.store(true, Ordering::Relaxed);
        commit();
        // Any task that saw the flag set has stored its tokens before: the lock orders the two.
        self.committing.store(false, Ordering::Relaxed);
    }

    /// Returns the bytes of waiting deliveries.
    #[inline]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    fn report(&self, state: &mut State, waiting: usize) {
        self.ledger.change_waiting(state.reported, waiting);
        state.reported = waiting;
    }

    /// Swaps the contents with the (empty) buffers in `batch`; if there is nothing, the next item
    /// wakes `waker`.
    pub fn take(&self, batch: &mut MailBatch, waker: Option<&Waker>) {
        let mut state = self.state.lock();
        state.notified = false;
        let nothing = state.mail.is_empty() && state.tokens.is_empty() && !state.resume_requested;
        if let Some(waker) = waker.filter(|_| nothing) {
            state.listen(waker);
        }
        std::mem::swap(&mut state.mail, &mut batch.mail);
        std::mem::swap(&mut state.tokens, &mut batch.tokens);
        batch.resume = std::mem::take(&mut state.resume_requested);
        self.waiting.store(0, Ordering::SeqCst);
        self.report(&mut state, 0);
        drop(state);
        if self.starved.load(Ordering::SeqCst) && self.starved.swap(false, Ordering::SeqCst) {
            batch.resume = true;
        }
    }

    /// Takes only what the store has made durable, for a connection that has no room for
    /// deliveries. `tokens` must be empty.
    pub fn take_tokens(&self, tokens: &mut Vec<Token>) {
        std::mem::swap(&mut self.state.lock().tokens, tokens);
    }

    /// Frees the memory of empty buffers.
    pub fn release_memory(&self) {
        let mut state = self.state.lock();
        state.mail.shrink_to_fit();
        state.tokens.shrink_to_fit();
        state.orders.shrink_to_fit();
    }

    /// Removes the deliveries to cancelled consumers, in order. The caller must have removed those
    /// consumers from their queues, so that no more deliveries follow.
    pub fn withdraw(&self) -> Vec<(Arc<Consumer>, Entry)> {
        let mut withdrawn = Vec::new();
        let mut state = self.state.lock();
        for mail in std::mem::take(&mut state.mail) {
            match mail {
                Mail::Deliver(consumer, entry) if consumer.cancelled.load(Ordering::Relaxed) => {
                    withdrawn.push((consumer, entry));
                }
                other => state.mail.push(other),
            }
        }
        let bytes: usize = withdrawn.iter().map(|(_, entry)| cost(entry)).sum();
        let left = self.waiting.load(Ordering::Relaxed) - bytes;
        self.waiting.store(left, Ordering::SeqCst);
        self.report(&mut state, left);
        withdrawn
    }

    /// Returns the bytes reported to the ledger and the actual ones.
    #[cfg(test)]
    pub fn reported(&self) -> (usize, usize) {
        let state = self.state.lock();
        let each = state.mail.iter().map(|mail| match mail {
            Mail::Deliver(_, entry) => cost(entry),
            Mail::Cancel(_) => 0,
            Mail::Reply(reply) => reply.message.weight() as usize + DELIVERY_OVERHEAD,
        });
        (state.reported, each.sum())
    }

    /// Shows the waiting items, for tests.
    #[cfg(test)]
    pub fn peek<T>(&self, look: impl FnOnce(&[Mail]) -> T) -> T {
        look(&self.state.lock().mail)
    }

    /// Closes the mailbox and returns its contents; later deliveries go back to their queues.
    pub fn close(&self) -> Vec<Mail> {
        let mut state = self.state.lock();
        state.closed = true;
        state.tokens.clear();
        state.orders.clear();
        self.waiting.store(0, Ordering::SeqCst);
        self.report(&mut state, 0);
        std::mem::take(&mut state.mail)
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        let reported = self.state.get_mut().reported;
        self.ledger.change_waiting(reported, 0);
    }
}

/// Returns the bytes that a delivery takes.
fn cost(entry: &Entry) -> usize {
    entry.message.weight() as usize + DELIVERY_OVERHEAD
}

impl State {
    fn listen(&mut self, waker: &Waker) {
        match &mut self.waker {
            Some(current) if current.will_wake(waker) => {}
            slot => *slot = Some(waker.clone()),
        }
    }
}

impl Inbox for Mailbox {
    fn connection(&self) -> ConnectionId {
        self.connection
    }

    #[inline]
    fn deliver(&self, consumer: &Arc<Consumer>, entry: Entry) -> Result<bool, Entry> {
        let size = cost(&entry);
        let mut state = self.state.lock();
        if state.closed {
            return Err(entry);
        }
        // Readers without the lock may see this late: the mark is not exact. Only the transition to empty must not be
        // missed, see `take`.
        let waiting = self.waiting.load(Ordering::Relaxed) + size;
        self.waiting.store(waiting, Ordering::Relaxed);
        if waiting >= state.reported + REPORT_STEP {
            self.report(&mut state, waiting);
        }
        state.mail.push(Mail::Deliver(consumer.clone(), entry));
        Ok(!std::mem::replace(&mut state.notified, true))
    }

    #[inline]
    fn is_full(&self) -> bool {
        let mark = self.ledger.waiting_mark();
        if self.waiting.load(Ordering::SeqCst) < mark {
            return false;
        }
        self.starved.store(true, Ordering::SeqCst);
        // The connection may have emptied it before the mark was set.
        self.waiting.load(Ordering::SeqCst) >= mark
    }

    fn request_resume(&self) {
        self.with_state(|state| state.resume_requested = true);
    }

    fn cancelled(&self, consumer: &Arc<Consumer>) {
        self.send(Mail::Cancel(consumer.clone()));
    }

    fn wake(&self) {
        let waker = self.state.lock().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn read_ahead(&self) -> &Budget {
        self.ledger.read_ahead()
    }
}

impl CommitSink for Mailbox {
    fn committed(&self, tokens: &[Token]) {
        let waker = {
            let mut state = self.state.lock();
            if !state.closed {
                state.tokens.extend_from_slice(tokens);
            }
            if self.committing.load(Ordering::Relaxed) {
                return;
            }
            state.notified = true;
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
