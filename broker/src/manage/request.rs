//! The requests to a running broker and its responses: every listing and every operation.

use super::columns::{
    BindingColumn, ChannelColumn, ConnectionColumn, ConsumerColumn, ExchangeColumn, QueueColumn,
    VhostColumn,
};
use super::definitions::Imported;
use super::pid::Pid;
use super::status::Status;
use super::top::{Top, TopList};
use super::value::Value;
use crate::config::{DiskFreeLimit, MemoryWatermark};
pub use crate::domain::auth::PasswordHash;
pub use crate::domain::policy::{PolicyKind, WrittenPolicy};
use crate::engine::queue::QueueKind;
pub use crate::plumbing::alarms::Resource;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::path::PathBuf;

/// A request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case", deny_unknown_fields)]
#[allow(
    missing_docs,
    reason = "the arguments are those of leveretctl's commands, see docs/operate/leveretctl.md"
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
    /// Rows of user, exchange, write, read; or [`ErrorKind::NoSuchVhost`].
    ListTopicPermissions { vhost: String },
    /// Rows of vhost, exchange, write, read; or [`ErrorKind::NoSuchUser`].
    ListUserTopicPermissions { user: String },
    /// [`Response::Status`].
    Status,
    /// Rows of category and bytes.
    MemoryBreakdown,
    /// Rows of protocol and the numbers of all, failed and successful attempts to log in; by source, address and user
    /// come before.
    ListLoginAttempts { by_source: bool },
    /// The name of the queue's type as [`Response::Text`], or [`ErrorKind::NoSuchQueue`].
    QueueKind { vhost: String, queue: String },
    /// [`Response::Top`], with the first `limit` rows of those that contain the filter.
    Top {
        list: TopList,
        filter: String,
        limit: usize,
    },
    /// Ok.
    Ping,
    /// Ok, or [`ErrorKind::UserExists`].
    AddUser { user: String, password: String },
    /// Ok, or [`ErrorKind::NoSuchUser`].
    DeleteUser { user: String },
    /// Ok, or [`ErrorKind::NoSuchUser`].
    ChangePassword { user: String, password: String },
    /// Ok, or [`ErrorKind::NoSuchUser`]: nobody can log in as this user with a password any more.
    ClearPassword { user: String },
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
    /// Ok, or no such user or virtual host, or [`ErrorKind::InvalidPattern`]. The exchange need not exist.
    SetTopicPermissions {
        vhost: String,
        user: String,
        exchange: String,
        write: String,
        read: String,
    },
    /// Ok (also when there was none), or no such user or virtual host. No exchange means all of them.
    ClearTopicPermissions {
        vhost: String,
        user: String,
        exchange: Option<String>,
    },
    /// Ok, also when it exists: nothing changes then; or [`ErrorKind::Refused`] for an unknown type of queues.
    AddVhost {
        vhost: String,
        description: String,
        tags: Vec<String>,
        default_queue_type: Option<String>,
    },
    /// Ok, or no such virtual host, or [`ErrorKind::Refused`] for an unknown type of queues. What is not given stays.
    UpdateVhost {
        vhost: String,
        description: Option<String>,
        tags: Option<Vec<String>>,
        default_queue_type: Option<String>,
        protected_from_deletion: Option<bool>,
    },
    /// Ok, or no such virtual host. Lasts until the broker stops.
    SetTracing { vhost: String, enabled: bool },
    /// Ok: it runs; or no such virtual host.
    RestartVhost { vhost: String },
    /// Ok, or [`ErrorKind::NoSuchVhost`], or [`ErrorKind::Refused`] if it is protected.
    DeleteVhost { vhost: String },
    /// Ok once a copy of everything durable is in this directory, synced.
    Backup { directory: PathBuf },
    /// Ok, or [`ErrorKind::NoSuchQueue`].
    PurgeQueue { vhost: String, queue: String },
    /// The number of ready messages that were deleted with it, or one of the three queue errors.
    DeleteQueue {
        vhost: String,
        queue: String,
        if_empty: bool,
        if_unused: bool,
    },
    /// Ok, also when the connection is gone.
    CloseConnection { pid: Pid, reason: String },
    /// The number of connections closed, with a pause between two of them. No virtual host means all of them, no limit
    /// means all connections.
    CloseAllConnections {
        vhost: Option<String>,
        limit: Option<u64>,
        delay_ms: u64,
        reason: String,
    },
    /// Ok, also when the user has none or does not exist.
    CloseAllUserConnections { user: String, reason: String },
    /// Ok; takes effect at once, until the broker stops.
    SetVmMemoryHighWatermark { watermark: MemoryWatermark },
    /// Ok; takes effect at once, until the broker stops.
    SetDiskFreeLimit { limit: DiskFreeLimit },
    /// [`Response::Alarms`].
    Alarms,
    /// Ok, or no such virtual host, or [`ErrorKind::Refused`] for an invalid definition.
    SetVhostLimits { vhost: String, definition: String },
    /// Ok, or [`ErrorKind::Refused`] when there are none.
    ClearVhostLimits { vhost: String },
    /// The limits of a virtual host as [`Response::Text`], empty for none, or no such virtual host;
    /// without one, rows of vhost, limits for all that have limits.
    ListVhostLimits { vhost: Option<String> },
    /// Ok, or no such user, or [`ErrorKind::Refused`] for an invalid definition.
    SetUserLimits { user: String, definition: String },
    /// Ok, or no such user.
    ClearUserLimits { user: String, limit: String },
    /// The limits of a user as [`Response::Text`], or no such user; without one, rows of user, limits
    /// for all that have limits.
    ListUserLimits { user: Option<String> },
    /// Ok once it is in force, or no such virtual host, or [`ErrorKind::Refused`] for an invalid
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
    /// Ok, whether the user existed or not.
    PutUser { user: WrittenUser },
    /// Ok, whether the virtual host existed or not.
    PutVhost { vhost: Box<WrittenVhost> },
    /// Ok, or no such virtual host, or [`ErrorKind::Refused`] for an invalid limit. The others stay.
    SetVhostLimit {
        vhost: String,
        name: String,
        value: serde_json::Value,
    },
    /// Ok, also when it is not set, or no such virtual host.
    ClearVhostLimit { vhost: String, name: String },
    /// Ok, or no such virtual host, or [`ErrorKind::Refused`] for an unknown component or an invalid value.
    SetParameter {
        vhost: String,
        component: String,
        name: String,
        value: serde_json::Value,
    },
    /// Ok, or no such virtual host, or [`ErrorKind::Refused`] when it is not set.
    ClearParameter {
        vhost: String,
        component: String,
        name: String,
    },
    /// Ok, or [`ErrorKind::Refused`] for an invalid value.
    SetGlobalParameter {
        name: String,
        value: serde_json::Value,
    },
    /// Ok, or [`ErrorKind::Refused`] when it is not set.
    ClearGlobalParameter { name: String },
    /// Rows of component, name, value; or no such virtual host.
    ListParameters { vhost: String },
    /// Rows of name, value.
    ListGlobalParameters,
    /// Ok; takes effect at once, until the broker stops; or [`ErrorKind::Refused`] if it is no level.
    SetLogLevel { level: String },
    /// Ok once the log file is rotated or reopened, or [`ErrorKind::Refused`] if there is none.
    RotateLogs,
    /// Ok once the certificates have been read again, or [`ErrorKind::Refused`]: the old ones stay in force.
    ReloadTls,
    /// JSON as [`Response::Text`]: the listeners with TLS and their certificates.
    ListCertificates,
    /// JSON as [`Response::Text`]: the cipher suites.
    ListCipherSuites,
    /// JSON as [`Response::Text`]: the versions of TLS.
    ListTlsVersions,
    /// [`Response::Chunk`]s of whole lines, each a place where the log goes, then Ok.
    LogLocation { all: bool },
    /// [`Response::Chunk`]s of whole lines of the log, the last ones, then Ok.
    LogTail { lines: u64 },
    /// [`Response::Chunk`]s of whole lines of the log as they come, and empty ones while none come; Ok after so many
    /// seconds.
    LogTailStream { seconds: Option<u64> },
    /// Ok once the attempts to log in are forgotten.
    ResetLoginAttempts,
    /// [`Response::Chunk`]s of a definition file, then Ok, or [`Response::LeftOut`] with the users whose hashes RabbitMQ
    /// cannot read, if only compatible ones are wanted.
    ExportDefinitions { compatible_hashes: bool },
    /// [`Response::Imported`], or [`ErrorKind::Data`]. The line is followed by this many bytes: a definition file.
    ImportDefinitions { bytes: u64, skip_if_unchanged: bool },
    /// Ok, or [`ErrorKind::NoSuchQueue`], or [`ErrorKind::Refused`]: no queue is mirrored.
    SyncQueue { vhost: String, queue: String },
    /// Ok, or [`ErrorKind::AppStopped`].
    IsRunning,
    /// Ok once the listeners and all connections are closed. The process goes on.
    StopApp,
    /// Ok once it listens again.
    StartApp,
    /// Ok once nothing is declared or set any more, or [`ErrorKind::AppRunning`].
    Reset,
    /// Ok once no listener accepts connections.
    SuspendListeners,
    /// Ok once all listeners accept connections again, which ends maintenance.
    ResumeListeners,
    /// The number of connections closed: the broker is under maintenance.
    Drain,
    /// Ok, then the broker stops. It keeps this connection open until its end.
    Stop,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// Some rows of a listing, with cells in the order of the requested columns. More lines follow.
    Rows(Vec<Vec<Value>>),
    /// Success, or the end of a listing.
    Ok,
    /// Success, with the number of objects concerned.
    Count(u64),
    /// Success, with a text to show.
    Text(String),
    /// Part of a file. More lines follow.
    Chunk(String),
    /// The end of a file, and the users that are left out of it.
    LeftOut(Vec<String>),
    /// What became of an import.
    Imported(Imported),
    /// The alarms in force.
    Alarms(Vec<Resource>),
    /// The response to `status`.
    Status(Box<Status>),
    /// The response to `top`.
    Top(Box<Top>),
    /// The request failed or was refused.
    Error {
        /// Why; decides leveretctl's text and exit status.
        kind: ErrorKind,
        /// The text, for the kinds whose text comes from the broker.
        message: String,
    },
}

