//! Which configuration files are read, and which of them wins.

use super::tests::{file, refused};
use super::{Config, ConfigError, Environment, locate_data_dir};
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// Loads with these flags and variables, where this is the folder of the default files.
fn load_by(
    default_folder: &Path,
    flags: &[&str],
    variables: &[(&str, &str)],
) -> Result<Config, ConfigError> {
    let variable = |name: &str| {
        let set = variables.iter().find(|(key, _)| *key == name);
        set.map(|(_, value)| OsString::from(value))
            .or_else(|| (name == "HOME").then(|| "/home/hare".into()))
    };
    let args = std::iter::once(&"leveret").chain(flags).map(OsString::from);
    let environment = Environment {
        variable: &variable,
        uid: 1000,
        default_folder,
    };
    Config::load_in(args, &environment)
}

fn names(config: &Config, folder: &Path) -> Vec<String> {
    let within = |path: &PathBuf| path.strip_prefix(folder).unwrap().display().to_string();
    config.config_files.iter().map(within).collect()
}

#[test]
fn the_default_files_are_read_in_the_order_of_their_names_and_the_last_wins() {
    let folder = folder(&[
        ("leveret.toml", "port = 1\nheartbeat = 1\nchannel_max = 1"),
        ("conf.d/10-a.toml", "heartbeat = 2\nchannel_max = 2"),
        ("conf.d/20-b.toml", "channel_max = 3"),
        ("conf.d/.20-b.toml.swp", "nonsense"),
        ("conf.d/.#a.toml", "nonsense"),
        ("conf.d/README", "nonsense"),
        ("conf.d/30-c.toml.dpkg-old", "nonsense"),
    ]);
    let config = load_by(folder.path(), &[], &[]).unwrap();
    assert_eq!(
        (config.port, config.heartbeat, config.channel_max),
        (1, 2, 3)
    );
    let read = ["leveret.toml", "conf.d/10-a.toml", "conf.d/20-b.toml"];
    assert_eq!(names(&config, folder.path()), read);
    // Flags and variables still win.
    let config = load_by(folder.path(), &["--port=7"], &[("LEVERET_HEARTBEAT", "8")]);
    let config = config.unwrap();
    assert_eq!((config.port, config.heartbeat), (7, 8));
    assert_eq!(config.channel_max, 3);
}

#[test]
fn without_default_files_a_broker_starts_all_the_same() {
    let empty = tempfile::tempdir().unwrap();
    for place in [empty.path(), Path::new("/nonexistent/leveret")] {
        let config = load_by(place, &[], &[]).unwrap();
        assert!(config.config_files.is_empty());
    }
}

#[test]
fn what_is_named_takes_the_place_of_the_default_files_and_none_of_all() {
    let default = folder(&[("leveret.toml", "heartbeat = 9\nport = 9")]);
    let named = folder(&[("a.toml", "port = 1"), ("b.toml", "port = 2")]);
    let directory = named.path().to_str().unwrap();
    let file = named.path().join("a.toml").display().to_string();
    let loaded = |flags: &[&str], variables: &[(&str, &str)]| {
        let config = load_by(default.path(), flags, variables).unwrap();
        (config.port, config.heartbeat, config.config_files.len())
    };
    assert_eq!(loaded(&[], &[]), (9, 9, 1));
    assert_eq!(loaded(&["--config", directory], &[]), (2, 60, 2));
    assert_eq!(loaded(&["--config", &file], &[]), (1, 60, 1));
    assert_eq!(loaded(&[], &[("LEVERET_CONFIG", &file)]), (1, 60, 1));
    assert_eq!(loaded(&[], &[("LEVERET_CONFIG", "none")]), (5672, 60, 0));
    assert_eq!(
        loaded(&["--config=none"], &[("LEVERET_CONFIG", &file)]),
        (5672, 60, 0)
    );
    let both = [("LEVERET_CONFIG", "none"), ("RABBITMQ_CONFIG_FILE", &file)];
    assert_eq!(loaded(&[], &both), (5672, 60, 0));
    let rabbitmq = [("RABBITMQ_CONFIG_FILE", &*file)];
    assert_eq!(loaded(&[], &rabbitmq), (1, 60, 1));
}

#[test]
fn a_named_directory_may_have_a_conf_d_whose_files_come_last() {
    let named = folder(&[
        ("z.toml", "port = 1\nheartbeat = 1"),
        ("conf.d/a.toml", "heartbeat = 2"),
        ("conf.d/conf.d/a.conf", "channel_max = 3"),
    ]);
    let directory = named.path().to_str().unwrap();
    let config = load_by(Path::new("/nonexistent"), &["--config", directory], &[]).unwrap();
    assert_eq!(
        (config.port, config.heartbeat, config.channel_max),
        (1, 2, 3)
    );
    let read = ["z.toml", "conf.d/a.toml", "conf.d/conf.d/a.conf"];
    assert_eq!(names(&config, named.path()), read);
}

