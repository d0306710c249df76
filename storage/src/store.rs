//! The store: two threads and the state that they share.

mod close;

use std::{
    path::Path,
    sync::{Arc, OnceLock, atomic::Ordering},
    task::Waker,
    thread::{self, JoinHandle},
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{
    backup::Backup,
    catalogue::Catalogue,
    census::Extents,
    checkpoint::Checkpoint,
    directory::{Directory, Lock},
    disk_space::DiskSpace,
    error::StorageError,
    extents::Runs,
    inbox::{DirectOutcome, Inbox, Stop},
    io::{Disk, LogIo},
    log::{FoldDelay, Log, LogState},
    options::Options,
    presence::Presence,
    progress::Progress,
    pulse::{Beat, Pulse},
    read::{ReadRequest, Reader},
    recover,
    sleds::Sleds,
    stats::{Counters, Extent, Health, RecoveredQueue, Report, Stats},
    types::{Batch, Position, QueueId},
    writer::{self, Ending, Work, Writer},
};

/// A newly opened store and what was found in it.
pub struct Opened {
    /// The store, ready for use.
    pub store: Store,
    /// Every definition, by key.
    pub definitions: Vec<(Bytes, Bytes)>,
    /// Every queue that has records, by id. The broker deletes those it has no definition for.
    pub queues: Vec<RecoveredQueue>,
    /// What was found and done.
    pub report: Report,
    /// Where whoever restores more from the store notes how far it is: that of the options.
    pub progress: Arc<Progress>,
}

/// The durable storage of the broker. Clones share one store; dropping the last one closes it.
#[derive(Clone)]
pub struct Store(Arc<Owner>);

/// Closes the store when the last clone is dropped.
struct Owner {
    shared: Arc<Shared>,
    threads: Mutex<Option<Threads>>,
}

struct Threads {
    writer: JoinHandle<Ending>,
    checkpoint: JoinHandle<()>,
}

struct Shared {
    directory: Directory,
    inbox: Arc<Inbox>,
    /// Set when the threads are started.
    writer: OnceLock<Arc<Mutex<Writer>>>,
    fast_sync: Duration,
    log: Arc<LogState>,
    catalogue: Arc<Mutex<Catalogue>>,
    counters: Arc<Counters>,
    /// What the threads do.
    beats: Beats,
    /// Locked while the checkpoint is working.
    working: Mutex<()>,
    /// The live messages at opening, until they are asked for.
    extents: Mutex<Extents>,
    /// `None` once closed.
    disk: Mutex<Option<Arc<OpenDisk>>>,
}

/// Where the threads note what they do.
#[derive(Default)]
struct Beats {
    storage: Arc<Beat>,
    checkpoint: Beat,
}

/// See [`Store::group`].
#[must_use = "it ends when it is dropped"]
pub struct Group {
    inbox: Arc<Inbox>,
    before: u64,
}

impl Drop for Group {
    fn drop(&mut self) {
        self.inbox.end_group(self.before);
    }
}

/// The most bytes that a submitter commits directly.
const DIRECT_BYTES: usize = 32 << 10;

/// A submitter that commits in place of the storage thread.
struct DirectCommit<'a> {
    shared: &'a Shared,
    /// `None` if it has panicked.
    outcome: Option<DirectOutcome>,
}

impl Drop for DirectCommit<'_> {
    fn drop(&mut self) {
        let outcome = self.outcome.take().unwrap_or_else(|| {
            // Its batches are lost, and later ones must not be stored after them.
            self.shared
                .counters
                .write_health(Some("a commit has panicked; restart the broker".to_owned()));
            self.shared.inbox.stop(Stop::Abandon);
            DirectOutcome::Done
        });
        self.shared.inbox.end_direct(outcome);
    }
}

/// What is released at close. The lock comes last: nobody else may come in while sled is open.
struct OpenDisk {
    sleds: Sleds,
    _lock: Lock,
}

impl Store {
    /// Opens the store in a directory, or creates one in an empty directory. Blocks while the part of the log that is
    /// not in sled yet is read.
    ///
    /// # Errors
    /// The directory cannot be used, is in use, or contains a store that is incomplete, damaged or of another version;
    /// the error text tells the operator what to do.
    pub fn open(options: Options) -> Result<Opened, StorageError> {
        Store::open_with(options, Arc::new(Disk))
    }

