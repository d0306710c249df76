//! The keys of RabbitMQ that have no effect here, with what to do instead.

use super::names::fits;

const CLUSTER: &str =
    "a broker is one node here: there is nothing to form, to join or to partition";
const MQTT: &str =
    "MQTT is not spoken here: leave those clients with RabbitMQ, or let a bridge publish for them";
const STOMP: &str =
    "STOMP is not spoken here: leave those clients with RabbitMQ, or move them to AMQP 0-9-1";
const STREAM: &str = "the stream protocol is not spoken here: streams are read over AMQP 0-9-1 (docs/operate/streams.md)";
const ERLANG: &str = "it tunes Erlang's machine, which is not here";
const STORE: &str = "it tunes how RabbitMQ stores messages: the store here needs no tuning";
const SOCKET: &str = "the system chooses the sizes of socket buffers, and connections are closed as TCP does by default";
const TLS: &str = "versions and cipher suites of TLS are those that are safe today, and nothing is renegotiated: leveretctl \
                   cipher_suites lists them";
const INLINE: &str = "certificates and keys are files here: ssl_options.certfile, ssl_options.keyfile and ssl_options.cacertfile";
const HTTP: &str = "the HTTP API has limits and headers of its own: docs/operate/http-api.md";
const OAUTH_PAGE: &str =
    "the management page asks for a name and a password, and accepts tokens only over the API";
const LDAP: &str = "LDAP is not asked here: put an HTTP service in front of it (auth_http.*)";
const LINKS: &str =
    "federation and shovels do not run in the broker here: leveretctl shovel moves messages";
const LOG_TARGET: &str = "the log goes to standard error and a file here: systemd's journal takes the first, and leveretctl \
                          log_tail_stream shows it elsewhere";
const LOG_CATEGORY: &str = "only log.default.level and log.connection.level are used: log_level of leveret.toml has finer filters \
                            (docs/operate/monitor.md)";
const LOG_FORM: &str =
    "lines have one form here, text or JSON, and a rotated file is one of all categories";
const POLICIES: &str =
    "set them with leveretctl set_operator_policy, or in definitions (load_definitions)";
const OAUTH_MORE: &str = "there is one authorization server and one resource server here: set auth_oauth2.issuer or \
                          auth_oauth2.jwks_url and auth_oauth2.resource_server_id; tokens of others are refused";
const OAUTH_CLIENT: &str = "certificates of the authorization server are always checked, against the system's authorities or \
                            auth_oauth2.https.cacertfile";
const HTTP_CLIENT: &str = "certificates of the HTTP service are always checked, against the system's authorities or \
                           auth_http.ssl_options.cacertfile";