#[test]
fn rabbitmqs_variable_names_a_file_with_or_without_its_extension() {
    let folder = folder(&[("rabbitmq.conf", "heartbeat 7")]);
    let base = folder.path().join("rabbitmq").display().to_string();
    for named in [base.clone(), format!("{base}.conf")] {
        let variables = [("RABBITMQ_CONFIG_FILE", &*named)];
        let told = refused(&[], &variables);
        assert!(
            told.starts_with(&format!("config file {base}.conf: ")),
            "{told}"
        );
    }
    let told = refused(&[], &[("RABBITMQ_CONFIG_FILE", "/nowhere/rabbitmq")]);
    assert!(
        told.starts_with("config file /nowhere/rabbitmq: No such file"),
        "{told}"
    );
    let told = refused(&["--config", "/etc/rabbitmq/advanced.config"], &[]);
    assert!(told.contains("RabbitMQ's format of Erlang terms"), "{told}");
}

#[test]
fn a_wrong_file_is_named_with_its_line_whichever_it_is() {
    let folder = folder(&[
        ("leveret.toml", "port = 1\n"),
        ("conf.d/a.toml", "\nprot = 2\n"),
    ]);
    let told = load_by(folder.path(), &[], &[]).unwrap_err().to_string();
    let path = folder.path().join("conf.d/a.toml");
    let start = format!("config file {}: line 2: unknown key `prot`", path.display());
    assert!(told.starts_with(&start), "{told}");
    // Both forms in one file contradict each other; in two, the later one wins.
    let both = ("a.toml", "port = 1\nlisteners = 'localhost:2'");
    let folder = self::folder(&[both]);
    let told = load_by(
        Path::new("/x"),
        &["--config", folder.path().to_str().unwrap()],
        &[],
    );
    let told = told.unwrap_err().to_string();
    assert!(
        told.contains("a.toml: line 2: listeners: it takes the place of port"),
        "{told}"
    );
}

#[test]
fn an_address_in_a_later_file_takes_the_place_of_listeners_in_an_earlier_one() {
    let folder = folder(&[
        ("a.toml", "listeners = 'localhost:1'\ndefault_pass = 'x'"),
        (
            "b.toml",
            "port = 2\ntls_port = 'none'\ndefault_pass_file = 'pass'",
        ),
        ("pass", "secret\n"),
    ]);
    let config = load_by(
        Path::new("/x"),
        &["--config", folder.path().to_str().unwrap()],
        &[],
    );
    let config = config.unwrap();
    let places = config.amqp_listeners(true).into_iter();
    let places: Vec<_> = places.map(|spec| spec.place.to_string()).collect();
    assert_eq!(places, ["127.0.0.1:2"]);
    assert_eq!(config.default_pass.expose(), "secret");
}

#[test]
fn what_takes_the_place_of_another_form_is_told_with_both_places() {
    let folder = folder(&[
        (
            "leveret.toml",
            "listeners = '127.0.0.1:1'\nmanagement_port = 3\nprometheus_listeners = '127.0.0.1:4'\ndefault_pass = 'x'",
        ),
        ("conf.d/a.toml", "prometheus_port = 5"),
    ]);
    let file = folder.path().join("leveret.toml").display().to_string();
    let later = folder.path().join("conf.d/a.toml").display().to_string();
    let pass = folder.path().join("pass");
    fs::write(&pass, "secret\n").unwrap();
    let told = |flags: &[&str], variables: &[(&str, &str)]| {
        let config = load_by(folder.path(), flags, variables).unwrap();
        let notes = config.notes.iter();
        notes.map(|note| note.to_string()).collect::<Vec<_>>()
    };
    let note = |loser: &str, winner: &str| {
        format!(
            "{loser}: this has no effect, because {winner} takes its place: use one or the other"
        )
    };
    let prometheus = note(
        &format!("prometheus_listeners in {file}"),
        &format!("prometheus_port in {later}"),
    );
    assert_eq!(told(&[], &[]), std::slice::from_ref(&prometheus));
    let listeners = format!("listeners in {file}");
    let variable = [("LEVERET_BIND", "0.0.0.0")];
    assert_eq!(
        told(&[], &variable),
        [note(&listeners, "LEVERET_BIND"), prometheus.clone()]
    );
    let of_rabbitmq = [("RABBITMQ_NODE_PORT", "7")];
    assert_eq!(
        told(&[], &of_rabbitmq),
        [note(&listeners, "RABBITMQ_NODE_PORT"), prometheus.clone()]
    );
    let pass = pass.to_str().unwrap();
    let flags = [
        "--port",
        "7",
        "--tls-port",
        "none",
        "--management-listeners",
        "127.0.0.1:8",
        "--default-pass-file",
        pass,
    ];
    assert_eq!(
        told(&flags, &variable),
        [
            note(&listeners, "--port, --tls-port"),
            note(
                &format!("management_port in {file}"),
                "--management-listeners"
            ),
            prometheus,
            note(&format!("default_pass in {file}"), "--default-pass-file"),
        ]
    );
}

