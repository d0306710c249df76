//! Looks at the data directory before anything is written there: it must be Leveret's, or nobody's.

use crate::config::{Config, SystemUser};
use rustix::fs::{Access, access};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The exit status of a start in a directory that cannot be used: that of a wrong configuration (`EX_CONFIG`).
pub const UNUSABLE: u8 = 78;
/// The folder of the store.
const STORE: &str = "store";
/// What else Leveret makes in a data directory, and what file systems do.
const OWN: [&str; 4] = ["leveret.new", "leveret.sock", "lost+found", "spill"];
/// What Leveret makes in its store.
const OF_STORE: [&str; 7] = [
    "clean",
    "last-segment",
    "lock",
    "log",
    "sled",
    "store",
    "volumes",
];
/// What the names of RabbitMQ's files begin with.
const OF_RABBITMQ: [&str; 4] = [".erlang.cookie", "mnesia", "rabbit@", "schema_upgrade_lock"];
/// Names that a message lists.
const SHOWN: usize = 3;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the data directory {} {reason}", path.display())]
pub struct Unusable {
    path: PathBuf,
    reason: String,
}

/// Checks that the data directory is one of Leveret's, or empty, or can be made.
///
/// # Errors
/// When it holds something else, or belongs to somebody else. Nothing was changed.
pub fn check(config: &Config) -> Result<(), Unusable> {
    if fs::metadata(&config.data_dir).is_ok_and(|found| found.is_dir()) {
        check_access(&config.data_dir).map_err(|reason| Unusable {
            path: config.data_dir.clone(),
            reason,
        })?;
        refuse_root(&config.data_dir)?;
    }
    check_contents(config)
}

/// Checks what a data directory that exists contains. Root may check what belongs to the user of the service, whom it
/// will start as.
///
/// # Errors
/// Why a start would not use it.
pub fn check_existing(config: &Config) -> Result<(), Unusable> {
    let is_missing = |error: io::Error| error.kind() == io::ErrorKind::NotFound;
    match fs::metadata(&config.data_dir).err().is_some_and(is_missing) {
        true => Ok(()),
        false if rustix::process::geteuid().is_root() => check_contents(config),
        false => check(config),
    }
}

fn check_contents(config: &Config) -> Result<(), Unusable> {
    let path = &config.data_dir;
    let refused = |reason: String| Unusable {
        path: path.clone(),
        reason,
    };
    match fs::metadata(path) {
        Ok(found) if !found.is_dir() => {
            let reason = "is a file: choose a directory with --data-dir".to_owned();
            return Err(refused(reason));
        }
        Ok(_) => {}
        Err(error) => return check_parent(path, &error).map_err(refused),
    }
    let store = path.join(STORE);
    match fs::metadata(&store) {
        Ok(found) if found.is_dir() => return check_store(&store).map_err(refused),
        Ok(_) => {
            let reason = format!(
                "has a file where Leveret keeps its folder {STORE}: nothing was changed; choose another directory with \
                 --data-dir, or move the file away"
            );
            return Err(refused(reason));
        }
        Err(_) => {}
    }
    let named = named_in(path, config);
    let foreign = foreign(path, |name| {
        is_own(name) || named.iter().any(|it| belongs(name, it))
    });
    let foreign = foreign.map_err(|error| refused(format!("cannot be read: {error}")))?;
    match foreign.first() {
        None => Ok(()),
        Some(_) => Err(refused(reason(&foreign))),
    }
}

/// Returns what is said of a directory with these files.
fn reason(foreign: &BTreeSet<String>) -> String {
    let of_rabbitmq = |name: &&String| OF_RABBITMQ.iter().any(|start| name.starts_with(start));
    let rabbitmq: Vec<&str> = foreign.iter().filter(of_rabbitmq).map(|it| &**it).collect();
    match rabbitmq.is_empty() {
        false => format!(
            "holds the data of a RabbitMQ node ({}), which Leveret cannot read: nothing was changed; choose another \
             directory with --data-dir, and move the messages over as docs/moving-from-rabbitmq.md says",
            listed(&rabbitmq)
        ),
        true => {
            let all: Vec<&str> = foreign.iter().map(|it| &**it).collect();
            format!(
                "holds what is not Leveret's ({}) and no store: nothing was changed; choose an empty directory with \
                 --data-dir, or move that away",
                listed(&all)
            )
        }
    }
}

