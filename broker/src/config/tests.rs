use crate::config::{DiskFreeLimit, MemoryWatermark};
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;

/// Loads with these flags and variables, as an ordinary user whose home is /home/hare.
pub(super) fn load(flags: &[&str], variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let variable = |name: &str| {
        let set = variables.iter().find(|(key, _)| *key == name);
        set.map(|(_, value)| OsString::from(value))
            .or_else(|| (name == "HOME").then(|| "/home/hare".into()))
    };
    let args = std::iter::once("leveret")
        .chain(flags.iter().copied())
        .map(OsString::from);
    Config::load_in(
        args,
        &Environment {
            variable: &variable,
            uid: 1000,
            default_folder: Path::new("/nonexistent"),
        },
    )
}

pub(super) fn refused(flags: &[&str], variables: &[(&str, &str)]) -> String {
    load(flags, variables)
        .expect_err("the configuration is wrong")
        .to_string()
}

/// Creates a configuration file that lives as long as the returned directory.
pub(super) fn file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("leveret.toml");
    std::fs::write(&path, text).expect("a writable directory");
    (folder, path.to_str().expect("a UTF-8 path").to_owned())
}

#[test]
fn without_settings_everything_has_its_default() {
    let config = load(&[], &[]).unwrap();
    assert_eq!(
        config.amqp_listeners(false)[0].place.to_string(),
        "127.0.0.1:5672"
    );
    assert_eq!(
        config.data_dir,
        Path::new("/home/hare/.local/share/leveret")
    );
    assert_eq!(
        (config.log_level.as_str(), config.log_format),
        ("info", LogFormat::Text)
    );
    assert_eq!(
        (config.heartbeat, config.channel_max, config.frame_max),
        (60, 2047, 131_072)
    );
    assert_eq!(config.max_message_size, 16 << 20);
    assert_eq!(config.max_transaction_size, 128 << 20);
    assert_eq!(config.loopback_users, ["guest"]);
    let mechanisms = [Mechanism::Plain, Mechanism::AmqPlain];
    assert_eq!(config.auth_mechanisms, mechanisms);
    assert_eq!(config.anonymous_login_user.as_deref(), Some("guest"));
    assert_eq!(config.anonymous_login_pass.expose(), "guest");
    assert_eq!(
        (config.default_user.as_str(), config.default_pass.expose()),
        ("guest", "guest")
    );
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let (_folder, path) = file("port = 1\nheartbeat = 1\nchannel_max = 1\n");
    let variables = [
        ("LEVERET_CONFIG", path.as_str()),
        ("LEVERET_PORT", "2"),
        ("LEVERET_HEARTBEAT", "2"),
    ];
    let config = load(&["--port", "3"], &variables).unwrap();
    assert_eq!(
        (config.port, config.heartbeat, config.channel_max),
        (3, 2, 1)
    );
    assert_eq!(config.config_files, [PathBuf::from(path)]);
}

