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
    /// No credentials: the client's certificate says who it is (RFC 4422, appendix A). Only with TLS.
    External,
}

impl Mechanism {
    /// All mechanisms.
    pub const ALL: [Mechanism; 4] = [
        Mechanism::Plain,
        Mechanism::AmqPlain,
        Mechanism::Anonymous,
        Mechanism::External,
    ];

    /// Returns its name in `connection.start`.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::AmqPlain => "AMQPLAIN",
            Mechanism::Anonymous => "ANONYMOUS",
            Mechanism::External => "EXTERNAL",
        }
    }
}