fn listed(names: &[&str]) -> String {
    let more = names.len().saturating_sub(SHOWN);
    let names = names[..names.len().min(SHOWN)].join(", ");
    match more {
        0 => names,
        more => format!("{names} and {more} more"),
    }
}

/// Returns the names in a directory that are not known.
fn foreign(path: &Path, is_known: impl Fn(&str) -> bool) -> io::Result<BTreeSet<String>> {
    let mut foreign = BTreeSet::new();
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !is_known(&name) {
            foreign.insert(name);
        }
        // Enough to say what it is.
        if foreign.len() > 1000 {
            break;
        }
    }
    Ok(foreign)
}

/// Returns whether a name is that of something that Leveret makes: also stores that were set aside.
fn is_own(name: &str) -> bool {
    OWN.contains(&name)
        || name
            .strip_prefix(STORE)
            .is_some_and(|rest| rest.starts_with('.'))
}

/// Returns the first part of every path in the data directory that the configuration names.
fn named_in(data_dir: &Path, config: &Config) -> Vec<OsString> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let below = |path: &Path| {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let found = path.strip_prefix(data_dir).map(Path::to_owned);
        let found = found.or_else(|_| real(&path).strip_prefix(real(data_dir)).map(Path::to_owned));
        Some(found.ok()?.iter().next()?.to_owned())
    };
    config.paths().into_iter().filter_map(below).collect()
}

/// Returns whether a file is one that the configuration names, or one that is made beside it: a rotated log file, a socket
/// that is not ready yet.
fn belongs(name: &str, named: &OsString) -> bool {
    let named = named.to_string_lossy();
    let rest = name.strip_prefix(&*named);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-']))
}

/// Checks that a folder `store` is one of Leveret's, or an empty one.
fn check_store(store: &Path) -> Result<(), String> {
    if store.join("store").exists() {
        return Ok(());
    }
    // What the interrupted creation of a store leaves is known to the store.
    let is_known = |name: &str| {
        OF_STORE
            .iter()
            .any(|known| belongs(name, &OsString::from(known)))
    };
    // If it cannot be read, opening it will tell.
    let foreign = foreign(store, is_known).unwrap_or_default();
    if foreign.is_empty() {
        return Ok(());
    }
    let foreign: Vec<&str> = foreign.iter().map(|it| &**it).collect();
    Err(format!(
        "has a folder {STORE} that is not Leveret's (it contains {}): nothing was changed; choose another directory with \
         --data-dir, or move the folder away",
        listed(&foreign)
    ))
}

/// Checks that this user may work in a directory that exists.
fn check_access(path: &Path) -> Result<(), String> {
    match access(path, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::ROFS) => {
            let reason = "is on a file system that is mounted read-only: mount it for writing, or choose another \
                          directory with --data-dir";
            Err(reason.to_owned())
        }
        Err(_) => Err(denied(path)),
    }
}

/// Says whose a directory is, and what to do.
fn denied(path: &Path) -> String {
    let own = rustix::process::geteuid().as_raw();
    let caller = SystemUser::called(own);
    let found = fs::metadata(path);
    let mode = found.as_ref().map_or(0, |found| found.mode() & 0o7777);
    match found.map(|found| found.uid()) {
        Ok(owner) if owner != own => {
            let owner = SystemUser::called(owner);
            format!(
                "belongs to the user {owner} (mode {mode:o}), and this is the user {caller}: run leveret as {owner} (the \
                 service does, if it is installed), or choose a directory of your own with --data-dir"
            )
        }
        _ => format!(
            "may not be read and written by the user {caller} (mode {mode:o}): give it the mode 700 (chmod 700), or choose another \
             directory with --data-dir"
        ),
    }
}

