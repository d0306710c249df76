//! Which broker is found, and which is not used.

use super::*;
use std::os::unix::net::UnixListener;
use tempfile::TempDir;

/// A user of no machine.
const STRANGER: u32 = 3_999_999_999;

struct World {
    folder: TempDir,
    machine: Machine,
    brokers: Vec<UnixListener>,
}

impl World {
    /// A machine without brokers, for the user who owns the files of this test.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let own = fs::metadata(folder.path()).unwrap().uid();
        let users = folder.path().join("passwd");
        let home = folder.path().join("home/walker");
        let lines = format!("broken\nwalker:x:{own}:1000:W:{}:/bin/sh\n", home.display());
        fs::write(&users, lines).unwrap();
        let machine = Machine {
            uid: own,
            sudo_uid: None,
            system: folder.path().join("system"),
            sockets: folder.path().join("sockets"),
            users,
        };
        World {
            folder,
            machine,
            brokers: Vec::new(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a broker, as far as finding it goes.
    fn broker(&mut self, name: &str) {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        let socket = UnixListener::bind(path.join(SOCKET_NAME)).unwrap();
        self.brokers.push(socket);
    }

    /// Adds a directory to the table of sockets.
    fn listed(&self, name: &str) {
        let path = self.path(name);
        let line = format!("0: 2 0 00010000 0001 01 1 {}/leveret.new\n", path.display());
        let mut table = fs::read_to_string(&self.machine.sockets).unwrap_or_default();
        table.push_str(&line);
        fs::write(&self.machine.sockets, table).unwrap();
    }

    fn find(&self) -> Result<PathBuf, String> {
        self.machine.find(&DataDir {
            path: Some(self.path("default")),
            is_chosen: false,
            unread: None,
        })
    }
}

#[test]
fn the_default_directory_comes_first() {
    let mut world = World::new();
    world.broker("system");
    assert_eq!(world.find(), Ok(world.path("system")));
    world.broker("default");
    assert_eq!(world.find(), Ok(world.path("default")));
}

#[test]
fn the_only_broker_is_found_wherever_it_is() {
    let mut world = World::new();
    world.broker("elsewhere");
    assert!(world.find().is_err());
    world.listed("elsewhere");
    world.listed("gone");
    assert_eq!(world.find(), Ok(world.path("elsewhere")));
}

#[test]
fn who_calls_sudo_finds_his_own_broker() {
    let mut world = World::new();
    world.broker("home/walker/.local/share/leveret");
    assert!(world.find().is_err());
    world.machine.sudo_uid = Some(world.machine.uid);
    let found = world.find();
    assert_eq!(found, Ok(world.path("home/walker/.local/share/leveret")));
}

#[test]
fn several_brokers_are_listed_and_none_is_used() {
    let mut world = World::new();
    for name in ["system", "one", "two"] {
        world.broker(name);
        world.listed(name);
    }
    let told = world.find().unwrap_err();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[0], "several brokers are running:");
    for (line, name) in lines[1..4].iter().zip(["system", "one", "two"]) {
        assert_eq!(line.trim(), world.path(name).to_str().unwrap());
    }
    assert!(lines[4].starts_with("Name the directory of one of them with --data-dir"));
}

#[test]
fn where_nothing_is_found_every_place_is_listed_with_its_reason() {
    let mut world = World::new();
    fs::create_dir(world.path("file")).unwrap();
    fs::write(world.path("file").join(SOCKET_NAME), "no socket").unwrap();
    world.listed("file");
    world.broker("dead");
    world.brokers.clear();
    world.listed("dead");
    let told = world.find().unwrap_err();
    for name in ["default", "system", "file", "dead"] {
        let line = format!(
            "  {}: no broker is running there\n",
            world.path(name).display()
        );
        assert!(told.contains(&line), "{told}");
    }
    let told = world.machine.find(&DataDir {
        path: None,
        is_chosen: false,
        unread: Some(crate::config::ConfigError::Flag("it is wrong".into())),
    });
    let told = told.unwrap_err();
    assert!(
        told.contains("neither XDG_DATA_HOME nor HOME is set"),
        "{told}"
    );
    assert!(told.contains("which cannot be read: it is wrong"), "{told}");
}

#[test]
fn a_broker_of_anybody_else_is_listed_and_not_used() {
    let mut world = World::new();
    world.broker("trap");
    world.listed("trap");
    let own = world.machine.uid;
    assert_eq!(state(&world.path("trap"), &[own]), State::Answers);
    assert_eq!(
        state(&world.path("trap"), &[STRANGER]),
        State::Untrusted(own)
    );
    // Whoever is trusted, a link that somebody may turn elsewhere is not followed.
    std::os::unix::fs::symlink(world.path("trap"), world.path("link")).unwrap();
    fs::create_dir(world.path("linked")).unwrap();
    let socket = world.path("trap").join(SOCKET_NAME);
    std::os::unix::fs::symlink(socket, world.path("linked").join(SOCKET_NAME)).unwrap();
    assert_eq!(state(&world.path("linked"), &[own]), State::Nobody);
    // Root owns the files of this test where root runs it, and everybody trusts root.
    if own == ROOT {
        return;
    }
    world.machine.uid = STRANGER;
    let told = world.find().unwrap_err();
    let line = format!(
        "{}: belongs to the user walker",
        world.path("trap").display()
    );
    assert!(told.contains(&line), "{told}");
}

#[test]
fn the_owner_of_the_systems_directory_is_trusted() {
    let mut world = World::new();
    let own = world.machine.uid;
    world.machine.uid = STRANGER;
    assert_eq!(world.machine.trusted(), [STRANGER, ROOT]);
    world.broker("system");
    assert_eq!(world.machine.trusted(), [STRANGER, ROOT, own]);
    world.machine.sudo_uid = Some(7);
    assert_eq!(world.machine.trusted(), [STRANGER, ROOT, 7, own]);
    assert_eq!(world.find(), Ok(world.path("system")));
}

#[test]
fn only_root_is_believed_who_called_sudo() {
    let variable = |name: &str| (name == "SUDO_UID").then(|| "7".into());
    let machine = |uid| {
        Machine::of_process(&Environment {
            variable: &variable,
            uid,
            default_folder: Path::new("/nonexistent"),
        })
    };
    assert_eq!(machine(0).sudo_uid, Some(7));
    assert_eq!(machine(1000).sudo_uid, None);
}
