//! Noticing that files have changed.

use super::handle::Tls;
use super::settings::TlsSettings;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// How often the files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// What tells a file from what it was before: whoever replaces a file changes one of these, also through symbolic links
/// (as Kubernetes does).
#[derive(Clone, Debug, PartialEq, Eq)]
struct FileState {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl FileState {
    fn of(path: &Path) -> Option<Self> {
        let found: Metadata = std::fs::metadata(path).ok()?;
        Some(FileState {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
        })
    }
}

/// The state of all files that settings name; none where there is no file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FileStates(Vec<Option<FileState>>);

impl FileStates {
    pub(super) fn of(settings: &TlsSettings) -> Self {
        let files = settings.files();
        FileStates(files.map(|path| FileState::of(path)).collect())
    }
}

/// Reads certificates again whenever their files have changed. Never returns.
pub async fn watch(tls: Tls) {
    let mut interval = tokio::time::interval(LOOK_INTERVAL);
    loop {
        interval.tick().await;
        if tls.settings().files().next().is_none() {
            continue;
        }
        let tls = tls.clone();
        // It panicked, which is in the log: the next look may do better.
        let _ = tokio::task::spawn_blocking(move || tls.look()).await;
    }
}