/// Checks that root does not write into a data directory of another user, who could not read the new files: the next start
/// of the service would fail.
///
/// # Errors
/// This is root, and the store, or else the directory, belongs to another user. Nothing was changed.
pub fn refuse_root(path: &Path) -> Result<(), Unusable> {
    let caller = rustix::process::geteuid().as_raw();
    let found = fs::metadata(path.join(STORE)).or_else(|_| fs::metadata(path));
    // What cannot be looked at is told by whoever uses it.
    let owner = found.map_or(caller, |found| found.uid());
    if !is_roots_mistake(caller, owner) {
        return Ok(());
    }
    let (name, words) = match SystemUser::find(owner) {
        Some(user) => (user.name.clone(), user.name),
        None => (SystemUser::called(owner), format!("\\#{owner}")),
    };
    Err(Unusable {
        path: path.to_owned(),
        reason: format!(
            "belongs to the user {name}, who could not read what root writes there: nothing was changed; run \
             'systemctl start leveret', or 'sudo -u {words} leveret ...'"
        ),
    })
}

/// Returns whether the owner of a store could not use it any more after this user has written to it.
fn is_roots_mistake(caller: u32, owner: u32) -> bool {
    caller == 0 && owner != 0
}

/// Checks that a directory that does not exist can be made, as far as that can be told.
fn check_parent(path: &Path, error: &io::Error) -> Result<(), String> {
    if error.kind() == io::ErrorKind::PermissionDenied {
        let denied_at = path
            .ancestors()
            .skip(1)
            .find(|parent| fs::metadata(parent).is_ok());
        let parent = denied_at.unwrap_or(path).display();
        return Err(format!(
            "may not be looked at by the user {}, because of {parent}: run leveret as the user whom it belongs to, or \
             choose another directory with --data-dir",
            SystemUser::called(rustix::process::geteuid().as_raw())
        ));
    }
    let Some(parent) = path.ancestors().skip(1).find(|parent| parent.exists()) else {
        return Ok(());
    };
    if !parent.is_dir() {
        return Err(format!(
            "cannot be made, because {} is a file: choose another with --data-dir",
            parent.display()
        ));
    }
    match access(parent, Access::WRITE_OK | Access::EXEC_OK) {
        Err(rustix::io::Errno::ACCESS) => {
            let caller = SystemUser::called(rustix::process::geteuid().as_raw());
            let (shown, parent) = (path.display(), parent.display());
            Err(format!(
                "does not exist, and the user {caller} may make nothing in {parent}: make it with 'sudo install -d -m 700 \
                 -o {caller} {shown}', or choose another with --data-dir"
            ))
        }
        // Whatever else is wrong, making it will tell.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    /// A data directory with these files, and folders whose names end with a slash.
    fn directory(names: &[&str]) -> (TempDir, Config) {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            match name.strip_suffix('/') {
                Some(_) => fs::create_dir_all(path).unwrap(),
                None => fs::write(path, "").unwrap(),
            }
        }
        let config = Config::with_data_dir(folder.path().to_owned());
        (folder, config)
    }

    fn refused(names: &[&str]) -> String {
        let (folder, config) = directory(names);
        let before = fs::read_dir(folder.path()).unwrap().count();
        let told = check(&config).unwrap_err().to_string();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), before);
        let start = format!("the data directory {} ", folder.path().display());
        told.strip_prefix(&start).expect(&told).to_owned()
    }

    #[test]
    fn an_empty_directory_is_fine_and_so_is_what_a_broker_or_a_file_system_leaves() {
        for names in [
            &[][..],
            &["lost+found/"],
            &["store/"],
            &["store/", "store/log/", "store/lock"],
            &["store.damaged-1/", "spill/", "leveret.sock", "leveret.new"],
        ] {
            let (_folder, config) = directory(names);
            check(&config).unwrap_or_else(|error| panic!("{names:?}: {error}"));
        }
        let (folder, mut config) = directory(&[]);
        config.data_dir = folder.path().join("new/one");
        check(&config).unwrap();
    }

    #[test]
    fn a_directory_with_a_store_is_ours_whatever_else_is_in_it() {
        let names = ["store/", "store/store", "store/notes", "notes", "mnesia/"];
        let (_folder, config) = directory(&names);
        check(&config).unwrap();
    }

    #[test]
    fn rabbitmqs_directories_are_recognised() {
        for names in [
            &["mnesia/", ".erlang.cookie"][..],
            &[".erlang.cookie"],
            &[
                "rabbit@hare/",
                "rabbit@hare-feature_flags",
                "rabbit@hare.pid",
            ],
            &["schema_upgrade_lock", "x"],
        ] {
            let told = refused(names);
            assert!(
                told.starts_with("holds the data of a RabbitMQ node ("),
                "{told}"
            );
            assert!(told.contains("docs/moving-from-rabbitmq.md"), "{told}");
        }
    }

    #[test]
    fn a_directory_with_anything_unknown_is_refused() {
        let told = refused(&["a", "b", "c/", "d", "e", "lost+found/"]);
        assert_eq!(
            told,
            "holds what is not Leveret's (a, b, c and 2 more) and no store: nothing was changed; choose an empty directory \
             with --data-dir, or move that away"
        );
    }

    #[test]
    fn what_the_configuration_names_is_known() {
        let names = [
            "log/",
            "leveret.log",
            "leveret.log.1",
            "tls/",
            "amqp.sock",
            "leveret.toml",
        ];
        let (folder, mut config) = directory(&names);
        let within = |name: &str| folder.path().join(name);
        assert!(check(&config).is_err());
        config.log_file = Some(within("leveret.log"));
        config.tls_certfile = vec![within("tls/server.pem")];
        config.load_definitions = Some(within("log"));
        config.listeners = format!("unix:{}", within("amqp.sock").display())
            .parse::<crate::config::ListenerSpecs>()
            .unwrap()
            .0;
        config.config_files = vec![within("leveret.toml")];
        check(&config).unwrap();
    }

    #[test]
    fn a_store_that_is_something_else_is_refused() {
        assert!(refused(&["store"]).starts_with("has a file where Leveret keeps its folder store"));
        let told = refused(&["store/", "store/shirts", "store/log/"]);
        assert!(
            told.starts_with("has a folder store that is not Leveret's (it contains shirts)"),
            "{told}"
        );
        let (folder, mut config) = directory(&["file"]);
        config.data_dir = folder.path().join("file/data");
        let told = check(&config).unwrap_err().to_string();
        assert!(told.contains("file is a file: choose another"), "{told}");
        config.data_dir = folder.path().join("file");
        assert!(
            check(&config)
                .unwrap_err()
                .to_string()
                .contains("is a file")
        );
    }

    #[test]
    fn a_check_looks_at_what_is_there_only() {
        let (folder, mut config) = directory(&["mnesia/"]);
        assert!(check_existing(&config).is_err());
        config.data_dir = folder.path().join("none");
        check_existing(&config).unwrap();
        config.data_dir = folder.path().join("mnesia");
        check_existing(&config).unwrap();
    }

    #[test]
    fn root_does_not_write_into_a_directory_of_another_user() {
        for (caller, owner, refused) in [
            (0, 999, true),
            (0, 0, false),
            (999, 999, false),
            (999, 0, false),
        ] {
            assert_eq!(is_roots_mistake(caller, owner), refused, "{caller} {owner}");
        }
        let (folder, config) = directory(&["store/", "store/store"]);
        let store = folder.path().join(STORE);
        if std::os::unix::fs::chown(&store, Some(54_321), None).is_err() {
            eprintln!("skipped: only root may give files away");
            return;
        }
        let told = check(&config).unwrap_err().to_string();
        assert!(told.contains("user number 54321"), "{told}");
        assert!(told.contains("'sudo -u \\#54321 leveret ...'"), "{told}");
        assert_eq!(fs::read_dir(&store).unwrap().count(), 1, "untouched");
    }

    #[test]
    fn a_directory_that_this_user_may_not_use_is_refused_with_what_to_do() {
        use std::os::unix::fs::PermissionsExt;
        let (folder, mut config) = directory(&["closed/"]);
        let closed = folder.path().join("closed");
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).unwrap();
        if access(&closed, Access::WRITE_OK).is_ok() {
            eprintln!("skipped: root may write everywhere");
            return;
        }
        config.data_dir = closed.clone();
        let told = check(&config).unwrap_err().to_string();
        assert!(told.contains("chmod 700"), "{told}");
        config.data_dir = closed.join("data");
        let told = check(&config).unwrap_err().to_string();
        assert!(told.contains("sudo install -d -m 700"), "{told}");
    }
}
