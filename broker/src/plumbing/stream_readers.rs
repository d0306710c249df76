//! The threads that read streams: reading blocks on the disk, so no connection's task does it. A
//! few serve all streams; each cursor has a turn and then goes to the end of the queue.

use crate::engine::stream::{AfterTurn, Cursor, StreamReaders, Tails};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

/// The maximum number of threads; they are started on demand.
const THREADS_MAX: usize = 4;

/// The queue of cursors and the threads that serve it.
#[derive(Debug, Default)]
pub struct Readers(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// A cursor was queued, or the broker ends.
    changed: Condvar,
    tails: Tails,
}

#[derive(Debug, Default)]
struct State {
    line: VecDeque<Arc<Cursor>>,
    threads: usize,
    idle: usize,
    over: bool,
}

impl Readers {
    /// Returns the approximate bytes of streams' messages in memory.
    pub fn tail_bytes(&self) -> u64 {
        self.0.tails.bytes() as u64
    }
}

impl StreamReaders for Readers {
    fn tails(&self) -> &Tails {
        &self.0.tails
    }

    fn call(&self, cursor: Arc<Cursor>) {
        if cursor.schedule.call() {
            self.0.put_in_line(cursor);
        }
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        let line = {
            let mut state = self.0.state.lock();
            state.over = true;
            std::mem::take(&mut state.line)
        };
        self.0.changed.notify_all();
        drop(line);
    }
}

impl Shared {
    fn put_in_line(self: &Arc<Self>, cursor: Arc<Cursor>) {
        let mut state = self.state.lock();
        if state.over {
            return;
        }
        state.line.push_back(cursor);
        if state.idle > 0 {
            self.changed.notify_one();
        } else if state.threads < THREADS_MAX {
            state.threads += 1;
            drop(state);
            self.start();
        }
    }

    /// Requeues the cursor that this thread has just served: the thread takes it again itself if no
    /// other is queued. If another thread were woken for it, one busy consumer would wander over
    /// all threads and leave its memory with each.
    fn put_back(&self, cursor: Arc<Cursor>) {
        let mut state = self.state.lock();
        if state.over {
            return;
        }
        state.line.push_back(cursor);
        if state.line.len() > 1 && state.idle > 0 {
            self.changed.notify_one();
        }
    }

    fn start(self: &Arc<Self>) {
        let shared = self.clone();
        let thread = thread::Builder::new().name("stream-reader".to_owned());
        if let Err(error) = thread.spawn(move || shared.serve()) {
            self.state.lock().threads -= 1;
            tracing::error!(%error, "cannot start a thread that reads streams");
        }
    }

    fn serve(self: Arc<Self>) {
        while let Some(cursor) = self.next() {
            cursor.schedule.begin();
            let queue = cursor.consumer.queue.clone();
            let turn = || {
                queue
                    .stream()
                    .map_or(AfterTurn::Idle, |s| cursor.turn(s, s.as_ref()))
            };
            let after = catch_unwind(AssertUnwindSafe(turn)).unwrap_or_else(|_| {
                tracing::error!(stream = %queue.name(), "a stream reader panicked");
                AfterTurn::Idle
            });
            if cursor.schedule.end(after) {
                self.put_back(cursor);
            }
        }
    }

    fn next(&self) -> Option<Arc<Cursor>> {
        let mut state = self.state.lock();
        loop {
            if state.over {
                return None;
            }
            if let Some(cursor) = state.line.pop_front() {
                return Some(cursor);
            }
            state.idle += 1;
            self.changed.wait(&mut state);
            state.idle -= 1;
        }
    }
}
