//! The load generator: raw frames over blocking sockets, a thread per connection, so that the
//! broker and not the generator is what is measured.

mod backlog;
mod client;
mod consumer;
mod publisher;
mod topology;

pub use topology::Through;

use clap::Parser;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Puts load on an AMQP 0-9-1 broker and says what it carried.
#[derive(Clone, Debug, Parser)]
#[command(name = "leveretperf", version)]
pub struct Load {
    /// Where the broker listens.
    #[arg(long, default_value = "127.0.0.1:5672")]
    pub address: String,
    /// The user to log in as.
    #[arg(long, default_value = "guest")]
    pub user: String,
    /// Its password.
    #[arg(long, default_value = "guest")]
    pub password: String,
    /// Connections that publish.
    #[arg(short = 'x', long, default_value_t = 1)]
    pub publishers: u32,
    /// Connections that consume.
    #[arg(short = 'y', long, default_value_t = 1)]
    pub consumers: u32,
    /// Queues; publishers and consumers are spread over them in turn.
    #[arg(short, long, default_value_t = 1)]
    pub queues: u32,
    /// Octets of a message body.
    #[arg(short, long, default_value_t = 16)]
    pub size: usize,
    /// Durable queues and persistent messages.
    #[arg(short, long)]
    pub persistent: bool,
    /// Publisher confirms with at most so many outstanding; 0 for none.
    #[arg(short, long, default_value_t = 0)]
    pub confirm: u32,
    /// Consumers acknowledge every delivery (otherwise: auto-ack).
    #[arg(short, long)]
    pub ack: bool,
    /// Unacknowledged deliveries a consumer may have; 0 for no limit.
    #[arg(long, default_value_t = 0)]
    pub prefetch: u16,
    /// Publish through an exchange like this and not straight to the queues, with a routing key
    /// per binding in turn.
    #[arg(long, value_enum)]
    pub exchange: Option<Through>,
    /// Bindings of that exchange; they are spread over the queues in turn.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub bindings: u32,
    /// An argument that the queues are declared with, such as `x-message-ttl=60000`: numbers are
    /// integers, all else is a string. May be given several times.
    #[arg(long = "argument", value_name = "NAME=VALUE", value_parser = argument)]
    pub arguments: Vec<(String, String)>,
    /// The `expiration` of each message, in milliseconds.
    #[arg(long)]
    pub expiration: Option<u64>,
    /// Messages have priorities from 0 to this, in turn.
    #[arg(long, value_name = "PRIORITY")]
    pub priorities: Option<u8>,
    /// Publish so many messages first and consume them all afterwards.
    #[arg(long)]
    pub backlog: Option<u64>,
    /// How long to publish, in seconds.
    #[arg(short, long, default_value_t = 5.0)]
    pub duration: f64,
}

fn argument(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("not NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// What all threads count in, and when they stop.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    published: AtomicU64,
    confirmed: AtomicU64,
    consumed: AtomicU64,
    stop_publishing: AtomicBool,
    stop: AtomicBool,
}

/// What a run carried.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Messages published per second.
    pub published: f64,
    /// Messages confirmed per second.
    pub confirmed: f64,
    /// Messages consumed per second.
    pub consumed: f64,
    /// How long it took to declare what the load went through.
    pub declaring: Duration,
    /// Time from publish to confirm: median, 99th percentile; with confirms only.
    pub confirm_latency: Option<(Duration, Duration)>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "published {:.0}/s, confirmed {:.0}/s, consumed {:.0}/s",
            self.published, self.confirmed, self.consumed
        )?;
        if let Some((median, p99)) = self.confirm_latency {
            write!(
                f,
                ", confirm p50 {} us, p99 {} us",
                median.as_micros(),
                p99.as_micros()
            )?;
        }
        if self.declaring >= Duration::from_millis(100) {
            write!(f, ", declared in {:.2} s", self.declaring.as_secs_f64())?;
        }
        Ok(())
    }
}

impl Load {
    fn queue(&self, n: u32) -> String {
        format!("leveretperf-{}", n % self.queues.max(1))
    }
}

/// Runs the load: declares its queues, publishes for the given time, deletes its queues.
///
/// # Errors
/// What a socket said, or a close from the broker.
pub fn run(load: &Load) -> io::Result<Summary> {
    let mut control = client::Client::connect(load)?;
    let started = Instant::now();
    topology::declare(load, &mut control)?;
    let declaring = started.elapsed();
    if let Some(messages) = load.backlog {
        let result = backlog::run(load, messages, &mut control);
        topology::remove(load, &mut control)?;
        return result;
    }
    let shared = Shared::default();
    let result = std::thread::scope(|threads| {
        let consumers: Vec<_> = (0..load.consumers)
            .map(|n| consumer::start(load, n))
            .collect::<io::Result<_>>()?;
        let consumers: Vec<_> = consumers
            .into_iter()
            .map(|c| threads.spawn(|| c.run(&shared)))
            .collect();
        let started = Instant::now();
        let publishers: Vec<_> = (0..load.publishers)
            .map(|n| {
                threads.spawn({
                    let shared = &shared;
                    move || publisher::run(load, n, shared)
                })
            })
            .collect();
        let mut samples = Vec::new();
        std::thread::sleep(Duration::from_secs_f64(load.duration));
        shared.stop_publishing.store(true, Ordering::Relaxed);
        let elapsed = started.elapsed().as_secs_f64();
        let consumed = shared.consumed.load(Ordering::Relaxed) as f64 / elapsed;
        let mut failed = None;
        for publisher in publishers {
            match publisher.join() {
                Ok(Ok(mut latencies)) => samples.append(&mut latencies),
                Ok(Err(error)) => failed = Some(error),
                Err(_) => failed = Some(io::Error::other("a publisher panicked")),
            }
        }
        shared.stop.store(true, Ordering::Relaxed);
        for consumer in consumers {
            match consumer.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => failed = Some(error),
                Err(_) => failed = Some(io::Error::other("a consumer panicked")),
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        samples.sort_unstable();
        let at = |share: f64| {
            samples
                .get((samples.len() as f64 * share) as usize)
                .copied()
        };
        Ok(Summary {
            published: shared.published.load(Ordering::Relaxed) as f64 / elapsed,
            confirmed: shared.confirmed.load(Ordering::Relaxed) as f64 / elapsed,
            consumed,
            declaring,
            confirm_latency: at(0.5).zip(at(0.99)),
        })
    });
    topology::remove(load, &mut control)?;
    result
}
