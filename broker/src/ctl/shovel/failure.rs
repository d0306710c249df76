//! Why a move ends early, in words that say what to do.

use std::io;

use crate::client::interrupt::interrupted;
use crate::client::{Refusal, uri::Target};
use crate::ctl::exit;

use super::relay::Unfit;

/// One of the two brokers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Source,
    Destination,
}

impl Side {
    /// Returns how it is called.
    pub(super) fn name(self) -> &'static str {
        match self {
            Side::Source => "source",
            Side::Destination => "destination",
        }
    }
}

/// What was being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Connecting and logging in.
    Connect,
    /// Looking for the queue.
    Look,
    /// Declaring and binding the temporary exchange.
    Prepare,
    /// Starting to consume.
    Consume,
    /// Moving messages.
    Move,
}

/// Why a move ends early.
#[derive(Debug)]
pub(super) enum Failure {
    /// A broker has refused something, is gone, or does nothing.
    Broker(Side, Stage, io::Error),
    /// The destination has refused messages with a negative confirm.
    Rejected,
    /// The destination has returned messages.
    Unroutable,
    /// The source would delete the queue with its messages if the move were interrupted.
    AutoDelete,
    /// The queue was deleted at the source.
    QueueGone,
    /// The source has so many messages ready, and delivers none.
    Silent(u64),
    /// A message cannot be relayed.
    Unfit(Unfit),
    /// The output cannot be written.
    Output(io::Error),
}

/// What the move is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    pub(super) source: &'a Target,
    pub(super) destination: &'a Target,
    /// The queue at the source.
    pub(super) queue: &'a str,
    /// The queue at the destination.
    pub(super) to: &'a str,
}

impl Failure {
    pub(super) fn broker(side: Side, stage: Stage, error: io::Error) -> Self {
        Failure::Broker(side, stage, error)
    }

    /// Returns whether a side has failed so that nothing more is to be expected of it.
    pub(super) fn is_of(&self, side: Side) -> bool {
        matches!(self, Failure::Broker(failed, ..) if *failed == side)
    }

    /// Returns whether a wait has ended because the user wants an end.
    pub(super) fn is_interruption(&self) -> bool {
        matches!(self, Failure::Broker(_, _, error) if error.kind() == io::ErrorKind::Interrupted && interrupted())
    }

    /// Returns the reply code with which the broker has refused something.
    pub(super) fn code(&self) -> Option<u16> {
        match self {
            Failure::Broker(_, _, error) => Refusal::of(error).map(|refusal| refusal.code),
            _ => None,
        }
    }

    /// Returns what is said of it, and the exit status.
    pub(super) fn explain(&self, context: &Context<'_>) -> (String, u8) {
        let Context { queue, to, .. } = context;
        match self {
            Failure::Broker(side, stage, error) => of_broker(*side, *stage, error, context),
            Failure::Rejected => (
                format!(
                    "the destination's queue '{to}' refuses messages: it is full (x-max-length with reject-publish). \
                     They are back in '{queue}'; make room and run this again (each attempt counts towards the delivery \
                     limit of a quorum queue)"
                ),
                exit::TIMED_OUT,
            ),
            Failure::Unroutable => (
                format!(
                    "the destination returned messages: its queue '{to}' was deleted or unbound while they moved. \
                     They are back in '{queue}'"
                ),
                exit::UNAVAILABLE,
            ),
            Failure::AutoDelete => (
                format!(
                    "'{queue}' is an auto-delete queue without another consumer: if this is interrupted, the source \
                     deletes the queue with the messages that are left. Start a consumer that stays there, or accept the \
                     risk with --auto-delete-too"
                ),
                exit::UNAVAILABLE,
            ),
            Failure::QueueGone => (
                format!("the queue '{queue}' was deleted at the source while its messages moved"),
                exit::UNAVAILABLE,
            ),
            Failure::Silent(ready) => (
                format!(
                    "the source has {ready} messages ready in '{queue}' and delivers none: another consumer may be its \
                     single active consumer; stop that one and run this again"
                ),
                exit::TIMED_OUT,
            ),
            Failure::Unfit(unfit) => (of_unfit(*unfit, queue), exit::UNAVAILABLE),
            Failure::Output(error) => (format!("cannot write the output: {error}"), exit::IO),
        }
    }
}

