//! How often clients tried to log in (RabbitMQ: `auth_attempt_metrics`).

use super::churn::ChurnCounter;

/// The protocols that clients log in with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// AMQP 0-9-1.
    Amqp,
    /// The management HTTP API.
    Http,
}

impl Protocol {
    /// All protocols, in the order of their numbers.
    pub const ALL: [Protocol; 2] = [Protocol::Amqp, Protocol::Http];

    /// Returns RabbitMQ's name for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Amqp => "amqp091",
            Protocol::Http => "http",
        }
    }
}

/// The attempts to log in, by protocol.
#[derive(Debug, Default)]
pub struct Logins {
    succeeded: [ChurnCounter; Protocol::ALL.len()],
    failed: [ChurnCounter; Protocol::ALL.len()],
}

impl Logins {
    /// Counts an attempt.
    pub fn count(&self, protocol: Protocol, succeeded: bool) {
        let counters = match succeeded {
            true => &self.succeeded,
            false => &self.failed,
        };
        counters[protocol as usize].count();
    }

    /// Returns how many attempts succeeded, and how many failed.
    pub fn get(&self, protocol: Protocol) -> (u64, u64) {
        let at = protocol as usize;
        (self.succeeded[at].get(), self.failed[at].get())
    }
}
