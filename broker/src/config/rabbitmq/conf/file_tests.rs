//! How files are found and included, and written as files of our own.

use super::import::Imported;
use super::read;
use crate::config::file;
use std::fs;
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_value_may_be_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), "s3cr#t\n").unwrap();
    let path = folder.path().join("rabbitmq.conf");
    fs::write(&path, "default_pass = $(<secret)\n").unwrap();
    let (settings, _) = read(&[path]).unwrap();
    assert_eq!(settings.default_pass.unwrap().expose(), "s3cr#t");
}

#[test]
fn files_include_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("conf.d")).unwrap();
    fs::write(path("conf.d/20-b.conf"), "heartbeat = 20").unwrap();
    fs::write(path("conf.d/10-a.conf"), "heartbeat = 10\nchannel_max = 7").unwrap();
    fs::write(path("conf.d/.hidden.conf"), "nonsense").unwrap();
    fs::write(
        path("rabbitmq.conf"),
        "heartbeat = 5\ninclude conf.d/*.conf\ninclude nothing.conf\n",
    )
    .unwrap();
    let (settings, notes) = read(&[path("rabbitmq.conf")]).unwrap();
    assert_eq!(
        (settings.heartbeat, settings.channel_max),
        (Some(20), Some(7))
    );
    assert_eq!(notes.len(), 1);
    assert!(
        notes[0]
            .to_string()
            .contains("include (line 3): no file has that name"),
        "{}",
        notes[0]
    );
    fs::write(path("loop.conf"), "include loop.conf").unwrap();
    let error = read(&[path("loop.conf")]).unwrap_err().to_string();
    assert!(error.contains("8 times deep"), "{error}");
    fs::write(path("conf.d/10-a.conf"), "heartbaet = 10").unwrap();
    let error = read(&[path("rabbitmq.conf")]).unwrap_err().to_string();
    assert!(
        error.contains(
            "10-a.conf: line 1: heartbaet: there is no such key: did you mean heartbeat?"
        ),
        "{error}"
    );
}

#[test]
fn what_is_imported_means_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("conf.d")).unwrap();
    let text = "listeners.tcp.default = 5672\ndefault_user = o'neil\ndefault_pass = 'p\"a\\s#s'\nload_definitions = defs.json\n\
                loopback_users.guest = false\nvm_memory_high_watermark.absolute = 2GB\ncluster_name = x\n\
                auth_oauth2.scope_aliases.boss = r.tag:administrator\n";
    fs::write(path("rabbitmq.conf"), text).unwrap();
    fs::write(path("conf.d/10.conf"), "heartbeat = 7\n").unwrap();
    let imported = Imported::read(folder.path(), false).unwrap();
    let written = path("leveret.toml");
    imported.save(&written).unwrap();
    assert!(
        imported
            .save(&written)
            .unwrap_err()
            .to_string()
            .contains("is not overwritten")
    );
    let mode = fs::metadata(&written).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(imported.text.contains("# - "), "{}", imported.text);
    assert!(
        !imported.text.contains("# listeners ="),
        "{}",
        imported.text
    );
    let ours = file::read(&written).unwrap();
    let (theirs, _) = read(&[path("rabbitmq.conf"), path("conf.d/10.conf")]).unwrap();
    assert_eq!(
        format!("{ours:?}"),
        format!("{theirs:?}"),
        "{}",
        imported.text
    );
    assert_eq!(ours.default_pass, theirs.default_pass);

    fs::write(path("advanced.config"), "%% nothing\n[].\n").unwrap();
    assert!(Imported::read(&path("rabbitmq.conf"), false).is_ok());
    fs::write(path("advanced.config"), "[{rabbit, []}].").unwrap();
    let error = Imported::read(folder.path(), false)
        .unwrap_err()
        .to_string();
    assert!(error.contains("--without-advanced"), "{error}");
    let imported = Imported::read(folder.path(), true).unwrap();
    assert!(
        imported.text.contains("it was left out"),
        "{}",
        imported.text
    );
}

#[test]
fn the_group_of_the_folder_may_read_what_is_imported_if_it_is_another() {
    use std::os::unix::fs::{MetadataExt, chown};
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("rabbitmq.conf"), "heartbeat = 7\n").unwrap();
    let imported = Imported::read(&path("rabbitmq.conf"), false).unwrap();
    let other = rustix::process::getegid().as_raw() + 54_321;
    if chown(folder.path(), None, Some(other)).is_err() {
        eprintln!("skipped: only root may give files away");
        return;
    }
    for (of_folder, of_file, group) in [
        (0o750, 0o640, other),
        (0o755, 0o640, other),
        (0o700, 0o600, rustix::process::getegid().as_raw()),
    ] {
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(of_folder)).unwrap();
        let written = path("leveret.toml");
        imported.save(&written).unwrap();
        let found = fs::metadata(&written).unwrap();
        assert_eq!(found.mode() & 0o777, of_file, "{of_folder:o}");
        assert_eq!(found.gid(), group, "{of_folder:o}");
        fs::remove_file(&written).unwrap();
    }
}

#[test]
fn errors_and_notes_name_keys_as_they_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rabbitmq.conf");
    let read = |text: &str| {
        fs::write(&path, text).unwrap();
        read(std::slice::from_ref(&path))
    };
    for (text, words) in [
        ("channel_max = -1", "line 1: channel_max: '-1'"),
        (
            "max_channels_per_connection = -1",
            "line 1: max_channels_per_connection: '-1'",
        ),
        (
            "vm_memory_high_watermark.absolute = 40",
            "did you mean vm_memory_high_watermark.relative = 0.4 (40 % of the memory) or \
             vm_memory_high_watermark.absolute = 40MB?",
        ),
        (
            "vm_memory_high_watermark.absolute = 400",
            "did you mean vm_memory_high_watermark.absolute = 400MB?",
        ),
    ] {
        let told = read(text).unwrap_err().to_string();
        assert!(told.contains(words), "{text}: {told}");
    }
    let text = "ssl_options.certfile = a\nssl_options.keyfile = b\nmanagement.ssl.certfile = c\nmanagement.ssl.keyfile = d\n";
    let (_, notes) = read(text).unwrap();
    let notes: Vec<String> = notes.iter().map(ToString::to_string).collect();
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(
        notes[1].contains("management.ssl.keyfile (line 4)"),
        "{notes:?}"
    );
}
