//! Creates and removes things over and over: connections, channels, queues, bindings.

use super::declare;
use super::meter::{Shared, now};
use super::options::{Load, Mode};
use super::progress::Progress;
use super::route::Route;
use super::summary::{Rate, Summary};
use super::throughput::{POLL_INTERVAL, all_done, first_failure, join};
use crate::client::Client;
use crate::client::Dialer;
use crate::client::interrupt::interrupted;
use std::io;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

/// The exchange that queues are bound to, which every broker has.
const EXCHANGE: &str = "amq.topic";

pub(super) fn run(load: &Load, dialer: &Dialer) -> io::Result<Summary> {
    let (shared, mut progress) = (Shared::default(), Progress::new(load)?);
    let shared = &shared;
    thread::scope(|threads| {
        let cycles = (0..load.publishers).map(|n| Cycle::start(load, dialer, n));
        let cycles = cycles.collect::<io::Result<Vec<_>>>()?;
        progress.begin();
        let started = Instant::now();
        let running: Vec<_> = cycles
            .into_iter()
            .map(|cycle| threads.spawn(move || shared.fail_on_error(|| cycle.run(shared))))
            .collect();
        let limit = load.time_limit();
        let mut ticked = Ok(());
        while !all_done(&running) && !interrupted() && !shared.has_failed() && ticked.is_ok() {
            if limit.is_some_and(|limit| started.elapsed().as_secs_f64() >= limit) {
                break;
            }
            thread::sleep(POLL_INTERVAL);
            ticked = progress.tick(shared);
        }
        let (seconds, counts) = (started.elapsed().as_secs_f64(), shared.counts());
        shared.end();
        first_failure(running.into_iter().map(join))?;
        ticked?;
        Ok(Summary::new(load.mode, shared)
            .with("cycles", counts.cycles, Rate::Over(seconds))
            .lasted(seconds))
    })
}

/// The work of one thread: on one connection, or on one connection after another.
struct Cycle<'a> {
    load: &'a Load,
    dialer: &'a Dialer,
    n: u32,
    /// `None` if connections themselves are created and removed.
    client: Option<Client>,
}

impl<'a> Cycle<'a> {
    fn start(load: &'a Load, dialer: &'a Dialer, n: u32) -> io::Result<Self> {
        let mut client = match load.mode {
            Mode::ConnectionChurn => None,
            _ => Some(dialer.connect()?),
        };
        let mut cycle = Cycle {
            load,
            dialer,
            n,
            client: None,
        };
        if let (Mode::BindChurn, Some(client)) = (load.mode, &mut client) {
            let queue = cycle.queue(0);
            client.delete_queue(&queue, load.patience())?;
            declare::declare_queue(client, &queue, load)?;
        }
        cycle.client = client;
        Ok(cycle)
    }

    /// Returns a queue name that no other cycle uses.
    fn queue(&self, turn: u64) -> String {
        format!("leveretperf-churn-{}-{turn}", self.n)
    }

    fn run(mut self, shared: &Shared) -> io::Result<()> {
        let max = self.load.pmessages.unwrap_or(u64::MAX);
        let mut turn = 0;
        while turn < max && !shared.is_over() {
            let began = now();
            self.turn(turn)?;
            shared.latency.record(&[(now() - began, 1)]);
            shared.cycles.fetch_add(1, Ordering::Relaxed);
            turn += 1;
        }
        let queue = self.queue(0);
        let Some(mut client) = self.client.take() else {
            return Ok(());
        };
        if self.load.mode == Mode::BindChurn {
            client.delete_queue(&queue, self.load.patience())?;
        }
        client.close()
    }

    fn turn(&mut self, turn: u64) -> io::Result<()> {
        let queue = self.queue(turn);
        let Some(client) = &mut self.client else {
            let client = self.dialer.connect()?;
            let socket = client.socket().try_clone()?;
            client.close()?;
            // Otherwise this machine would run out of ports, because each stays reserved for a
            // minute.
            return socket.set_linger(Some(Duration::ZERO));
        };
        match self.load.mode {
            Mode::ChannelChurn => {
                client.open_channel(2)?;
                client.close_channel(2)
            }
            Mode::QueueChurn => {
                declare::declare_queue(client, &queue, self.load)?;
                client.delete_queue(&queue, self.load.patience())
            }
            _ => {
                let route = Route::to(EXCHANGE, &format!("a.{turn}.c"));
                let queue = format!("leveretperf-churn-{}-0", self.n);
                declare::bind(client, &queue, EXCHANGE, &route, false)?;
                declare::unbind(client, &queue, EXCHANGE, &route)
            }
        }
    }
}
