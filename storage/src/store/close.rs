//! Closing a store: what it waits for, and for how long.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{OpenDisk, Owner, Shared, Threads};
use crate::{
    error::StorageError,
    inbox::Stop,
    pulse::{Beat, Doing},
    writer::Ending,
};

/// How long the storage thread may take for one step, such as a sync of the log, while the store closes. How many steps
/// it takes is limited by the backlog.
const LAST_WRITE: Duration = Duration::from_secs(60);
/// How long the checkpoint may take to notice that the store is closing. It checks between messages; anything longer is
/// a call to sled that does not return.
const CHECKPOINT_END: Duration = Duration::from_secs(20);
/// How long those who read may take to finish. A backup ends after the file that it copies.
const READERS_END: Duration = Duration::from_secs(20);
/// The pause between two looks.
const POLL: Duration = Duration::from_millis(1);

impl Owner {
    pub(super) fn stop(&self, how: Stop) -> Result<(), StorageError> {
        let mut threads = self.threads.lock();
        let Some(Threads { writer, checkpoint }) = threads.take() else {
            return Ok(());
        };
        self.shared.inbox.stop(how);
        // The last clone may be dropped in a sink or a message, on the storage thread itself, which then ends by
        // itself.
        let own_thread = writer.thread().id() == thread::current().id();
        let ending = if own_thread {
            Ok(Ending::Aborted)
        } else {
            let Some(ending) = join_while_it_works(writer, &self.shared.beats.storage) else {
                self.shared.log.stop();
                return Err(self.shared.stuck("writing the log", LAST_WRITE));
            };
            ending
        };
        self.shared.log.stop();
        let checkpoint = join_within(CHECKPOINT_END, checkpoint);
        let result = match ending {
            Ok(Ending::Drained(end)) => self.shared.directory.write_clean_close(end),
            Ok(Ending::Aborted) if how == Stop::Abandon || own_thread => Ok(()),
            Ok(Ending::Aborted) => Err(self.shared.not_written()),
            Err(_) => Err(StorageError::Closed),
        };
        match checkpoint {
            Some(Ok(())) => {}
            Some(Err(_)) => {
                tracing::error!(
                    "the checkpoint thread panicked; nothing is lost: the next start replays the log"
                );
            }
            // It keeps the directory until this process ends.
            None => {
                return result.and(Err(self.shared.stuck("folding", CHECKPOINT_END)));
            }
        }
        let disk = self.shared.disk.lock().take();
        if disk.is_some_and(|disk| !release(disk)) {
            return result.and(Err(self.shared.stuck("reading", READERS_END)));
        }
        result
    }
}

/// Waits for a thread to end, as long as it takes no step that lasts too long.
fn join_while_it_works<T>(thread: JoinHandle<T>, beat: &Beat) -> Option<thread::Result<T>> {
    while !thread.is_finished() {
        let (doing, time) = beat.look();
        // A thread that waits for work has been told to end, which wakes it.
        if doing != Doing::Waiting && time > LAST_WRITE {
            return None;
        }
        thread::sleep(POLL);
    }
    Some(thread.join())
}

/// Waits for a thread to end, up to `patience`.
fn join_within<T>(patience: Duration, thread: JoinHandle<T>) -> Option<thread::Result<T>> {
    let until = Instant::now() + patience;
    while !thread.is_finished() {
        if Instant::now() >= until {
            return None;
        }
        thread::sleep(POLL);
    }
    Some(thread.join())
}

/// Releases the directory once nobody reads from it any more: whoever closes a store may open it again. Returns whether
/// that was so in time.
fn release(mut disk: Arc<OpenDisk>) -> bool {
    let until = Instant::now() + READERS_END;
    while let Err(read) = Arc::try_unwrap(disk).map(drop) {
        if Instant::now() >= until {
            return false;
        }
        disk = read;
        thread::sleep(POLL);
    }
    true
}

impl Shared {
    fn not_written(&self) -> StorageError {
        let reason = self
            .counters
            .health()
            .write
            .unwrap_or_else(|| "no reason known".to_owned());
        StorageError::WriteFailing { reason }
    }

    fn stuck(&self, action: &'static str, after: Duration) -> StorageError {
        let path = self.directory.path.clone();
        StorageError::Stuck {
            path,
            action,
            after,
        }
    }
}