impl Response {
    /// Returns a refusal whose text leveretctl derives from the request.
    pub fn refused(kind: ErrorKind) -> Self {
        Response::Error {
            kind,
            message: String::new(),
        }
    }

    /// Returns why the request was refused, if it was.
    pub(super) fn refusal(&self) -> Option<Cow<'_, str>> {
        match self {
            Response::Error { kind, message } if message.is_empty() => {
                Some(kind.to_string().into())
            }
            Response::Error { message, .. } => Some(message.into()),
            _ => None,
        }
    }

    /// Returns a refusal with a text.
    pub fn refused_because(kind: ErrorKind, message: impl Into<String>) -> Self {
        Response::Error {
            kind,
            message: message.into(),
        }
    }
}

/// Why a request failed or was refused.
#[derive(thiserror::Error, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The user does not exist.
    #[error("no such user")]
    NoSuchUser,
    /// A user with that name exists.
    #[error("the user exists")]
    UserExists,
    /// The password is wrong, or the user does not exist.
    #[error("wrong password, or no such user")]
    InvalidCredentials,
    /// The virtual host does not exist.
    #[error("no such virtual host")]
    NoSuchVhost,
    /// The queue does not exist.
    #[error("no such queue")]
    NoSuchQueue,
    /// `delete_queue --if-empty` of a queue with messages.
    #[error("the queue is not empty")]
    QueueNotEmpty,
    /// `delete_queue --if-unused` of a queue with consumers.
    #[error("the queue is in use")]
    QueueInUse,
    /// A permission's pattern does not compile; the message says why.
    #[error("invalid regular expression")]
    InvalidPattern,
    /// The request is not acceptable; the message says why.
    #[error("refused")]
    Refused,
    /// An operator has stopped the application, which the request needs.
    #[error("the application is stopped")]
    AppStopped,
    /// The request needs the application to be stopped.
    #[error("the application runs")]
    AppRunning,
    /// The file is not what it should be; the message says why.
    #[error("invalid data")]
    Data,
    /// The versions of leveretctl and the broker differ; the message names the broker's.
    #[error("another version")]
    VersionMismatch,
    /// The broker failed to perform the request; the message says why.
    #[error("the broker failed")]
    Software,
}

/// A user as `PUT /api/users` describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenUser {
    /// Its name.
    pub name: String,
    /// Its password.
    pub password: WrittenPassword,
    /// Its tags.
    pub tags: Vec<String>,
}

/// A password as `PUT /api/users` describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WrittenPassword {
    /// The password, which is hashed here.
    Password(String),
    /// Its hash.
    Hash(PasswordHash),
}

/// A virtual host as `PUT /api/vhosts` describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenVhost {
    /// Its name.
    pub name: String,
    /// What operators say about it.
    pub description: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// The type of queues that are declared without one; without it, it stays as it is.
    pub default_queue_type: Option<QueueKind>,
    /// Whether to refuse its deletion; without it, that stays as it is.
    pub protected_from_deletion: Option<bool>,
    /// Whether messages are traced; without it, that stays as it is.
    pub tracing: Option<bool>,
    /// Who gets all permissions in it if it is new.
    pub maker: Option<String>,
}