    /// Opens the store with another implementation of the disk under the log.
    pub(crate) fn open_with(options: Options, io: Arc<dyn LogIo>) -> Result<Opened, StorageError> {
        let directory = Directory::create(&options.path)?;
        let lock = directory.lock()?;
        let presence = Presence::new(&directory, &lock)
            .map_err(|e| directory.error("look at the lock file in", e))?;
        let found = recover::recover(&directory, &options)?;
        let log = Arc::new(LogState::new(FoldDelay {
            // Less than the limit, at which publishers wait until something is folded.
            bytes: options.fold_delay_bytes.min(options.log_bound / 2),
            time: options.fold_delay,
        }));
        let shared = Arc::new(Shared {
            inbox: Arc::new(Inbox::new(options.backlog_high, options.backlog_low)),
            writer: OnceLock::new(),
            fast_sync: options.fast_sync,
            catalogue: Arc::new(Mutex::new(found.catalogue)),
            counters: Arc::new(Counters::default()),
            beats: Beats::default(),
            working: Mutex::new(()),
            extents: Mutex::new(found.extents),
            disk: Mutex::new(Some(Arc::new(OpenDisk {
                sleds: found.sleds,
                _lock: lock,
            }))),
            log: Arc::clone(&log),
            directory,
        });
        let segments = Log::new(
            io,
            shared.directory.clone(),
            options.segment_size,
            found.next_seq,
            log,
            found.log,
        );
        let threads = shared
            .start(segments, presence, &options)
            .map_err(|e| shared.directory.error("start the threads for", e))?;
        let store = Store(Arc::new(Owner {
            shared,
            threads: Mutex::new(Some(threads)),
        }));
        Ok(Opened {
            store,
            definitions: found.definitions,
            queues: found.queues,
            report: found.report,
            progress: options.progress,
        })
    }

    /// Submits a batch. Never blocks and never fails: failures are retried and show in [`Store::stats`]. The order of
    /// calls is the order in the log. After [`Store::close`], batches are dropped and their tokens never given back.
    pub fn submit(&self, batch: Batch) {
        self.0.shared.inbox.submit(batch);
    }

    /// Submits a batch without waking the storage thread. The caller must call [`Store::commit`] when it has done what
    /// is more urgent.
    pub fn enqueue(&self, batch: Batch) {
        self.0.shared.inbox.enqueue(batch);
    }

    /// Has enqueued batches committed. If they are small, the storage thread is asleep and the disk has proved fast,
    /// the calling thread commits them itself, which blocks it for one write and sync: the confirm then arrives two
    /// wake-ups earlier. Sinks are called from this thread then, so no lock that they take may be held.
    pub fn commit(&self) {
        let shared = &self.0.shared;
        let sync = shared.counters.last_sync();
        let fast = !sync.is_zero() && sync <= shared.fast_sync;
        if let Some(taken) = shared.inbox.begin_direct(fast, DIRECT_BYTES) {
            let mut commit = DirectCommit {
                shared,
                outcome: None,
            };
            // The storage thread sleeps until the direct commit has ended.
            let writer = shared.writer.get();
            commit.outcome = Some(match writer {
                Some(writer) => writer.lock().commit_directly(taken),
                None => DirectOutcome::Returned(taken),
            });
        }
    }

    /// Makes everything that anyone submits until the returned value is dropped be committed together, as far as it
    /// fits one commit: a large message that goes to several queues in as many batches is then written once. Hold it
    /// only briefly.
    pub fn group(&self) -> Group {
        let before = self.0.shared.inbox.begin_group();
        Group {
            inbox: Arc::clone(&self.0.shared.inbox),
            before,
        }
    }

    /// Makes acknowledgements due now that otherwise wait a few milliseconds for something to be committed with.
    pub fn hurry(&self) {
        self.0.shared.inbox.hurry();
    }

