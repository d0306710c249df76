//! Moves the messages of one queue: takes deliveries, publishes them, and acknowledges them once they are confirmed.
//!
//! Nothing is lost whoever dies at any moment: a message that is not acknowledged is still at its source.

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use leveret_protocol::DeliveryTag;
use leveret_protocol::method;
use leveret_protocol::values::FieldTable;

use crate::client::interrupt::interrupted;
use crate::client::{ACCEPTED_NOTHING, Client, Patience, Refusal};

use super::answers::{Answers, Source};
use super::failure::{Failure, Side, Stage};
use super::relay::{CHANNEL, Relay};
use super::window::{Ack, Done};

/// How many bytes are relayed before confirms are looked at again.
const BURST: usize = 256 * 1024;
/// The longest wait for something to arrive.
const WAIT: Duration = Duration::from_millis(50);
/// How long confirms are waited for when the move ends early.
const LAST_CONFIRMS: Duration = Duration::from_secs(10);
/// How long the destination may still take when the user wants an end.
const LAST_MOMENTS: Duration = Duration::from_secs(3);

/// What to move, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job<'a> {
    /// The queue to move from.
    pub(super) queue: &'a str,
    /// Go on when the queue is empty.
    pub(super) follow: bool,
    /// The queue may be deleted with its last consumer, which is ours.
    pub(super) goes_with_consumer: bool,
    /// How long the queue may deliver nothing at first, if it has messages.
    pub(super) first_delivery: Duration,
    /// How many messages may be on their way.
    pub(super) prefetch: u16,
    /// How long a broker may do nothing.
    pub(super) patience: Duration,
}

/// What has been moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Messages that the destination has and the source has not.
    pub(super) moved: u64,
    /// The bytes of their bodies.
    pub(super) bytes: u64,
    /// How many of them were marked redelivered.
    pub(super) redelivered: u64,
    /// How many messages the source's queue had ready when it was last asked.
    pub(super) ready: u64,
    /// How many are on their way.
    pub(super) on_their_way: u64,
    /// How many consumers the source's queue has beside us.
    pub(super) other_consumers: u32,
}

impl Counts {
    fn add(&mut self, done: Done) {
        self.moved += done.messages;
        self.bytes += done.bytes;
        self.redelivered += done.redelivered;
    }
}

/// Who looks on.
pub(super) trait Watch {
    /// Is told how far the move is, again and again. Returns whether to ask for the length of the queue.
    fn look(&mut self, counts: &Counts) -> io::Result<bool>;
    /// Is told something that the user should know.
    fn note(&mut self, text: &str) -> io::Result<()>;
}

/// A move under way.
pub(super) struct Mover<'a> {
    job: Job<'a>,
    source: Client,
    destination: Client,
    relay: Relay,
    answers: Answers,
    state: Source,
    counts: Counts,
    out: BytesMut,
    confirms: Patience,
    deliveries: Patience,
}

impl<'a> Mover<'a> {
    /// Creates a mover between two connections, of which the second publishes to the exchange.
    pub(super) fn new(job: Job<'a>, source: Client, destination: Client, relay: Relay) -> Self {
        Mover {
            job,
            source,
            destination,
            relay,
            answers: Answers::default(),
            state: Source::default(),
            counts: Counts::default(),
            out: BytesMut::new(),
            confirms: Patience::new(job.patience),
            deliveries: Patience::new(job.first_delivery),
        }
    }

    /// Moves until the queue is empty, or the user wants an end. Returns what was moved in any case, and the connection
    /// to the destination if it can still be used.
    pub(super) fn run(
        mut self,
        watch: &mut dyn Watch,
    ) -> (Counts, Option<Client>, Result<(), Failure>) {
        let moved = self.move_all(watch);
        let destination_works = moved
            .as_ref()
            .err()
            .is_none_or(|failure| !failure.is_of(Side::Destination));
        let source_works = moved
            .as_ref()
            .err()
            .is_none_or(|failure| !failure.is_of(Side::Source));
        let waited = match destination_works && source_works {
            true => self.wait_for_the_rest(),
            false => Ok(()),
        };
        // One that owes confirms may do nothing else either, but it may answer on a new connection.
        let is_whole =
            !self.relay.is_within_message() && waited.is_ok() && self.answers.window.waiting() == 0;
        let acknowledged = match source_works {
            true => self.acknowledge_the_rest(),
            false => Ok(()),
        };
        let Mover {
            source,
            destination,
            counts,
            ..
        } = self;
        // The source takes back what is not acknowledged.
        let closed = match source_works {
            true => acknowledged.and_then(|()| source.close()),
            false => Ok(()),
        };
        let closed = closed.map_err(|error| Failure::broker(Side::Source, Stage::Move, error));
        let destination = (destination_works && is_whole).then_some(destination);
        let result = moved.and(waited).and(closed);
        let result = match result {
            // What the user has ended has not failed.
            Err(failure) if failure.is_interruption() => Ok(()),
            result => result,
        };
        (counts, destination, result)
    }

