//! Finds the running broker when nobody has said where it is.
//!
//! The broker that the caller started may use another directory than the caller's default, and `sudo leveretctl` is called
//! by another user than the one who started it. So after the default directory, that of the system's service, that of the
//! user who called sudo, and the system's table of sockets are looked at. A socket there may be a trap: who connects sends
//! passwords. So only brokers of users whom the caller trusts anyway are used; others are listed.

mod table;
#[cfg(test)]
mod tests;

use super::client::Client;
use crate::config::{DataDir, Environment, SYSTEM_DATA_DIR, SystemUser};
use crate::control::socket::{SOCKET_NAME, SocketPath};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// The administrator, who can replace everything here.
const ROOT: u32 = 0;

/// Where to look, and for whom.
#[derive(Debug)]
pub(super) struct Machine {
    /// The effective user.
    uid: u32,
    /// The user who called sudo.
    sudo_uid: Option<u32>,
    /// The directory of the broker that the system starts.
    system: PathBuf,
    /// The system's table of Unix sockets.
    sockets: PathBuf,
    /// The system's users.
    users: PathBuf,
}

/// What is in a directory.
#[derive(Debug, PartialEq, Eq)]
enum State {
    /// A broker answers.
    Answers,
    /// No broker runs there.
    Nobody,
    /// The caller may not look.
    Denied,
    /// It belongs to a user whom the caller may not trust.
    Untrusted(u32),
    /// The system's reason why it cannot be told.
    Unclear(String),
}

impl Machine {
    /// Returns the machine as this process sees it.
    pub(super) fn of_process(environment: &Environment<'_>) -> Self {
        let sudo_uid = environment.get("SUDO_UID");
        let sudo_uid = sudo_uid.and_then(|uid| uid.to_str()?.parse().ok());
        Machine {
            uid: environment.uid,
            // Others can set the variable themselves, and are not helped to more than their own brokers by it.
            sudo_uid: sudo_uid.filter(|_| environment.uid == ROOT),
            system: PathBuf::from(SYSTEM_DATA_DIR),
            sockets: PathBuf::from("/proc/net/unix"),
            users: PathBuf::from("/etc/passwd"),
        }
    }

    /// Returns the directory of the broker that the caller means: the default one if a broker answers there, or the only one
    /// that is found.
    ///
    /// # Errors
    /// When there is none, or several: where they were looked for, and what to do.
    pub(super) fn find(&self, default: &DataDir) -> Result<PathBuf, String> {
        let mut looked = Vec::new();
        if let Some(path) = &default.path {
            match state_of_default(path) {
                State::Answers => return Ok(path.clone()),
                state => looked.push((path.clone(), state)),
            }
        }
        let table = File::open(&self.sockets).map(|file| table::read(BufReader::new(file)));
        let table = table.unwrap_or_default();
        let mut others = vec![self.system.clone()];
        others.extend(self.default_of_sudo_user());
        others.extend(table.directories);
        let trusted = self.trusted();
        for path in others {
            if !looked.iter().any(|(other, _)| *other == path) {
                let state = state(&path, &trusted);
                looked.push((path, state));
            }
        }
        let mut found = looked.iter().filter(|(_, state)| *state == State::Answers);
        match (found.next(), found.next()) {
            (Some((path, _)), None) => Ok(path.clone()),
            (None, _) => Err(self.nothing_found(default, &looked, table.unknown)),
            (Some(_), Some(_)) => Err(several(&looked)),
        }
    }

    /// Returns the users whose brokers are used: the caller, who may have called sudo, the administrator, and the user who
    /// runs the system's broker.
    fn trusted(&self) -> Vec<u32> {
        let mut trusted = vec![self.uid, ROOT];
        trusted.extend(self.sudo_uid);
        trusted.extend(fs::metadata(&self.system).map(|found| found.uid()));
        trusted
    }

    /// Returns the default directory of the user who called sudo.
    fn default_of_sudo_user(&self) -> Option<PathBuf> {
        let home = self.user(self.sudo_uid?)?.home;
        Some(home.join(".local/share/leveret"))
    }

