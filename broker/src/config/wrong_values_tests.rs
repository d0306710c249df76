//! What is said of wrong values, whichever way they are given.

use super::settings::Settings;
use super::tests::{file, load, refused};
use clap::Args;

/// Words that say something to those who know Rust or serde, and to nobody else.
const JARGON: [&str; 17] = [
    "u8",
    "u16",
    "u32",
    "u64",
    "i64",
    "f64",
    "usize",
    "bool ",
    "invalid digit",
    "invalid type",
    "invalid float",
    "sequence",
    "variant",
    "a map",
    "untagged",
    "did not match",
    "os error",
];

/// A key, a value as a flag has it and as the file has it, and what is said.
const WRONG: [(&str, &str, &str, &str); 30] = [
    ("port", "99999", "99999", "not a number from 0 to 65535"),
    ("port", "-1", "-1", "not a number from 0 to 65535"),
    ("port", "amqp", "'amqp'", "not a number from 0 to 65535"),
    ("port", "1.5", "1.5", "not a number from 0 to 65535"),
    (
        "port",
        "99999999999999999999",
        "'9'",
        "not a number from 0 to 65535",
    ),
    (
        "management_port",
        "5672,5673",
        "[5672, 5673]",
        "not a number from 0 to 65535",
    ),
    ("heartbeat", "60s", "'60s'", "not a number from 0 to 65535"),
    (
        "channel_max",
        "65536",
        "65536",
        "not a number from 0 to 65535",
    ),
    ("tcp_backlog", "-5", "-5", "not a number from 1 to 65535"),
    ("tcp_backlog", "0", "0", "0 is out of range: use 1 to 65535"),
    (
        "tcp_keepalive",
        "1m",
        "'1m'",
        "not a number from 0 to 32767",
    ),
    (
        "log_file_rotation_count",
        "many",
        "'many'",
        "not a number from 0 to 1000",
    ),
    (
        "management_login_session_timeout",
        "8h",
        "'8h'",
        "not a number from 1 to 525600",
    ),
    (
        "tls_port",
        "99999",
        "99999",
        "'99999' is not a port: use a whole number from 0 to 65535",
    ),
    (
        "prometheus_port",
        "no",
        "'no'",
        "'no' is not a port: use a whole number from 0 to 65535, or none",
    ),
    (
        "bind",
        "localhost",
        "'localhost'",
        "127.0.0.1, 0.0.0.0 or ::1, not a name",
    ),
    (
        "vm_memory_high_watermark",
        "40",
        "40",
        "did you mean 0.4 (40 % of the memory) or 40MB?",
    ),
    (
        "vm_memory_high_watermark",
        "2",
        "2",
        "did you mean 0.02 (2 % of the memory) or 2GB?",
    ),
    (
        "vm_memory_high_watermark",
        "-0.4",
        "-0.4",
        "use a fraction from 0.0 to 1.0, or a size such as 2GB",
    ),
    (
        "vm_memory_high_watermark",
        "2 GBs",
        "'2 GBs'",
        "use a fraction from 0.0 to 1.0, or a size such as 2GB",
    ),
    ("disk_free_limit", "50", "50", "did you mean 50MB?"),
    (
        "disk_free_limit",
        "0.5",
        "0.5",
        "did you mean \"mem_relative 0.5\"",
    ),
    (
        "max_message_size",
        "16MBit",
        "'16MBit'",
        "use bytes or a unit, such as 16MiB or 64kB",
    ),
    (
        "max_message_size",
        "0",
        "0",
        "0 is out of range: use 1 to 536870912 bytes",
    ),
    (
        "queue_memory",
        "-1",
        "'-1'",
        "use bytes or a unit, such as 16MiB or 64kB",
    ),
    (
        "consumer_timeout",
        "30m",
        "'30m'",
        "use milliseconds, or undefined for no limit",
    ),
    (
        "connection_max",
        "0",
        "0",
        "use a number above 0, or infinity",
    ),
    (
        "collect_statistics_interval",
        "1",
        "1",
        "use milliseconds, from 10 to 86400000",
    ),
    (
        "log_level",
        "verbose",
        "'verbose'",
        "use critical, error, warning, info, debug, trace or none",
    ),
    ("default_permissions_read", "(", "'('", "("),
];

