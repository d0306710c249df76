//! Wakes threads that wait in sled for a write that has failed.
//!
//! sled writes with threads of its own, and a thread that needs such a write, to flush or to read what was written,
//! sleeps until it is done. If the write fails, sled records an error and refuses everything from then on; but of the
//! two places that record it, one wakes nobody (sled 0.34.7, `Log::exit_reservation`, which handles the first part of
//! every batch). Threads that are already asleep would sleep until somebody else calls that sled, and the only thread
//! that writes to it is the one asleep. So a watchdog thread checks every open sled periodically and calls those that
//! have recorded an error. Healthy databases are left alone.

use std::{
    fmt,
    sync::{
        Once,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use sled::Db;

/// How often the watchdog checks, and so how long a thread may oversleep.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// Wakes the threads waiting in one sled if a write has failed. Blocks only briefly.
type Wake = Box<dyn Fn() + Send + Sync>;

/// Every open sled of the process.
static OPEN: Mutex<Vec<(u64, Wake)>> = Mutex::new(Vec::new());
/// Signalled when the first sled is opened.
static OPENED: Condvar = Condvar::new();
static NEXT: AtomicU64 = AtomicU64::new(0);
static WATCH: Once = Once::new();

/// Keeps a sled watched, and its file open, until dropped.
pub(crate) struct Watched(u64);

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watched").field(&self.0).finish()
    }
}

impl Watched {
    pub(crate) fn new(db: &Db) -> Watched {
        // Not the whole context: sled stops its threads when the last reference to that is dropped.
        let (config, pages) = ((*db.context).clone(), db.context.pagecache.clone());
        let wake: Wake = Box::new(move || {
            if config.global_error().is_err() {
                // Waiting for an lsn that was never written makes sled check for errors, and it wakes all waiters
                // before it returns the error.
                let _ = pages.log.make_stable(i64::MAX);
            }
        });
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        OPEN.lock().push((number, wake));
        OPENED.notify_one();
        WATCH.call_once(|| {
            let watch = thread::Builder::new().name("sled watchdog".to_owned());
            if let Err(error) = watch.spawn(watch_all) {
                tracing::error!("cannot start the thread that watches sled, so a failing write of sled's may hang the store: {error}");
            }
        });
        Watched(number)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut open = OPEN.lock();
        let at = open.iter().position(|(number, _)| *number == self.0);
        let gone = at.map(|at| open.swap_remove(at));
        // This flushes and closes sled's file, which nobody else should have to wait for.
        drop(open);
        drop(gone);
    }
}

/// Runs until the process ends.
fn watch_all() {
    let mut open = OPEN.lock();
    loop {
        if open.is_empty() {
            OPENED.wait(&mut open);
        }
        for (_, wake) in open.iter() {
            wake();
        }
        parking_lot::MutexGuard::unlocked(&mut open, || thread::sleep(CHECK_INTERVAL));
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use tempfile::TempDir;

    use crate::{sled_store::SledStore, sled_sync::failing};

    #[test]
    fn a_flush_is_told_of_a_write_that_failed_while_it_slept() {
        let home = TempDir::new().unwrap();
        let path = home.path().join("sled");
        let open = || SledStore::open(&path, 1 << 20, &mut Vec::new()).unwrap();
        let store = std::sync::Arc::new(open());
        store.flush_synced().unwrap();
        let file = std::fs::File::open(path.join("db")).unwrap();
        // The first part of the batch is being written when the batch returns, and fails when the rest is written.
        failing::fail_next(&file).unwrap();
        let mut out = store.changes();
        out.put(b"key", b"value");
        out.apply().unwrap();
        drop(out);
        let (say, said) = mpsc::channel();
        std::thread::spawn({
            let store = std::sync::Arc::clone(&store);
            move || say.send(store.flush_synced())
        });
        let flushed = said.recv_timeout(Duration::from_secs(30));
        flushed
            .expect("the flush comes back")
            .expect_err("a part of it failed");
        // And the store is usable again.
        store.reopen_if_failed(true).unwrap();
        let mut out = store.changes();
        out.put(b"key", b"again");
        out.apply().unwrap();
        drop(out);
        store.flush_synced().unwrap();
    }
}
