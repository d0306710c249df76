//! The log file: opening it, rotating it, and what happens while it cannot be written.
//!
//! Rotated files are named as RabbitMQ names them: `leveret.log.0` is the newest one, `leveret.log.1` the one before.

use super::compress::Compressor;
use crate::config::Config;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long to wait before a file that could not be written is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How long to wait before a rotation that failed is tried again. Until then the file grows.
const RETRY_ROTATION: Duration = Duration::from_secs(60);

/// When a file is rotated, and what is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Bytes that it does not exceed; 0 for no limit.
    pub size: u64,
    /// It is rotated when a period of this length ends, counted from 1970 (UTC).
    pub age: Option<Duration>,
    /// Rotated files that are kept.
    pub count: u32,
    /// Whether they are compressed.
    pub compress: bool,
}

impl Rotation {
    /// Returns the rotation that is configured.
    pub fn of(config: &Config) -> Self {
        Rotation {
            size: config.log_file_rotation_size,
            age: config.log_file_rotation_age.0,
            count: config.log_file_rotation_count,
            compress: config.log_file_rotation_compress,
        }
    }

    /// Returns whether files are rotated at all.
    fn is_on(&self) -> bool {
        self.size > 0 || self.age.is_some()
    }

    /// Returns the number of the period that a time is in.
    fn period(&self, time: SystemTime) -> u64 {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.age.map_or(0, |age| since.as_secs() / age.as_secs())
    }
}

/// A log file.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    rotation: Rotation,
    compressor: Compressor,
    /// `None` while it cannot be opened.
    file: Option<File>,
    /// Whether it is a file that can be rotated, and not a terminal or a pipe.
    is_regular: bool,
    /// The period of the last line.
    period: u64,
    /// Whether what was written last is the beginning of a line.
    is_torn: bool,
    /// When to try again, while it cannot be written.
    retry_at: Option<Instant>,
    /// When to try again, after a rotation failed.
    rotate_at: Option<Instant>,
    /// The rotations so far.
    rotations: u64,
}

impl LogFile {
    /// Opens a file, or takes note that it cannot be opened: that is logged, and tried again with later lines.
    pub(super) fn new(path: PathBuf, rotation: Rotation, compressor: Compressor) -> Self {
        let mut file = LogFile {
            path,
            rotation,
            compressor,
            file: None,
            is_regular: false,
            period: 0,
            is_torn: false,
            retry_at: None,
            rotate_at: None,
            rotations: 0,
        };
        if let Err(error) = file.open() {
            file.fails(&error);
        }
        file
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn rotation(&self) -> Rotation {
        self.rotation
    }

    pub(super) fn rotations(&self) -> u64 {
        self.rotations
    }

    /// Changes when it is rotated.
    pub(super) fn set_rotation(&mut self, rotation: Rotation) {
        self.rotation = rotation;
        self.period = rotation.period(SystemTime::now());
        self.rotate_at = None;
    }

    fn open(&mut self) -> io::Result<()> {
        if let Some(parent) = self.path.parent() {
            fs::create_dir_all(parent)?;
        }
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            // A pipe without a reader, or with one that does not read, must not block the thread.
            .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
            .open(&self.path)?;
        let metadata = file.metadata()?;
        self.is_regular = metadata.is_file();
        // What an earlier process wrote may be of an earlier period.
        let last = metadata.modified().unwrap_or_else(|_| SystemTime::now());
        self.period = self.rotation.period(last);
        self.file = Some(file);
        self.is_torn = self.is_regular && ends_torn(&self.path).unwrap_or(false);
        Ok(())
    }

    /// Opens the path anew, after somebody has renamed the file.
    ///
    /// # Errors
    /// When that fails: then lines still go to the old file, if there is one.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        self.rotate_at = None;
        self.open()?;
        if let Some(at) = &mut self.retry_at {
            *at = Instant::now();
        }
        Ok(())
    }

    /// Rotates the file, as if it were time to, if rotation is configured; otherwise, or if somebody has renamed it, opens
    /// it anew.
    ///
    /// # Errors
    /// When that fails.
    pub(super) fn rotate_or_reopen(&mut self) -> io::Result<()> {
        let rotates = self.rotation.is_on() && self.is_regular && self.is_in_place();
        if !rotates {
            return self.reopen();
        }
        match self.length() {
            0 => Ok(()),
            _ => self.rotate(),
        }
    }

    /// Writes lines. While that fails they go to standard error, if `instead`.
    pub(super) fn write(&mut self, lines: &[u8], instead: bool) {
        let now = Instant::now();
        let waits = self.retry_at.is_some_and(|at| now < at);
        let written = match waits {
            true => Err((0, None)),
            false => self.try_write(lines),
        };
        let (written, error) = match written {
            Ok(()) => return self.recovered(),
            Err(failed) => failed,
        };
        if let Some(error) = error {
            self.fails(&error);
        }
        if instead {
            // From the beginning of the line that was torn.
            let whole = lines[..written].iter().rposition(|byte| *byte == b'\n');
            let rest = &lines[whole.map_or(0, |end| end + 1)..];
            // If that fails, too, the lines are still in memory.
            let _ = io::stderr().write_all(rest);
        }
    }

