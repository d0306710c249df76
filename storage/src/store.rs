//! The store itself: two threads and what they share.

use std::{
    path::Path,
    sync::{Arc, OnceLock, atomic::Ordering},
    task::Waker,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{
    backup::Backup,
    catalogue::Catalogue,
    census::Extents,
    checkpoint::Checkpoint,
    directory::{Directory, Lock},
    error::StorageError,
    extents::Runs,
    inbox::{Helped, Inbox, Stop},
    io::{Disk, LogIo},
    log::{Later, Log, LogState},
    options::Options,
    read::{Reader, Wanted},
    recover,
    room::Room,
    sleds::Sleds,
    stats::{Counters, Extent, RecoveredQueue, Report, Stats},
    types::{Batch, Position, QueueId},
    writer::{self, Ending, Work, Writer},
};

/// A store that was opened, and what was found in it.
pub struct Opened {
    /// The store, ready for use.
    pub store: Store,
    /// Every definition, by key.
    pub definitions: Vec<(Bytes, Bytes)>,
    /// Every queue there are records of, by id. The broker deletes those it has no definition for.
    pub queues: Vec<RecoveredQueue>,
    /// What was found and done.
    pub report: Report,
}

/// The durable half of the broker. Clones are the same store; the last one to go closes it.
#[derive(Clone)]
pub struct Store(Arc<Owner>);

/// Closes the store when the last clone goes.
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
    /// Made with the threads.
    writer: OnceLock<Arc<Mutex<Writer>>>,
    fast_sync: Duration,
    log: Arc<LogState>,
    catalogue: Arc<Mutex<Catalogue>>,
    counters: Arc<Counters>,
    /// Held by the checkpoint while it works.
    working: Mutex<()>,
    /// What lived at opening, until it is asked for.
    extents: Mutex<Extents>,
    /// `None` once closed.
    disk: Mutex<Option<Arc<OpenDisk>>>,
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

/// What whoever submits commits by itself, in bytes.
const DIRECT_BYTES: usize = 32 << 10;

/// How long the checkpoint may take to notice that the store closes. It looks between messages; what takes longer is a call
/// into sled that does not come back.
const CHECKPOINT_END: Duration = Duration::from_secs(20);

/// Somebody who commits in the storage thread's stead.
struct Helper<'a> {
    shared: &'a Shared,
    /// `None`: it has panicked.
    helped: Option<Helped>,
}

impl Drop for Helper<'_> {
    fn drop(&mut self) {
        let helped = self.helped.take().unwrap_or_else(|| {
            // What it took is lost, and what comes now must not be stored behind that.
            self.shared
                .counters
                .write_health(Some("a commit has panicked; restart the broker".to_owned()));
            self.shared.inbox.stop(Stop::Abandon);
            Helped::Done
        });
        self.shared.inbox.end_help(helped);
    }
}

/// What is let go at close. The lock comes last: nobody else may come in while sled is open.
struct OpenDisk {
    sleds: Sleds,
    _lock: Lock,
}

impl Store {
    /// Opens the store in a directory, or makes one in an empty directory. Blocks while what of the log is not in sled yet is
    /// read through.
    ///
    /// # Errors
    /// The directory cannot be used, is in use, or holds something missing, damaged or of another version: the message
    /// tells the operator what to do.
    pub fn open(options: Options) -> Result<Opened, StorageError> {
        Store::open_with(options, Arc::new(Disk))
    }

    /// Opens with another disk under the log.
    pub(crate) fn open_with(options: Options, io: Arc<dyn LogIo>) -> Result<Opened, StorageError> {
        let directory = Directory::create(&options.path)?;
        let lock = directory.lock()?;
        let found = recover::recover(&directory, &options)?;
        let log = Arc::new(LogState::new(Later {
            // Less than the bound, at which publishers wait until something is folded.
            bytes: options.fold_later.min(options.log_bound / 2),
            time: options.fold_after,
        }));
        let shared = Arc::new(Shared {
            inbox: Arc::new(Inbox::new(options.backlog_high, options.backlog_low)),
            writer: OnceLock::new(),
            fast_sync: options.fast_sync,
            catalogue: Arc::new(Mutex::new(found.catalogue)),
            counters: Arc::new(Counters::default()),
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
            .start(segments, &options)
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
        })
    }

