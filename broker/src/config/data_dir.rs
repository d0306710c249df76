//! Locates the data directory, for the broker and for leveretctl, which finds the broker's socket
//! there.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::ConfigError;
use super::file;

/// The environment variables and the user id. A value, so that tests need not change those of
/// the process.
#[derive(Clone, Copy)]
pub struct Environment<'a> {
    /// Looks up a variable.
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// The effective user id.
    pub uid: u32,
}

impl Environment<'static> {
    /// Returns the environment of this process.
    pub fn of_process() -> Self {
        Environment {
            variable: &|name| std::env::var_os(name),
            uid: rustix::process::geteuid().as_raw(),
        }
    }
}

impl Environment<'_> {
    /// Returns a variable. An empty one counts as unset: shells and service files cannot always
    /// unset one.
    pub fn get(&self, name: &str) -> Option<OsString> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }

    /// Returns a variable as a path.
    fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from)
    }
}

impl fmt::Debug for Environment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("uid", &self.uid)
            .finish_non_exhaustive()
    }
}

/// The data directory, and the configuration file that was read to find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataDir {
    /// The directory, absolute; it need not exist.
    pub path: PathBuf,
    /// The configuration file, if one was named.
    pub config_file: Option<PathBuf>,
}

/// Finds the data directory as the broker does: by the flag, `LEVERET_DATA_DIR`, `data_dir` in the
/// configuration file (`config` or `LEVERET_CONFIG`), or the default.
///
/// # Errors
/// When a configuration file is named but cannot be used, or there is no home directory for the
/// default.
pub fn locate(
    data_dir: Option<PathBuf>,
    config: Option<PathBuf>,
    environment: &Environment<'_>,
) -> Result<DataDir, ConfigError> {
    let config_file = config.or_else(|| environment.path("LEVERET_CONFIG"));
    let chosen = match data_dir.or_else(|| environment.path("LEVERET_DATA_DIR")) {
        Some(path) => Some(path),
        None => match &config_file {
            Some(path) => file::read(path)?.data_dir,
            None => None,
        },
    };
    Ok(DataDir {
        path: resolve(chosen, environment)?,
        config_file,
    })
}

/// Returns the chosen directory as an absolute path, or the default: `/var/lib/leveret` for root,
/// `leveret` in the XDG data home for other users.
pub(super) fn resolve(
    chosen: Option<PathBuf>,
    environment: &Environment<'_>,
) -> Result<PathBuf, ConfigError> {
    if let Some(path) = chosen {
        // This fails only if the working directory is gone; the relative path then fails where it
        // is used, with the system's reason.
        return Ok(std::path::absolute(&path).unwrap_or(path));
    }
    if environment.uid == 0 {
        return Ok(PathBuf::from("/var/lib/leveret"));
    }
    // The XDG base directory specification says to ignore a relative XDG_DATA_HOME.
    let data_home = environment
        .path("XDG_DATA_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| {
            environment
                .path("HOME")
                .map(|home| home.join(Path::new(".local/share")))
        })
        .ok_or(ConfigError::NoDataDir)?;
    Ok(data_home.join("leveret"))
}
