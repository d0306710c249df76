//! All keys of tokens: from files, which are read again when they change, and from a URL.

use super::keys::KeySet;
use super::remote::{Remote, RemoteOptions};
use crate::config::SigningKey;
use parking_lot::Mutex;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// How often the files are looked at, if tokens come.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Longer files are no keys, in bytes.
const FILE_MAX: u64 = 1 << 20;

/// The keys in force.
#[derive(Debug)]
pub(super) struct KeyStore {
    files: Vec<SigningKey>,
    loaded: Mutex<Loaded>,
    remote: Option<Remote>,
}

#[derive(Debug)]
struct Loaded {
    looked_at: Instant,
    stamps: Vec<Stamp>,
    from_files: KeySet,
    /// The version of the keys from the URL that are in `all`.
    remote: u64,
    all: Arc<KeySet>,
}

/// What tells a changed file; `None` if it cannot be had.
type Stamp = Option<(SystemTime, u64)>;

impl KeyStore {
    /// Reads the files and begins to fetch the keys of the URL.
    ///
    /// # Errors
    /// Which file or URL cannot be used.
    pub(super) fn new(
        files: &[SigningKey],
        remote: Option<RemoteOptions>,
        before: Option<&KeyStore>,
    ) -> Result<Self, String> {
        let stamps = stamps(files);
        let from_files = read(files)?;
        let loaded = Loaded {
            looked_at: Instant::now(),
            stamps,
            remote: 0,
            all: Arc::new(from_files.clone()),
            from_files,
        };
        Ok(KeyStore {
            files: files.to_vec(),
            loaded: Mutex::new(loaded),
            remote: match remote {
                Some(options) => {
                    let before = before.and_then(|before| before.remote.as_ref());
                    Some(Remote::start(options, before)?)
                }
                None => None,
            },
        })
    }

    /// Returns the keys in force now.
    pub(super) fn current(&self) -> Arc<KeySet> {
        let mut loaded = self.loaded.lock();
        let mut changed = false;
        if loaded.looked_at.elapsed() >= LOOK_INTERVAL {
            loaded.looked_at = Instant::now();
            changed = self.read_changed(&mut loaded);
        }
        let remote = self.remote.as_ref().map(Remote::keys);
        let version = remote.as_ref().map_or(0, |(version, _)| *version);
        if changed || version != loaded.remote {
            let mut all = loaded.from_files.clone();
            if let Some((_, keys)) = remote {
                all.extend(&keys);
            }
            loaded.all = Arc::new(all);
            loaded.remote = version;
        }
        loaded.all.clone()
    }

    /// Reads the files again if they have changed; returns whether there are new keys.
    fn read_changed(&self, loaded: &mut Loaded) -> bool {
        let now = stamps(&self.files);
        if now == loaded.stamps {
            return false;
        }
        loaded.stamps = now;
        match read(&self.files) {
            Ok(keys) => {
                tracing::info!(keys = keys.len(), "read the changed keys of OAuth 2 tokens");
                loaded.from_files = keys;
                true
            }
            Err(reason) => {
                tracing::error!(%reason, "cannot read the changed keys of OAuth 2 tokens; the old ones stay in force");
                false
            }
        }
    }

    /// Returns where further keys come from.
    pub(super) fn url(&self) -> Option<&str> {
        self.remote.as_ref().map(Remote::url)
    }

    /// Returns whether keys have been fetched from the URL.
    pub(super) fn has_fetched(&self) -> bool {
        self.remote
            .as_ref()
            .is_some_and(|remote| remote.keys().0 > 0)
    }

    /// Returns whether [`KeyStore::refresh`] could bring other keys.
    pub(super) fn may_change(&self) -> bool {
        self.remote.as_ref().is_some_and(Remote::may_change)
    }

    /// Has the keys of the URL fetched, unless that was only just done. Blocks.
    pub(super) fn refresh(&self) {
        if let Some(remote) = &self.remote {
            remote.refresh();
        }
    }
}

fn stamps(files: &[SigningKey]) -> Vec<Stamp> {
    let stamp = |key: &SigningKey| {
        let found = std::fs::metadata(&key.file).ok()?;
        Some((found.modified().ok()?, found.len()))
    };
    files.iter().map(stamp).collect()
}

fn read(files: &[SigningKey]) -> Result<KeySet, String> {
    let mut keys = KeySet::default();
    for SigningKey { id, file } in files {
        let added = text(file).and_then(|text| keys.add_file(id.as_deref(), &text));
        added
            .map_err(|reason| format!("auth_oauth2_signing_keys: {}: {reason}", file.display()))?;
    }
    Ok(keys)
}

fn text(path: &Path) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut text = String::new();
    let read = file.take(FILE_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| error.to_string())?;
    match text.len() as u64 > FILE_MAX {
        true => Err(format!("longer than {FILE_MAX} bytes")),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_keys;
    use super::*;

    #[test]
    fn changed_files_are_read_again_and_broken_ones_are_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.pem");
        std::fs::write(&file, test_keys::P256_PUBLIC).unwrap();
        let id = Some("a".to_owned());
        let files = [SigningKey {
            id,
            file: file.clone(),
        }];
        let keys = KeyStore::new(&files, None, None).unwrap();
        let look = || {
            keys.loaded.lock().looked_at -= LOOK_INTERVAL;
            keys.current()
                .get(Some("a"))
                .is_some_and(|key| key.for_algorithm(jsonwebtoken::Algorithm::ES384).is_some())
        };
        assert!(!look());
        std::fs::write(&file, "nonsense").unwrap();
        assert!(!look() && keys.current().len() == 1);
        std::fs::write(&file, test_keys::P384_PUBLIC).unwrap();
        assert!(look());
        std::fs::remove_file(&file).unwrap();
        assert!(look(), "a missing file changes nothing");
        let error = KeyStore::new(&files, None, None).unwrap_err();
        assert!(error.contains("key.pem: No such file"), "{error}");
    }
}
