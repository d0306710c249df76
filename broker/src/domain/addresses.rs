//! Where the broker listens, for messages to those who knock at the wrong door.

/// The addresses of each service, separated by commas; `None` if it listens nowhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// AMQP without TLS.
    pub amqp: Option<String>,
    /// AMQP with TLS.
    pub amqps: Option<String>,
    /// The management HTTP API without TLS.
    pub http: Option<String>,
    /// The management HTTP API with TLS.
    pub https: Option<String>,
}
