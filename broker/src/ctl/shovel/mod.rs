//! `leveretctl shovel`: moves the messages of queues from one broker to another, whatever brokers they are.
//!
//! [`options`] checks the command line, [`mover`] moves one queue with a [`window`] of messages on their way, hears the
//! [`answers`] of both brokers, and has the [`relay`] that turns deliveries into publishes, [`failure`] says why a move has
//! ended early, [`progress`] how far it is.

mod answers;
mod failure;
mod mover;
mod options;
mod progress;
mod relay;
mod window;

use std::io;
use std::time::{Duration, Instant};

use leveret_protocol::values::FieldTable;
use serde_json::{Value as Json, json};

use crate::client::{Client, Dialer, Exchange, Program, Refusal, interrupt};

use super::exit;
use super::run::{EarlyExit, Terminal};
use failure::{Context, Failure, Side, Stage};
use mover::{Counts, Job, Mover, Watch};
use progress::{Progress, amount};
use relay::{Relay, Unfit};

pub(super) use options::Options;

/// How brokers know the shovel.
const PROGRAM: Program = Program {
    product: "leveretctl",
    connection_name: Some("leveretctl shovel"),
};

/// How long a queue with messages may deliver none before it is found out whether it is a stream, which delivers new
/// messages only.
const FIRST_DELIVERY: Duration = Duration::from_secs(2);

/// How long a new connection to the destination may do nothing when the user wants an end.
const LAST_MOMENTS: Duration = Duration::from_secs(2);

/// How a queue is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// It may be a stream.
    StreamsToo,
    /// It is known to be no stream.
    Queue,
}

/// What became of a queue.
struct Moved {
    counts: Counts,
    took: Duration,
    /// The destination has fewer messages more than were moved, and no consumers.
    some_are_missing: bool,
}

/// The ways to both brokers.
struct Brokers<'a> {
    options: &'a Options,
    source: Dialer,
    destination: Dialer,
}

/// Moves the queues one after the other.
pub(super) fn run(options: &Options, terminal: &mut Terminal<'_>) -> Result<u8, EarlyExit> {
    interrupt::listen();
    let context = |queue, to| Context {
        source: &options.source,
        destination: &options.destination,
        queue,
        to,
    };
    let failed = |failure: &Failure, queue, to| {
        let (text, status) = failure.explain(&context(queue, to));
        EarlyExit::Message(format!("Error: {text}"), status)
    };
    let first = options
        .queues
        .first()
        .map_or(("", ""), |(queue, to)| (queue.as_str(), to.as_str()));
    let brokers = Brokers::new(options).map_err(|failure| failed(&failure, first.0, first.1))?;
    for (side, dialer) in [
        (Side::Source, &brokers.source),
        (Side::Destination, &brokers.destination),
    ] {
        if dialer.trusts_anyone() {
            writeln!(
                terminal.err,
                "the certificate of the {} is not checked",
                side.name()
            )?;
        }
    }
    for (queue, to) in &options.queues {
        let note = brokers
            .check_queue(queue, to)
            .map_err(|failure| failed(&failure, queue, to))?;
        if let Some(note) = note {
            writeln!(terminal.err, "{queue}: {note}")?;
        }
    }
    let mut results = Vec::new();
    for (queue, to) in &options.queues {
        let mut progress = Progress::new(queue, options.shows_progress, terminal.err);
        let (moved, result) = brokers.move_queue(queue, to, &mut progress);
        report(queue, &moved, options, terminal)?;
        results.push(as_json(queue, to, &moved));
        if let Err(failure) = result {
            return Err(failed(&failure, queue, to));
        }
        if interrupt::interrupted() {
            break;
        }
    }
    if options.json {
        let results = Json::Array(results);
        writeln!(terminal.out, "{results}")?;
    }
    // With --follow there is no other way to end.
    match interrupt::signal() {
        signal if signal != 0 && !options.follow => {
            Ok(128 + u8::try_from(signal).unwrap_or_default())
        }
        _ => Ok(exit::OK),
    }
}

