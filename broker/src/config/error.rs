//! Why a configuration cannot be used, in one line that says what to do.

use crate::text::escape::{Form, escaped};
use std::path::PathBuf;
use std::process::ExitCode;

/// Why [`Config::load`](super::Config::load) gave no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// `--help` or `--version` was asked for: not a failure, the text belongs on stdout.
    #[error("{0}")]
    Shown(String),
    /// A flag that does not exist, or a value it cannot have.
    #[error("{0}")]
    Flag(String),
    /// An environment variable with a value it cannot have.
    #[error("environment variable {name}: {reason}")]
    Environment {
        /// The variable.
        name: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// The configuration file cannot be read, or holds something it must not.
    #[error("config file {}: {reason}", path.display())]
    File {
        /// The file as it was named.
        path: PathBuf,
        /// What is wrong, where, and what would be right.
        reason: String,
    },
    /// There is nowhere to put the data.
    #[error(
        "no data directory: neither XDG_DATA_HOME nor HOME is set; name one with --data-dir or \
         LEVERET_DATA_DIR"
    )]
    NoDataDir,
}

impl ConfigError {
    /// Prints the text where it belongs and gives the status to exit with: 0 for help, 64
    /// (`EX_USAGE`) for flags and variables, 78 (`EX_CONFIG`) for the file.
    pub fn report(&self, program: &str) -> ExitCode {
        match self {
            ConfigError::Shown(text) => print!("{text}"),
            other => eprintln!(
                "{program}: error: {}",
                escaped(&other.to_string(), Form::Line)
            ),
        }
        ExitCode::from(self.status())
    }

    /// The exit status of [`report`](Self::report), as sysexits.h numbers them.
    pub fn status(&self) -> u8 {
        match self {
            ConfigError::Shown(_) => 0,
            ConfigError::Flag(_) | ConfigError::Environment { .. } => 64,
            ConfigError::File { .. } | ConfigError::NoDataDir => 78,
        }
    }
}
