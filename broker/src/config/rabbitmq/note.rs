//! What a configuration file of RabbitMQ says that has no effect here.

use std::fmt;
use std::path::PathBuf;

/// A key of RabbitMQ's configuration file, or a group of them, that has no effect here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The file.
    pub path: PathBuf,
    /// The key, or several, separated by commas.
    pub keys: String,
    /// What to do instead, or why nothing need be done.
    pub instead: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Note {
            path,
            keys,
            instead,
        } = self;
        write!(f, "config file {}: {keys}: {instead}", path.display())
    }
}
