//! Exchange types and their names on the wire.

use std::fmt;

/// An exchange's type: those of AMQP 0-9-1 (spec 3.1.3), and those of RabbitMQ and the plugins
/// that come with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeKind {
    /// Routing key equals binding key.
    Direct,
    /// Every binding matches.
    Fanout,
    /// Binding keys are patterns over words.
    Topic,
    /// Binding arguments are compared with the message's headers.
    Headers,
    /// One destination, by the hash of the routing key, a header or a property; binding keys are
    /// weights (RabbitMQ: "Consistent Hash Exchange Type").
    ConsistentHash,
    /// One random binding (RabbitMQ: "Random Exchange Type").
    Random,
    /// One random queue of this node (RabbitMQ: "Local Random Exchange"); here all queues are.
    LocalRandom,
    /// One binding, by the hash of the routing key modulo their number (RabbitMQ: "Sharding
    /// Plugin").
    ModulusHash,
    /// Messages are delayed, then routed by another type (RabbitMQ's plugin "Delayed Message
    /// Exchange").
    DelayedMessage,
}

impl ExchangeKind {
    /// All types.
    pub const ALL: [ExchangeKind; 9] = [
        ExchangeKind::Direct,
        ExchangeKind::Fanout,
        ExchangeKind::Topic,
        ExchangeKind::Headers,
        ExchangeKind::ConsistentHash,
        ExchangeKind::Random,
        ExchangeKind::LocalRandom,
        ExchangeKind::ModulusHash,
        ExchangeKind::DelayedMessage,
    ];

    /// Returns the type with this name.
    pub fn parse(name: &str) -> Option<Self> {
        ExchangeKind::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
    }

    /// Returns its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            ExchangeKind::Direct => "direct",
            ExchangeKind::Fanout => "fanout",
            ExchangeKind::Topic => "topic",
            ExchangeKind::Headers => "headers",
            ExchangeKind::ConsistentHash => "x-consistent-hash",
            ExchangeKind::Random => "x-random",
            ExchangeKind::LocalRandom => "x-local-random",
            ExchangeKind::ModulusHash => "x-modulus-hash",
            ExchangeKind::DelayedMessage => "x-delayed-message",
        }
    }
}

impl fmt::Display for ExchangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
