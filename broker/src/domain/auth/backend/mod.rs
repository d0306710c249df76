//! The seam behind which users are known: the broker's own accounts, and others that implement [`Backend`] (tokens, an HTTP
//! server).
//!
//! A login is an [`Attempt`], whatever brought it (PLAIN, AMQPLAIN, ANONYMOUS, HTTP Basic). The configured backends are asked
//! in their order until one accepts it, as in RabbitMQ (`rabbit_access_control:check_user_login`). Who accepted it also
//! decides what the user may do: own accounts by their permissions, everybody else through the [`Authority`] that came
//! with the login.
//!
//! What can be answered without waiting is answered in the caller's turn ([`Backend::authenticate_at_once`]); everything else
//! is asked on a thread that may block ([`Backend::authenticate`]). Questions about permissions come from the middle of an
//! operation and cannot be put off: an [`Authority`] that has to ask somebody does so through [`AskingLimit::ask`], which
//! keeps the runtime's other connections going, and remembers answers.

mod asking;

pub use asking::{AskingLimit, TooManyAsked};

use super::{Access, Credentials, LoginProtocol};
use crate::config::Secret;
use leveret_protocol::UserName;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

/// Somebody's attempt to log in.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// How the client speaks to the broker.
    pub protocol: LoginProtocol,
    /// The client's address.
    pub peer: IpAddr,
    /// The name that it gave.
    pub user: String,
    /// The password or token that it gave.
    pub password: Secret,
}

impl Attempt {
    /// Returns the name and the password that the client gave.
    pub fn credentials(&self) -> Credentials<'_> {
        Credentials {
            user: &self.user,
            password: self.password.expose(),
        }
    }
}

/// A user whom a [`Backend`] knows.
#[derive(Clone, Debug)]
pub struct Known {
    /// The user's name, which need not be the one that the client gave: a token may say another.
    pub name: UserName,
    /// The user's tags.
    pub tags: Vec<String>,
    /// What the user may do.
    pub authority: Arc<dyn Authority>,
}

/// A backend's answer: who it is, or why not, for the log. The text must hold no secret.
pub type Verdict = Result<Known, String>;

/// Knows users and their passwords or tokens.
pub trait Backend: fmt::Debug + Send + Sync {
    /// Returns its name in the log.
    fn name(&self) -> &'static str;

    /// Checks an attempt without waiting for anything; returns `None` if that takes [`Backend::authenticate`]. It runs on the
    /// runtime's threads and must not take longer than some hundred microseconds.
    fn authenticate_at_once(&self, attempt: &Attempt) -> Option<Verdict>;

    /// Checks an attempt, on a thread that may block. It has to return within some seconds, as there are few such threads.
    fn authenticate(&self, attempt: &Attempt) -> Verdict;
}

/// The kinds of resources, with RabbitMQ's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResourceKind {
    /// A queue.
    Queue,
    /// An exchange.
    Exchange,
}

impl ResourceKind {
    /// Returns RabbitMQ's word.
    pub fn as_str(self) -> &'static str {
        match self {
            ResourceKind::Queue => "queue",
            ResourceKind::Exchange => "exchange",
        }
    }
}

/// A queue or an exchange in a virtual host. The default exchange is called `amq.default`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Resource<'a> {
    /// The virtual host.
    pub vhost: &'a str,
    /// What it is.
    pub kind: ResourceKind,
    /// Its name.
    pub name: &'a str,
}

/// What a user may do whom the broker itself does not know. There is one per login, which may hold the client's address or
/// the scopes of a token.
///
/// The methods are called in the middle of operations, on the runtime's threads. One that waits for somebody else does so
/// in [`AskingLimit::ask`].
pub trait Authority: fmt::Debug + Send + Sync {
    /// Returns whether the user may open the virtual host, which exists.
    fn may_enter(&self, vhost: &str) -> bool;

    /// Returns whether the user has this access to a queue or an exchange, which need not exist.
    fn permits(&self, access: Access, resource: Resource<'_>) -> bool;

    /// Returns whether the user may publish (write) with this routing key to a topic exchange, or bind (read) it with the key.
    /// It has the same access to the exchange. This is asked for every publish to a topic exchange, so answers should be
    /// remembered.
    fn permits_topic(&self, access: Access, exchange: Resource<'_>, routing_key: &str) -> bool;

    /// Returns a number that changes whenever an answer may have changed. Connections remember where they may publish for as
    /// long as it stays the same, and read it once per publish: an atomic, or a constant.
    fn generation(&self) -> u64;

    /// Returns when the user's rights end, if they do by themselves.
    fn expires_at(&self) -> Option<SystemTime> {
        None
    }

    /// Takes a new secret (`connection.update-secret`); returns `None` if it means nothing here, which is not an error.
    ///
    /// # Errors
    /// Why it was not taken, for the log.
    fn renewed(&self, secret: &Secret) -> Result<Option<Known>, String> {
        let _ = secret;
        Ok(None)
    }
}