    /// Reads live messages of a queue in order, from a position on: up to `max_messages` and about `max_bytes` bytes,
    /// but at least one if there is one. Sees everything committed; blocks on the disk. Messages of up to 4 KiB may
    /// share memory of up to 64 KiB, so a caller that keeps them should copy them.
    ///
    /// # Errors
    /// [`StorageError::DamagedMessages`] if the next ones are damaged: continue after its `last` to read the others.
    pub fn read(
        &self,
        queue: QueueId,
        from: Position,
        max_messages: usize,
        max_bytes: usize,
    ) -> Result<Vec<(Position, Bytes)>, StorageError> {
        let disk = self.0.shared.disk()?;
        let reader = Reader {
            volumes: &disk.sleds.volumes,
            catalogue: &self.0.shared.catalogue,
            log_dir: &self.0.shared.directory.log,
        };
        reader.read(&ReadRequest {
            queue,
            from,
            max_messages,
            max_bytes,
        })
    }

    /// Returns the messages of a queue that were live at opening, as runs of about `bytes` encoded bytes (at least 64
    /// KiB, and more where messages are out of order or one is larger). Runs are in order and disjoint, and every
    /// message is in one. They are returned once and then forgotten: a second call returns nothing. Never blocks.
    ///
    /// # Errors
    /// [`StorageError::Closed`].
    pub fn extents(&self, queue: QueueId, bytes: u64) -> Result<Vec<Extent>, StorageError> {
        self.0.shared.disk()?;
        let found = self.0.shared.extents.lock().remove(&queue);
        let mut runs = Runs::new(bytes);
        for extent in found.unwrap_or_default() {
            runs.add(extent);
        }
        Ok(runs.extents)
    }

    /// Copies the store, while it is in use, to a directory that is empty or does not exist. The copy contains
    /// everything submitted before the call, opens like any store, and is synced on return. Blocks for as long as
    /// copying takes.
    ///
    /// # Errors
    /// The directory is not empty or cannot be written, or the store cannot be read or written.
    pub fn backup(&self, path: &Path) -> Result<(), StorageError> {
        self.flush()?;
        let shared = &self.0.shared;
        let disk = shared.disk()?;
        Backup {
            sleds: &disk.sleds,
            log: &shared.log,
            working: &shared.working,
            is_closing: &|| shared.inbox.stopping() != Stop::No,
        }
        .to(path)
    }

    /// Asks the storage thread for an answer, which [`Store::hung`] looks for later.
    pub fn ask(&self) {
        self.0.shared.inbox.ask();
    }

    /// Returns which thread of the store hangs, for operators; `None` if all of them wait for work, get on with it, or
    /// wait for a disk that is slow. Ask the storage thread ([`Store::ask`]) some time before: a thread that waits for
    /// work and does not answer has missed its wake-up.
    pub fn hung(&self) -> Option<String> {
        self.pulse().complaint()
    }

    pub(crate) fn pulse(&self) -> Pulse {
        let shared = &self.0.shared;
        Pulse {
            ended: shared.inbox.has_ended(),
            storage: shared.beats.storage.look(),
            unanswered: shared.inbox.unanswered(),
            checkpoint: shared.beats.checkpoint.look(),
        }
    }

    /// Returns whether the backlog exceeds its high mark: stop reading from publishers then.
    pub fn backlog_over_mark(&self) -> bool {
        self.0.shared.inbox.over_mark()
    }

    /// Returns whether the storage thread has ended, because the store was closed or failed for good. What was not
    /// committed never will be, and batches are dropped.
    pub fn has_ended(&self) -> bool {
        self.0.shared.inbox.has_ended()
    }

    /// Calls `call` when the storage thread ends, on that thread, or at once if it has ended.
    pub fn on_end(&self, call: impl FnOnce() + Send + 'static) {
        self.0.shared.inbox.on_end(Box::new(call));
    }

    /// Wakes `waker` when the backlog falls to its low mark, or at once if it is there.
    pub fn wake_when_below(&self, waker: Waker) {
        self.0.shared.inbox.wake_when_below(waker);
    }

    /// Blocks until everything submitted so far is synced.
    ///
    /// # Errors
    /// [`StorageError::WriteFailing`] if the log cannot be written at present (writing is retried);
    /// [`StorageError::Closed`] if the store ended first.
    pub fn flush(&self) -> Result<(), StorageError> {
        self.0.shared.inbox.flush()
    }

