//! Wakes those who wait in sled for a write that has failed.
//!
//! sled writes with threads of its own, and whoever needs such a write, to flush or to read what it was about, sleeps until
//! it is done. When it fails that is noted, and everything is refused from then on; but of the two places that note it one
//! wakes nobody (sled 0.34.7, `Log::exit_reservation`: it sees to the first part of every batch). Those who sleep already
//! would go on sleeping until somebody else asks that sled for something, and the only thread to write to it is the one
//! that sleeps. So a thread looks at every open sled now and then, and asks those that have such a note. A sled that is
//! well is asked for nothing.

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

/// How often it looks, and so for how long somebody sleeps too long.
const EVERY: Duration = Duration::from_millis(250);

/// Wakes who waits in one sled, if a write of it has failed. Blocks for moments only.
type Wake = Box<dyn Fn() + Send + Sync>;

/// Every open sled of the process.
static OPEN: Mutex<Vec<(u64, Wake)>> = Mutex::new(Vec::new());
/// There is one, where there was none.
static OPENED: Condvar = Condvar::new();
static NEXT: AtomicU64 = AtomicU64::new(0);
static WATCH: Once = Once::new();

/// A sled that is looked at for as long as this lives. Neither does its file close before.
pub(crate) struct Watched(u64);

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watched").field(&self.0).finish()
    }
}

impl Watched {
    pub(crate) fn new(db: &Db) -> Watched {
        // Not all of the context: sled stops its threads when nobody has that any more.
        let (config, pages) = ((*db.context).clone(), db.context.pagecache.clone());
        let wake: Wake = Box::new(move || {
            if config.global_error().is_err() {
                // Of what was never written, so that it looks for an error; then it wakes all before it returns that.
                let _ = pages.log.make_stable(i64::MAX);
            }
        });
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        OPEN.lock().push((number, wake));
        OPENED.notify_one();
        WATCH.call_once(|| {
            let watch = thread::Builder::new().name("sled watch".to_owned());
            if let Err(error) = watch.spawn(watch_all) {
                tracing::error!("nobody wakes who waits for a failed write of sled's: {error}");
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
        // With it sled's file is flushed and closed, for which nobody else should wait.
        drop(open);
        drop(gone);
    }
}

/// Runs for as long as the process.
fn watch_all() {
    let mut open = OPEN.lock();
    loop {
        if open.is_empty() {
            OPENED.wait(&mut open);
        }
        for (_, wake) in open.iter() {
            wake();
        }
        parking_lot::MutexGuard::unlocked(&mut open, || thread::sleep(EVERY));
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
        // The first part of the batch: it is on its way when the batch is done, and fails when the rest is written.
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
        // And it can be gone on with.
        store.revive(true).unwrap();
        let mut out = store.changes();
        out.put(b"key", b"again");
        out.apply().unwrap();
        drop(out);
        store.flush_synced().unwrap();
    }
}
