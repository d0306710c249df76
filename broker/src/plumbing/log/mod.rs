//! Where the lines of the log go: standard error, a file, administrators who look at it.
//!
//! A line is pushed to a ring of the latest lines, in bounded memory, and whoever logs it goes on. Everybody else reads the
//! ring at their own pace: one thread writes to standard error, one to the file, and `log_tail` and `log_tail_stream` show
//! it. A reader that is too slow misses the oldest lines; how many is counted and logged. So neither a full disk nor a pipe
//! that nobody reads can stop the broker.
//!
//! The format of the lines does not belong here, nor what is logged.

mod compress;
mod excerpt;
mod file;
mod limit;
mod outputs;
mod ring;
mod tail;

pub use excerpt::Excerpt;
pub use file::Rotation;
pub use limit::LineLimit;
pub use outputs::LineWriter;

use crate::config::{Config, LogFilter};
use compress::{Compressor, SharedFile};
use file::LogFile;
use outputs::{Output, Outputs};
use parking_lot::{Condvar, Mutex};
use ring::Ring;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tail::{BLOCK, FileTail};

/// What [`Log::locations`] returns for standard error, like RabbitMQ's `<stdout>`.
pub const STANDARD_ERROR: &str = "<stderr>";
/// How long to wait until the lines so far are in the file that is to be shown.
const CATCH_UP: Duration = Duration::from_secs(1);

/// Changes what is logged.
type SetFilter = Box<dyn Fn(&LogFilter) + Send + Sync>;

/// The log of the process.
#[derive(Clone, Default)]
pub struct Log(Arc<Shared>);

#[derive(Default)]
struct Shared {
    lines: Mutex<Lines>,
    /// Notified when there is a new line.
    pushed: Condvar,
    /// Notified when an output has written some.
    written: Condvar,
    /// Whether lines go to standard error.
    console: AtomicBool,
    file: SharedFile,
    /// Lines that an output has missed.
    lost: AtomicU64,
    set_filter: OnceLock<SetFilter>,
    filter: Mutex<LogFilter>,
}

/// The lines, and how far the outputs are.
#[derive(Default)]
struct Lines {
    ring: Ring,
    outputs: Outputs,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Log").finish()
    }
}

/// There is no file to rotate.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// Lines go to standard error only, or nowhere.
    #[error("there is no log file: the broker logs to standard error only; see log_file")]
    NoFile,
    /// The system's error.
    #[error("{}: {reason}", path.display())]
    Failed {
        /// The file.
        path: PathBuf,
        /// The system's error.
        reason: io::Error,
    },
}

impl Log {
    /// Starts writing lines where the configuration says. `colours` says whether standard error is a terminal that lines
    /// of text are coloured on.
    pub fn start(&self, config: &Config, colours: bool) {
        self.0.start(Output::Console { colours }, 0);
        self.configure(config);
    }

    /// Notes how the filter is changed, and what it is.
    pub fn control_filter(
        &self,
        filter: LogFilter,
        set: impl Fn(&LogFilter) + Send + Sync + 'static,
    ) {
        *self.0.filter.lock() = filter;
        // Nobody sets it twice.
        let _ = self.0.set_filter.set(Box::new(set));
    }

    /// Changes what is logged. The change itself always is.
    pub fn set_filter(&self, filter: &LogFilter) {
        let from = std::mem::replace(&mut *self.0.filter.lock(), filter.clone());
        if let Some(set) = self.0.set_filter.get() {
            set(filter);
        }
        if from != *filter {
            tracing::info!(
                from = from.as_str(),
                to = filter.as_str(),
                "log level changed"
            );
        }
    }

