//! What keys of RabbitMQ's configuration come to.

use super::grammar::only_entries;
use super::names::USED;
use super::unused::UNUSED;
use super::*;
use std::collections::HashMap;
use std::fs;

/// Reads a file with this text; returns the settings as a file of our own would have them, by key, and what is noted.
fn read(text: &str) -> Result<(HashMap<&'static str, String>, Vec<String>), String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rabbitmq.conf");
    fs::write(&path, text).unwrap();
    let shown = |text: String| text.replace(&folder.path().display().to_string(), "DIR");
    let variables = |name: &str| (name == "FROM_OUTSIDE").then(|| "walker".into());
    let draft = draft_of(&[path], &variables).map_err(|error| shown(error.to_string()))?;
    draft.settings().map_err(|error| shown(error.to_string()))?;
    let settings = draft.assigned().iter();
    let settings = settings.map(|one| (one.setting, shown(one.value.to_string())));
    let settings = settings.collect();
    let notes = draft.into_notes().into_iter();
    Ok((
        settings,
        notes
            .map(|note| format!("{}: {}", note.keys, note.instead))
            .collect(),
    ))
}

/// Checks that a text comes to these settings and no others.
#[track_caller]
fn comes_to(text: &str, expected: &[(&str, &str)]) {
    let (settings, notes) = read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let expected: HashMap<&str, String> = expected
        .iter()
        .map(|(setting, value)| (*setting, (*value).to_owned()))
        .collect();
    assert_eq!(settings, expected, "{text}\n{notes:?}");
}