#[test]
fn the_file_knows_every_key() {
    let (_folder, path) = file(
        r#"
        bind = "::1"
        port = 0
        data_dir = "/srv/leveret"
        log_level = "info,leveret=debug"
        log_format = "json"
        heartbeat = 0
        channel_max = 0
        frame_max = "64KiB"
        max_message_size = 1048576
        consumer_timeout = 60000
        connection_max = 100
        channel_max_per_node = "infinity"
        consumer_max_per_channel = 3
        vm_memory_high_watermark = 0.5
        disk_free_limit = "1GB"
        max_transaction_size = "1GiB"
        loopback_users = []
        auth_mechanisms = ["AMQPLAIN", "ANONYMOUS"]
        anonymous_login_user = "visitor"
        anonymous_login_pass = "hidden"
        default_user = "admin"
        default_pass = "s3cret"
        load_definitions = "definitions"
        definitions_skip_if_unchanged = true
        "#,
    );
    let config = load(&["--config", &path], &[]).unwrap();
    assert_eq!(config.bind, "::1".parse::<IpAddr>().unwrap());
    assert_eq!(config.data_dir, Path::new("/srv/leveret"));
    assert_eq!(config.log_format, LogFormat::Json);
    assert_eq!(
        (config.frame_max, config.max_message_size),
        (65_536, 1 << 20)
    );
    assert_eq!(config.consumer_timeout, Some(Duration::from_secs(60)));
    assert_eq!(
        (config.connection_max, config.channel_max_per_node),
        (Some(100), None)
    );
    assert_eq!(config.consumer_max_per_channel, Some(3));
    let half = MemoryWatermark::Relative(0.5);
    assert_eq!(config.vm_memory_high_watermark, half);
    let limit = DiskFreeLimit::Absolute(1_000_000_000);
    assert_eq!(config.disk_free_limit, limit);
    assert_eq!(config.max_transaction_size, 1 << 30);
    assert!(config.loopback_users.is_empty());
    assert_eq!(config.default_pass.expose(), "s3cret");
    assert!(!format!("{config:?}").contains("s3cret"));
    let mechanisms = [Mechanism::AmqPlain, Mechanism::Anonymous];
    assert_eq!(config.auth_mechanisms, mechanisms);
    assert_eq!(config.anonymous_login_user.as_deref(), Some("visitor"));
    assert_eq!(config.anonymous_login_pass.expose(), "hidden");
    assert!(!format!("{config:?}").contains("hidden"));
    let definitions = Path::new(&path).with_file_name("definitions");
    assert_eq!(
        config.load_definitions,
        Some(definitions),
        "relative to the file"
    );
    assert!(config.definitions_skip_if_unchanged);
}

#[test]
fn every_key_but_passwords_is_a_flag_and_every_key_a_variable() {
    let flags = [
        "--bind=::1",
        "--loopback-users=none",
        "--frame-max=8192",
        "--log-format=json",
    ];
    let config = load(
        &flags,
        &[("LEVERET_DEFAULT_PASS", "x"), ("LEVERET_LOG_LEVEL", "")],
    )
    .unwrap();
    assert!(config.loopback_users.is_empty());
    assert_eq!(
        (config.frame_max, config.default_pass.expose()),
        (8192, "x")
    );
    let config = load(&[], &[("LEVERET_LOOPBACK_USERS", "guest, hare")]).unwrap();
    assert_eq!(config.loopback_users, ["guest", "hare"]);
    assert!(refused(&["--default-pass=x"], &[]).starts_with("unexpected argument"));
}

#[test]
fn mechanisms_are_named_and_anonymous_may_stand_for_nobody() {
    let flags = [
        "--auth-mechanisms=ANONYMOUS, PLAIN",
        "--anonymous-login-user=none",
    ];
    let config = load(&flags, &[("LEVERET_ANONYMOUS_LOGIN_PASS", "x")]).unwrap();
    let mechanisms = [Mechanism::Anonymous, Mechanism::Plain];
    assert_eq!(config.auth_mechanisms, mechanisms);
    assert_eq!(config.anonymous_login_user, None);
    assert_eq!(config.anonymous_login_pass.expose(), "x");
    for wrong in ["", "plain", "PLAIN ANONYMOUS", "PLAIN,"] {
        let flag = format!("--auth-mechanisms={wrong}");
        let told = refused(&[&flag], &[]);
        assert!(told.contains("is not a mechanism"), "{wrong}: {told}");
    }
    let (_folder, path) = file("auth_mechanisms = []");
    assert!(refused(&["--config", &path], &[]).contains("nobody could log in"));
    let told = refused(&["--anonymous-login-user= "], &[]);
    assert!(told.contains("the name is empty"), "{told}");
}

