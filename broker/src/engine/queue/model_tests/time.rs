//! Time that goes by when a test says so, and the timers that wait for it.

use super::world::World;
use crate::domain::vhost::Vhosts;
use crate::engine::clock::{Clock, Time};
use crate::engine::interfaces::Deadlines;
use crate::engine::queue::paging::PageMover;
use crate::engine::queue::{Effects, Environment};
use crate::plumbing::paging::Pager;
use crate::plumbing::timers::Timers;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) struct SimulatedTime {
    clock: Clock,
    began: Instant,
    elapsed: u64,
    timers: Arc<Timers>,
}

impl SimulatedTime {
    /// Time at the beginning of a millisecond, and effects that happen in it.
    pub(super) fn new(vhosts: Arc<Vhosts>, pager: Option<Arc<Pager>>) -> (Self, Effects) {
        let clock = Clock::start();
        let mut began = Instant::now();
        while clock.time(began) != Time::from_millis(clock.time(began).millis()) {
            began += Duration::from_micros(1);
        }
        let timers = Arc::<Timers>::default();
        let mut fx = Effects::on(
            Environment {
                timers: Some(timers.clone()),
                clock,
                vhosts: Some(vhosts),
                pager: pager.map(|pager| pager as Arc<dyn PageMover>),
                ..Environment::default()
            },
            None,
        );
        fx.begin_at(began);
        let time = SimulatedTime {
            clock,
            began,
            elapsed: 0,
            timers,
        };
        (time, fx)
    }

    /// The beginning, in milliseconds since the epoch.
    pub(super) fn epoch(&self) -> u64 {
        self.clock.time(self.began).millis()
    }

    /// Milliseconds since the beginning.
    pub(super) fn elapsed(&self) -> u64 {
        self.elapsed
    }
}

impl World {
    /// Time goes by, and the timers are looked after. Afterwards there is nothing that should have
    /// ended.
    pub(super) fn wait(&mut self, milliseconds: u64) {
        self.fx.perform();
        self.time.elapsed += milliseconds;
        let now = self.time.began + Duration::from_millis(self.time.elapsed);
        self.fx.begin_at(now);
        for model in &mut self.models {
            model.now = self.time.elapsed;
        }
        while let Some(what) = self.time.timers.take_due(now) {
            let queue = what.timer_id().0 as usize;
            let again = self.queues[queue].run_due(&mut self.fx);
            self.models[queue].on_time();
            let abandoned = self.queues[queue].is_abandoned(&mut self.fx);
            self.judge(queue);
            assert_eq!(abandoned, self.models[queue].is_abandoned());
            let slot = self.current.iter().position(|current| *current == queue);
            if let Some(slot) = slot.filter(|_| abandoned) {
                self.delete(slot);
            } else if let Some(at) = again {
                let at = self.time.clock.instant(at);
                self.time.timers.wake_at(at, &what);
            }
            self.fx.perform();
        }
        for queue in self.current {
            let model = &self.models[queue];
            assert!(model.expired().is_none(), "expired, and no timer looked");
            assert!(!model.waits_too_long(), "due, and no timer looked");
            assert!(!model.is_abandoned(), "unused, and no timer looked");
            let waits = model.retry_at.is_none_or(|at| at > model.now);
            assert!(waits, "dead letters are kept, and no timer looked");
        }
    }
}