    /// Changes where lines go.
    pub fn configure(&self, config: &Config) {
        self.0.console.store(config.log_console, Ordering::Relaxed);
        let rotation = Rotation::of(config);
        let path = config.log_file.as_deref();
        // It is shown to those who work elsewhere.
        let path = path.map(|path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
        // What is said about the file itself goes there, too.
        let from = self.0.lines.lock().ring.end();
        let mut file = self.0.file.lock();
        match (path, &mut *file) {
            (None, file) => *file = None,
            (Some(path), Some(file)) if file.path() == path => file.set_rotation(rotation),
            (Some(path), file) => {
                let compressor = Compressor::new(&self.0.file);
                *file = Some(LogFile::new(path, rotation, compressor));
            }
        }
        if file.is_some() {
            drop(file);
            self.0.start(Output::File, from);
        }
    }

    /// Opens the file anew, if there is one, because it may have been renamed. Failures are logged.
    pub fn reopen(&self) {
        if let Some(file) = &mut *self.0.file.lock()
            && let Err(error) = file.reopen()
        {
            let path = file.path().display();
            tracing::error!(%path, %error, "the log file cannot be reopened");
        }
    }

    /// Rotates the file if rotation is configured; otherwise, or if it was renamed, opens it anew.
    ///
    /// # Errors
    /// When there is none, or that fails.
    pub fn rotate(&self) -> Result<(), RotationError> {
        self.flush(CATCH_UP);
        let mut file = self.0.file.lock();
        let file = file.as_mut().ok_or(RotationError::NoFile)?;
        let rotated = file.rotate_or_reopen();
        rotated.map_err(|reason| RotationError::Failed {
            path: file.path().to_owned(),
            reason,
        })
    }

    /// Returns where lines go: the path of the file first.
    pub fn locations(&self) -> Vec<String> {
        let file = self.file_path();
        let file = file.map(|path| path.to_string_lossy().into_owned());
        let console = self.0.console.load(Ordering::Relaxed);
        let console = console.then(|| STANDARD_ERROR.to_owned());
        file.into_iter().chain(console).collect()
    }

    fn file_path(&self) -> Option<PathBuf> {
        let file = self.0.file.lock();
        file.as_ref().map(LogFile::path).map(Path::to_owned)
    }

    /// Returns the last lines: those of the file, if there is a regular one, otherwise those in memory.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn tail(&self, lines: u64) -> io::Result<Tail> {
        // A pipe or a device cannot be read from its end.
        let regular = self.file_path().filter(|path| path.is_file());
        let Some(path) = regular else {
            let ring = &self.0.lines.lock().ring;
            let (next, end) = (ring.start_of_last(lines), ring.end());
            let log = self.clone();
            return Ok(Tail(Source::Memory { log, next, end }));
        };
        self.flush(CATCH_UP);
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let file = FileTail::open(&path, lines).map_err(named)?;
        Ok(Tail(Source::File(file)))
    }

    /// Returns the lines from now on.
    pub fn follow(&self) -> Follow {
        Follow {
            next: self.0.lines.lock().ring.end(),
            log: self.clone(),
        }
    }

    /// Waits until all lines so far are written, but not for longer than this.
    pub fn flush(&self, patience: Duration) {
        let until = Instant::now() + patience;
        let mut lines = self.0.lines.lock();
        let end = lines.ring.end();
        while lines.outputs.are_behind(end) {
            if self.0.written.wait_until(&mut lines, until).timed_out() {
                return;
            }
        }
    }

    /// Returns how many lines an output has missed because it was too slow.
    pub fn lost(&self) -> u64 {
        // An output that is stuck counts them when it goes on, if it ever does.
        let lines = self.0.lines.lock();
        let missed = lines.outputs.missed(lines.ring.start());
        self.0.lost.load(Ordering::Relaxed) + missed
    }

    /// Adds a line, which ends with a line feed.
    fn push(&self, line: &[u8]) {
        self.0.lines.lock().ring.push(line);
        self.0.pushed.notify_all();
    }
}

/// The last lines of the log.
#[derive(Debug)]
pub struct Tail(Source);

#[derive(Debug)]
enum Source {
    File(FileTail),
    Memory { log: Log, next: u64, end: u64 },
}

impl Tail {
    /// Returns some more whole lines; `None` at the end.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&mut self) -> io::Result<Option<String>> {
        let (log, next, end) = match &mut self.0 {
            Source::File(file) => return file.read(),
            Source::Memory { log, next, end } => (log, next, *end),
        };
        if *next >= end {
            return Ok(None);
        }
        let mut text = Vec::new();
        *next = log.0.lines.lock().ring.read(*next, &mut text, BLOCK).next;
        Ok(Some(String::from_utf8_lossy(&text).into_owned()))
    }
}

/// The lines of the log as they come.
#[derive(Debug)]
pub struct Follow {
    log: Log,
    next: u64,
}

impl Follow {
    /// Returns some new lines, whole ones, after the number of those that were missed; `None` if there are none yet.
    pub fn read(&mut self) -> Option<(u64, String)> {
        let mut text = Vec::new();
        let read = self
            .log
            .0
            .lines
            .lock()
            .ring
            .read(self.next, &mut text, BLOCK);
        self.next = read.next;
        (!text.is_empty()).then(|| (read.lost, String::from_utf8_lossy(&text).into_owned()))
    }
}

#[cfg(test)]
mod tests;
