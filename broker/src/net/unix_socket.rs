//! The file of a Unix socket: made with its permissions, never taken from a broker that uses it, removed with its listener.

use std::fs::{Permissions, remove_file, rename, set_permissions, symlink_metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// The file of a socket that is listened on. Dropping it removes the file, unless another has taken its place.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).ok() == Some(self.identity) {
            // If it is gone already, so much the better.
            let _ = remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Listens on a Unix socket. The file that a broker has left when it was killed is replaced.
///
/// # Errors
/// When somebody listens there, or there is a file that is no socket; else the system's error.
pub(super) fn listen(
    path: &Path,
    mode: u32,
    backlog: i32,
) -> io::Result<(UnixListener, SocketFile)> {
    check_free(path)?;
    // Under another name until its permissions are set: nobody else can ever connect.
    let mut staging = path.as_os_str().to_owned();
    staging.push(".new");
    let staging = PathBuf::from(staging);
    if let Err(error) = remove_file(&staging)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    socket.bind(&socket2::SockAddr::unix(&staging)?)?;
    let made = set_permissions(&staging, Permissions::from_mode(mode))
        .and_then(|()| socket.listen(backlog))
        .and_then(|()| socket.set_nonblocking(true))
        .and_then(|()| rename(&staging, path))
        .and_then(|()| identity(path));
    match made {
        Ok(identity) => {
            let path = path.to_owned();
            Ok((socket.into(), SocketFile { path, identity }))
        }
        Err(error) => {
            let _ = remove_file(&staging);
            Err(error)
        }
    }
}

fn check_free(path: &Path) -> io::Result<()> {
    let metadata = match symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata?,
    };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "there is a file of this name, which is no socket",
        ));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        // It answers, or has no time to, or belongs to somebody else.
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(io::ErrorKind::AddrInUse.into())
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_replaced_only_if_nobody_listens_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("amqp.sock");
        let (listener, file) = listen(&path, 0o640, 16).unwrap();
        let mode = symlink_metadata(&path).unwrap().mode();
        assert_eq!(mode & 0o777, 0o640);
        assert!(UnixStream::connect(&path).is_ok());
        let taken = listen(&path, 0o640, 16).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        // As a killed broker leaves it.
        drop(listener);
        let (_listener, second) = listen(&path, 0o600, 16).unwrap();
        assert!(UnixStream::connect(&path).is_ok());
        // The first is not removed any more: it is not there.
        drop(file);
        assert!(UnixStream::connect(&path).is_ok());
        drop(second);
        assert!(!path.exists());
        let entries = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(entries, 0, "nothing is left");
    }

    #[test]
    fn a_file_that_is_no_socket_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("precious");
        std::fs::write(&path, "data").unwrap();
        let refused = listen(&path, 0o600, 16).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"data");
        let missing = folder.path().join("missing/amqp.sock");
        assert_eq!(
            listen(&missing, 0o600, 16).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
}
