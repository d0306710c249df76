//! The keys that have an effect here, and how keys are compared.

use super::values::Kind;

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// It is this setting.
    Set(&'static str, Kind),
    /// It means something together with others: the file of its subject knows.
    Part,
}
use Use::{Part, Set};

/// The keys that have an effect, with `*` for a part that is a name or a number.
pub(super) const USED: &[(&str, Use)] = &[
    ("listeners.tcp", Part),
    ("listeners.tcp.*", Part),
    ("listeners.ssl", Part),
    ("listeners.ssl.*", Part),
    ("proxy_protocol", Part),
    (
        "tcp_listen_options.backlog",
        Set("tcp_backlog", Kind::Number),
    ),
    ("tcp_listen_options.keepalive", Part),
    ("tcp_listen_options.nodelay", Part),
    ("ssl_options.cacertfile", Part),
    ("ssl_options.certfile", Part),
    ("ssl_options.keyfile", Part),
    ("ssl_options.password", Part),
    ("ssl_options.verify", Part),
    ("ssl_options.fail_if_no_peer_cert", Part),
    ("ssl_options.versions.*", Part),
    ("ssl_options.crl_check", Part),
    ("ssl_cert_login_from", Part),
    (
        "ssl_cert_login_san_type",
        Set("ssl_cert_login_san_type", Kind::Text),
    ),
    (
        "ssl_cert_login_san_index",
        Set("ssl_cert_login_san_index", Kind::Number),
    ),
    ("management.tcp.port", Part),
    ("management.tcp.ip", Part),
    ("management.ssl.port", Part),
    ("management.ssl.ip", Part),
    ("management.ssl.cacertfile", Part),
    ("management.ssl.certfile", Part),
    ("management.ssl.keyfile", Part),
    ("management.ssl.password", Part),
    ("management.ssl.verify", Part),
    ("management.ssl.fail_if_no_peer_cert", Part),
    ("management.ssl.versions.*", Part),
    ("management.listener.port", Part),
    ("management.listener.ip", Part),
    ("management.listener.ssl", Part),
    ("management.listener.ssl_opts.cacertfile", Part),
    ("management.listener.ssl_opts.certfile", Part),
    ("management.listener.ssl_opts.keyfile", Part),
    ("management.listener.ssl_opts.password", Part),
    ("management.listener.ssl_opts.verify", Part),
    ("management.listener.ssl_opts.fail_if_no_peer_cert", Part),
    ("management.listener.ssl_opts.versions.*", Part),
    ("management.load_definitions", Part),
    (
        "management.login_session_timeout",
        Set("management_login_session_timeout", Kind::Number),
    ),
    ("management.cors.allow_origins", Part),
    ("management.cors.allow_origins.*", Part),
    ("prometheus.tcp.port", Part),
    ("prometheus.tcp.ip", Part),
    ("prometheus.tcp.listener", Part),
    ("prometheus.ssl.port", Part),
    ("prometheus.ssl.ip", Part),
    ("prometheus.ssl.cacertfile", Part),
    ("prometheus.ssl.certfile", Part),
    ("prometheus.ssl.keyfile", Part),
    ("prometheus.ssl.password", Part),
    ("prometheus.ssl.verify", Part),
    ("prometheus.ssl.fail_if_no_peer_cert", Part),
    ("prometheus.ssl.versions.*", Part),
    ("prometheus.authentication.enabled", Part),
    ("load_definitions", Part),
    ("definitions.local.path", Part),
    ("definitions.import_backend", Part),
    ("definitions.https.url", Part),
    (
        "definitions.skip_if_unchanged",
        Set("definitions_skip_if_unchanged", Kind::Bool),
    ),
    ("default_user", Set("default_user", Kind::Text)),
    ("default_pass", Set("default_pass", Kind::Secret)),
    ("default_vhost", Set("default_vhost", Kind::Text)),
    ("default_user_tags.*", Part),
    (
        "default_permissions.configure",
        Set("default_permissions_configure", Kind::Text),
    ),
    (
        "default_permissions.write",
        Set("default_permissions_write", Kind::Text),
    ),
    (
        "default_permissions.read",
        Set("default_permissions_read", Kind::Text),
    ),
    ("default_limits.vhosts.*.pattern", Part),
    ("default_limits.vhosts.*.max_connections", Part),
    ("default_limits.vhosts.*.max_queues", Part),
    ("loopback_users", Part),
    ("loopback_users.*", Part),
    (
        "anonymous_login_user",
        Set("anonymous_login_user", Kind::Text),
    ),
    (
        "anonymous_login_pass",
        Set("anonymous_login_pass", Kind::Secret),
    ),
    (
        "password_hashing_module",
        Set("password_hashing_module", Kind::Text),
    ),
    ("auth_mechanisms.*", Part),
    ("auth_backends.*", Part),
    ("auth_backends.*.authn", Part),
    ("auth_backends.*.authz", Part),
    ("auth_cache.cached_backend", Part),
    ("auth_cache.cached_backend.authn", Part),
    ("auth_cache.cached_backend.authz", Part),
    (
        "auth_cache.cache_ttl",
        Set("auth_cache_cache_ttl", Kind::Number),
    ),
    (
        "auth_cache.cache_refusals",
        Set("auth_cache_cache_refusals", Kind::Bool),
    ),
    (
        "auth_http.http_method",
        Set("auth_http_http_method", Kind::Text),
    ),
    (
        "auth_http.user_path",
        Set("auth_http_user_path", Kind::Text),
    ),
    (
        "auth_http.vhost_path",
        Set("auth_http_vhost_path", Kind::Text),
    ),
    (
        "auth_http.resource_path",
        Set("auth_http_resource_path", Kind::Text),
    ),
    (
        "auth_http.topic_path",
        Set("auth_http_topic_path", Kind::Text),
    ),
    (
        "auth_http.request_timeout",
        Set("auth_http_request_timeout", Kind::Number),
    ),
    (
        "auth_http.connection_timeout",
        Set("auth_http_connection_timeout", Kind::Number),
    ),
    (
        "auth_http.ssl_options.cacertfile",
        Set("auth_http_ssl_options_cacertfile", Kind::Path),
    ),
    (
        "auth_http.ssl_options.certfile",
        Set("auth_http_ssl_options_certfile", Kind::Path),
    ),
    (
        "auth_http.ssl_options.keyfile",
        Set("auth_http_ssl_options_keyfile", Kind::Path),
    ),
    (
        "auth_oauth2.resource_server_id",
        Set("auth_oauth2_resource_server_id", Kind::Text),
    ),
    (
        "auth_oauth2.resource_server_type",
        Set("auth_oauth2_resource_server_type", Kind::Text),
    ),
    ("auth_oauth2.issuer", Set("auth_oauth2_issuer", Kind::Text)),
    (
        "auth_oauth2.jwks_url",
        Set("auth_oauth2_jwks_url", Kind::Text),
    ),
    ("auth_oauth2.signing_keys.*", Part),
    (
        "auth_oauth2.default_key",
        Set("auth_oauth2_default_key", Kind::Text),
    ),
    ("auth_oauth2.algorithms.*", Part),
    (
        "auth_oauth2.https.cacertfile",
        Set("auth_oauth2_https_cacertfile", Kind::Path),
    ),
    (
        "auth_oauth2.verify_aud",
        Set("auth_oauth2_verify_aud", Kind::Bool),
    ),
    (
        "auth_oauth2.require_exp",
        Set("auth_oauth2_require_exp", Kind::Bool),
    ),
    (
        "auth_oauth2.scope_prefix",
        Set("auth_oauth2_scope_prefix", Kind::Text),
    ),
    ("auth_oauth2.scope_aliases.*", Part),
    ("auth_oauth2.scope_aliases.*.alias", Part),
    ("auth_oauth2.scope_aliases.*.scope", Part),
    ("auth_oauth2.scope_pattern_syntax", Part),
    (
        "auth_oauth2.additional_scopes_key",
        Set("auth_oauth2_additional_scopes_key", Kind::Text),
    ),
    ("auth_oauth2.preferred_username_claims.*", Part),
    ("vm_memory_high_watermark.relative", Part),
    ("vm_memory_high_watermark.absolute", Part),
    ("disk_free_limit.relative", Part),
    ("disk_free_limit.absolute", Part),
    ("heartbeat", Set("heartbeat", Kind::Number)),
    ("frame_max", Set("frame_max", Kind::FrameMax)),
    (
        "max_channels_per_connection",
        Set("channel_max", Kind::Number),
    ),
    (
        "channel_max_per_node",
        Set("channel_max_per_node", Kind::Maximum),
    ),
    (
        "consumer_max_per_channel",
        Set("consumer_max_per_channel", Kind::Maximum),
    ),
    ("max_connections", Set("connection_max", Kind::Maximum)),
    ("max_message_size", Set("max_message_size", Kind::Size)),
    ("consumer_timeout", Set("consumer_timeout", Kind::Number)),
    (
        "collect_statistics_interval",
        Set("collect_statistics_interval", Kind::Number),
    ),
    ("log.dir", Part),
    ("log.file", Part),
    ("log.file.level", Part),
    ("log.file.formatter", Part),
    ("log.file.rotation.date", Part),
    (
        "log.file.rotation.size",
        Set("log_file_rotation_size", Kind::Size),
    ),
    (
        "log.file.rotation.count",
        Set("log_file_rotation_count", Kind::Number),
    ),
    (
        "log.file.rotation.compress",
        Set("log_file_rotation_compress", Kind::Bool),
    ),
    ("log.console", Part),
    ("log.console.level", Part),
    ("log.console.formatter", Part),
    ("log.default.level", Part),
    ("log.connection.level", Part),
];

