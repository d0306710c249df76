//! The system's table of Unix sockets.

use std::ffi::OsStr;
use std::io::BufRead;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What the admin socket is called: its name, and the one under which it is bound, which the table shows.
const NAMES: [&str; 2] = ["leveret.sock", "leveret.new"];
/// The flag of a socket that accepts connections (`__SO_ACCEPTCON`).
const LISTENS: u32 = 0x1_0000;
/// More brokers than one machine has.
const MAX_FOUND: usize = 100;
/// The longest line: a path of a socket has at most 108 bytes.
const MAX_LINE: usize = 1024;

/// The directories of admin sockets.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listening {
    /// The directories, each once.
    pub(super) directories: Vec<PathBuf>,
    /// Whether there are brokers whose directories cannot be told, because their paths are too long for the table.
    pub(super) unknown: bool,
}

/// Reads a table in the format of `/proc/net/unix`. Lines that are not understood are left out: anybody may give a socket
/// any name.
pub(super) fn read(table: impl BufRead) -> Listening {
    let mut found = Listening::default();
    for line in table.split(b'\n').map_while(Result::ok) {
        let Some(path) = admin_socket(&line) else {
            continue;
        };
        let Some(directory) = path.parent() else {
            continue;
        };
        if directory.starts_with("/proc") {
            found.unknown = true;
        } else if directory.is_absolute() && !found.directories.iter().any(|it| it == directory) {
            found.directories.push(directory.to_owned());
        }
        if found.directories.len() == MAX_FOUND {
            break;
        }
    }
    found
}

/// Returns the path in a line, if it is that of an admin socket that accepts connections:
/// `Num: RefCount Protocol Flags Type St Inode Path`.
fn admin_socket(line: &[u8]) -> Option<&Path> {
    if line.len() > MAX_LINE {
        return None;
    }
    let mut rest = line;
    let mut field = || {
        let start = rest.iter().position(|byte| *byte != b' ')?;
        let end = rest[start..].iter().position(|byte| *byte == b' ')?;
        let field = &rest[start..start + end];
        rest = &rest[start + end + 1..];
        Some(field)
    };
    let flags = (0..7).map(|_| field()).collect::<Option<Vec<_>>>()?[3];
    let flags = u32::from_str_radix(std::str::from_utf8(flags).ok()?, 16).ok()?;
    let path = Path::new(OsStr::from_bytes(rest));
    let is_named = path
        .file_name()
        .is_some_and(|name| NAMES.iter().any(|it| name == *it));
    (flags & LISTENS != 0 && is_named).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TABLE: &str = "\
Num       RefCount Protocol Flags    Type St Inode Path
00000000c8b1f563: 00000002 00000000 00010000 0001 01 1306257 /var/lib/leveret/leveret.new
0000000015f34dbe: 00000003 00000000 00000000 0001 03    36 /home/a/accepted/leveret.new
00000000fff72073: 00000003 00000000 00000000 0001 03 1306259
00000000fff72074: 00000002 00000000 00010000 0001 01     7 /home/a b/data/leveret.sock
00000000fff72075: 00000002 00000000 00010000 0001 01 1306260 /var/lib/leveret/leveret.new
00000000fff72076: 00000002 00000000 00010000 0001 01 1306261 @leveret.sock
00000000fff72077: 00000002 00000000 00010000 0001 01 1306262 /run/other.sock
00000000fff72078: 00000002 00000000 00010000 0001 01 1306263 relative/leveret.sock
short
";

    fn directories(text: &str) -> Vec<String> {
        let found = read(text.as_bytes()).directories;
        found.iter().map(|it| it.display().to_string()).collect()
    }

    #[test]
    fn sockets_that_accept_connections_are_found_once() {
        assert_eq!(directories(TABLE), ["/var/lib/leveret", "/home/a b/data"]);
        assert!(!read(TABLE.as_bytes()).unknown);
    }

    #[test]
    fn a_long_path_is_known_to_be_unknown() {
        let line = "0: 00000002 00000000 00010000 0001 01 1 /proc/self/fd/9/leveret.new";
        let found = read(line.as_bytes());
        assert!(found.unknown && found.directories.is_empty());
    }

    #[test]
    fn no_more_is_kept_than_one_machine_can_have() {
        let line = |n: usize| format!("0: 2 0 00010000 0001 01 1 /d{n}/leveret.new\n");
        let table: String = (0..1000).map(line).collect();
        assert_eq!(directories(&table).len(), MAX_FOUND);
    }

    proptest! {
        #[test]
        fn any_table_is_read(bytes in proptest::collection::vec(any::<u8>(), 0..400), cut in 0..TABLE.len()) {
            read(&*bytes);
            let mut table = TABLE.as_bytes()[..cut].to_vec();
            table.extend(bytes);
            let found = read(&*table);
            prop_assert!(found.directories.iter().all(|it| it.is_absolute()));
        }
    }
}