/// Prints what became of a queue.
fn report(
    queue: &str,
    moved: &Moved,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<(), EarlyExit> {
    let Counts {
        moved: messages,
        bytes,
        redelivered,
        other_consumers,
        ..
    } = moved.counts;
    if options.shows_summary && !options.json {
        let seconds = moved.took.as_secs_f64();
        let rate = messages as f64 / seconds.max(0.001);
        let marked = match redelivered {
            0 => String::new(),
            marked => format!(", {marked} marked x-shovel-redelivered"),
        };
        let bytes = amount(bytes as f64);
        writeln!(
            terminal.out,
            "{queue}: {messages} messages moved ({bytes}) in {seconds:.1} s, {rate:.0} messages/s{marked}"
        )?;
        terminal.out.flush()?;
    }
    if other_consumers > 0 && !options.follow {
        let (who, have) = match other_consumers {
            1 => ("1 other consumer".to_owned(), "is"),
            more => (format!("{more} other consumers"), "are"),
        };
        writeln!(
            terminal.err,
            "{queue}: {who} {have} still there: what they hold without having acknowledged it was not moved; run this \
             again when they are done"
        )?;
    }
    if moved.some_are_missing {
        writeln!(
            terminal.err,
            "{queue}: the queue at the destination has fewer messages than were moved: a length limit, a time to live or \
             somebody else has removed some"
        )?;
    }
    Ok(())
}

fn as_json(queue: &str, to: &str, moved: &Moved) -> Json {
    json!({
        "queue": queue,
        "destination_queue": to,
        "messages": moved.counts.moved,
        "bytes": moved.counts.bytes,
        "redelivered": moved.counts.redelivered,
        "seconds": moved.took.as_secs_f64(),
        "other_consumers": moved.counts.other_consumers,
    })
}

impl<'a> Brokers<'a> {
    fn new(options: &'a Options) -> Result<Self, Failure> {
        let dialer = |side, target: &crate::client::uri::Target| {
            Dialer::new(target.clone(), options.patience, PROGRAM)
                .map_err(|error| Failure::broker(side, Stage::Connect, error))
        };
        Ok(Brokers {
            options,
            source: dialer(Side::Source, &options.source)?,
            destination: dialer(Side::Destination, &options.destination)?,
        })
    }

    fn connect(&self, side: Side) -> Result<Client, Failure> {
        let dialer = match side {
            Side::Source => &self.source,
            Side::Destination => &self.destination,
        };
        dialer
            .connect()
            .map_err(|error| Failure::broker(side, Stage::Connect, error))
    }

    /// Checks that a queue is on both sides and outlives an interrupted move, before anything is moved. Returns what the
    /// user should know.
    fn check_queue(&self, queue: &str, to: &str) -> Result<Option<String>, Failure> {
        let mut note = None;
        for (side, queue) in [(Side::Source, queue), (Side::Destination, to)] {
            let mut client = self.connect(side)?;
            let of = |error| Failure::broker(side, Stage::Look, error);
            let (_, consumers) = client.counts(queue).map_err(of)?;
            if side == Side::Source && consumers == 0 && !self.options.auto_delete_too {
                match client.is_auto_delete(queue).map_err(of)? {
                    Some(false) => {}
                    Some(true) => return Err(Failure::AutoDelete),
                    None => {
                        let user = &self.options.source.user;
                        note = Some(format!(
                            "whether the queue is auto-delete cannot be told, as the user '{user}' may not declare it. If \
                             it is and this is interrupted, the source deletes it with the messages that are left"
                        ));
                    }
                }
            }
            client.close().map_err(of)?;
        }
        Ok(note)
    }

    /// Moves a queue. Returns what was moved whether or not it has ended well.
    fn move_queue(
        &self,
        queue: &str,
        to: &str,
        watch: &mut dyn Watch,
    ) -> (Moved, Result<(), Failure>) {
        let started = Instant::now();
        let mut counts = Counts::default();
        let mut result = self.try_move((queue, to), Reading::StreamsToo, watch, &mut counts);
        let is_silent = matches!(result, Err(Failure::Silent(_))) && counts.moved == 0;
        if is_silent || matches!(result, Err(Failure::Unfit(Unfit::OfStream))) {
            result = match self.is_stream(queue) {
                // A queue whose messages go to another consumer, or one with a copy of a stream's message.
                Ok(false) => self.try_move((queue, to), Reading::Queue, watch, &mut counts),
                Ok(true) => Err(Failure::Unfit(Unfit::OfStream)),
                Err(failure) => Err(failure),
            };
        }
        let (some_are_missing, result) = match result {
            Ok(missing) => (missing, Ok(())),
            Err(failure) => (false, Err(failure)),
        };
        let moved = Moved {
            counts,
            took: started.elapsed(),
            some_are_missing,
        };
        (moved, result)
    }

    /// Moves a queue. Returns whether some messages are missing at the destination.
    fn try_move(
        &self,
        (queue, to): (&str, &str),
        reading: Reading,
        watch: &mut dyn Watch,
        counts: &mut Counts,
    ) -> Result<bool, Failure> {
        let mut source = self.connect(Side::Source)?;
        let (ready, consumers) = source
            .counts(queue)
            .map_err(|error| Failure::broker(Side::Source, Stage::Look, error))?;
        (counts.ready, counts.other_consumers) = (u64::from(ready), consumers);
        if ready == 0 && !self.options.follow {
            return source
                .close()
                .map(|()| false)
                .map_err(|error| Failure::broker(Side::Source, Stage::Look, error));
        }
        let mut destination = self.connect(Side::Destination)?;
        let (before, _) = destination
            .counts(to)
            .map_err(|error| Failure::broker(Side::Destination, Stage::Look, error))?;
        let exchange = format!("leveretctl.shovel.{:016x}", rand::random::<u64>());
        if let Err(error) = prepare(&mut destination, &exchange, to) {
            // If only the binding was refused, the exchange is there.
            if Refusal::of(&error).is_some() {
                let _ = self.clean_up(None, &exchange, to);
            }
            return Err(Failure::broker(Side::Destination, Stage::Prepare, error));
        }
        let may_be_stream = reading == Reading::StreamsToo;
        let relay = Relay::new(exchange.clone(), destination.frame_max(), may_be_stream);
        let job = Job {
            queue,
            follow: self.options.follow,
            goes_with_consumer: self.options.auto_delete_too,
            first_delivery: match may_be_stream {
                true => self.options.patience.min(FIRST_DELIVERY),
                false => self.options.patience,
            },
            prefetch: self.options.prefetch,
            patience: self.options.patience,
        };
        let (moved, destination, result) = Mover::new(job, source, destination, relay).run(watch);
        *counts = moved;
        let cleaned = self.clean_up(destination, &exchange, to);
        result?;
        let (after, consumers) = match cleaned {
            // It goes when the broker restarts, or with the queue.
            Err(_) if interrupt::interrupted() => {
                let left = format!("the exchange '{exchange}' may be left at the destination");
                watch.note(&left).map_err(Failure::Output)?;
                return Ok(false);
            }
            cleaned => cleaned?,
        };
        Ok(consumers == 0 && u64::from(after) < u64::from(before) + moved.moved)
    }

    /// Removes the exchange, on a new connection if the old one cannot be used. Returns the number of messages and consumers
    /// of the queue.
    fn clean_up(
        &self,
        destination: Option<Client>,
        exchange: &str,
        to: &str,
    ) -> Result<(u32, u32), Failure> {
        let mut client = match destination {
            Some(client) => client,
            // Connecting to one that does nothing must not delay for long the end that the user wants.
            None if interrupt::interrupted() => {
                let target = self.options.destination.clone();
                let patience = self.options.patience.min(LAST_MOMENTS);
                Dialer::new(target, patience, PROGRAM)
                    .and_then(|dialer| dialer.connect())
                    .map_err(|error| Failure::broker(Side::Destination, Stage::Connect, error))?
            }
            None => self.connect(Side::Destination)?,
        };
        let deleted = client.delete_exchange(exchange);
        let counts = deleted.and_then(|()| client.counts(to));
        let closed = counts.and_then(|counts| client.close().map(|()| counts));
        closed.map_err(|error| Failure::broker(Side::Destination, Stage::Move, error))
    }

    /// Returns whether a queue is a stream: those cannot be asked for a single message.
    fn is_stream(&self, queue: &str) -> Result<bool, Failure> {
        let mut client = self.connect(Side::Source)?;
        match client.is_gettable(queue) {
            // What was fetched goes back with the connection.
            Ok(()) => Ok(false),
            Err(error) => {
                let failure = Failure::broker(Side::Source, Stage::Look, error);
                match failure.code() {
                    Some(540) => Ok(true),
                    _ => Err(failure),
                }
            }
        }
    }
}

/// Declares the exchange that leads to the queue only: messages keep their routing keys, and headers with further keys do
/// not copy them again.
fn prepare(destination: &mut Client, exchange: &str, to: &str) -> io::Result<()> {
    destination.confirm_select(relay::CHANNEL.0)?;
    destination.declare_exchange(Exchange {
        name: exchange,
        kind: "fanout",
        durable: false,
        auto_delete: true,
    })?;
    destination.bind(to, exchange, "", FieldTable::default(), false)
}
