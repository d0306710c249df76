//! The settings. Each is declared once, with how it is given (`--help`, the type of a flag, a variable or a key) and what the
//! broker makes of it (the type in [`Config`], its default); see [`declare_settings`] for what follows from that.

use super::auth::{AuthBackend, AuthBackends, PasswordHashing};
use super::backend_settings::with_backends;
use super::backends::{HttpMethod, ScopeAliases, SigningKey, SigningKeys, TokenAlgorithms, Words};
use super::default_limits::{DefaultLimit, DefaultLimits};
use super::listener::{ListenerSpec, ListenerSpecs, TlsPort};
use super::log::{LogFilter, LogFormat, RotationAge};
use super::table::declare_settings;
use super::tls::{CertLogin, Paths, SanType, TlsVerify, TlsVersion, TlsVersions};
use super::values::{
    AuthMechanisms, ByteSize, Interval, LoopbackUsers, Maximum, OptionalPort, Origins, Secret,
    TimeLimit,
};
use super::{DiskFreeLimit, Mechanism, MemoryWatermark};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

/// AMQP's registered port.
pub const DEFAULT_PORT: u16 = 5672;
/// AMQP's registered port with TLS.
pub const DEFAULT_TLS_PORT: u16 = 5671;
/// The port of RabbitMQ's management plugin with TLS.
pub const DEFAULT_MANAGEMENT_TLS_PORT: u16 = 15671;
/// Connections that may wait to be accepted.
const DEFAULT_BACKLOG: u32 = 1024;
/// How long a peer may be silent before the system asks whether it is there, in seconds.
const DEFAULT_KEEPALIVE: u32 = 60;
/// The port of RabbitMQ's management plugin.
pub const DEFAULT_MANAGEMENT_PORT: u16 = 15672;
/// What RabbitMQ proposes in `connection.tune`, in seconds.
pub const DEFAULT_HEARTBEAT: u16 = 60;
/// What RabbitMQ proposes in `connection.tune`.
pub const DEFAULT_CHANNEL_MAX: u16 = 2047;
/// What RabbitMQ proposes in `connection.tune`, in bytes.
pub const DEFAULT_FRAME_MAX: u32 = 128 * 1024;
/// RabbitMQ 4's default (3.x: 128 MiB), in bytes.
pub const DEFAULT_MAX_MESSAGE_SIZE: u64 = 16 * 1024 * 1024;
/// RabbitMQ's default since 3.8.17: half an hour.
pub const DEFAULT_CONSUMER_TIMEOUT: Duration = Duration::from_millis(1_800_000);
/// RabbitMQ's default.
pub const DEFAULT_STATISTICS_INTERVAL: Duration = Duration::from_millis(5000);
/// RabbitMQ's default, in minutes: eight hours.
const DEFAULT_LOGIN_SESSION_TIMEOUT: u32 = 480;
/// RabbitMQ's default.
const DEFAULT_AUTH_HTTP_TIMEOUT: Duration = Duration::from_secs(15);
/// RabbitMQ's default.
const DEFAULT_AUTH_CACHE_TTL: Duration = Duration::from_secs(15);
const DEFAULT_ROTATION_COUNT: u32 = 5;
const DEFAULT_MAX_TRANSACTION_SIZE: u64 = 128 << 20;
/// Enough that consumers that keep up never wait for the disk, and little compared to the rest.
const DEFAULT_QUEUE_MEMORY: u64 = 32 << 20;
/// What stands for no value, where a setting may have none.
pub(super) const NONE: &str = "none";
/// The name and the password of the user in a new data directory.
pub const DEFAULT_USER: &str = "guest";
/// What the user in a new data directory may do outside of AMQP.
const DEFAULT_USER_TAG: &str = "administrator";
/// The pattern of what the user in a new data directory may use.
const ALL_NAMES: &str = ".*";
/// The virtual host in a new data directory.
const DEFAULT_VHOST: &str = "/";
const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