    /// Takes a batch. Never blocks and never fails: what goes wrong is retried, and shows in [`Store::stats`]. The order
    /// of calls is the order in the log. After [`Store::close`] batches are dropped and their tokens never given back.
    pub fn submit(&self, batch: Batch) {
        self.0.shared.inbox.submit(batch);
    }

    /// As [`Store::submit`], from somebody who calls [`Store::commit`] when it has done what is more urgent.
    pub fn deposit(&self, batch: Batch) {
        self.0.shared.inbox.deposit(batch);
    }

    /// Sees to it that what was deposited is committed. If it is little, the storage thread sleeps and the disk has shown
    /// itself to be fast, the calling thread does it, and blocks for one write and sync: who waits for it is told two
    /// wake-ups earlier. Sinks are called from this thread then, and no lock that they take may be held.
    pub fn commit(&self) {
        let shared = &self.0.shared;
        let sync = shared.counters.last_sync();
        let fast = !sync.is_zero() && sync <= shared.fast_sync;
        if let Some(taken) = shared.inbox.begin_help(fast, DIRECT_BYTES) {
            let mut helper = Helper {
                shared,
                helped: None,
            };
            // The storage thread sleeps until the helper is gone.
            let writer = shared.writer.get();
            helper.helped = Some(match writer {
                Some(writer) => writer.lock().commit_directly(taken),
                None => Helped::Returned(taken),
            });
        }
    }

    /// What is submitted until this is dropped, by whomever, is committed together, as far as one commit holds it: a large
    /// message that goes to several queues in as many batches is written once then. To be held for moments only.
    pub fn group(&self) -> Group {
        let before = self.0.shared.inbox.begin_group();
        Group {
            inbox: Arc::clone(&self.0.shared.inbox),
            before,
        }
    }

    /// What was submitted and nobody waits for, acknowledgements, waits for a few milliseconds for something to go with:
    /// from now on it does not.
    pub fn hurry(&self) {
        self.0.shared.inbox.hurry();
    }

