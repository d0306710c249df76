//! What may be asked of a running broker, and what it answers: every listing and every operation, by name.

use super::columns::{
    BindingColumn, ChannelColumn, ConnectionColumn, ConsumerColumn, ExchangeColumn, QueueColumn,
    VhostColumn,
};
use super::pid::Pid;
use super::status::Status;
use super::value::Value;
use crate::config::{DiskFreeLimit, MemoryWatermark};
pub use crate::domain::policy::{PolicyKind, WrittenPolicy};
pub use crate::plumbing::alarms::Resource;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What may be asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case", deny_unknown_fields)]
#[allow(
    missing_docs,
    reason = "the arguments are the verbs' own, see docs/operate/leveretctl.md"
)]
pub enum Request {
    /// Rows of these columns; a virtual host that does not exist has no rows, as in RabbitMQ 3.10.
    ListQueues {
        vhost: String,
        columns: Vec<QueueColumn>,
    },
    /// Rows of these columns.
    ListConnections { columns: Vec<ConnectionColumn> },
    /// Rows of these columns.
    ListChannels { columns: Vec<ChannelColumn> },
    /// Rows of these columns.
    ListConsumers {
        vhost: String,
        columns: Vec<ConsumerColumn>,
    },
    /// Rows of these columns.
    ListExchanges {
        vhost: String,
        columns: Vec<ExchangeColumn>,
    },
    /// Rows of these columns.
    ListBindings {
        vhost: String,
        columns: Vec<BindingColumn>,
    },
    /// Rows of these columns.
    ListVhosts { columns: Vec<VhostColumn> },
    /// Rows of name and tags ([`Value::Words`]).
    ListUsers,
    /// Rows of user, configure, write, read; or [`ErrorKind::NoSuchVhost`].
    ListPermissions { vhost: String },
    /// Rows of vhost, configure, write, read; or [`ErrorKind::NoSuchUser`].
    ListUserPermissions { user: String },
    /// [`Response::Status`].
    Status,
    /// Ok.
    Ping,
    /// Ok, or [`ErrorKind::UserExists`].
    AddUser { user: String, password: String },
    /// Ok, or [`ErrorKind::NoSuchUser`].
    DeleteUser { user: String },
    /// Ok, or [`ErrorKind::NoSuchUser`].
    ChangePassword { user: String, password: String },
    /// Ok, or [`ErrorKind::InvalidCredentials`].
    AuthenticateUser { user: String, password: String },
    /// Ok, or [`ErrorKind::NoSuchUser`].
    SetUserTags { user: String, tags: Vec<String> },
    /// Ok, or no such user or virtual host, or [`ErrorKind::InvalidPattern`].
    SetPermissions {
        vhost: String,
        user: String,
        configure: String,
        write: String,
        read: String,
    },
    /// Ok (also when there was none), or no such user or virtual host.
    ClearPermissions { vhost: String, user: String },
    /// Ok, also when it exists: nothing changes then.
    AddVhost {
        vhost: String,
        description: String,
        tags: Vec<String>,
    },
    /// Ok, or [`ErrorKind::NoSuchVhost`].
    DeleteVhost { vhost: String },
    /// Ok once a copy of everything durable is in this directory, synced.
    Backup { directory: PathBuf },
    /// Ok, or [`ErrorKind::NoSuchQueue`].
    PurgeQueue { vhost: String, queue: String },
    /// The number of ready messages that went with it, or one of the three queue errors.
    DeleteQueue {
        vhost: String,
        queue: String,
        if_empty: bool,
        if_unused: bool,
    },
    /// Ok, also when it is gone.
    CloseConnection { pid: Pid, reason: String },
    /// The number closed. No virtual host means all of them, no limit means all connections.
    CloseAllConnections {
        vhost: Option<String>,
        limit: Option<u64>,
        reason: String,
    },
    /// Ok, also when the user has none or does not exist.
    CloseAllUserConnections { user: String, reason: String },
    /// Ok; it counts at once, until the broker ends.
    SetVmMemoryHighWatermark { watermark: MemoryWatermark },
    /// Ok; it counts at once, until the broker ends.
    SetDiskFreeLimit { limit: DiskFreeLimit },
    /// [`Response::Alarms`].
    Alarms,
    /// Ok, or no such virtual host, or [`ErrorKind::Refused`] for what is no definition.
    SetVhostLimits { vhost: String, definition: String },
    /// Ok, or [`ErrorKind::Refused`] when there are none.
    ClearVhostLimits { vhost: String },
    /// The limits of one as [`Response::Text`], empty for none, or no such virtual host; of all
    /// that have some as rows of vhost, limits.
    ListVhostLimits { vhost: Option<String> },
    /// Ok, or no such user, or [`ErrorKind::Refused`] for what is no definition.
    SetUserLimits { user: String, definition: String },
    /// Ok, or no such user.
    ClearUserLimits { user: String, limit: String },
    /// The limits of one as [`Response::Text`], or no such user; of all that have some as rows of
    /// user, limits.
    ListUserLimits { user: Option<String> },
    /// Ok once it is in force, or no such virtual host, or [`ErrorKind::Refused`] for what is no
    /// policy.
    SetPolicy {
        kind: PolicyKind,
        vhost: String,
        policy: Box<WrittenPolicy>,
    },
    /// Ok, or [`ErrorKind::Refused`] when there is none.
    ClearPolicy {
        kind: PolicyKind,
        vhost: String,
        name: String,
    },
    /// Rows of vhost, name, pattern, apply-to, definition, priority; or no such virtual host.
    ListPolicies { kind: PolicyKind, vhost: String },
    /// Ok, then the broker stops; it keeps this connection open until it ends.
    Stop,
}

/// What the broker answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// Some rows of a listing, cells in the order of the columns asked for. More lines follow.
    Rows(Vec<Vec<Value>>),
    /// Done; the end of a listing.
    Ok,
    /// Done to so many.
    Count(u64),
    /// The answer in words.
    Text(String),
    /// The alarms in force.
    Alarms(Vec<Resource>),
    /// The answer to `status`.
    Status(Box<Status>),
    /// Not done.
    Error {
        /// Which rule stood against it; decides text and exit status.
        kind: ErrorKind,
        /// For the kinds whose text is the broker's own.
        message: String,
    },
}

impl Response {
    /// A refusal whose text follows from the request.
    pub fn refused(kind: ErrorKind) -> Self {
        Response::Error {
            kind,
            message: String::new(),
        }
    }

    /// A refusal in words.
    pub fn refused_because(kind: ErrorKind, message: impl Into<String>) -> Self {
        Response::Error {
            kind,
            message: message.into(),
        }
    }
}

/// Why something was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The user does not exist.
    NoSuchUser,
    /// A user of that name exists.
    UserExists,
    /// Wrong password, or no such user.
    InvalidCredentials,
    /// The virtual host does not exist.
    NoSuchVhost,
    /// The queue does not exist.
    NoSuchQueue,
    /// `delete_queue --if-empty` of a queue with messages.
    QueueNotEmpty,
    /// `delete_queue --if-unused` of a queue with consumers.
    QueueInUse,
    /// A permission does not compile; the message says why.
    InvalidPattern,
    /// The request cannot be done as it is; the message says why.
    Refused,
    /// Client and broker are of different versions; the message names the broker's.
    VersionMismatch,
    /// The broker failed at it; the message says how.
    Software,
}