#[test]
fn limits_may_be_lifted_and_marks_be_sizes_or_shares() {
    let flags = [
        "--consumer-timeout=undefined",
        "--connection-max=infinity",
        "--vm-memory-high-watermark=2GB",
        "--disk-free-limit=mem_relative 1.5",
    ];
    let config = load(&flags, &[("LEVERET_CHANNEL_MAX_PER_NODE", "7")]).unwrap();
    assert_eq!(
        (config.consumer_timeout, config.connection_max),
        (None, None)
    );
    assert_eq!(config.channel_max_per_node, Some(7));
    let watermark = MemoryWatermark::Absolute(2_000_000_000);
    assert_eq!(config.vm_memory_high_watermark, watermark);
    let limit = DiskFreeLimit::MemRelative(1.5);
    assert_eq!(config.disk_free_limit, limit);
    assert_eq!(
        load(&["--consumer-timeout=0"], &[])
            .unwrap()
            .consumer_timeout,
        None
    );
    for (flag, reason) in [
        ("--connection-max=0", "use a number above 0, or infinity"),
        ("--consumer-timeout=soon", "use milliseconds"),
        ("--vm-memory-high-watermark=much", "use a fraction from 0.0"),
        ("--disk-free-limit=0.5", "use a size such as 50MB"),
    ] {
        let line = refused(&[flag], &[]);
        assert!(line.contains(reason), "{line}");
    }
}

#[test]
fn a_relative_data_dir_of_the_file_is_relative_to_the_file() {
    let (folder, path) = file("data_dir = 'data'");
    let config = load(&["--config", &path], &[]).unwrap();
    assert_eq!(config.data_dir, folder.path().join("data"));
}

#[test]
fn a_wrong_flag_ends_in_one_line_that_says_what_to_do() {
    let cases = [
        (
            &["--prot", "1"][..],
            "unexpected argument '--prot' found; a similar argument exists: '--port'",
        ),
        (
            &["--zzz"],
            "unexpected argument '--zzz' found; leveret --help lists all options",
        ),
        (
            &["--port", "x"],
            "invalid value 'x' for '--port <PORT>': not a number from 0 to 65535",
        ),
        (
            &["--port", "70000"],
            "invalid value '70000' for '--port <PORT>': not a number from 0 to 65535",
        ),
        (
            &["--port"],
            "a value is required for '--port <PORT>' but none was supplied",
        ),
        (
            &["--log-format", "xml"],
            "invalid value 'xml' for '--log-format <FORMAT>' [possible values: text, json]",
        ),
        (
            &["--log-level", "inof"],
            "invalid value 'inof' for '--log-level <LEVEL>': 'inof' is not a log level: use \
             critical, error, warning, info, debug, trace or none, or a filter such as info,leveret=debug",
        ),
        (
            &["--frame-max", "1"],
            "--frame-max: 1 is out of range: use 4096 to 134217728 bytes",
        ),
    ];
    for (flags, text) in cases {
        assert_eq!(refused(flags, &[]), text);
    }
}

#[test]
fn a_wrong_variable_is_named() {
    assert_eq!(
        refused(&[], &[("LEVERET_PORT", "x")]),
        "environment variable LEVERET_PORT: invalid value 'x': not a number from 0 to 65535"
    );
    assert_eq!(
        refused(&[], &[("LEVERET_LOG_FORMAT", "xml")]),
        "environment variable LEVERET_LOG_FORMAT: invalid value 'xml' [possible values: text, json]"
    );
    assert_eq!(
        refused(&[], &[("LEVERET_MAX_MESSAGE_SIZE", "1XB")]),
        "environment variable LEVERET_MAX_MESSAGE_SIZE: invalid value '1XB': '1XB' is not a \
         size: use bytes or a unit, such as 16MiB or 64kB"
    );
}