with_backends! {
    /// Address to listen on [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS", help_heading = "Listeners")]
    bind: IpAddr,
    /// The address to listen on.
    IpAddr = LOCALHOST;

    /// TCP port to listen on; 0 takes any free one [default: 5672]
    #[arg(long, value_name = "PORT", help_heading = "Listeners")]
    port: u16,
    /// The TCP port to listen on; 0 asks the system for a free one.
    u16 = DEFAULT_PORT;

    /// Everything to listen on for AMQP, separated by commas, instead of --bind, --port and --tls-port:
    /// [amqps://]ADDRESS:PORT or unix:PATH, with ?proxy_protocol=NETWORK&mode=660 [default: none]
    #[arg(long, value_name = "LISTENERS", help_heading = "Listeners")]
    listeners: ListenerSpecs,
    /// Everything to listen on for AMQP; empty for `bind`, `port` and `tls_port`.
    Vec<ListenerSpec> = Vec::new();

    /// TCP port for AMQP with TLS; 0 takes any free one, auto is 5671 if there is a certificate
    /// [default: auto]
    #[arg(long, value_name = "PORT", help_heading = "Listeners")]
    tls_port: TlsPort,
    /// The TCP port for AMQP with TLS.
    TlsPort = TlsPort::Auto;

    /// Connections that may wait to be accepted, for each listener [default: 1024]
    #[arg(long, value_name = "COUNT", help_heading = "Listeners")]
    tcp_backlog: u32,
    /// Connections that may wait to be accepted, for each listener.
    u32 = DEFAULT_BACKLOG;

    /// Seconds after which the system asks a silent peer whether it is still there; 0 for never
    /// [default: 60]
    #[arg(long, value_name = "SECONDS", help_heading = "Listeners")]
    tcp_keepalive: u32,
    /// Seconds after which the system asks a silent peer whether it is still there; 0 for never.
    u32 = DEFAULT_KEEPALIVE;

    /// Directory for all stored data [default: $XDG_DATA_HOME/leveret or ~/.local/share/leveret;
    /// for root /var/lib/leveret]
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: PathBuf,
    /// The directory for all stored data. Absolute; it need not exist yet.
    PathBuf = PathBuf::new();

    /// Log level (critical, error, warning, info, debug, trace, none) or a filter such as
    /// info,leveret=debug [default: info]
    #[arg(long, value_name = "LEVEL", help_heading = "Log")]
    log_level: LogFilter,
    /// What is logged.
    LogFilter = LogFilter::default();

    /// Log format: text or json [default: text]
    #[arg(long, value_name = "FORMAT", hide_possible_values = true, help_heading = "Log")]
    log_format: LogFormat,
    /// The format of log lines.
    LogFormat = LogFormat::default();

    /// Log to standard error: true or false [default: true]
    #[arg(long, value_name = "BOOL", help_heading = "Log")]
    log_console: bool,
    /// Whether lines go to standard error.
    bool = true;

    /// Log to this file, too, or none [default: none]
    #[arg(long, value_name = "PATH", help_heading = "Log")]
    log_file: PathBuf,
    /// The file that lines go to.
    Option<PathBuf> = None;

    /// Size above which the log file is rotated; 0 for no limit [default: 0]
    #[arg(long, value_name = "SIZE", help_heading = "Log")]
    log_file_rotation_size: ByteSize,
    /// Bytes that the log file does not exceed before it is rotated; 0 for no limit.
    u64 = 0;

    /// Age at which the log file is rotated, such as 12h or 1d (at midnight UTC), or none [default:
    /// none]
    #[arg(long, value_name = "AGE", help_heading = "Log")]
    log_file_rotation_age: RotationAge,
    /// How long the log file is written before it is rotated.
    RotationAge = RotationAge(None);

    /// Number of rotated log files to keep [default: 5]
    #[arg(long, value_name = "COUNT", help_heading = "Log")]
    log_file_rotation_count: u32,
    /// The number of rotated log files that are kept.
    u32 = DEFAULT_ROTATION_COUNT;

    /// Compress rotated log files with gzip: true or false [default: false]
    #[arg(long, value_name = "BOOL", help_heading = "Log")]
    log_file_rotation_compress: bool,
    /// Whether rotated log files are compressed.
    bool = false;

    /// Heartbeat interval in seconds; 0 turns heartbeats off [default: 60]
    #[arg(long, value_name = "SECONDS", help_heading = "Proposed to clients")]
    heartbeat: u16,
    /// The heartbeat interval proposed to clients, in seconds; 0 turns heartbeats off.
    u16 = DEFAULT_HEARTBEAT;

    /// Maximum number of channels per connection; 0 means 65535 [default: 2047]
    #[arg(long, value_name = "COUNT", help_heading = "Proposed to clients")]
    channel_max: u16,
    /// The maximum number of channels per connection, as proposed to clients; 0 means 65535.
    u16 = DEFAULT_CHANNEL_MAX;

    /// Maximum frame size in bytes, at least 4096 [default: 128KiB]
    #[arg(long, value_name = "SIZE", help_heading = "Proposed to clients")]
    frame_max: ByteSize,
    /// The maximum frame size in bytes, as proposed to clients; at least 4096 (spec 4.2.3).
    u32 = DEFAULT_FRAME_MAX;

    /// Maximum size of a message body in bytes [default: 16MiB]
    #[arg(long, value_name = "SIZE", help_heading = "Limits and users")]
    max_message_size: ByteSize,
    /// The maximum size of a message body in bytes.
    u64 = DEFAULT_MAX_MESSAGE_SIZE;

    /// Milliseconds that a consumer may take to acknowledge a delivery; undefined or 0 for no limit
    /// [default: 1800000]
    #[arg(long, value_name = "MILLISECONDS", help_heading = "Limits and users")]
    consumer_timeout: TimeLimit,
    /// How long a consumer may take to acknowledge a delivery; `None` for no limit.
    Option<Duration> = Some(DEFAULT_CONSUMER_TIMEOUT);

    /// Maximum number of connections, or infinity [default: infinity]
    #[arg(long, value_name = "COUNT", help_heading = "Limits and users")]
    connection_max: Maximum,
    /// The maximum number of connections; `None` for no limit.
    Option<u64> = None;

    /// Maximum number of channels on all connections together, or infinity [default: infinity]
    #[arg(long, value_name = "COUNT", help_heading = "Limits and users")]
    channel_max_per_node: Maximum,
    /// The maximum number of channels on all connections together; `None` for no limit.
    Option<u64> = None;

    /// Maximum number of consumers per channel, or infinity [default: infinity]
    #[arg(long, value_name = "COUNT", help_heading = "Limits and users")]
    consumer_max_per_channel: Maximum,
    /// The maximum number of consumers per channel; `None` for no limit.
    Option<u64> = None;

    /// Limits that new virtual hosts get by pattern, as JSON: {"dev": {"pattern": "^dev-", "max_connections":
    /// 10, "max_queues": 100}}; the first that fits, in the order of the names, counts [default: none]
    #[arg(long, value_name = "JSON", help_heading = "Limits and users")]
    default_limits: DefaultLimits,
    /// The limits of new virtual hosts: those of the first whose pattern fits.
    Vec<DefaultLimit> = Vec::new();

    /// Memory use above which publishers are blocked: a fraction of the machine's memory, or a size
    /// [default: 0.4]
    #[arg(long, value_name = "FRACTION|SIZE", help_heading = "Alarms")]
    vm_memory_high_watermark: MemoryWatermark,
    /// The memory use above which publishers are blocked.
    MemoryWatermark = MemoryWatermark::default();

    /// Memory for the messages in all queues together; further messages wait on disk
    /// [default: 32MiB]
    #[arg(long, value_name = "SIZE", help_heading = "Limits and users")]
    queue_memory: ByteSize,
    /// Bytes of memory for the messages in all queues together; further messages wait on disk.
    u64 = DEFAULT_QUEUE_MEMORY;

    /// Free disk space below which publishers are blocked: a size, or "mem_relative N" for N times
    /// the machine's memory [default: 50MB]
    #[arg(long, value_name = "SIZE", help_heading = "Alarms")]
    disk_free_limit: DiskFreeLimit,
    /// The free disk space below which publishers are blocked.
    DiskFreeLimit = DiskFreeLimit::default();

    /// Maximum size of the uncommitted messages in one connection's transactions, in bytes
    /// [default: 128MiB]
    #[arg(long, value_name = "SIZE", help_heading = "Limits and users")]
    max_transaction_size: ByteSize,
    /// The maximum size in bytes of the uncommitted messages in one connection's transactions.
    u64 = DEFAULT_MAX_TRANSACTION_SIZE;

    /// Milliseconds between samples of the counters of queues, channels and connections, from which
    /// rates and histories are computed [default: 5000]
    #[arg(long, value_name = "MILLISECONDS", help_heading = "Statistics")]
    collect_statistics_interval: Interval,
    /// The time between two samples of what was counted.
    Duration = DEFAULT_STATISTICS_INTERVAL;

    /// Users who may log in only from this machine, separated by commas, or none [default: guest]
    #[arg(long, value_name = "USERS", help_heading = "Limits and users")]
    loopback_users: LoopbackUsers,
    /// Users that may log in only from a loopback address.
    Vec<String> = vec![DEFAULT_USER.to_owned()];

    /// Login mechanisms to offer: PLAIN, AMQPLAIN, EXTERNAL (by certificate), ANONYMOUS, separated by
    /// commas [default: PLAIN,AMQPLAIN]
    #[arg(long, value_name = "MECHANISMS", help_heading = "Limits and users")]
    auth_mechanisms: AuthMechanisms,
    /// The login mechanisms that clients are offered.
    Vec<Mechanism> = vec![Mechanism::Plain, Mechanism::AmqPlain];

    /// Who knows users, in the order in which they are asked: internal, oauth2, http, separated by
    /// commas [default: internal]
    #[arg(long, value_name = "BACKENDS", help_heading = "Limits and users")]
    auth_backends: AuthBackends,
    /// Who is asked about logins, in this order.
    Vec<AuthBackend> = vec![AuthBackend::Internal];

    /// How new passwords are hashed: leveret_password_hashing_argon2id, or RabbitMQ's
    /// rabbit_password_hashing_sha256, _sha512 or _md5 [default: leveret_password_hashing_argon2id]
    #[arg(long, value_name = "MODULE", help_heading = "Limits and users")]
    password_hashing_module: PasswordHashing,
    /// How new passwords are hashed.
    PasswordHashing = PasswordHashing::Argon2id;

    /// Replace an imported password hash with argon2id when its owner logs in: true or false [default:
    /// false]
    #[arg(long, value_name = "BOOL", help_heading = "Limits and users")]
    upgrade_password_hashes: bool,
    /// Whether the hashes of RabbitMQ are replaced at their owners' next logins.
    bool = false;

    /// User that ANONYMOUS clients are logged in as, or none; its password comes from
    /// LEVERET_ANONYMOUS_LOGIN_PASS or the file's anonymous_login_pass [default: guest, password
    /// guest]
    #[arg(long, value_name = "USER", help_heading = "Limits and users")]
    anonymous_login_user: String,
    /// The user that ANONYMOUS clients are logged in as, if that mechanism is offered; `None` to
    /// refuse them.
    Option<String> = Some(DEFAULT_USER.to_owned());

    /// Has no flag, like `default_pass`.
    #[arg(skip)]
    anonymous_login_pass: Secret,
    /// Its password.
    Secret = Secret::from(DEFAULT_USER), hidden;

    /// Administrator created in a new data directory; its password comes from LEVERET_DEFAULT_PASS,
    /// the file's default_pass, or --default-pass-file [default: guest, password guest]
    #[arg(long, value_name = "USER", help_heading = "Limits and users")]
    default_user: String,
    /// The administrator created in a new data directory.
    String = DEFAULT_USER.to_owned(), hidden;

    /// Has no flag: every user of the machine can read a command line.
    #[arg(skip)]
    default_pass: Secret,
    /// Its password.
    Secret = Secret::from(DEFAULT_USER), hidden;

    /// File that contains the default user's password [default: none]
    #[arg(long, value_name = "PATH", help_heading = "Limits and users")]
    default_pass_file: PathBuf,
    /// The file that its password was read from.
    Option<PathBuf> = None, hidden;

    /// Tags of the default user, separated by commas, or none [default: administrator]
    #[arg(long, value_name = "TAGS", help_heading = "Limits and users")]
    default_user_tags: Words,
    /// The tags of the default user.
    Vec<String> = vec![DEFAULT_USER_TAG.to_owned()], hidden;

    /// Pattern of the names that the default user may declare and delete [default: .*]
    #[arg(long, value_name = "PATTERN", help_heading = "Limits and users")]
    default_permissions_configure: String,
    /// The pattern of the names that the default user may declare and delete.
    String = ALL_NAMES.to_owned(), hidden;

    /// Pattern of the names that the default user may publish to [default: .*]
    #[arg(long, value_name = "PATTERN", help_heading = "Limits and users")]
    default_permissions_write: String,
    /// The pattern of the names that the default user may publish to.
    String = ALL_NAMES.to_owned(), hidden;

    /// Pattern of the names that the default user may consume from [default: .*]
    #[arg(long, value_name = "PATTERN", help_heading = "Limits and users")]
    default_permissions_read: String,
    /// The pattern of the names that the default user may consume from.
    String = ALL_NAMES.to_owned(), hidden;

    /// Virtual host created in a new data directory, which the default user may use [default: /]
    #[arg(long, value_name = "NAME", help_heading = "Limits and users")]
    default_vhost: String,
    /// The virtual host created in a new data directory.
    String = DEFAULT_VHOST.to_owned(), hidden;

    /// Definition file to import at every start, or a directory whose *.json files are imported in the
    /// order of their names, or none; a new data directory then gets no default user [default: none]
    #[arg(long, value_name = "PATH", help_heading = "Definitions")]
    load_definitions: PathBuf,
    /// The definition file, or directory of such files, that is imported at every start.
    Option<PathBuf> = None;

    /// Do not import the definitions again if they have not changed: true or false [default: false]
    #[arg(long, value_name = "BOOL", help_heading = "Definitions")]
    definitions_skip_if_unchanged: bool,
    /// Whether these files are not imported again while they do not change.
    bool = false;

    /// Serve the management HTTP API and metrics: true or false [default: true]
    #[arg(long, value_name = "BOOL", help_heading = "Management")]
    management: bool,
    /// Whether the management HTTP API is served.
    bool = true;

    /// Address of the management HTTP API [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS", help_heading = "Management")]
    management_bind: IpAddr,
    /// Its address.
    IpAddr = LOCALHOST;

    /// TCP port of the management HTTP API; 0 takes any free one [default: 15672, if it is free]
    #[arg(long, value_name = "PORT", help_heading = "Management")]
    management_port: u16,
    /// Its port; `None` for [`DEFAULT_MANAGEMENT_PORT`], which may be in use by another broker.
    Option<u16> = None, or DEFAULT_MANAGEMENT_PORT;

    /// TCP port of the management HTTP API with TLS; 0 takes any free one, auto is 15671 if there is a
    /// certificate [default: auto]
    #[arg(long, value_name = "PORT", help_heading = "Management")]
    management_tls_port: TlsPort,
    /// Its port with TLS.
    TlsPort = TlsPort::Auto;

    /// Everything that the management HTTP API listens on, separated by commas, instead of its address
    /// and ports; written as for --listeners, with https:// for TLS [default: none]
    #[arg(long, value_name = "LISTENERS", help_heading = "Management")]
    management_listeners: ListenerSpecs,
    /// Everything that it listens on; empty for its address and ports.
    Vec<ListenerSpec> = Vec::new();

    /// Accept AMQP over WebSocket at /ws/amqp of the management HTTP API: true or false [default: true]
    #[arg(long, value_name = "BOOL", help_heading = "Management")]
    amqp_websocket: bool,
    /// Whether AMQP is spoken over WebSocket at its `/ws/amqp`.
    bool = true;

    /// Web origins whose pages may call the management HTTP API, separated by commas, or * for all
    /// [default: none]
    #[arg(long, value_name = "ORIGINS", help_heading = "Management")]
    management_cors_allow_origins: Origins,
    /// The web origins whose pages may call it; `*` for all.
    Vec<String> = Vec::new();

    /// Minutes after which somebody who has signed in to the management page has to sign in again
    /// [default: 480]
    #[arg(long, value_name = "MINUTES", help_heading = "Management")]
    management_login_session_timeout: u32,
    /// Minutes that a session of the management page lasts.
    u32 = DEFAULT_LOGIN_SESSION_TIMEOUT;

    /// TCP port on which anybody may read the metrics, without a login; 0 takes any free one, none
    /// opens none [default: none]
    #[arg(long, value_name = "PORT", help_heading = "Management")]
    prometheus_port: OptionalPort,
    /// The port on which anybody may read the metrics, if there is one.
    Option<u16> = None;

    /// Address for --prometheus-port [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS", help_heading = "Management")]
    prometheus_bind: IpAddr,
    /// The address of that port.
    IpAddr = LOCALHOST;

    /// TCP port on which anybody may read the metrics with TLS; 0 takes any free one, none opens none
    /// [default: none]
    #[arg(long, value_name = "PORT", help_heading = "Management")]
    prometheus_tls_port: OptionalPort,
    /// The port on which anybody may read the metrics with TLS, if there is one.
    Option<u16> = None;

    /// Everything that the metrics listen on, separated by commas, instead of --prometheus-bind and its
    /// ports; written as for --listeners, with https:// for TLS [default: none]
    #[arg(long, value_name = "LISTENERS", help_heading = "Management")]
    prometheus_listeners: ListenerSpecs,
    /// Everything that the metrics listen on; empty for their address and ports.
    Vec<ListenerSpec> = Vec::new();

    /// PEM files of the broker's certificates, each followed by its intermediate ones, separated by commas; the first is
    /// the default, others are chosen by the name that a client asks for [default: none]
    #[arg(long, value_name = "FILES", help_heading = "TLS")]
    tls_certfile: Paths,
    /// The PEM files of the broker's certificates.
    Vec<PathBuf> = Vec::new();

    /// PEM files of their private keys, in the same order, separated by commas [default: the keys are in
    /// the files of the certificates]
    #[arg(long, value_name = "FILES", help_heading = "TLS")]
    tls_keyfile: Paths,
    /// The PEM files of their keys, in the same order; empty if they are in the certificates' files.
    Vec<PathBuf> = Vec::new();

    /// Has no flag: every user of the machine can read a command line.
    #[arg(skip)]
    tls_key_password: Secret,
    /// The password of encrypted keys.
    Option<Secret> = None, hidden;

    /// File whose first line is the password of encrypted private keys; or set
    /// LEVERET_TLS_KEY_PASSWORD or the file's tls_key_password [default: none]
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    tls_key_password_file: PathBuf,
    /// The file whose first line is the password of encrypted keys.
    Option<PathBuf> = None;

    /// PEM file of the authorities whose client certificates are accepted [default: none]
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    tls_cacertfile: PathBuf,
    /// The PEM file of the authorities whose client certificates are accepted.
    Option<PathBuf> = None;

    /// PEM files of the authorities' lists of revoked certificates, separated by commas [default: none]
    #[arg(long, value_name = "FILES", help_heading = "TLS")]
    tls_crlfile: Paths,
    /// The PEM files of lists of revoked certificates.
    Vec<PathBuf> = Vec::new();

    /// Ask clients for a certificate, and refuse those whose certificate is not valid: verify_peer, or
    /// verify_none [default: verify_none]
    #[arg(long, value_name = "WAY", help_heading = "TLS")]
    tls_verify: TlsVerify,
    /// Whether clients are asked for a certificate.
    TlsVerify = TlsVerify::None;

    /// With verify_peer, also refuse clients without a certificate: true or false [default: false]
    #[arg(long, value_name = "BOOL", help_heading = "TLS")]
    tls_fail_if_no_peer_cert: bool,
    /// Whether clients without a certificate are refused.
    bool = false;

    /// Versions of TLS, separated by commas [default: tlsv1.3,tlsv1.2]
    #[arg(long, value_name = "VERSIONS", help_heading = "TLS")]
    tls_versions: TlsVersions,
    /// The versions of TLS.
    Vec<TlsVersion> = vec![TlsVersion::V13, TlsVersion::V12];

    /// What of a client's certificate is the user's name for EXTERNAL: distinguished_name,
    /// common_name or subject_alternative_name [default: distinguished_name]
    #[arg(long, value_name = "PART", help_heading = "TLS")]
    ssl_cert_login_from: CertLogin,
    /// What of a client's certificate is the user's name for EXTERNAL.
    CertLogin = CertLogin::DistinguishedName;

    /// Type of the alternative name that is the user's name: dns, ip, email, uri or other_name
    /// [default: dns]
    #[arg(long, value_name = "TYPE", help_heading = "TLS")]
    ssl_cert_login_san_type: SanType,
    /// The type of the alternative name that is the user's name.
    SanType = SanType::Dns;

    /// Which of the alternative names of that type, counted from 0 [default: 0]
    #[arg(long, value_name = "INDEX", help_heading = "TLS")]
    ssl_cert_login_san_index: u32,
    /// Which of the alternative names of that type, counted from 0.
    u32 = 0;
}
