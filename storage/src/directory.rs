//! The data directory: locking it, and checking that it is complete.
//!
//! | name | contents |
//! | --- | --- |
//! | `lock` | the process id of the broker that has the store open, which holds a lock on this file |
//! | `store` | the marker: schema version and identity; its presence means that a store must be here |
//! | `clean` | where the log ended at the last clean close |
//! | `last-segment` | the number of the newest log segment, which must exist or be folded |
//! | `log/` | the segments of the commit log |
//! | `sled/`, or `sled.` and a number | the main sled; the marker says which |
//! | `volumes/` | the sleds that hold messages |

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use crate::{
    error::StorageError,
    io::{Disk, LogIo, replace_file},
    schema,
};

/// The file that names the newest log segment. It is outside the log, so it reveals that the log is missing.
const LAST_SEGMENT: &str = "last-segment";

/// The paths in a store's directory.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    pub(crate) path: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) volumes: PathBuf,
}

/// The lock on the directory, held while the store is open.
#[derive(Debug)]
pub(crate) struct Lock(pub(crate) File); // locked for as long as it is open

/// The contents of the marker file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marker {
    /// Stored in sled too, to prove that the two belong together.
    pub(crate) identity: u64,
    /// Which main sled is the current one: see [`Directory::main`].
    pub(crate) generation: u64,
    /// The schema version of the store.
    pub(crate) version: u32,
}

/// Where the log ended at a clean close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CleanClose {
    /// The last segment, even if it is folded and gone (older versions stored 0 then).
    pub(crate) seq: u64,
    pub(crate) end: u64,
}

impl Directory {
    /// Returns the paths of a store in this directory.
    pub(crate) fn at(path: &Path) -> Directory {
        Directory {
            path: path.to_owned(),
            log: path.join("log"),
            volumes: path.join("volumes"),
        }
    }

    /// Creates the directory if it does not exist.
    ///
    /// # Errors
    /// The directory cannot be created.
    pub(crate) fn create(path: &Path) -> Result<Directory, StorageError> {
        let directory = Directory::at(path);
        fs::create_dir_all(&directory.log).map_err(|source| StorageError::Directory {
            action: "create",
            path: path.to_owned(),
            source,
        })?;
        Ok(directory)
    }

    /// Returns the directory of an existing store.
    ///
    /// # Errors
    /// There is no store.
    pub(crate) fn existing(path: &Path) -> Result<Directory, StorageError> {
        let directory = Directory::at(path);
        fs::metadata(path).map_err(|e| directory.error("find a store in", e))?;
        if !["store", "log", "sled", "volumes"]
            .iter()
            .any(|part| path.join(part).exists())
        {
            return Err(directory.missing("everything"));
        }
        Ok(directory)
    }

