//! The sweeper takes memory back from idle queues: a queue pages out by itself only while it is used, and only what
//! exceeds a page or two. Thousands of idle queues with less than that would keep it.

use super::pager::Pager;
use crate::engine::queue::paging::{Holder, PageMover};
use crate::engine::queue::{Effects, Environment};
use parking_lot::{Condvar, Mutex};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

/// The interval between two passes over all holders while memory is short.
const PASS: Duration = Duration::from_millis(50);
/// Dropped holders are removed when the list has grown by this many.
const PRUNE: usize = 1024;

/// The holders, and the thread that goes over them.
#[derive(Default)]
pub(super) struct Sweeper {
    state: Mutex<State>,
    changed: Condvar,
    /// There is work, and the thread knows.
    called: AtomicBool,
}

#[derive(Default)]
struct State {
    /// The least recently visited comes first.
    holders: Vec<Weak<dyn Holder>>,
    pruned_to: usize,
    runs: bool,
    over: bool,
}

impl Sweeper {
    /// Registers a holder that was not registered.
    pub(super) fn register(&self, holder: Weak<dyn Holder>) {
        let mut state = self.state.lock();
        state.holders.push(holder);
        if state.holders.len() > 2 * state.pruned_to + PRUNE {
            state.holders.retain(|holder| holder.strong_count() > 0);
            state.pruned_to = state.holders.len();
        }
    }

    /// Starts a pass because memory is short. The first call starts the thread.
    pub(super) fn call(&self, pager: &Arc<Pager>, environment: &Environment) {
        if self.called.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut state = self.state.lock();
        if state.runs {
            drop(state);
            self.changed.notify_one();
            return;
        }
        let pager = Arc::downgrade(pager);
        let environment = Environment {
            pager: None,
            ..environment.clone()
        };
        let thread = thread::Builder::new().name("pager-sweeper".to_owned());
        match thread.spawn(move || run(&pager, &environment)) {
            Ok(_) => state.runs = true,
            Err(error) => {
                self.called.store(false, Ordering::Release);
                tracing::error!(%error, "cannot start the thread that pages out idle queues");
            }
        }
    }

    /// Ends the thread.
    pub(super) fn end(&self) {
        self.state.lock().over = true;
        self.changed.notify_one();
    }

    /// Waits until memory is short, or for the next pass. Returns false when the pager has ended.
    fn wait(&self, pager: &Pager) -> bool {
        let mut state = self.state.lock();
        if pager.is_short() {
            self.changed.wait_for(&mut state, PASS);
        } else {
            self.called.store(false, Ordering::Release);
            // Memory may have grown since another caller saw the flag set.
            if !pager.is_short() {
                self.changed.wait_for(&mut state, 20 * PASS);
            }
        }
        !state.over
    }

    /// Visits holders until memory is no longer short, each at most once.
    pub(super) fn pass(&self, pager: &Pager, fx: &mut Effects) {
        let holders = std::mem::take(&mut self.state.lock().holders);
        let mut holders = holders.into_iter();
        let mut visited = Vec::new();
        while pager.is_short()
            && let Some(weak) = holders.next()
        {
            if let Some(holder) = weak.upgrade() {
                let stays = holder.page_out_idle(pager.is_far_over(), fx);
                fx.perform();
                if stays {
                    visited.push(weak);
                }
            }
        }
        let mut state = self.state.lock();
        let new = std::mem::take(&mut state.holders);
        state.holders = holders.chain(visited).chain(new).collect();
    }
}

fn run(pager: &Weak<Pager>, environment: &Environment) {
    loop {
        let Some(pager) = pager.upgrade() else {
            return;
        };
        let environment = Environment {
            pager: Some(pager.clone()),
            ..environment.clone()
        };
        let mut fx = Effects::on(environment, None);
        pager.sweep(&mut fx);
        drop(fx);
        if !pager.sweeper().wait(&pager) {
            return;
        }
    }
}
