//! What is configured and has no effect.

use std::fmt;
use std::path::PathBuf;

/// A key of RabbitMQ's configuration file, or a group of them, that has no effect here; or settings of Leveret's that others
/// take the place of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The file; empty if the keys say where they are.
    pub path: PathBuf,
    /// The key, or several, separated by commas.
    pub keys: String,
    /// What to do instead, or why nothing need be done.
    pub instead: String,
}

impl Note {
    /// Returns a note about settings whose names say where they are.
    pub(in crate::config) fn of_settings(keys: String, instead: String) -> Self {
        Note {
            path: PathBuf::new(),
            keys,
            instead,
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Note {
            path,
            keys,
            instead,
        } = self;
        if path.as_os_str().is_empty() {
            return write!(f, "{keys}: {instead}");
        }
        write!(f, "config file {}: {keys}: {instead}", path.display())
    }
}