    /// Returns the path of the lock file.
    pub(crate) fn lock_file(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// Returns the directory of the main sled of this generation.
    pub(crate) fn main(&self, generation: u64) -> PathBuf {
        match generation {
            0 => self.path.join("sled"),
            _ => self.path.join(format!("sled.{generation}")),
        }
    }

    /// Deletes main sleds of other generations, left over from rebuilding it.
    ///
    /// # Errors
    /// They cannot be deleted.
    pub(crate) fn remove_other_mains(&self, generation: u64) -> Result<(), StorageError> {
        let keep = self.main(generation);
        for entry in fs::read_dir(&self.path).map_err(|e| self.error("read", e))? {
            let path = entry.map_err(|e| self.error("read", e))?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let is_main = name.is_some_and(|name| name == "sled" || name.starts_with("sled."));
            if is_main && path != keep {
                self.remove_tree(&path)?;
            }
        }
        Ok(())
    }

    /// Deletes a directory tree if it exists.
    ///
    /// # Errors
    /// It cannot be deleted.
    pub(crate) fn remove_tree(&self, path: &Path) -> Result<(), StorageError> {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(self.error("clean up", error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Locks the directory for this process.
    ///
    /// # Errors
    /// Another process holds the lock, or the lock file cannot be written.
    pub(crate) fn lock(&self) -> Result<Lock, StorageError> {
        let path = self.lock_file();
        let fail = |source| StorageError::Directory {
            action: "write the lock file",
            path: path.clone(),
            source,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(fail)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(self.in_use(file)),
            Err(TryLockError::Error(source)) => return Err(fail(source)),
        }
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(fail)?;
        Ok(Lock(file))
    }

    /// Keeps others from opening the store while it is read, without writing anything: the disk may be full or
    /// read-only. Several readers may hold this lock. Returns `None` if nobody has ever opened the store here, as with a
    /// copy.
    ///
    /// # Errors
    /// Another process has the store open, or the lock file cannot be read.
    pub(crate) fn lock_for_reading(&self) -> Result<Option<Lock>, StorageError> {
        let path = self.lock_file();
        let fail = |source| StorageError::Directory {
            action: "read the lock file",
            path: path.clone(),
            source,
        };
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(fail)?,
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(Some(Lock(file))),
            Err(TryLockError::WouldBlock) => Err(self.in_use(file)),
            Err(TryLockError::Error(source)) => Err(fail(source)),
        }
    }

    /// Returns the error that names the process which holds the lock.
    fn in_use(&self, mut lock: File) -> StorageError {
        let mut pid = String::new();
        let read = lock.read_to_string(&mut pid);
        StorageError::InUse {
            path: self.path.clone(),
            pid: read.ok().and_then(|_| pid.trim().parse().ok()),
        }
    }

    /// Reads the marker. Returns `None` if there is none.
    ///
    /// # Errors
    /// The marker is damaged, or its schema version is not supported.
    pub(crate) fn marker(&self) -> Result<Option<Marker>, StorageError> {
        let Some(fields) = self.read_fields("store")? else {
            return Ok(None);
        };
        // The version comes first: a newer one may write more fields.
        let version = match fields.first() {
            Some(&version) => self.known_version(version)?,
            None => return Err(self.missing("a readable marker file `store`")),
        };
        let (identity, generation) = match fields[1..] {
            [identity] => (identity, 0),
            [identity, generation] => (identity, generation),
            _ => return Err(self.missing("a readable marker file `store`")),
        };
        Ok(Some(Marker {
            identity,
            generation,
            version,
        }))
    }

    /// Returns a schema version found in the store, if this code can read such a store.
    ///
    /// # Errors
    /// It cannot.
    pub(crate) fn known_version(&self, version: u64) -> Result<u32, StorageError> {
        let found = u32::try_from(version).unwrap_or(u32::MAX);
        if (schema::VERSION_WITHOUT_VOLUMES..=schema::VERSION).contains(&found) {
            return Ok(found);
        }
        Err(StorageError::Schema {
            path: self.path.clone(),
            found,
            expected: schema::VERSION,
        })
    }

    /// Checks that this code can read the store, for those who read it in spite of damage.
    ///
    /// # Errors
    /// A newer version wrote it. Damage is no error here.
    pub(crate) fn check_version(&self) -> Result<(), StorageError> {
        match self.marker() {
            Err(error @ StorageError::Schema { .. }) => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Writes the marker.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn write_marker(&self, identity: u64, generation: u64) -> Result<(), StorageError> {
        let version = u64::from(schema::VERSION);
        self.write_fields("store", &[version, identity, generation])
    }

    /// Returns where the log ended if the store was closed cleanly.
    ///
    /// # Errors
    /// The note cannot be read.
    pub(crate) fn clean_close(&self) -> Result<Option<CleanClose>, StorageError> {
        let fields = self.read_fields("clean")?;
        Ok(fields.and_then(|fields| match fields[..] {
            [seq, end] => Some(CleanClose { seq, end }),
            _ => None,
        }))
    }

    /// Records a clean close.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn write_clean_close(&self, clean: CleanClose) -> Result<(), StorageError> {
        self.write_fields("clean", &[clean.seq, clean.end])
    }

    /// Removes the record of a clean close. This need not be durable: should the record reappear, it names a folded
    /// segment.
    ///
    /// # Errors
    /// It cannot be removed.
    pub(crate) fn remove_clean_close(&self) -> Result<(), StorageError> {
        match fs::remove_file(self.path.join("clean")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(self.error("clean up", error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Returns the number of the newest log segment ever created, as recorded outside the log. That segment and all
    /// before it are in the log or folded. Returns 0 if there is none or if an older version wrote the store.
    ///
    /// # Errors
    /// The file cannot be read or is damaged.
    pub(crate) fn last_segment(&self) -> Result<u64, StorageError> {
        match self.read_fields(LAST_SEGMENT)?.as_deref() {
            None => Ok(0),
            Some([seq]) => Ok(*seq),
            Some(_) => Err(self.missing("a readable file `last-segment`")),
        }
    }

    /// Records durably that a segment of this number is in the log or folded.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn write_last_segment(&self, io: &dyn LogIo, seq: u64) -> io::Result<()> {
        replace_file(io, &self.path.join(LAST_SEGMENT), line(&[seq]).as_bytes()).map(drop)
    }

    /// Returns the log's segments in ascending order and removes unfinished ones.
    ///
    /// # Errors
    /// The directory cannot be read or cleaned up.
    pub(crate) fn segments(&self) -> Result<Vec<(u64, PathBuf)>, StorageError> {
        for path in self.log_files()? {
            if path.extension().is_some_and(|extension| extension == "tmp") {
                fs::remove_file(&path).map_err(|e| self.error("clean up", e))?;
            }
        }
        self.list_segments()
    }

    /// Returns the log's segments in ascending order, or none if there is no log. Changes nothing.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub(crate) fn list_segments(&self) -> Result<Vec<(u64, PathBuf)>, StorageError> {
        let mut segments = Vec::new();
        for path in self.log_files()? {
            if path.extension().is_some_and(|extension| extension == "log") {
                let stem = path.file_stem().and_then(|stem| stem.to_str());
                let seq = stem.and_then(|stem| stem.parse().ok());
                segments.extend(seq.map(|seq| (seq, path)));
            }
        }
        segments.sort();
        Ok(segments)
    }

    fn log_files(&self) -> Result<Vec<PathBuf>, StorageError> {
        let fail = |source| self.error("read the log in", source);
        let entries = match fs::read_dir(&self.log) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(fail)?,
        };
        entries
            .map(|entry| Ok(entry.map_err(fail)?.path()))
            .collect()
    }

    /// Returns an error for a part of the store that is missing.
    pub(crate) fn missing(&self, what: &str) -> StorageError {
        StorageError::Missing {
            path: self.path.clone(),
            what: what.to_owned(),
        }
    }

    pub(crate) fn error(&self, action: &'static str, source: io::Error) -> StorageError {
        StorageError::Directory {
            action,
            path: self.path.clone(),
            source,
        }
    }

    /// Reads a file of one line: hexadecimal numbers followed by their checksum. A damaged file yields `Some` empty
    /// list.
    fn read_fields(&self, name: &str) -> Result<Option<Vec<u64>>, StorageError> {
        let path = self.path.join(name);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Ok(Some(Vec::new()));
            }
            Err(source) => {
                return Err(StorageError::Directory {
                    action: "read",
                    path,
                    source,
                });
            }
        };
        let Some((numbers, crc)) = text.trim_end().rsplit_once(' ') else {
            return Ok(Some(Vec::new()));
        };
        if format!("{:08x}", crc32fast::hash(numbers.as_bytes())) != crc {
            return Ok(Some(Vec::new()));
        }
        Ok(Some(
            numbers
                .split(' ')
                .filter_map(|number| u64::from_str_radix(number, 16).ok())
                .collect(),
        ))
    }

    fn write_fields(&self, name: &str, fields: &[u64]) -> Result<(), StorageError> {
        let path = self.path.join(name);
        replace_file(&Disk, &path, line(fields).as_bytes())
            .map(drop)
            .map_err(|source| StorageError::Directory {
                action: "write",
                path,
                source,
            })
    }
}

/// Formats numbers as a line of a file: hexadecimal, followed by their checksum.
fn line(fields: &[u64]) -> String {
    let numbers: Vec<_> = fields.iter().map(|field| format!("{field:x}")).collect();
    let numbers = numbers.join(" ");
    format!("{numbers} {:08x}\n", crc32fast::hash(numbers.as_bytes()))
}

/// Names the log segments from `first` to `last`.
pub(crate) fn segments_text(first: u64, last: u64) -> String {
    if first == last {
        format!("log segment {first}")
    } else {
        format!("log segments {first} to {last}")
    }
}
