//! The SASL mechanisms that there are, by name.

/// A SASL mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// A name and a password (RFC 4616).
    Plain,
    /// The same as a field table, from before AMQP had SASL.
    AmqPlain,
    /// Nothing: whoever comes is a user that the operator has named (RFC 4505).
    Anonymous,
}

impl Mechanism {
    /// All there are.
    pub const ALL: [Mechanism; 3] = [Mechanism::Plain, Mechanism::AmqPlain, Mechanism::Anonymous];

    /// Its name, as `connection.start` has it.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::AmqPlain => "AMQPLAIN",
            Mechanism::Anonymous => "ANONYMOUS",
        }
    }
}
