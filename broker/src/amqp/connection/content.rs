//! A publish on its way through a channel: where it goes, how much of it has arrived, and what it becomes.

use crate::domain::operations::PermittedExchange;
use crate::engine::exchange::{DelayedMessage, Delays, Postponed, Routable};
use crate::engine::message::{MessageBuilder, SharedMessage};
use crate::engine::queue::Queue;
use leveret_protocol::AmqpError;
use std::sync::Arc;

/// Where a channel stands in a publish (spec 4.2.6).
#[derive(Debug)]
pub(super) enum Content {
    /// A method is expected.
    Method,
    /// basic.publish came, a content header is expected.
    Header(Target),
    /// Body frames are expected.
    Body(Target, Box<MessageBuilder>),
}

impl Content {
    /// Returns the memory that the unfinished message takes, in bytes.
    pub(super) fn weight(&self) -> u64 {
        match self {
            Content::Method | Content::Header(_) => 0,
            Content::Body(_, builder) => builder.weight(),
        }
    }
}

/// The target of a publish; the routing key is kept in the channel.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) to: PermittedExchange,
    pub(super) mandatory: bool,
    /// Further routing keys, known once the content header has arrived.
    pub(super) copies: Vec<Box<[u8]>>,
}

impl Target {
    /// Checks that the user may publish with this routing key and the further ones.
    ///
    /// # Errors
    /// 403.
    pub(super) fn check_topics(&self, routing_key: &[u8]) -> Result<(), AmqpError> {
        self.to.check_key(routing_key)?;
        self.copies
            .iter()
            .try_for_each(|key| self.to.check_key(key))
    }
}

/// A complete message with everything that was decided when it was published; it only has to be
/// handed over, now or at the commit of its transaction.
#[derive(Debug)]
pub(super) struct Routed {
    pub(super) message: SharedMessage,
    pub(super) queues: Arc<[Arc<Queue>]>,
    /// The delayed exchanges that keep the message.
    pub(super) kept_by: Vec<Arc<Delays>>,
    /// How many of the queues and delayed exchanges store it.
    pub(super) storing: u32,
    pub(super) target: Target,
}

impl Routed {
    /// Returns the message for each of the delayed exchanges that keep it.
    pub(super) fn postponed(
        &self,
        token: Option<leveret_storage::Token>,
    ) -> impl Iterator<Item = (Arc<Delays>, Postponed)> {
        let routable = Routable {
            routing_keys: &[self.message.routing_key()],
            properties: self.message.properties(),
        };
        let delay = routable.delay().unwrap_or_default();
        self.kept_by.iter().map(move |delays| {
            let delayed = DelayedMessage {
                message: self.message.clone(),
                more_keys: self.target.copies.as_slice().into(),
            };
            (
                delays.clone(),
                Postponed {
                    delayed,
                    delay,
                    token,
                },
            )
        })
    }
}
