//! The supported SASL mechanisms.

/// A SASL mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// A name and a password (RFC 4616).
    Plain,
    /// A name and a password in a field table, from before AMQP had SASL.
    AmqPlain,
    /// No credentials: the client is logged in as a user that the operator has chosen (RFC 4505).
    Anonymous,
}

impl Mechanism {
    /// All mechanisms.
    pub const ALL: [Mechanism; 3] = [Mechanism::Plain, Mechanism::AmqPlain, Mechanism::Anonymous];

    /// Returns its name in `connection.start`.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::AmqPlain => "AMQPLAIN",
            Mechanism::Anonymous => "ANONYMOUS",
        }
    }
}