fn of_unfit(unfit: Unfit, queue: &str) -> String {
    match unfit {
        Unfit::OfStream => format!(
            "'{queue}' is a stream: reading does not remove messages from a stream, so they cannot be moved. Let its \
             producers publish to the destination, and its consumers read the rest here first"
        ),
        Unfit::Properties(size) => format!(
            "a message of '{queue}' has properties and headers of {size} bytes, more than a frame at the destination \
             may have: raise its frame_max. The message is back in the queue"
        ),
        Unfit::OutOfOrder => {
            "the source sent frames that are no message: it may not be an AMQP 0-9-1 broker"
                .to_owned()
        }
    }
}

fn of_broker(side: Side, stage: Stage, error: &io::Error, context: &Context<'_>) -> (String, u8) {
    let target = match side {
        Side::Source => context.source,
        Side::Destination => context.destination,
    };
    let name = side.name();
    let Some(refusal) = Refusal::of(error) else {
        let advice = match stage {
            Stage::Move => {
                ". Run this again to go on: nothing is lost, and what may have been moved is marked redelivered"
            }
            _ => "",
        };
        let status = match (stage, error.kind()) {
            (Stage::Move, _) | (_, io::ErrorKind::TimedOut) => exit::TIMED_OUT,
            _ => exit::UNAVAILABLE,
        };
        let error = in_words_of_uris(&error.to_string());
        return (
            format!("{name} {}: {error}{advice}", target.shown()),
            status,
        );
    };
    let queue = match side {
        Side::Source => context.queue,
        Side::Destination => context.to,
    };
    let advice = advice(side, stage, refusal, queue, target);
    let status = match refusal.code {
        // Shutting down, or a consumer that took too long.
        320 => exit::TIMED_OUT,
        406 if side == Side::Source => exit::TIMED_OUT,
        _ => exit::UNAVAILABLE,
    };
    (
        format!("{name} {}: {refusal}{advice}", target.shown()),
        status,
    )
}

/// Returns what to do about a refusal, with what precedes it.
fn advice(side: Side, stage: Stage, refusal: &Refusal, queue: &str, target: &Target) -> String {
    let user = &target.user;
    let text = match (side, stage, refusal.code) {
        (Side::Destination, Stage::Look, 404) => {
            "import the definitions of the source first, or declare the queue; this declares none"
                .to_owned()
        }
        (Side::Destination, Stage::Prepare, 403) => format!(
            "the user '{user}' needs the permissions configure, write and read on 'leveretctl\\.shovel\\..*', and write \
             on '{queue}'"
        ),
        (Side::Source, Stage::Consume | Stage::Move, 403) if refusal.text.contains("exclusive") => {
            "stop the consumer that has the queue for itself".to_owned()
        }
        (Side::Source, Stage::Consume | Stage::Move, 403) => {
            format!("the user '{user}' needs the permission read on '{queue}'")
        }
        (_, Stage::Connect, 403) => {
            "check user and password in the URI; guest may often log in from the same machine only"
                .to_owned()
        }
        (_, _, 405) => "the queue is exclusive to another connection, and goes with it".to_owned(),
        (Side::Destination, Stage::Move, 404) => {
            format!("the queue '{queue}' was deleted while messages moved")
        }
        (Side::Destination, Stage::Move, 406) if refusal.text.contains("user_id") => format!(
            "the message is back in its queue; log in there as the user that published it, or give '{user}' the tag \
             impersonator"
        ),
        (Side::Destination, Stage::Move, _) if refusal.text.contains("max size") => {
            "the message is back in its queue; raise max_message_size there".to_owned()
        }
        (Side::Source, Stage::Move, 406) if refusal.text.contains("timed out") => {
            "the destination was too slow; run this again, with a smaller --prefetch if need be"
                .to_owned()
        }
        (_, Stage::Move, _) => "run this again to go on; nothing is lost".to_owned(),
        _ => return String::new(),
    };
    format!(": {text}")
}

/// Names the parameters of a URI in place of the options of leveretperf, which has the same client.
fn in_words_of_uris(error: &str) -> String {
    let mut error = error.to_owned();
    for (option, parameter) in [
        ("--cacert FILE", "cacertfile=FILE in the URI"),
        (
            "--cert FILE and --key FILE",
            "certfile=FILE and keyfile=FILE in the URI",
        ),
        ("--cert, --key", "certfile= and keyfile= in the URI"),
        (
            "--server-name NAME",
            "server_name_indication=NAME in the URI",
        ),
        ("amqps://, or --tls", "amqps://"),
        ("amqps://, --tls", "amqps://"),
        ("amqp://, or leave out --tls", "amqp://"),
    ] {
        error = error.replace(option, parameter);
    }
    error
}