    fn move_all(&mut self, watch: &mut dyn Watch) -> Result<(), Failure> {
        // A destination that takes nothing costs a quorum queue one delivery of one message, of the few that its limit allows.
        // A queue that goes with its consumer has no such limit, and must not be without one in between.
        self.state.is_wide = self.job.goes_with_consumer;
        let prefetch = match self.state.is_wide {
            true => self.job.prefetch,
            false => 1,
        };
        let qos = self.source.qos(CHANNEL.0, prefetch);
        qos.and_then(|()| self.consume())
            .map_err(|error| self.of_source(Stage::Consume, error))?;
        while !interrupted() {
            let arrived = self.state.arrived;
            let more = self.turn()?;
            for note in std::mem::take(&mut self.answers.notes) {
                watch.note(&note).map_err(Failure::Output)?;
            }
            self.counts.on_their_way = self.answers.window.len() as u64;
            if watch.look(&self.counts).map_err(Failure::Output)? {
                self.ask()?;
            }
            let waited = more || self.wait()?;
            self.check_patience(arrived)?;
            if !waited && !self.job.follow && self.is_idle() && self.is_done()? {
                break;
            }
        }
        Ok(())
    }

    fn consume(&mut self) -> io::Result<()> {
        self.state.cancelling = false;
        self.state.cancelled = false;
        self.state.found_empty = 0;
        self.source.consume(
            CHANNEL.0,
            self.job.queue,
            self.state.consumer(),
            true,
            FieldTable::default(),
        )
    }

    /// Takes what both sides have sent. Returns whether there is more that has arrived already.
    fn turn(&mut self) -> Result<bool, Failure> {
        self.take_confirms()?;
        let taken = self.take_deliveries();
        let more = self.out.len() >= BURST;
        // Also before an error: what is complete has its place in the window.
        self.publish()?;
        taken?;
        self.acknowledge()?;
        Ok(more)
    }

    fn take_confirms(&mut self) -> Result<(), Failure> {
        let taken = self.answers.take(&mut self.destination);
        taken.map_err(|error| Failure::broker(Side::Destination, Stage::Move, error))?;
        match (
            self.answers.window.back(),
            self.answers.window.is_doubtful(),
        ) {
            (_, true) => Err(Failure::Unroutable),
            (0, false) => Ok(()),
            (_, false) => Err(Failure::Rejected),
        }
    }

    fn take_deliveries(&mut self) -> Result<(), Failure> {
        let Mover {
            relay,
            answers,
            state,
            counts,
            out,
            source,
            ..
        } = self;
        let mut failed = None;
        let mut whole = out.len();
        let taken = source.frames(|frame, payload| {
            match state.take(frame, payload, relay, counts, out) {
                Ok(Some(relayed)) => {
                    whole = out.len();
                    answers.window.sent(relayed);
                }
                Ok(None) => {}
                Err(failure) => {
                    failed = Some(failure);
                    return Ok(false);
                }
            }
            Ok(out.len() < BURST)
        });
        if let Some(failure) = failed {
            // The beginning of a message without its end is not published.
            out.truncate(whole);
            return Err(failure);
        }
        taken.map_err(|error| Failure::broker(Side::Source, Stage::Move, error))
    }

    /// Writes what is to be published.
    fn publish(&mut self) -> Result<(), Failure> {
        if self.out.is_empty() {
            return Ok(());
        }
        let answers = &mut self.answers;
        let mut interrupted_at = None;
        let written = self.destination.write(&self.out, |client, patience| {
            client.read_available()?;
            answers.take(client)?;
            if interrupted() {
                let at = interrupted_at.get_or_insert_with(Instant::now);
                return Ok(at.elapsed() < LAST_MOMENTS);
            }
            if answers.blocked {
                return Ok(true);
            }
            patience.lasts(ACCEPTED_NOTHING)
        });
        self.out.clear();
        match written {
            Ok(true) => Ok(()),
            Ok(false) => Err(Failure::broker(
                Side::Destination,
                Stage::Move,
                ErrorKind::Interrupted.into(),
            )),
            Err(error) => Err(Failure::broker(Side::Destination, Stage::Move, error)),
        }
    }

    /// Acknowledges what has been confirmed.
    fn acknowledge(&mut self) -> Result<(), Failure> {
        let Some((ack, done)) = self.answers.window.acknowledge() else {
            return Ok(());
        };
        let sent = match self.state.is_wide || self.state.cancelling {
            true => self.send_acks(&[ack]),
            false => self.widen(ack),
        };
        sent.map_err(|error| self.of_source(Stage::Move, error))?;
        self.counts.add(done);
        Ok(())
    }

    /// Acknowledges the first message, and lets many be on their way from here on.
    ///
    /// Limits are those of consumers that come after them, so there is another consumer. The first ends while it holds its
    /// message: what is on the way to a consumer that ends goes back to a quorum queue of RabbitMQ's, out of order. And of
    /// two consumers of a queue with a single active one RabbitMQ leaves the second without messages.
    fn widen(&mut self, ack: Ack) -> io::Result<()> {
        self.source.cancel(CHANNEL.0, self.state.consumer(), true)?;
        self.send_acks(&[ack])?;
        self.state.is_wide = true;
        self.source.ask_qos(CHANNEL.0, self.job.prefetch)?;
        self.consume()
    }