/// Keys with two names, by the one that is not in the tables.
const ALIASES: &[(&str, &str)] = &[
    ("channel_max", "max_channels_per_connection"),
    ("connection_max", "max_connections"),
    ("auth_oauth2.jwks_uri", "auth_oauth2.jwks_url"),
];

/// Returns a key by the name that it has in the tables.
pub(super) fn canonical(key: &[String]) -> Vec<String> {
    let parts = key.iter().map(String::as_str);
    let alias = ALIASES
        .iter()
        .find(|(alias, _)| parts.clone().eq(alias.split('.')));
    match alias {
        Some((_, name)) => name.split('.').map(str::to_owned).collect(),
        None => key.to_vec(),
    }
}

/// Returns what becomes of a key, if it has an effect.
pub(super) fn used(key: &[String]) -> Option<Use> {
    let found = USED.iter().find(|(pattern, _)| fits(pattern, key));
    found.map(|(_, used)| *used)
}

/// Returns whether a key fits a pattern, in which `*` is any part and `**` at the end are any number of them.
pub(super) fn fits(pattern: &str, key: &[String]) -> bool {
    let mut parts = key.iter();
    for wanted in pattern.split('.') {
        match (wanted, parts.next()) {
            ("**", _) => return true,
            ("*", Some(_)) => {}
            (wanted, Some(part)) if part == wanted => {}
            _ => return false,
        }
    }
    parts.next().is_none()
}

/// Returns the key that was probably meant.
pub(super) fn nearest<'a>(
    key: &[String],
    patterns: impl Iterator<Item = &'a str>,
) -> Option<String> {
    let written = key.join(".");
    let aliases = ALIASES.iter().map(|(alias, _)| *alias);
    let candidates = patterns.chain(aliases).map(|pattern| filled(pattern, key));
    let distance = |name: &String| strsim::damerau_levenshtein(name, &written);
    let nearest = candidates.min_by_key(distance)?;
    let most = (written.len() / 5).clamp(1, 3);
    (distance(&nearest) <= most).then_some(nearest)
}

/// Returns a pattern with the parts of a key in the places of its asterisks.
fn filled(pattern: &str, key: &[String]) -> String {
    let mut filled: Vec<&str> = Vec::new();
    for (index, part) in pattern.split('.').enumerate() {
        match part {
            "**" => filled.extend(key.iter().skip(index).map(String::as_str)),
            "*" => filled.push(key.get(index).map_or("1", String::as_str)),
            part => filled.push(part),
        }
    }
    filled.join(".")
}