#[test]
fn the_same_form_in_a_higher_layer_is_nothing_to_tell() {
    let folder = folder(&[("leveret.toml", "port = 1\ndefault_pass = 'x'")]);
    let variables = [("LEVERET_DEFAULT_PASS", "y")];
    let config = load_by(folder.path(), &["--port", "2"], &variables).unwrap();
    assert_eq!(config.notes, []);
    assert_eq!(config.port, 2);
}

#[test]
fn what_is_there_and_unreadable_is_named_with_what_to_do() {
    let folder = folder(&[("conf.d", "a file")]);
    let told = load_by(folder.path(), &[], &[]).unwrap_err().to_string();
    let path = folder.path().join("conf.d").display().to_string();
    assert!(told.starts_with(&format!("config file {path}: ")), "{told}");
    let folder = self::folder(&[("leveret.toml", "port = 1")]);
    let path = folder.path().join("leveret.toml");
    fs::set_permissions(&path, Permissions::from_mode(0o0)).unwrap();
    if fs::read(&path).is_ok() {
        eprintln!("skipped: root may read everything");
        return;
    }
    let told = load_by(folder.path(), &[], &[]).unwrap_err().to_string();
    assert!(told.contains("leveret.toml: Permission denied"), "{told}");
    assert!(told.ends_with("with --config none"), "{told}");
}

#[test]
fn only_text_of_a_bounded_size_is_read() {
    for (path, reason) in [
        ("/dev/zero", "it has more than 4194304 bytes"),
        ("/proc/self/exe", "it "),
    ] {
        let told = refused(&["--config", path], &[]);
        assert!(
            told.starts_with(&format!("config file {path}: {reason}")),
            "{told}"
        );
    }
}

#[test]
fn leveretctl_reads_the_default_files_and_goes_on_if_they_are_wrong() {
    let nothing = |_: &str| None;
    let locate = |folder: &Path, config: Option<&str>| {
        let environment = Environment {
            variable: &nothing,
            uid: 0,
            default_folder: folder,
        };
        locate_data_dir(None, config.map(Into::into), &environment)
    };
    let right = folder(&[
        ("leveret.toml", "data_dir = '/srv/hare'"),
        ("conf.d/rabbitmq.conf", "not read: it has no such key"),
    ]);
    let found = locate(right.path(), None).unwrap();
    assert_eq!(found.path, Some(PathBuf::from("/srv/hare")));
    assert!(!found.is_chosen && found.unread.is_none());
    let found = locate(right.path(), Some("none")).unwrap();
    assert_eq!(found.path, Some(PathBuf::from("/var/lib/leveret")));
    assert!(!found.is_chosen);
    let wrong = folder(&[("leveret.toml", "dtaa_dir = '/srv/hare'")]);
    let found = locate(wrong.path(), None).unwrap();
    assert_eq!(found.path, Some(PathBuf::from("/var/lib/leveret")));
    let unread = found.unread.unwrap().to_string();
    assert!(unread.contains("unknown key `dtaa_dir`"), "{unread}");
    let named = wrong.path().join("leveret.toml");
    assert!(locate(right.path(), named.to_str()).is_err());
}

#[test]
fn leveretctl_finds_the_directory_that_the_broker_uses() {
    let (_folder, path) = file("data_dir = '/srv/hare'");
    let nothing = |_: &str| None;
    let environment = Environment {
        variable: &nothing,
        uid: 0,
        default_folder: Path::new("/nonexistent"),
    };
    let found = |data_dir: Option<&str>, config: Option<&str>| {
        locate_data_dir(
            data_dir.map(Into::into),
            config.map(Into::into),
            &environment,
        )
        .unwrap()
        .path
        .unwrap()
    };
    assert_eq!(found(None, None), Path::new("/var/lib/leveret"));
    assert_eq!(found(None, Some(&path)), Path::new("/srv/hare"));
    assert_eq!(found(Some("/a"), Some(&path)), Path::new("/a"));
    let homeless = Environment {
        uid: 1000,
        ..environment
    };
    assert_eq!(locate_data_dir(None, None, &homeless).unwrap().path, None);
    let xdg = |name: &str| (name == "XDG_DATA_HOME").then(|| OsString::from("/x"));
    let environment = Environment {
        variable: &xdg,
        ..homeless
    };
    assert_eq!(
        locate_data_dir(None, None, &environment).unwrap().path,
        Some(PathBuf::from("/x/leveret"))
    );
}
