//! The columns of each listing, as enums: all of RabbitMQ 3.10's, and some that its plugins show
//! elsewhere. A column without meaning for this broker (`slave_pids`) is accepted and stays empty.

use serde::{Deserialize, Serialize};

/// A set of columns for the client to choose from.
pub trait Column: Copy + Eq + 'static {
    /// Every column, in the order of the names.
    const ALL: &'static [Self];
    /// The columns that are shown unless the client chooses some.
    const DEFAULT: &'static [Self];
    /// Returns the column's name in RabbitMQ.
    fn name(self) -> &'static str;
}

macro_rules! columns {
    (
        $(#[$doc:meta])* $kind:ident;
        default: [$($default:ident),*];
        $($column:ident = $name:literal),* $(,)?
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[allow(missing_docs, reason = "the names are RabbitMQ's and documented with leveretctl")]
        pub enum $kind { $(#[serde(rename = $name)] $column),* }

        impl Column for $kind {
            const ALL: &'static [Self] = &[$($kind::$column),*];
            const DEFAULT: &'static [Self] = &[$($kind::$default),*];
            fn name(self) -> &'static str {
                match self { $($kind::$column => $name),* }
            }
        }
    };
}

columns! {
    /// Columns of `list_queues`.
    QueueColumn;
    default: [Name, Messages];
    Arguments = "arguments",
    AutoDelete = "auto_delete",
    ConsumerCapacity = "consumer_capacity",
    ConsumerUtilisation = "consumer_utilisation",
    Consumers = "consumers",
    DelayedRetry = "delayed_retry",
    DiskReads = "disk_reads",
    DiskWrites = "disk_writes",
    Durable = "durable",
    EffectivePolicyDefinition = "effective_policy_definition",
    Exclusive = "exclusive",
    ExclusiveConsumerPid = "exclusive_consumer_pid",
    ExclusiveConsumerTag = "exclusive_consumer_tag",
    HeadMessageTimestamp = "head_message_timestamp",
    LastDelayedAt = "last_delayed_at",
    Leader = "leader",
    Members = "members",
    Memory = "memory",
    MessageBytes = "message_bytes",
    MessageBytesDlx = "message_bytes_dlx",
    MessageBytesPersistent = "message_bytes_persistent",
    MessageBytesRam = "message_bytes_ram",
    MessageBytesReady = "message_bytes_ready",
    MessageBytesUnacknowledged = "message_bytes_unacknowledged",
    Messages = "messages",
    MessagesDelayed = "messages_delayed",
    MessagesDlx = "messages_dlx",
    MessagesPersistent = "messages_persistent",
    MessagesRam = "messages_ram",
    MessagesReady = "messages_ready",
    MessagesReadyRam = "messages_ready_ram",
    MessagesUnacknowledged = "messages_unacknowledged",
    MessagesUnacknowledgedRam = "messages_unacknowledged_ram",
    Name = "name",
    NextDelayedAt = "next_delayed_at",
    Online = "online",
    OperatorPolicy = "operator_policy",
    OwnerPid = "owner_pid",
    Pid = "pid",
    Policy = "policy",
    SingleActiveConsumerPid = "single_active_consumer_pid",
    SingleActiveConsumerTag = "single_active_consumer_tag",
    SlavePids = "slave_pids",
    State = "state",
    SynchronisedSlavePids = "synchronised_slave_pids",
    Type = "type",
}

columns! {
    /// Columns of `list_connections`.
    ConnectionColumn;
    default: [User, PeerHost, PeerPort, State];
    AuthMechanism = "auth_mechanism",
    ChannelMax = "channel_max",
    Channels = "channels",
    ClientProperties = "client_properties",
    ConnectedAt = "connected_at",
    FrameMax = "frame_max",
    Host = "host",
    Name = "name",
    PeerCertIssuer = "peer_cert_issuer",
    PeerCertSubject = "peer_cert_subject",
    PeerCertValidity = "peer_cert_validity",
    PeerHost = "peer_host",
    PeerPort = "peer_port",
    Pid = "pid",
    Port = "port",
    Protocol = "protocol",
    RecvCnt = "recv_cnt",
    RecvOct = "recv_oct",
    SendCnt = "send_cnt",
    SendOct = "send_oct",
    SendPend = "send_pend",
    Ssl = "ssl",
    SslCipher = "ssl_cipher",
    SslHash = "ssl_hash",
    SslKeyExchange = "ssl_key_exchange",
    SslProtocol = "ssl_protocol",
    State = "state",
    Timeout = "timeout",
    User = "user",
    Vhost = "vhost",
}

columns! {
    /// Columns of `list_channels`.
    ChannelColumn;
    default: [Pid, User, ConsumerCount, MessagesUnacknowledged];
    AcksUncommitted = "acks_uncommitted",
    Confirm = "confirm",
    Connection = "connection",
    ConsumerCount = "consumer_count",
    GlobalPrefetchCount = "global_prefetch_count",
    MessagesUnacknowledged = "messages_unacknowledged",
    MessagesUncommitted = "messages_uncommitted",
    MessagesUnconfirmed = "messages_unconfirmed",
    Name = "name",
    Number = "number",
    Pid = "pid",
    PrefetchCount = "prefetch_count",
    Transactional = "transactional",
    User = "user",
    Vhost = "vhost",
}

columns! {
    /// Columns of `list_consumers`.
    ConsumerColumn;
    default: [QueueName, ChannelPid, ConsumerTag, AckRequired, PrefetchCount, Active, Arguments];
    AckRequired = "ack_required",
    Active = "active",
    ActivityStatus = "activity_status",
    Arguments = "arguments",
    ChannelPid = "channel_pid",
    ConsumerTag = "consumer_tag",
    PrefetchCount = "prefetch_count",
    QueueName = "queue_name",
}

columns! {
    /// Columns of `list_exchanges`.
    ExchangeColumn;
    default: [Name, Type];
    Arguments = "arguments",
    AutoDelete = "auto_delete",
    Durable = "durable",
    Internal = "internal",
    MessagesDelayed = "messages_delayed",
    Name = "name",
    Policy = "policy",
    Type = "type",
}

columns! {
    /// Columns of `list_bindings`.
    BindingColumn;
    default: [SourceName, SourceKind, DestinationName, DestinationKind, RoutingKey, Arguments];
    Arguments = "arguments",
    DestinationKind = "destination_kind",
    DestinationName = "destination_name",
    RoutingKey = "routing_key",
    SourceKind = "source_kind",
    SourceName = "source_name",
}

columns! {
    /// Columns of `list_vhosts`.
    VhostColumn;
    default: [Name];
    ClusterState = "cluster_state",
    DefaultQueueType = "default_queue_type",
    Description = "description",
    Name = "name",
    Tags = "tags",
    Tracing = "tracing",
}