    fn user(&self, uid: u32) -> Option<SystemUser> {
        SystemUser::find_in(&self.users, uid)
    }

    fn nothing_found(
        &self,
        default: &DataDir,
        looked: &[(PathBuf, State)],
        unknown: bool,
    ) -> String {
        let mut text = "no broker was found. These places were looked at:\n".to_owned();
        if let Some(error) = &default.unread {
            let _ = writeln!(
                text,
                "  the default configuration, which cannot be read: {error}"
            );
        }
        if default.path.is_none() {
            text.push_str("  no directory of your own: neither XDG_DATA_HOME nor HOME is set\n");
        }
        for (path, state) in looked {
            let what = match state {
                State::Answers => "a broker answers".to_owned(),
                State::Nobody => "no broker is running there".to_owned(),
                State::Denied => {
                    "belongs to another user: run leveretctl as that user or with sudo".to_owned()
                }
                State::Untrusted(uid) => {
                    let name = self.user(*uid).map(|user| user.name);
                    let name = name.unwrap_or_else(|| format!("number {uid}"));
                    format!(
                        "belongs to the user {name}, so it is used only if you name it with --data-dir"
                    )
                }
                State::Unclear(reason) => reason.clone(),
            };
            let _ = writeln!(text, "  {}: {what}", path.display());
        }
        if unknown {
            text.push_str(
                "  a broker whose directory has a long path, which the system does not tell: name it with --data-dir\n",
            );
        }
        text.push_str(
            "Start a broker with 'leveret', or name the directory of a running one with --data-dir or LEVERET_DATA_DIR.",
        );
        text
    }
}

fn several(looked: &[(PathBuf, State)]) -> String {
    let mut text = "several brokers are running:\n".to_owned();
    for (path, _) in looked.iter().filter(|(_, state)| *state == State::Answers) {
        let _ = writeln!(text, "  {}", path.display());
    }
    text.push_str("Name the directory of one of them with --data-dir or LEVERET_DATA_DIR.");
    text
}

/// Returns what is in the default directory, which is trusted whoever owns it.
fn state_of_default(path: &Path) -> State {
    match Client::reach(path) {
        Ok(_) => State::Answers,
        Err(error) => unreached(&error),
    }
}

/// Returns what is in a directory that must belong to one of these users, like the broker that answers there.
fn state(path: &Path, trusted: &[u32]) -> State {
    match look(path, trusted) {
        Ok(state) => state,
        Err(error) => unreached(&error),
    }
}

fn look(path: &Path, trusted: &[u32]) -> io::Result<State> {
    // Not through a link, which could lead elsewhere a moment later.
    let (directory, socket) = (
        fs::symlink_metadata(path)?,
        fs::symlink_metadata(path.join(SOCKET_NAME))?,
    );
    if !socket.file_type().is_socket() {
        return Ok(State::Nobody);
    }
    for owner in [directory.uid(), socket.uid()] {
        if !trusted.contains(&owner) {
            return Ok(State::Untrusted(owner));
        }
    }
    let stream = UnixStream::connect(SocketPath::of(path)?.path())?;
    let peer = peer(&stream)?;
    Ok(match trusted.contains(&peer) {
        true => State::Answers,
        false => State::Untrusted(peer),
    })
}

/// Returns the user who listens at the other end.
#[cfg(target_os = "linux")]
fn peer(stream: &UnixStream) -> io::Result<u32> {
    let peer = rustix::net::sockopt::socket_peercred(stream)?;
    Ok(peer.uid.as_raw())
}

/// Systems without the table of sockets find only directories that only their owners can write to.
#[cfg(not(target_os = "linux"))]
fn peer(_stream: &UnixStream) -> io::Result<u32> {
    Ok(ROOT)
}

fn unreached(error: &io::Error) -> State {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => State::Nobody,
        io::ErrorKind::NotADirectory => State::Nobody,
        io::ErrorKind::PermissionDenied => State::Denied,
        _ => State::Unclear(error.to_string()),
    }
}
