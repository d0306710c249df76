//! The users of the system, for directories that belong to them and messages that name them.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Where the system keeps them.
const USERS: &str = "/etc/passwd";
/// What is read of that file, in bytes.
const MAX_FILE: u64 = 4 << 20;

/// A user of the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemUser {
    /// The name to log in with.
    pub name: String,
    /// The home directory.
    pub home: PathBuf,
}

impl SystemUser {
    /// Returns the user with this number; `None` if the file of users does not have one.
    pub fn find(uid: u32) -> Option<Self> {
        Self::find_in(Path::new(USERS), uid)
    }

    /// Does what [`find`](Self::find) does, in another file of users.
    pub fn find_in(users: &Path, uid: u32) -> Option<Self> {
        let mut bytes = Vec::new();
        let file = File::open(users).ok()?;
        file.take(MAX_FILE).read_to_end(&mut bytes).ok()?;
        let users = String::from_utf8_lossy(&bytes);
        users.lines().find_map(|line| Self::parse(line, uid))
    }

    /// Returns how a user is called in messages: by name, or by number.
    pub fn called(uid: u32) -> String {
        Self::find(uid).map_or_else(|| format!("number {uid}"), |user| user.name)
    }

    /// Reads a line such as `walker:x:1000:1000:Walker:/home/walker:/bin/sh` if it is about this user.
    fn parse(line: &str, uid: u32) -> Option<Self> {
        let fields: Vec<&str> = line.split(':').collect();
        match fields[..] {
            [name, _, number, _, _, home, ..]
                if number.parse() == Ok(uid) && home.starts_with('/') =>
            {
                Some(SystemUser {
                    name: name.to_owned(),
                    home: PathBuf::from(home),
                })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_user_is_found_by_number() {
        let folder = tempfile::tempdir().unwrap();
        let users = folder.path().join("passwd");
        let lines = "root:x:0:0::/root:/bin/sh\n\nbroken:x\nno:x:7:7::home:\nwalker:x:1000:100:W:/home/w:/bin/sh\n";
        std::fs::write(&users, lines).unwrap();
        let name = |uid| SystemUser::find_in(&users, uid).map(|user| user.name);
        assert_eq!(name(0).as_deref(), Some("root"));
        assert_eq!(name(1000).as_deref(), Some("walker"));
        assert_eq!((name(7), name(1)), (None, None));
        assert_eq!(SystemUser::find_in(Path::new("/nonexistent"), 0), None);
    }

    proptest! {
        #[test]
        fn any_line_is_read(line in ".{0,60}", uid: u32) {
            let found = SystemUser::parse(&line, uid);
            prop_assert!(found.is_none_or(|user| user.home.is_absolute()));
        }
    }
}