/// The keys, with `*` for a part that is a name and `**` for all that may follow, and what is said of them.
pub(super) const UNUSED: &[(&str, &str)] = &[
    ("cluster_formation.**", CLUSTER),
    ("cluster_partition_handling.**", CLUSTER),
    ("cluster_keepalive_interval", CLUSTER),
    (
        "cluster_name",
        "set it with leveretctl set_cluster_name, or in definitions",
    ),
    ("cluster_tags.**", CLUSTER),
    ("node_tags.**", CLUSTER),
    (
        "cluster_queue_limit",
        "the number of queues is not limited for the node: leveretctl set_vhost_limits limits it for a virtual host",
    ),
    (
        "cluster_exchange_limit",
        "the number of exchanges is not limited",
    ),
    ("vhost_max", "the number of virtual hosts is not limited"),
    ("net_ticktime", CLUSTER),
    ("distribution.**", CLUSTER),
    ("mirroring_sync_batch_size", CLUSTER),
    ("mirroring_sync_max_throughput", CLUSTER),
    ("queue_master_locator", CLUSTER),
    ("queue_leader_locator", CLUSTER),
    ("raft.**", STORE),
    (
        "quorum_queue.property_equivalence.**",
        "a queue that is declared again needs the same type: change the clients",
    ),
    ("quorum_queue.**", STORE),
    ("classic_queue.**", STORE),
    ("msg_store_file_size_limit", STORE),
    ("msg_store_index_module", STORE),
    ("msg_store_credit_disc_bound", STORE),
    ("message_store_shutdown_timeout", STORE),
    ("queue_index_embed_msgs_below", STORE),
    ("queue_index_max_journal_entries", STORE),
    ("metadata_store.**", STORE),
    ("mnesia_table_loading_retry_timeout", STORE),
    ("mnesia_table_loading_retry_limit", STORE),
    (
        "vm_memory_high_watermark_paging_ratio",
        "queue_memory of leveret.toml says how much memory messages may use before they wait on disk",
    ),
    (
        "vm_memory_calculation_strategy",
        "the memory of the process is what counts",
    ),
    (
        "memory_monitor_interval",
        "memory is looked at often enough",
    ),
    (
        "total_memory_available_override_value",
        "give vm_memory_high_watermark.absolute instead",
    ),
    (
        "default_queue_type",
        "set it for each virtual host: leveretctl update_vhost_metadata VHOST --default-queue-type TYPE",
    ),
    ("queue_types.**", "all types of queues may be declared"),
    (
        "exchange_types.**",
        "all types of exchanges may be declared",
    ),
    ("default_policies.operator.**", POLICIES),
    (
        "default_users.**",
        "only the default user is made: add others with leveretctl add_user, or in definitions (load_definitions)",
    ),
    (
        "runtime_parameters.**",
        "the number of parameters is not limited",
    ),
    (
        "deprecated_features.**",
        "what RabbitMQ has deprecated stays as docs/operate/compatibility.md says",
    ),
    (
        "credential_validator.**",
        "passwords are not checked when they are set, but hashed with argon2id: choose long ones",
    ),
    (
        "vhost_restart_strategy",
        "a virtual host does not fail alone here",
    ),
    ("prevent_startup_if_node_was_reset", CLUSTER),
    (
        "consumer_disconnected_timeout",
        "a queue knows at once when a consumer is gone",
    ),
    (
        "channel_interceptor.**",
        "there are no interceptors: use policies and exchanges",
    ),
    (
        "message_interceptors.**",
        "there are no interceptors: let publishers set headers and timestamps",
    ),
    ("handshake_timeout", "a client has 10 seconds to log in"),
    (
        "ssl_handshake_timeout",
        "a client has 10 seconds for the handshake and the login",
    ),
    (
        "initial_frame_max",
        "frames before the login have 4096 bytes at most, or what the client proposes",
    ),
    (
        "session_max_per_connection",
        "it is of AMQP 1.0, which is not spoken here",
    ),
    (
        "link_max_per_session",
        "it is of AMQP 1.0, which is not spoken here",
    ),
    (
        "amqp1_0.**",
        "AMQP 1.0 is not spoken here: move those clients to AMQP 0-9-1",
    ),
    ("amqp10_client.**", LINKS),
    ("amqp_client.**", LINKS),
    ("ranch_connection_max", "set max_connections instead"),
    ("num_acceptors.**", ERLANG),
    ("socket_writer.**", ERLANG),
    (
        "reverse_dns_lookups",
        "connections are shown by address: names would let a slow DNS server hold up logins",
    ),
    ("tcp_listen_options.**", SOCKET),
    ("tcp_listen_options", SOCKET),
    ("ssl_allow_poodle_attack", TLS),
    ("ssl_options", TLS),
    ("ssl_options.ciphers.**", TLS),
    ("ssl_options.honor_cipher_order", TLS),
    ("ssl_options.honor_ecc_order", TLS),
    ("ssl_options.client_renegotiation", TLS),
    ("ssl_options.secure_renegotiate", TLS),
    ("ssl_options.reuse_sessions", TLS),
    ("ssl_options.dh", TLS),
    ("ssl_options.dhfile", TLS),
    (
        "ssl_options.depth",
        "a chain of certificates may have as many as the handshake's bound allows",
    ),
    (
        "ssl_options.log_alert",
        "failed handshakes are always in the log",
    ),
    (
        "ssl_options.log_level",
        "failed handshakes are always in the log",
    ),
    (
        "ssl_options.bypass_pem_cache",
        "changed files are read again by themselves",
    ),
    (
        "ssl_options.psk_identity",
        "keys that both sides know in advance are not possible: use certificates",
    ),
    (
        "ssl_options.crl_sources.**",
        "lists of revoked certificates are files here: name them with tls_crlfile in leveret.toml",
    ),
    ("ssl_options.cert", INLINE),
    ("ssl_options.key.**", INLINE),
    ("ssl_options.cacerts.**", INLINE),
    ("hipe_compile", ERLANG),
    ("erlang.**", ERLANG),
    ("background_gc_enabled", ERLANG),
    ("background_gc_target_interval", ERLANG),
    ("default_worker_pool_size", ERLANG),
    ("delegate_count", ERLANG),
    ("sysmon_handler.**", ERLANG),
    (
        "collect_statistics",
        "everything is counted: collect_statistics_interval says how often rates are computed",
    ),
    ("product.**", "the broker says who it is"),
    ("motd_file", "the log says what the broker has to say"),
    (
        "definitions.hashing.algorithm",
        "definitions that have not changed are known by their contents",
    ),
    ("definitions.tls.**", "definitions come from files only"),
    ("management.tcp.**", HTTP),
    ("management.ssl.**", HTTP),
    ("management.listener.**", HTTP),
    ("management.http.**", HTTP),
    (
        "management.http_log_dir",
        "requests that are denied or change something are in the log",
    ),
    ("management.headers.**", HTTP),
    ("management.csp.policy", HTTP),
    ("management.hsts.policy", HTTP),
    ("management.cors.max_age", HTTP),
    (
        "management.path_prefix",
        "the HTTP API is at /api: let a reverse proxy add the prefix",
    ),
    ("management.rates_mode", "rates are always computed"),
    (
        "management.sample_retention_policies.**",
        "histories are kept for a day; Prometheus keeps them for longer",
    ),
    ("management.db_cache_multiplier", HTTP),
    ("management.delegate_count", ERLANG),
    (
        "management.disable_stats",
        "statistics cost little here and are always there",
    ),
    (
        "management.enable_queue_totals",
        "statistics cost little here and are always there",
    ),
    ("management.definitions.require_json_extension", HTTP),
    (
        "management.restrictions.**",
        "operator policies can be changed by administrators: give that tag to nobody else",
    ),
    ("management.require_auth_for_api_reference", HTTP),
    (
        "management.credential_encryption_secret",
        "sessions of the page are kept by the broker, without secrets in the browser",
    ),
    (
        "management.disable_basic_auth",
        "users with passwords may sign in to the HTTP API: remove their passwords (leveretctl clear_password)",
    ),
    (
        "management.oauth_disable_basic_auth",
        "users with passwords may sign in to the HTTP API: remove their passwords (leveretctl clear_password)",
    ),
    ("management.oauth_enabled", OAUTH_PAGE),
    ("management.oauth_client_id", OAUTH_PAGE),
    ("management.oauth_client_secret", OAUTH_PAGE),
    ("management.oauth_provider_url", OAUTH_PAGE),
    ("management.oauth_metadata_url", OAUTH_PAGE),
    ("management.oauth_response_type", OAUTH_PAGE),
    ("management.oauth_scopes", OAUTH_PAGE),
    ("management.oauth_initiated_logon_type", OAUTH_PAGE),
    (
        "management.oauth_authorization_endpoint_params.**",
        OAUTH_PAGE,
    ),
    ("management.oauth_token_endpoint_params.**", OAUTH_PAGE),
    ("management.oauth_resource_servers.**", OAUTH_PAGE),
    ("management.enable_uaa", OAUTH_PAGE),
    ("management.uaa_client_id", OAUTH_PAGE),
    ("management.uaa_client_secret", OAUTH_PAGE),
    ("management.uaa_location", OAUTH_PAGE),
    ("management_agent.**", HTTP),
    (
        "http_dispatch.**",
        "who may log in over HTTP is what auth_backends says",
    ),
    (
        "prometheus.return_per_object_metrics",
        "/metrics has totals, /metrics/per-object and /metrics/detailed have all objects",
    ),
    ("prometheus.path", "the metrics are at /metrics"),
    (
        "prometheus.filter_aggregated_queue_metrics_pattern",
        "/metrics has totals of all queues",
    ),
    ("prometheus.tcp.**", HTTP),
    ("prometheus.ssl.**", HTTP),
    ("auth_ldap.**", LDAP),
    (
        "auth_cache.cache_module",
        "answers of the HTTP service are remembered in memory",
    ),
    (
        "auth_http.authorization_failure_disclosure",
        "the reasons of the HTTP service are in the log only",
    ),
    (
        "auth_http.ssl_options.password",
        "the key of auth_http.ssl_options.keyfile must not be encrypted: openssl pkey decrypts it",
    ),
    ("auth_http.ssl_options.**", HTTP_CLIENT),
    ("auth_oauth2.https.**", OAUTH_CLIENT),
    ("auth_oauth2.oauth_providers.**", OAUTH_MORE),
    ("auth_oauth2.default_oauth_provider", OAUTH_MORE),
    ("auth_oauth2.resource_servers.**", OAUTH_MORE),
    ("auth_oauth2.token_endpoint", OAUTH_PAGE),
    ("auth_oauth2.authorization_endpoint", OAUTH_PAGE),
    ("auth_oauth2.end_session_endpoint", OAUTH_PAGE),
    (
        "auth_oauth2.discovery_endpoint_path",
        "an issuer is asked at /.well-known/openid-configuration: set auth_oauth2.jwks_url if it answers elsewhere",
    ),
    (
        "auth_oauth2.discovery_endpoint_params.**",
        "an issuer is asked at /.well-known/openid-configuration: set auth_oauth2.jwks_url if it answers elsewhere",
    ),
    (
        "trust_store.**",
        "name the authorities of clients' certificates with ssl_options.cacertfile",
    ),
    ("log.syslog.**", LOG_TARGET),
    ("log.journald.**", LOG_TARGET),
    ("log.exchange.**", LOG_TARGET),
    ("log.console.stdio", "the log goes to standard error"),
    ("log.console.**", LOG_FORM),
    ("log.file.formatter.**", LOG_FORM),
    ("log.default.rotation.**", LOG_FORM),
    ("log.error_logger_format_depth", LOG_FORM),
    ("log.summarize_process_state", LOG_FORM),
    ("log.channel.**", LOG_CATEGORY),
    ("log.connection.**", LOG_CATEGORY),
    ("log.erlang_distribution.**", LOG_CATEGORY),
    ("log.federation.**", LOG_CATEGORY),
    ("log.feature_flags.**", LOG_CATEGORY),
    ("log.ldap.**", LOG_CATEGORY),
    ("log.mirroring.**", LOG_CATEGORY),
    ("log.prelaunch.**", LOG_CATEGORY),
    ("log.queue.**", LOG_CATEGORY),
    ("log.ra.**", LOG_CATEGORY),
    ("log.shovel.**", LOG_CATEGORY),
    ("log.upgrade.**", LOG_CATEGORY),
    ("log.user.**", LOG_CATEGORY),
    ("mqtt.**", MQTT),
    ("web_mqtt.**", MQTT),
    ("stomp.**", STOMP),
    ("web_stomp.**", STOMP),
    ("stream.**", STREAM),
    ("federation.**", LINKS),
    ("shovel.**", LINKS),
    (
        "tracing.**",
        "leveretctl trace_on copies messages to amq.rabbitmq.trace",
    ),
    ("event_exchange.**", "events are in the log"),
    ("aws.**", CLUSTER),
];

/// Returns the group of a key that has no effect, and what to do instead.
pub(super) fn advice(key: &[String]) -> Option<(&'static str, &'static str)> {
    let found = UNUSED.iter().find(|(pattern, _)| fits(pattern, key));
    found.map(|(pattern, instead)| {
        (
            pattern.trim_end_matches('*').trim_end_matches('.'),
            *instead,
        )
    })
}
