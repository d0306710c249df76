//! Errors in the configuration: one line each, saying what to do.

use crate::text::print::{complain, print};
use std::path::PathBuf;
use std::process::ExitCode;

/// Why [`Config::load`](super::Config::load) returned no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// `--help` or `--version` was given. Not a failure: the text belongs on stdout.
    #[error("{0}")]
    Shown(String),
    /// A flag does not exist or has an invalid value.
    #[error("{0}")]
    Flag(String),
    /// An environment variable has an invalid value.
    #[error("environment variable {name}: {reason}")]
    Environment {
        /// The variable's name.
        name: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// The configuration file cannot be read, or has an unknown key or an invalid value.
    #[error("config file {}: {reason}", path.display())]
    File {
        /// The path as it was given.
        path: PathBuf,
        /// What is wrong, where, and what would be right.
        reason: String,
    },
    /// The file with the default user's password cannot be used.
    #[error("default_pass_file: {0}")]
    PasswordFile(String),
    /// The log has no place.
    #[error("log_file {} is a directory: name a file in it, such as {}", path.display(), path.join("leveret.log").display())]
    LogFile {
        /// The directory.
        path: PathBuf,
    },
    /// No data directory was chosen and there is no default.
    #[error(
        "no data directory: neither XDG_DATA_HOME nor HOME is set; choose one with --data-dir or \
         LEVERET_DATA_DIR"
    )]
    NoDataDir,
}

impl ConfigError {
    /// Prints the text to stdout or stderr and returns the exit status: 0 for help, 64 (`EX_USAGE`)
    /// for flags and variables, 78 (`EX_CONFIG`) for the file, 74 (`EX_IOERR`) if the text cannot be written.
    pub fn report(&self, program: &str) -> ExitCode {
        ExitCode::from(match self {
            ConfigError::Shown(text) => print(program, text, self.status()),
            other => {
                complain(program, &other.to_string());
                self.status()
            }
        })
    }

    /// Returns the exit status of [`report`](Self::report), numbered as in sysexits.h.
    pub fn status(&self) -> u8 {
        match self {
            ConfigError::Shown(_) => 0,
            ConfigError::Flag(_) | ConfigError::Environment { .. } => 64,
            ConfigError::File { .. }
            | ConfigError::PasswordFile(_)
            | ConfigError::LogFile { .. }
            | ConfigError::NoDataDir => 78,
        }
    }
}