#[test]
fn a_wrong_key_or_value_of_the_file_is_named_with_its_line() {
    let cases = [
        (
            "port = 1\nprot = 2\n",
            "line 2: unknown key `prot`: did you mean `port`?",
        ),
        ("config = 'x'", "line 1: unknown key `config`"),
        (
            "port = 'x'",
            "line 1: port: not a number from 0 to 65535: \"x\"",
        ),
        (
            "port = 70000",
            "line 1: port: not a number from 0 to 65535: 70000",
        ),
        (
            "bind = 'nowhere'",
            "line 1: bind: invalid IP address: use one such as 127.0.0.1",
        ),
        (
            "bind = '[::1]'",
            "line 1: bind: invalid IP address: use one such as 127.0.0.1, 0.0.0.0 or ::1, not a name",
        ),
        ("bind = 127.0.0.1", "line 1: string values must be quoted"),
        ("\nlog_level = info", "line 2: string values must be quoted"),
        ("data_dir = nowhere", "line 1: string values must be quoted"),
        (
            "management = 'false'",
            "line 1: management: not true or false without quotes: \"false\"",
        ),
        (
            "[management]\nport = 1",
            "line 1: management: not true or false without quotes: a table",
        ),
        (
            "prometheus_port = 'x'",
            "line 1: prometheus_port: 'x' is not a port",
        ),
        (
            "prometheus_port = 70000",
            "line 1: prometheus_port: '70000' is not a port",
        ),
        (
            "log_level = 'inof'",
            "line 1: log_level: 'inof' is not a log level",
        ),
        ("\nframe_max = 1", "line 2: frame_max: 1 is out of range"),
        (
            "management_login_session_timeout = 0",
            "line 1: management_login_session_timeout: 0 is out of range",
        ),
        ("frame_max = true", "line 1: frame_max: use a size"),
        ("port = ", "line 1: "),
    ];
    for (text, wanted) in cases {
        let (_folder, path) = file(text);
        let line = refused(&["--config", &path], &[]);
        let reason = line
            .strip_prefix(&format!("config file {path}: "))
            .expect(&line);
        assert!(reason.starts_with(wanted), "{reason}");
        assert!(!reason.contains('\n'), "{reason}");
    }
    let missing = refused(&["--config", "/nowhere/leveret.toml"], &[]);
    assert!(
        missing.starts_with("config file /nowhere/leveret.toml: No such file"),
        "{missing}"
    );
}

#[test]
fn none_takes_back_what_a_lower_layer_sets() {
    let (folder, path) = file("load_definitions = 'd'\nprometheus_port = 15692");
    let config = load(&["--config", &path], &[]).unwrap();
    assert_eq!(config.load_definitions, Some(folder.path().join("d")));
    assert_eq!(config.prometheus_port, Some(15692));
    let flags = ["--config", &path, "--load-definitions=none"];
    let config = load(&flags, &[("LEVERET_PROMETHEUS_PORT", "none")]).unwrap();
    assert_eq!(
        (config.load_definitions, config.prometheus_port),
        (None, None)
    );
    let (_folder, path) = file("load_definitions = 'none'\nprometheus_port = 'none'");
    let config = load(&["--config", &path], &[]).unwrap();
    assert_eq!(
        (config.load_definitions, config.prometheus_port),
        (None, None)
    );
}

#[test]
fn what_is_shown_is_a_file_with_the_same_settings() {
    let flags = [
        "--loopback-users=1",
        "--disk-free-limit=mem_relative 1.5",
        "--log-level=info,leveret=debug",
        "--anonymous-login-user=a\"b\\",
        "--load-definitions=true",
        "--prometheus-port=0",
        "--management-cors-allow-origins=https://a.example,https://b.example",
    ];
    let listeners = [
        "--listeners=localhost:1,amqps://unix:/run/a.sock?mode=600&backlog=7",
        "--management-listeners=https://[::]:2?proxy_protocol=10.0.0.0/8",
        "--prometheus-listeners=127.0.0.1:3",
        "--tcp-keepalive=0",
    ];
    for flags in [&flags[..], &listeners, &[]] {
        let config = load(flags, &[]).unwrap();
        let (_folder, path) = file(&config.to_file());
        let again = load(&["--config", &path], &[]).unwrap();
        let differs = |key: &str| key == "load_definitions" && !flags.is_empty();
        for (one, other) in config.settings().iter().zip(again.settings()) {
            assert!(*one == other || differs(one.0), "{one:?} {other:?}");
        }
    }
}