    /// Live messages of a queue in order, from a position on: up to `max_messages` of them and about `max_bytes` bytes, but
    /// at least one if there is one. Sees what is committed; blocks on the disk. Messages of up to 4 KiB may share memory,
    /// of up to 64 KiB: whoever keeps them copies them.
    ///
    /// # Errors
    /// [`StorageError::DamagedMessages`] when the next ones are damaged: go on behind its `last` to have the others.
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
        reader.read(&Wanted {
            queue,
            from,
            max_messages,
            max_bytes,
        })
    }

    /// What lived of a queue at opening, in runs of about `bytes` encoded bytes (64 KiB at least, and more where messages
    /// stand in disorder or one is larger), in order and disjoint; every message is in one. It is handed out once and
    /// forgotten then: a second call has nothing. Blocks on nothing.
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

    /// Copies the store, as it goes on being used, to a directory that is empty or not there. Everything submitted before
    /// is in the copy, which opens as any store; all of it is synced on return. Blocks for as long as copying takes.
    ///
    /// # Errors
    /// The directory holds something or cannot be written; or the store cannot be written or read.
    pub fn backup(&self, path: &Path) -> Result<(), StorageError> {
        self.flush()?;
        let shared = &self.0.shared;
        let disk = shared.disk()?;
        Backup {
            sleds: &disk.sleds,
            log: &shared.log,
            working: &shared.working,
        }
        .to(path)
    }

    /// Whether more is submitted and not yet committed than the high mark allows: stop reading from publishers.
    pub fn backlog_over_mark(&self) -> bool {
        self.0.shared.inbox.over_mark()
    }

    /// Whether the storage thread is gone, because the store was closed or because it failed for good: what was not
    /// committed never will be, and batches are dropped.
    pub fn has_ended(&self) -> bool {
        self.0.shared.inbox.has_ended()
    }

    /// Calls this once [`Store::has_ended`], from the thread that ends; at once if it has.
    pub fn on_end(&self, call: impl FnOnce() + Send + 'static) {
        self.0.shared.inbox.on_end(Box::new(call));
    }

    /// Wakes once when the backlog is at its low mark; at once if it is already.
    pub fn wake_when_below(&self, waker: Waker) {
        self.0.shared.inbox.wake_when_below(waker);
    }

    /// Blocks until everything submitted so far is synced.
    ///
    /// # Errors
    /// [`StorageError::WriteFailing`] when writing does not succeed at present (it goes on being tried);
    /// [`StorageError::Closed`] when the store ended before.
    pub fn flush(&self) -> Result<(), StorageError> {
        self.0.shared.inbox.flush()
    }

    /// Writes and syncs what was submitted, notes a clean end, stops the threads and lets the directory go. What is not
    /// folded yet stays in the log. Closing twice is closing once.
    ///
    /// # Errors
    /// What was submitted last could not be written, or the note could not; or sled does not come to an end of what it is
    /// doing, and keeps the directory until the process ends.
    pub fn close(&self) -> Result<(), StorageError> {
        self.0.stop(Stop::Drain)
    }

    /// How the store is doing.
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
            health: counters.health(),
        }
    }

    /// Lets sled fail once, after so many more batches.
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

    /// Whether that has happened.
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

    fn start(self: &Arc<Shared>, log: Log, options: &Options) -> std::io::Result<Threads> {
        let writer = Writer {
            inbox: Arc::clone(&self.inbox),
            log,
            log_state: Arc::clone(&self.log),
            log_bound: options.log_bound,
            commit_size: options.commit_size,
            catalogue: Arc::clone(&self.catalogue),
            counters: Arc::clone(&self.counters),
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
                        weigh: options.weigh,
                        accept_losses: options.accept_losses,
                        volume_size: options.volume_size,
                        waste: options.waste,
                        busy: options.busy,
                        roll_after: options.roll_after,
                        roll: &|| shared.inbox.ask_for_roll(),
                        room: Room {
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

impl Owner {
    fn stop(&self, how: Stop) -> Result<(), StorageError> {
        let mut threads = self.threads.lock();
        let Some(Threads { writer, checkpoint }) = threads.take() else {
            return Ok(());
        };
        self.shared.inbox.stop(how);
        // The last clone may go inside a sink or a message, on the storage thread itself: it ends by itself then.
        let own_thread = writer.thread().id() == thread::current().id();
        let ending = if own_thread {
            Ok(Ending::Cut)
        } else {
            writer.join()
        };
        self.shared.log.stop();
        let checkpoint = join_within(CHECKPOINT_END, checkpoint);
        let result = match ending {
            Ok(Ending::Drained(end)) => self.shared.directory.write_clean_close(end),
            Ok(Ending::Cut) if how == Stop::Abandon || own_thread => Ok(()),
            Ok(Ending::Cut) => Err(self.shared.not_written()),
            Err(_) => Err(StorageError::Closed),
        };
        match checkpoint {
            Some(Ok(())) => {}
            Some(Err(_)) => {
                tracing::error!(
                    "the checkpoint thread had panicked; the next start replays the log"
                );
            }
            // It has the directory for as long as this process lives.
            None => {
                return result.and(Err(StorageError::Stuck {
                    path: self.shared.directory.path.clone(),
                    action: "folding",
                    after: CHECKPOINT_END,
                }));
            }
        }
        if let Some(disk) = self.shared.disk.lock().take() {
            let_go(disk);
        }
        result
    }
}

/// Waits for a thread's end; not for ever.
fn join_within<T>(patience: Duration, thread: JoinHandle<T>) -> Option<thread::Result<T>> {
    let until = Instant::now() + patience;
    while !thread.is_finished() {
        if Instant::now() >= until {
            return None;
        }
        thread::sleep(Duration::from_millis(1));
    }
    Some(thread.join())
}

/// Lets the directory go once nobody reads in it any more: whoever closes a store may open it again.
fn let_go(mut disk: Arc<OpenDisk>) {
    while let Err(read) = Arc::try_unwrap(disk).map(drop) {
        disk = read;
        thread::sleep(Duration::from_millis(1));
    }
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
}

impl Drop for Owner {
    fn drop(&mut self) {
        if let Err(error) = self.stop(Stop::Drain) {
            tracing::error!("closing the store: {error}");
        }
    }
}
