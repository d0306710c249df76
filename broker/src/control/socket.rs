//! The path of the admin socket, however long the path of the data directory is.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// The socket's name in the data directory.
pub const SOCKET_NAME: &str = "leveret.sock";

/// The longest path that fits into `sockaddr_un.sun_path` (108 on Linux, 104 on BSD and macOS) with its
/// final NUL.
const SUN_PATH_MAX: usize = 103;

/// A path to the socket that is short enough to bind or connect to, and valid as long as this value
/// lives.
#[derive(Debug)]
pub struct SocketPath {
    path: PathBuf,
    /// Keeps `/proc/self/fd/N` pointing to the directory.
    _directory: Option<File>,
}

impl SocketPath {
    /// Returns the path of the socket in a data directory.
    ///
    /// # Errors
    /// When the path is long and the directory cannot be opened.
    pub fn of(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(SOCKET_NAME);
        if path.as_os_str().len() <= SUN_PATH_MAX {
            return Ok(SocketPath {
                path,
                _directory: None,
            });
        }
        let directory = File::open(data_dir)?;
        let path = PathBuf::from(format!(
            "/proc/self/fd/{}/{SOCKET_NAME}",
            directory.as_raw_fd()
        ));
        Ok(SocketPath {
            path,
            _directory: Some(directory),
        })
    }

    /// Returns the path to bind or connect to.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::{UnixListener, UnixStream};

    #[test]
    fn a_socket_deep_in_the_tree_is_reached() {
        let root = tempfile::tempdir().unwrap();
        for depth in [0, 3] {
            let deep = (0..depth).fold(root.path().to_owned(), |path, _| path.join("x".repeat(60)));
            std::fs::create_dir_all(&deep).unwrap();
            let bound = UnixListener::bind(SocketPath::of(&deep).unwrap().path()).unwrap();
            assert!(UnixStream::connect(SocketPath::of(&deep).unwrap().path()).is_ok());
            assert!(deep.join(SOCKET_NAME).exists());
            drop(bound);
        }
    }
}