#[test]
fn every_layer_says_what_would_be_right() {
    for (key, given, written, said) in WRONG {
        let flag = format!("--{}={given}", key.replace('_', "-"));
        let variable = format!("LEVERET_{}", key.to_uppercase());
        let (_folder, path) = file(&format!("# a comment\n{key} = {written}\n"));
        let by_flag = refused(&[&flag], &[]);
        let by_variable = refused(&[], &[(&variable, given)]);
        let by_file = refused(&["--config", &path], &[]);
        for told in [&by_flag, &by_variable, &by_file] {
            assert!(told.contains(said), "{key} {given}: {told}");
            assert!(!told.contains('\n'), "{told}");
        }
        assert!(
            by_variable.starts_with(&format!("environment variable {variable}: ")),
            "{by_variable}"
        );
        let place = format!("config file {path}: line 2: {key}: ");
        assert!(by_file.starts_with(&place), "{by_file}");
    }
}

#[test]
fn texts_that_only_the_file_can_get_wrong() {
    for (text, said) in [
        (
            "management = 'false'",
            "management: not true or false without quotes: \"false\"",
        ),
        (
            "management = 1",
            "management: not true or false without quotes: 1",
        ),
        ("data_dir = 1", "data_dir: not a path in quotes: 1"),
        ("data_dir = ['a']", "data_dir: not a path in quotes: a list"),
        (
            "default_user = ['a']",
            "default_user: not text in quotes: a list",
        ),
        (
            "default_user = true",
            "default_user: not text in quotes: true",
        ),
        (
            "bind = 127",
            "bind: not an IP address in quotes, such as \"127.0.0.1\": 127",
        ),
        ("port = {}", "port: not a number from 0 to 65535: a table"),
        (
            "log_format = 'xml'",
            "log_format: not a value of this setting: `xml`, use `text` or `json`",
        ),
        ("prot = 1", "unknown key `prot`: did you mean `port`?"),
        (
            "whatever = 1",
            "unknown key `whatever`: leveret --help lists all options, which are the keys with - for _",
        ),
    ] {
        let (_folder, path) = file(text);
        let told = refused(&["--config", &path], &[]);
        assert_eq!(told, format!("config file {path}: line 1: {said}"));
    }
}

/// Whatever is given for whichever setting: the answer is a setting, or one line in plain words.
#[test]
fn nothing_is_said_in_the_words_of_programmers() {
    let flags = Settings::augment_args(clap::Command::new("leveret"));
    let keys: Vec<String> = flags
        .get_arguments()
        .filter_map(|one| one.get_long().map(|flag| flag.replace('-', "_")))
        .filter(|key| key != "config")
        .collect();
    assert!(keys.len() > 60);
    let values = [
        "",
        "-1",
        "0",
        "1.5",
        "99999999999999999999",
        "x",
        "X,Y",
        ",",
        "none",
        "NONE",
        "True",
        "40%",
        "[]",
        "é\u{1b}[1m",
    ];
    let written = [
        "-1",
        "1.5",
        "true",
        "''",
        "[]",
        "[1]",
        "[['a']]",
        "{}",
        "{ a = 1 }",
        "1979-05-27",
        "inf",
        "nonsense",
        "-9223372036854775808",
    ];
    let check = |told: String| {
        assert!(!told.contains('\n'), "{told}");
        // What was given is not ours.
        for word in JARGON {
            assert!(!told.contains(word), "{word}: {told}");
        }
    };
    for key in &keys {
        for value in values {
            let flag = format!("--{}={value}", key.replace('_', "-"));
            if let Err(error) = load(&[&flag], &[]) {
                check(error.to_string());
            }
        }
        for value in written {
            let (_folder, path) = file(&format!("{key} = {value}"));
            if let Err(error) = load(&["--config", &path], &[]) {
                let told = error.to_string();
                let start = format!("config file {path}: line 1: ");
                let own = told.strip_prefix(&start);
                // A password file that does not exist is not the file's mistake.
                let own =
                    own.unwrap_or_else(|| told.strip_prefix("default_pass_file: ").expect(&told));
                check(own.to_owned());
            }
        }
    }
}
