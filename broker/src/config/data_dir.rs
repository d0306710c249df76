//! Locates the data directory, for the broker and for leveretctl, which finds the broker's socket
//! there.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::sources;
use super::{ConfigError, NONE};

/// Where the system keeps the settings of programs.
const DEFAULT_FOLDER: &str = "/etc/leveret";
/// The data directory of a broker that the system starts.
pub const SYSTEM_DATA_DIR: &str = "/var/lib/leveret";

/// The environment variables, the user id and the default configuration files. A value, so that tests need not change those of
/// the process.
#[derive(Clone, Copy)]
pub struct Environment<'a> {
    /// Looks up a variable.
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// The effective user id.
    pub uid: u32,
    /// The folder of the configuration files that are read if none is named.
    pub default_folder: &'a Path,
}

impl Environment<'static> {
    /// Returns the environment of this process.
    pub fn of_process() -> Self {
        Environment {
            variable: &|name| std::env::var_os(name),
            uid: rustix::process::geteuid().as_raw(),
            default_folder: Path::new(DEFAULT_FOLDER),
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

/// The data directory, and how it was found.
#[derive(Debug)]
pub struct DataDir {
    /// The directory, absolute; it need not exist. `None` if there is no home directory for the default.
    pub path: Option<PathBuf>,
    /// Whether the caller has named it, or the configuration file that says it.
    pub is_chosen: bool,
    /// Why the default configuration files could not be used. What they say of the directory is not known then.
    pub unread: Option<ConfigError>,
}

/// Finds the data directory as the broker does: by the flag, `LEVERET_DATA_DIR`, `data_dir` in the
/// configuration files (`config`, `LEVERET_CONFIG` or the default ones), or the default.
///
/// # Errors
/// When a configuration file is named but cannot be used.
pub fn locate(
    data_dir: Option<PathBuf>,
    config: Option<PathBuf>,
    environment: &Environment<'_>,
) -> Result<DataDir, ConfigError> {
    if let Some(path) = data_dir.or_else(|| environment.path("LEVERET_DATA_DIR")) {
        return Ok(DataDir {
            path: resolve(Some(path), environment).ok(),
            is_chosen: true,
            unread: None,
        });
    }
    let named = config.or_else(|| environment.path("LEVERET_CONFIG"));
    let is_chosen = named.as_deref().is_some_and(|path| path != Path::new(NONE));
    let (chosen, unread) = match sources::read_own(named.as_deref(), environment) {
        Ok(sources) => (sources.settings.data_dir, None),
        Err(error) if is_chosen => return Err(error),
        // A broker may run all the same, and has to be found most of all when its configuration is broken.
        Err(error) => (None, Some(error)),
    };
    Ok(DataDir {
        path: resolve(chosen, environment).ok(),
        is_chosen,
        unread,
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
        return Ok(PathBuf::from(SYSTEM_DATA_DIR));
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