/// Checks that a text is refused with these words.
#[track_caller]
fn is_refused(text: &str, words: &str) {
    match read(text) {
        Ok(read) => panic!("{text} was read as {read:?}"),
        Err(error) => {
            assert!(error.contains(words), "{text}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}

/// Checks that a text has one note with these words.
#[track_caller]
fn is_noted(text: &str, words: &str) {
    let (_, notes) = read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let with = notes.iter().filter(|note| note.contains(words)).count();
    assert_eq!(with, 1, "{text}: {notes:?}");
}

#[test]
fn a_line_has_a_key_a_value_and_perhaps_a_comment() {
    for (text, value) in [
        ("a = 1", "1"),
        ("  a=1  ", "1"),
        ("a = 1 # one", "1"),
        ("a = 1#one", "1"),
        ("a = one two\t# more", "one two"),
        ("a = 'one # two'", "one # two"),
        ("a = 'one'# two", "one"),
        ("a = ''", ""),
        ("a = '''one\n'two'\n'''", "one\n'two"),
        ("a = it's", "it's"),
        ("a = 'it", "'it"),
        ("\u{feff}a = ü\r\n", "ü"),
        ("a = b = c", "b = c"),
    ] {
        let expected = [("a".to_owned(), value.to_owned())];
        assert_eq!(only_entries(text).as_deref(), Ok(&expected[..]), "{text}");
    }
    let keys = |text| only_entries(text).map(|found| found.into_iter().map(|it| it.0).collect());
    assert_eq!(keys("a\\.b.c-d = 1"), Ok(vec!["a\\.b.c-d".to_owned()]));
    assert_eq!(keys("# a = 1\n\n   \n\t# b\n"), Ok(vec![]));
}

#[test]
fn what_is_no_line_is_refused_with_its_number() {
    for (text, line, words) in [
        ("\nheartbeat 60", 2, "use 'key = value'"),
        ("heartbeat =", 1, "has no value"),
        ("heartbeat = # 60", 1, "has no value"),
        ("heart beat = 60", 1, "is not a key"),
        (".a = 1", 1, "a part between dots is empty"),
        ("a = 'b' c", 1, "follows the quoted value"),
        ("a = 1\nb = '''x\n\n'''\nc", 5, "is not a setting"),
        ("include a b", 1, "an included path"),
        ("%% old\n[{rabbit, []}].", 1, "Erlang terms"),
        ("\n  [{rabbit, []}].", 1, "Erlang terms"),
    ] {
        let (at, reason) = only_entries(text).unwrap_err();
        assert_eq!(at, line, "{text}: {reason}");
        assert!(reason.contains(words), "{text}: {reason}");
    }
}

#[test]
fn the_last_line_of_a_key_counts() {
    comes_to("heartbeat = 10\nheartbeat = 20", &[("heartbeat", "20")]);
    comes_to(
        "channel_max = 10\nmax_channels_per_connection = 20",
        &[("channel_max", "20")],
    );
}

#[test]
fn values_may_stand_for_others() {
    comes_to(
        "default_user = $(FROM_OUTSIDE)",
        &[("default_user", "\"walker\"")],
    );
    comes_to(
        "default_user = a-$( default_vhost )-$(FROM_OUTSIDE)\ndefault_vhost = v",
        &[
            ("default_user", "\"a-v-walker\""),
            ("default_vhost", "\"v\""),
        ],
    );
    comes_to(
        "default_pass = $(unclosed",
        &[("default_pass", "\"$(unclosed\"")],
    );
    is_refused(
        "default_user = $(nobody)",
        "line 1: default_user: $(nobody) is neither a key",
    );
    is_refused(
        "default_user = $(default_vhost)\ndefault_vhost = $(default_user)",
        "stands for itself",
    );
    let many: String = (1..15)
        .map(|n| {
            format!(
                "default_user_tags.t{n} = {}\n",
                format!("$(default_user_tags.t{})", n + 1).repeat(9)
            )
        })
        .collect();
    is_refused(
        &format!("{many}default_user_tags.t15 = ''"),
        "too many others",
    );
}

#[test]
fn listeners_are_those_of_the_file() {
    comes_to(
        "listeners.tcp.default = 5672",
        &[("listeners", "[\"[::]:5672\"]")],
    );
    comes_to(
        "listeners.tcp.1 = 127.0.0.1:5672\nlisteners.tcp.2 = ::1:5672\nlisteners.ssl.default = 5671\n\
         listeners.tcp.10 = unix:/run/a.sock:0",
        &[(
            "listeners",
            "[\"127.0.0.1:5672\", \"[::1]:5672\", \"unix:/run/a.sock\", \"amqps://[::]:5671\"]",
        )],
    );
    comes_to(
        "listeners.tcp = none\nlisteners.ssl.default = 5671",
        &[("listeners", "[\"amqps://[::]:5671\"]")],
    );
    comes_to(
        "listeners.ssl.default = 5671",
        &[("listeners", "[\"127.0.0.1:5672\", \"amqps://[::]:5671\"]")],
    );
    is_noted("listeners.ssl.default = 5671", "to this machine only");
    comes_to(
        "listeners.tcp.a = 10.0.0.1:5672\nproxy_protocol = true",
        &[(
            "listeners",
            "[\"10.0.0.1:5672?proxy_protocol=0.0.0.0/0&proxy_protocol=::/0\"]",
        )],
    );
    is_refused("listeners.tcp = none", "nothing would be left");
    is_refused("listeners.tcp = 5672", "listeners.tcp.default = 5672");
    is_refused(
        "listeners.tcp.default = 70000",
        "use a whole number from 0 to 65535",
    );
    is_refused("listeners.tcp.default = ?", "is not a listener");
    is_refused(
        "listeners.tcp.a = 5672\nlisteners.tcp.b = 5672",
        "listed twice",
    );
}

#[test]
fn http_listens_where_the_file_says() {
    comes_to(
        "management.tcp.port = 15672",
        &[("management_listeners", "[\"[::]:15672\"]")],
    );
    comes_to(
        "management.ssl.ip = 10.0.0.1\nmanagement.tcp.ip = 127.0.0.1",
        &[(
            "management_listeners",
            "[\"127.0.0.1:15672\", \"https://10.0.0.1:15671\"]",
        )],
    );
    comes_to(
        "management.listener.port = 1\nmanagement.listener.ssl = true",
        &[("management_listeners", "[\"https://[::]:1\"]")],
    );
    comes_to(
        "prometheus.tcp.port = 15692",
        &[("prometheus_listeners", "[\"[::]:15692\"]")],
    );
    comes_to(
        "prometheus.tcp.listener = none\nprometheus.tcp.port = 1",
        &[],
    );
    comes_to(
        "prometheus.tcp.listener = 127.0.0.1:9",
        &[("prometheus_listeners", "[\"127.0.0.1:9\"]")],
    );
    is_refused(
        "prometheus.tcp.port = 1\nprometheus.authentication.enabled = true",
        "has no logins",
    );
    is_refused("management.tcp.ip = everywhere", "is not an IP address");
}

#[test]
fn certificates_are_shared() {
    comes_to(
        "listeners.tcp = none\nlisteners.ssl.1 = 5671\nssl_options.cacertfile = /t/ca.pem\nssl_options.certfile = server.pem\n\
         ssl_options.keyfile = /t/key.pem\nssl_options.password = x\nssl_options.verify = verify_peer\n\
         ssl_options.fail_if_no_peer_cert = true\nssl_options.versions.1 = tlsv1.2\nssl_options.versions.2 = tlsv1.3\n\
         management.ssl.port = 15671\nmanagement.ssl.certfile = server.pem\nmanagement.ssl.versions.1 = tlsv1.2\n\
         management.ssl.versions.2 = tlsv1.3",
        &[
            ("listeners", "[\"amqps://[::]:5671\"]"),
            ("management_listeners", "[\"https://[::]:15671\"]"),
            ("tls_cacertfile", "\"/t/ca.pem\""),
            ("tls_certfile", "[\"DIR/server.pem\"]"),
            ("tls_keyfile", "[\"/t/key.pem\"]"),
            ("tls_key_password", "\"x\""),
            ("tls_verify", "\"verify_peer\""),
            ("tls_fail_if_no_peer_cert", "true"),
            ("tls_versions", "[\"tlsv1.3\", \"tlsv1.2\"]"),
        ],
    );
    comes_to(
        "ssl_options.certfile = /t/a.pem",
        &[("tls_certfile", "[\"/t/a.pem\"]")],
    );
    is_noted(
        "ssl_options.certfile = /t/a.pem\nmanagement.ssl.certfile = /t/b.pem",
        "all listeners have one certificate",
    );
    is_noted(
        "ssl_options.versions.1 = tlsv1.2\nssl_options.versions.2 = tlsv1.1",
        "it is not safe",
    );
    is_noted(
        "ssl_options.fail_if_no_peer_cert = true",
        "are not asked for certificates at all",
    );
    is_noted(
        "management.ssl.verify = verify_peer",
        "never asked for certificates",
    );
}

#[test]
fn nothing_becomes_less_strict_unnoticed() {
    for (text, words) in [
        (
            "ssl_options.certfile = /a\nssl_options.password = encrypted:abc",
            "only RabbitMQ's key and cipher could decrypt it",
        ),
        (
            "default_pass = encrypted:abc",
            "only RabbitMQ's key and cipher could decrypt it",
        ),
        ("ssl_options.versions.1 = tlsv1.1", "no version is left"),
        (
            "management.ssl.verify = verify_peer\nmanagement.ssl.fail_if_no_peer_cert = true",
            "never asked",
        ),
        ("ssl_options.crl_check = true", "tls_crlfile"),
        ("ssl_options.verify = peer", "verify_peer"),
        ("auth_backends.1 = ldap", "LDAP is not asked here"),
        (
            "auth_backends.1.authn = http\nauth_backends.1.authz = internal",
            "one backend has to decide on both",
        ),
        (
            "auth_backends.1 = my_backend",
            "is not a backend that is here",
        ),
        ("auth_oauth2.scope_pattern_syntax = regex", "wildcards"),
        (
            "definitions.https.url = https://example.com/",
            "from files only",
        ),
        ("definitions.import_backend = https", "from files only"),
        ("loopback_users = all", "is not none"),
        ("loopback_users.guest = maybe", "neither true nor false"),
        (
            "load_definitions = /a\nmanagement.load_definitions = /b",
            "names other definitions",
        ),
    ] {
        is_refused(text, words);
    }
}

#[test]
fn users_and_backends_are_those_of_the_file() {
    comes_to("loopback_users = none", &[("loopback_users", "[]")]);
    comes_to("loopback_users.guest = false", &[("loopback_users", "[]")]);
    comes_to(
        "loopback_users.my\\.user = true\nloopback_users.guest = true",
        &[("loopback_users", "[\"guest\", \"my.user\"]")],
    );
    comes_to(
        "auth_backends.2 = internal\nauth_backends.1 = cache\nauth_cache.cached_backend = http\nauth_cache.cache_ttl = 5000",
        &[
            ("auth_backends", "[\"http\", \"internal\"]"),
            ("auth_cache_cache_ttl", "5000"),
        ],
    );
    comes_to(
        "auth_backends.1.authn = rabbit_auth_backend_oauth2",
        &[("auth_backends", "[\"oauth2\"]")],
    );
    comes_to(
        "auth_mechanisms.2 = EXTERNAL\nauth_mechanisms.1 = PLAIN",
        &[("auth_mechanisms", "[\"PLAIN\", \"EXTERNAL\"]")],
    );
    comes_to(
        "auth_oauth2.scope_aliases.1.alias = a.b\nauth_oauth2.scope_aliases.1.scope = r.read:*/*\n\
         auth_oauth2.signing_keys.id1 = /k.pem\nauth_oauth2.algorithms.1 = RS256",
        &[
            ("auth_oauth2_scope_aliases", "{ \"a.b\" = \"r.read:*/*\" }"),
            ("auth_oauth2_signing_keys", "{ id1 = \"/k.pem\" }"),
            ("auth_oauth2_algorithms", "[\"RS256\"]"),
        ],
    );
    comes_to(
        "definitions.local.path = defs.json",
        &[("load_definitions", "\"DIR/defs.json\"")],
    );
}

#[test]
fn sizes_are_those_of_rabbitmq() {
    comes_to("frame_max = 128KB", &[("frame_max", "131072")]);
    comes_to("frame_max = 0", &[("frame_max", "134217728")]);
    for (given, means) in [
        ("2GB", "2GB"),
        ("2G", "2GB"),
        ("2Gi", "2GiB"),
        ("1073741824", "1073741824B"),
    ] {
        let text = format!("vm_memory_high_watermark.absolute = {given}");
        comes_to(
            &text,
            &[("vm_memory_high_watermark", &format!("\"{means}\""))],
        );
    }
    comes_to(
        "vm_memory_high_watermark.relative = 0.6",
        &[("vm_memory_high_watermark", "0.6")],
    );
    comes_to(
        "disk_free_limit.relative = 2.0",
        &[("disk_free_limit", "\"mem_relative 2.0\"")],
    );
    comes_to(
        "max_connections = infinity",
        &[("connection_max", "\"infinity\"")],
    );
    is_noted(
        "disk_free_limit.relative = 2.0\ndisk_free_limit.absolute = 1GB",
        "is set, too, and wins",
    );
    is_refused("disk_free_limit.absolute = much", "is not a size");
    is_refused("heartbeat = -1", "is not a whole number");
    is_refused("heartbeat = 70000", "line 1: heartbeat: ");
    is_refused("frame_max = 100", "4096");
}

#[test]
fn the_log_is_that_of_the_file() {
    comes_to(
        "log.dir = /var/log/rabbitmq\nlog.file = rabbit.log\nlog.console = false\nlog.file.level = warning\n\
         log.connection.level = error\nlog.file.rotation.date = $D0\nlog.file.rotation.size = 10485760\n\
         log.file.rotation.count = 5\nlog.file.rotation.compress = true\nlog.file.formatter = json",
        &[
            ("log_file", "\"/var/log/rabbitmq/rabbit.log\""),
            ("log_console", "false"),
            ("log_level", "\"warning,leveret::amqp=error\""),
            ("log_file_rotation_age", "\"1d\""),
            ("log_file_rotation_size", "10485760"),
            ("log_file_rotation_count", "5"),
            ("log_file_rotation_compress", "true"),
            ("log_format", "\"json\""),
        ],
    );
    comes_to(
        "log.console = true\nlog.console.level = debug",
        &[("log_console", "true"), ("log_level", "\"debug\"")],
    );
    comes_to(
        "log.default.level = error\nlog.console.level = debug",
        &[("log_level", "\"error\"")],
    );
    comes_to("log.file = false", &[]);
    is_noted("log.console = false", "nothing would be logged");
    is_noted("log.file = rabbit.log", "in no directory");
    is_refused("log.console.level = loud", "is not a level");
    is_refused("log.file.rotation.date = daily", "$D0");
}

#[test]
fn unknown_keys_are_refused_with_the_likely_one() {
    is_refused("heartbaet = 10", "did you mean heartbeat?");
    is_refused(
        "listeners.tpc.default = 5672",
        "did you mean listeners.tcp.default?",
    );
    is_refused(
        "ssl_options.cacert_file = /a",
        "did you mean ssl_options.cacertfile?",
    );
    is_refused(
        "data_dir = /srv",
        "this is a key of Leveret's own TOML files",
    );
    is_refused("no.such.thing = 1", "there is no such key in RabbitMQ");
}

#[test]
fn keys_without_effect_are_noted_once_a_group() {
    let (settings, notes) = read(
        "cluster_formation.k8s.host = a\ncluster_formation.peer_discovery_backend = k8s\nmqtt.allow_anonymous = false\n",
    )
    .unwrap();
    assert!(settings.is_empty());
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(
        notes[0].starts_with("cluster_formation (2 keys from line 1): "),
        "{}",
        notes[0]
    );
    assert!(
        notes[1].starts_with("mqtt.allow_anonymous (line 3): "),
        "{}",
        notes[1]
    );
}

#[test]
fn no_key_is_in_two_tables_under_the_same_name() {
    for (index, (pattern, _)) in USED.iter().enumerate() {
        assert!(
            !USED[..index].iter().any(|(other, _)| other == pattern),
            "{pattern}"
        );
        assert!(
            !UNUSED.iter().any(|(other, _)| other == pattern),
            "{pattern}"
        );
    }
}

#[test]
fn every_key_that_is_used_is_documented() {
    let page = include_str!("../../../../../docs/operate/rabbitmq-conf.md");
    let listed: Vec<Vec<String>> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .map(|key| key.split('.').map(str::to_owned).collect())
        .collect();
    for (pattern, _) in USED {
        let is_listed = |key: &Vec<String>| {
            let parts: Vec<&str> = pattern.split('.').collect();
            let exact = key.iter().map(String::as_str).eq(parts.iter().copied());
            let group = key.last().is_some_and(|last| last == "*")
                && key.len() <= parts.len() + 1
                && key[..key.len() - 1]
                    .iter()
                    .map(String::as_str)
                    .eq(parts.iter().copied().take(key.len() - 1));
            exact || group
        };
        assert!(listed.iter().any(is_listed), "{pattern}");
    }
}