    /// Writes lines, rotating where it is time. After a failure, the number of bytes that were written comes with it.
    fn try_write(&mut self, lines: &[u8]) -> Result<(), (usize, Option<io::Error>)> {
        // What failed may be gone, and the path may lead to something better by now.
        let failed = self.retry_at.is_some();
        if self.file.is_none() || failed && !self.is_in_place() {
            self.open().map_err(|error| (0, Some(error)))?;
        }
        let mut written = 0;
        if self.is_torn {
            self.append(b"\n", &mut 0)
                .map_err(|error| (0, Some(error)))?;
        }
        while written < lines.len() {
            let rest = &lines[written..];
            let fits = self.make_room(rest);
            let appended = self.append(&rest[..fits], &mut written);
            appended.map_err(|error| (written, Some(error)))?;
        }
        Ok(())
    }

    fn append(&mut self, mut bytes: &[u8], written: &mut usize) -> io::Result<()> {
        while !bytes.is_empty() {
            let Some(file) = &mut self.file else {
                return Err(io::ErrorKind::NotFound.into());
            };
            let some = match file.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(some) => some,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            *written += some;
            self.is_torn = bytes[some - 1] != b'\n';
            bytes = &bytes[some..];
        }
        Ok(())
    }

    /// Rotates the file if it is time. Returns how many of these bytes are to be written to it now.
    fn make_room(&mut self, lines: &[u8]) -> usize {
        if !self.is_regular || !self.rotation.is_on() {
            return lines.len();
        }
        let period = self.rotation.period(SystemTime::now());
        if std::mem::replace(&mut self.period, period) != period {
            self.rotate_in_turn();
        }
        let size = match self.rotation.size {
            0 => return lines.len(),
            size => size,
        };
        // It may have been truncated meanwhile.
        let room = size.saturating_sub(self.length());
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        if lines.len() <= room {
            return lines.len();
        }
        let line_end = |within: &[u8]| within.iter().rposition(|byte| *byte == b'\n');
        if let Some(end) = line_end(&lines[..room]) {
            return end + 1;
        }
        if self.rotate_in_turn() {
            let fits = &lines[..lines.len().min(usize::try_from(size).unwrap_or(usize::MAX))];
            if let Some(end) = line_end(fits) {
                return end + 1;
            }
        }
        // A line that is longer than a file may be, or a file that cannot be rotated.
        let first = lines.iter().position(|byte| *byte == b'\n');
        first.map_or(lines.len(), |end| end + 1)
    }

    fn length(&self) -> u64 {
        let metadata = self.file.as_ref().map(File::metadata);
        metadata.map_or(0, |found| found.map_or(0, |found| found.len()))
    }

    /// Rotates the file if it has lines. Returns whether it is empty now.
    fn rotate_in_turn(&mut self) -> bool {
        if self.length() == 0 {
            return true;
        }
        if self.rotate_at.is_some_and(|at| Instant::now() < at) {
            return false;
        }
        match self.rotate() {
            Ok(()) => true,
            Err(error) => {
                self.rotate_at = Some(Instant::now() + RETRY_ROTATION);
                let path = self.path.display();
                tracing::error!(%path, %error, "the log file cannot be rotated: it grows");
                false
            }
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        // logrotate was faster.
        if !self.is_in_place() {
            return self.reopen();
        }
        let count = u64::from(self.rotation.count);
        if count == 0 {
            fs::remove_file(&self.path)?;
        } else {
            for compressed in [false, true] {
                let path = |number| numbered(&self.path, number, compressed);
                remove_if_there(&path(count - 1))?;
                for number in (0..count - 1).rev() {
                    rename_if_there(&path(number), &path(number + 1))?;
                }
            }
            fs::rename(&self.path, numbered(&self.path, 0, false))?;
        }
        self.rotations += 1;
        self.reopen()?;
        if self.rotation.compress && count > 0 {
            self.compressor.start(&self.path);
        }
        Ok(())
    }

    /// Returns whether the path still leads to the file that is open.
    fn is_in_place(&self) -> bool {
        let there = fs::metadata(&self.path).ok();
        let open = self.file.as_ref().and_then(|file| file.metadata().ok());
        match (there, open) {
            (Some(there), Some(open)) => (there.dev(), there.ino()) == (open.dev(), open.ino()),
            _ => false,
        }
    }

    /// Notes that it cannot be written, and says so the first time.
    fn fails(&mut self, error: &io::Error) {
        let is_known = self.retry_at.is_some();
        self.retry_at = Some(Instant::now() + RETRY);
        if !is_known {
            let path = self.path.display();
            tracing::error!(
                %path,
                %error,
                "the log file cannot be written: lines go to standard error until it can"
            );
        }
    }

    fn recovered(&mut self) {
        if self.retry_at.take().is_some() {
            let path = self.path.display();
            tracing::warn!(%path, "the log file can be written again");
        }
    }
}

/// Returns the path of a rotated file.
pub(super) fn numbered(path: &Path, number: u64, compressed: bool) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    if compressed {
        name.push(".gz");
    }
    name.into()
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    ignore_missing(fs::rename(from, to))
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    ignore_missing(fs::remove_file(path))
}

fn ignore_missing(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Returns whether a file ends within a line: a full disk or the end of the process may have cut it off.
fn ends_torn(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != [b'\n'])
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