    fn send_acks(&mut self, acks: &[Ack]) -> io::Result<()> {
        let mut out = BytesMut::new();
        for ack in acks {
            method::encode_ack(&mut out, CHANNEL, DeliveryTag(ack.tag), ack.multiple);
        }
        let written = self
            .source
            .write(&out, |_, patience| patience.lasts(ACCEPTED_NOTHING))?;
        if written {
            Ok(())
        } else {
            Err(ErrorKind::Interrupted.into())
        }
    }

    /// Waits for something to arrive, and reads it. Returns whether anything has.
    fn wait(&mut self) -> Result<bool, Failure> {
        let ready = Client::wait_for_either(&self.source, &self.destination, WAIT);
        if !ready.map_err(|error| self.of_source(Stage::Move, error))? {
            return Ok(false);
        }
        self.destination
            .read_available()
            .map_err(|error| Failure::broker(Side::Destination, Stage::Move, error))?;
        self.source
            .read_available()
            .map_err(|error| self.of_source(Stage::Move, error))?;
        Ok(true)
    }

    /// Fails if a side has not done for too long what it should have done.
    fn check_patience(&mut self, arrived: u64) -> Result<(), Failure> {
        let waiting = self.answers.window.waiting();
        if waiting == 0 || self.answers.blocked || std::mem::take(&mut self.answers.settled) {
            self.confirms.renew();
        } else {
            let undone = format!("has left {waiting} messages without a confirm");
            let lasts = self.confirms.lasts(&undone);
            lasts.map_err(|error| Failure::broker(Side::Destination, Stage::Move, error))?;
        }
        let owes = self.relay.is_within_message()
            || !self.job.follow && self.counts.ready > 0 && self.answers.window.len() == 0;
        if !owes || arrived != self.state.arrived {
            let patience = match self.state.arrived {
                0 => self.job.first_delivery,
                _ => self.job.patience,
            };
            self.deliveries = Patience::new(patience);
            return Ok(());
        }
        let lasts = self.deliveries.lasts("has delivered nothing");
        lasts
            .map(drop)
            .map_err(|_| Failure::Silent(self.counts.ready))
    }

    fn is_idle(&self) -> bool {
        self.answers.window.len() == 0 && !self.relay.is_within_message()
    }

    /// Asks for the length of the queue, unless that has been asked already.
    fn ask(&mut self) -> Result<(), Failure> {
        if self.state.asked.is_some() || self.state.cancelling {
            return Ok(());
        }
        self.state.asked = Some(self.state.arrived);
        let asked = self.source.ask_counts(self.job.queue);
        asked.map_err(|error| self.of_source(Stage::Move, error))
    }

    /// Finds out whether the queue is empty, step by step. An answer may overtake deliveries that were sent before it, so
    /// two are needed; and what is delivered before the consumer has ended is moved, too.
    fn is_done(&mut self) -> Result<bool, Failure> {
        if self.state.cancelled {
            let counts = match self.source.counts(self.job.queue) {
                Err(error)
                    if self.job.goes_with_consumer
                        && Refusal::of(&error).is_some_and(|refusal| refusal.code == 404) =>
                {
                    return Ok(true);
                }
                counts => counts,
            };
            let (ready, consumers) = counts.map_err(|error| self.of_source(Stage::Move, error))?;
            self.counts.ready = u64::from(ready);
            self.counts.other_consumers = consumers;
            if ready == 0 {
                return Ok(true);
            }
            self.consume()
                .map_err(|error| self.of_source(Stage::Consume, error))?;
        } else if self.state.found_empty < 2 {
            self.ask()?;
        } else if !self.state.cancelling && self.state.asked.is_none() {
            self.state.cancelling = true;
            let cancelled = self.source.cancel(CHANNEL.0, self.state.consumer(), false);
            cancelled.map_err(|error| self.of_source(Stage::Move, error))?;
        }
        Ok(false)
    }

    /// Waits for the confirms of what has been published, but not for ever.
    fn wait_for_the_rest(&mut self) -> Result<(), Failure> {
        let started = Instant::now();
        let goes_on = || {
            started.elapsed()
                < match interrupted() {
                    true => LAST_MOMENTS,
                    false => LAST_CONFIRMS,
                }
        };
        let of = |error| Failure::broker(Side::Destination, Stage::Move, error);
        while self.answers.window.waiting() > 0 && goes_on() {
            self.destination.wait(WAIT).map_err(of)?;
            self.answers.take(&mut self.destination).map_err(of)?;
        }
        Ok(())
    }

    /// Acknowledges everything that has been confirmed.
    fn acknowledge_the_rest(&mut self) -> io::Result<()> {
        let acks = std::mem::take(&mut self.answers.window);
        let (acks, done) = acks.acknowledge_the_rest();
        self.send_acks(&acks)?;
        self.counts.add(done);
        Ok(())
    }

    fn of_source(&self, stage: Stage, error: io::Error) -> Failure {
        Failure::broker(Side::Source, stage, error)
    }
}