    /// Writes and syncs everything submitted, records a clean close, stops the threads and releases the directory. What
    /// is not folded yet stays in the log. Closing a closed store does nothing.
    ///
    /// # Errors
    /// The last batches or the record of a clean close could not be written; or sled does not finish what it is doing,
    /// and keeps the directory until the process ends.
    pub fn close(&self) -> Result<(), StorageError> {
        self.0.stop(Stop::Drain)
    }

    /// Returns the current problems of the store, if any: cheaper than [`Store::stats`].
    pub fn health(&self) -> Health {
        self.0.shared.counters.health()
    }

    /// Returns statistics of the store.
    pub fn stats(&self) -> Stats {
        let shared = &self.0.shared;
        let counters = &shared.counters;
        Stats {
            commits: counters.commits.load(Ordering::Relaxed),
            bytes_written: counters.bytes_written.load(Ordering::Relaxed),
            cancelled_writes: counters.cancelled_writes.load(Ordering::Relaxed),
            log_bytes: shared.log.bytes(),
            folded_segments: counters.folded_segments.load(Ordering::Relaxed),
            sled_bytes: shared.disk().map_or(0, |disk| disk.sleds.size()),
            backlog_bytes: shared.inbox.backlog() as u64,
            last_sync: counters.last_sync(),
            latency: counters.latency(),
            health: counters.health(),
        }
    }

    /// Makes sled fail once, after this many more batches.
    #[cfg(test)]
    pub(crate) fn fail_sled_after(&self, batches: i64) {
        self.0
            .shared
            .disk()
            .unwrap()
            .sleds
            .volumes
            .fail_after
            .store(batches, Ordering::SeqCst);
    }

    /// Returns whether that has happened.
    #[cfg(test)]
    pub(crate) fn sled_failed(&self) -> bool {
        self.0
            .shared
            .disk()
            .unwrap()
            .sleds
            .volumes
            .fail_after
            .load(Ordering::SeqCst)
            < 0
    }

    /// Ends the threads without writing anything more, as a crash would.
    #[cfg(test)]
    pub(crate) fn abandon(&self) {
        let _ = self.0.stop(Stop::Abandon);
    }
}

impl Shared {
    fn disk(&self) -> Result<Arc<OpenDisk>, StorageError> {
        self.disk.lock().clone().ok_or(StorageError::Closed)
    }

    fn start(
        self: &Arc<Shared>,
        log: Log,
        presence: Presence,
        options: &Options,
    ) -> std::io::Result<Threads> {
        let writer = Writer {
            inbox: Arc::clone(&self.inbox),
            log,
            presence,
            log_state: Arc::clone(&self.log),
            log_bound: options.log_bound,
            commit_size: options.commit_size,
            catalogue: Arc::clone(&self.catalogue),
            counters: Arc::clone(&self.counters),
            beat: Arc::clone(&self.beats.storage),
            work: Work::default(),
        };
        let writer = Arc::clone(self.writer.get_or_init(|| Arc::new(Mutex::new(writer))));
        let shared = Arc::clone(self);
        let options = options.clone();
        let checkpoint = thread::Builder::new()
            .name("checkpoint".to_owned())
            .spawn(move || {
                if let Ok(disk) = shared.disk() {
                    Checkpoint {
                        sleds: &disk.sleds,
                        log: &shared.log,
                        catalogue: &shared.catalogue,
                        counters: &shared.counters,
                        working: &shared.working,
                        beat: &shared.beats.checkpoint,
                        weigh: options.weigh,
                        accept_losses: options.accept_losses,
                        volume_size: options.volume_size,
                        waste: options.waste,
                        busy: options.busy,
                        roll_after: options.roll_after,
                        roll: &|| shared.inbox.ask_for_roll(),
                        disk_space: DiskSpace {
                            path: options.path,
                            free: options.free_space,
                        },
                    }
                    .run();
                }
            })?;
        let writer = thread::Builder::new()
            .name("storage".to_owned())
            .spawn(move || writer::run(&writer))
            .inspect_err(|_| self.log.stop())?;
        Ok(Threads { writer, checkpoint })
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if let Err(error) = self.stop(Stop::Drain) {
            tracing::error!("cannot close the store cleanly: {error}");
        }
    }
}