#[test]
fn listeners_take_the_place_of_an_address_and_ports_and_the_other_way_round() {
    let places = |config: &Config| -> Vec<String> {
        let listeners = config.amqp_listeners(true).into_iter();
        listeners.map(|spec| spec.place.to_string()).collect()
    };
    let config = load(&[], &[]).unwrap();
    assert_eq!(places(&config), ["127.0.0.1:5672", "127.0.0.1:5671"]);
    let config = load(&["--bind=::", "--tls-port=1", "--port=2"], &[]).unwrap();
    assert_eq!(places(&config), ["[::]:2", "[::]:1"]);
    let config = load(&["--tls-port=none"], &[]).unwrap();
    assert_eq!(places(&config), ["127.0.0.1:5672"]);

    let (_folder, path) = file("listeners = ['[::1]:1', 'unix:/a?mode=600']\nmanagement = false");
    let config = load(&["--config", &path], &[]).unwrap();
    assert_eq!(places(&config), ["[::1]:1", "unix:/a"]);
    assert!(config.management_listeners(true).is_empty());
    // The stronger layer wins, whichever way it says it.
    let config = load(&["--config", &path, "--port=7"], &[]).unwrap();
    assert_eq!(places(&config), ["127.0.0.1:7", "127.0.0.1:5671"]);
    let config = load(
        &["--config", &path],
        &[("LEVERET_LISTENERS", "localhost:3")],
    )
    .unwrap();
    assert_eq!(places(&config), ["localhost:3"]);
    let config = load(&["--config", &path, "--listeners=none"], &[]).unwrap();
    assert_eq!(places(&config), ["127.0.0.1:5672", "127.0.0.1:5671"]);
    // Both in one layer contradict each other.
    let both = [("LEVERET_LISTENERS", "localhost:3"), ("LEVERET_PORT", "3")];
    let reason = "LEVERET_LISTENERS: it takes the place of port: use one or the other";
    assert!(
        refused(&[], &both).contains(reason),
        "{}",
        refused(&[], &both)
    );
    let (_folder, path) = file("prometheus_listeners = 'localhost:1'\nprometheus_port = 1");
    let line = refused(&["--config", &path], &[]);
    assert!(
        line.contains("prometheus_listeners: it takes the place of prometheus_port"),
        "{line}"
    );
}

#[test]
fn misspelt_variables_are_found() {
    let names = [
        "LEVERET_MANAGMENT",
        "LEVERET_PORT",
        "LEVERET_DEFAULT_PASS",
        "HOME",
        "LEVERET_port",
    ];
    let unknown = super::load::unknown(names.map(|name| (OsString::from(name), OsString::new())));
    assert_eq!(unknown, ["LEVERET_MANAGMENT", "LEVERET_port"]);
    let names = [
        "RABBITMQ_DEFAULT_USER",
        "RABBITMQ_DEFAULT_PERMISSIONS",
        "RABBITMQ_CONFIG_FILE",
        "RABBITMQ_CONFIG_FILES",
        // Of Kubernetes, for a service called rabbitmq, and of an image.
        "RABBITMQ_PORT_5672_TCP_ADDR",
        "RABBITMQ_SERVICE_HOST",
        "RABBITMQ_VERSION",
    ];
    let unknown = super::load::unknown(names.map(|name| (OsString::from(name), OsString::new())));
    assert_eq!(
        unknown,
        ["RABBITMQ_CONFIG_FILES", "RABBITMQ_DEFAULT_PERMISSIONS"]
    );
}

#[test]
fn a_missing_command_is_named() {
    let reason = refused(&["tls"], &[]);
    assert_eq!(
        reason,
        "a command is missing: selfsigned (leveret tls --help)"
    );
}

#[test]
fn help_and_version_are_no_errors() {
    for (flag, wanted) in [("--help", "--data-dir <DIR>"), ("--version", "leveret 0.")] {
        match load(&[flag], &[]) {
            Err(error @ ConfigError::Shown(_)) => {
                assert_eq!(error.status(), 0);
                assert!(error.to_string().contains(wanted), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
}
