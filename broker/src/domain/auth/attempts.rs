//! How many logins were attempted, by protocol and by source (`rabbit_core_metrics:auth_attempt_succeeded/3`).

use crate::text::shorten::beginning;
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Sources that are counted one by one; attempts from further ones are counted by protocol only.
const MAX_SOURCES: usize = 1024;
/// Bytes of a user's name that are kept.
const MAX_NAME: usize = 255;

/// A protocol with logins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LoginProtocol {
    /// AMQP 0-9-1.
    Amqp091,
    /// The management HTTP API.
    Http,
}

impl LoginProtocol {
    /// Every protocol.
    pub const ALL: [LoginProtocol; 2] = [LoginProtocol::Amqp091, LoginProtocol::Http];

    /// Returns RabbitMQ's name.
    pub fn as_str(self) -> &'static str {
        match self {
            LoginProtocol::Amqp091 => "amqp091",
            LoginProtocol::Http => "http",
        }
    }
}

/// Counted attempts to log in, with RabbitMQ's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AttemptCounts {
    /// All attempts.
    #[serde(rename = "auth_attempts")]
    pub all: u64,
    /// Those that failed.
    #[serde(rename = "auth_attempts_failed")]
    pub failed: u64,
    /// Those that succeeded.
    #[serde(rename = "auth_attempts_succeeded")]
    pub succeeded: u64,
}

impl AttemptCounts {
    fn count(&mut self, succeeded: bool) {
        self.all += 1;
        match succeeded {
            true => self.succeeded += 1,
            false => self.failed += 1,
        }
    }
}

/// Where attempts come from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct AttemptSource {
    /// The client's address.
    #[serde(rename = "remote_address")]
    pub address: IpAddr,
    /// The name that it gave.
    pub username: String,
    /// The protocol.
    pub protocol: LoginProtocol,
}

/// The attempts since the start, or since they were last forgotten.
#[derive(Debug, Default)]
pub struct LoginAttempts(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    protocols: BTreeMap<LoginProtocol, AttemptCounts>,
    sources: BTreeMap<AttemptSource, AttemptCounts>,
}

impl LoginAttempts {
    /// Counts an attempt.
    pub fn count(&self, protocol: LoginProtocol, address: IpAddr, user: &str, succeeded: bool) {
        let source = AttemptSource {
            address: address.to_canonical(),
            username: beginning(user, MAX_NAME).to_owned(),
            protocol,
        };
        let mut counted = self.0.lock();
        let protocols = counted.protocols.entry(protocol).or_default();
        protocols.count(succeeded);
        let known = counted.sources.len() < MAX_SOURCES || counted.sources.contains_key(&source);
        if known {
            counted.sources.entry(source).or_default().count(succeeded);
        }
    }

    /// Returns the attempts by protocol.
    pub fn by_protocol(&self) -> Vec<(LoginProtocol, AttemptCounts)> {
        let counted = self.0.lock();
        let protocols = counted.protocols.iter();
        protocols.map(|(name, counts)| (*name, *counts)).collect()
    }

    /// Returns the attempts by source.
    pub fn by_source(&self) -> Vec<(AttemptSource, AttemptCounts)> {
        let counted = self.0.lock();
        let sources = counted.sources.iter();
        sources
            .map(|(from, counts)| (from.clone(), *counts))
            .collect()
    }

    /// Forgets all attempts.
    pub fn reset(&self) {
        *self.0.lock() = Counted::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn attempts_are_counted_by_protocol_and_by_source() {
        let attempts = LoginAttempts::default();
        attempts.count(LoginProtocol::Http, HERE, "hare", true);
        attempts.count(LoginProtocol::Http, HERE, "hare", false);
        attempts.count(LoginProtocol::Amqp091, HERE, "hare", false);
        let counts = |all, failed, succeeded| AttemptCounts {
            all,
            failed,
            succeeded,
        };
        let expected = [
            (LoginProtocol::Amqp091, counts(1, 1, 0)),
            (LoginProtocol::Http, counts(2, 1, 1)),
        ];
        assert_eq!(attempts.by_protocol(), expected);
        let sources = attempts.by_source();
        assert_eq!(sources.len(), 2);
        assert_eq!(sources[1].1, counts(2, 1, 1));
        attempts.reset();
        assert!(attempts.by_protocol().is_empty() && attempts.by_source().is_empty());
    }

    #[test]
    fn a_client_cannot_make_the_list_of_sources_grow_without_end() {
        let attempts = LoginAttempts::default();
        let long = "ä".repeat(MAX_NAME);
        attempts.count(LoginProtocol::Http, HERE, &long, false);
        for number in 0..2 * MAX_SOURCES {
            attempts.count(LoginProtocol::Http, HERE, &number.to_string(), false);
        }
        attempts.count(LoginProtocol::Http, HERE, &long, false);
        let sources = attempts.by_source();
        assert_eq!(sources.len(), MAX_SOURCES);
        let longest = sources.iter().max_by_key(|(from, _)| from.username.len());
        let (longest, counts) = longest.unwrap();
        assert!(longest.username.len() <= MAX_NAME);
        assert_eq!(counts.all, 2);
        assert_eq!(attempts.by_protocol()[0].1.all, 2 * MAX_SOURCES as u64 + 2);
    }
}
