//! What leveretperf is told, and whether it makes sense. Names are those of lavinmqperf where it has one, else of
//! RabbitMQ's PerfTest where that does not mean something else.

use super::topology::Through;
use super::uri::Target;
use clap::{Parser, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Octets that the time of publishing takes at the front of a body.
pub(super) const STAMP: usize = 8;
/// How long a run takes that nothing else ends, in seconds.
const DURATION: f64 = 5.0;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Publish and consume: messages per second, latencies.
    Throughput,
    /// Connect, log in, open a channel and close, over and over (-x connections at a time).
    ConnectionChurn,
    /// Open and close a channel, over and over.
    ChannelChurn,
    /// Declare and delete a queue, over and over.
    QueueChurn,
    /// Bind a queue to an exchange and unbind it, over and over.
    BindChurn,
    /// Open -x connections and leave them idle until the time is over or Ctrl-C.
    ConnectionCount,
    /// No broker: the same octets through bare sockets of this machine, which is the most that
    /// this generator could measure.
    Ceiling,
    /// No broker: messages through a process that only passes octets on (tokio), to compare an
    /// unloaded broker's latency with.
    Relay,
    /// No broker: append a body to a file and sync it (fdatasync), one at a time, to compare the
    /// latency of confirms with.
    Disk,
    /// What passes the octets on in the mode `relay`.
    #[value(hide = true)]
    RelayServer,
}

/// Puts load on an AMQP 0-9-1 broker and says what it carried.
#[derive(Clone, Debug, Parser)]
#[command(name = "leveretperf", version, after_help = EXAMPLES)]
pub struct Load {
    /// What to measure.
    #[arg(value_enum, default_value_t = Mode::Throughput, hide_default_value = true)]
    pub mode: Mode,
    /// The broker: `amqp://user:password@host:port/vhost`.
    #[arg(long, value_name = "URI", conflicts_with_all = ["address", "user", "password", "vhost"])]
    pub uri: Option<String>,
    /// Where the broker listens.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5672")]
    pub address: String,
    /// The user to log in as.
    #[arg(long, default_value = "guest")]
    pub user: String,
    /// Its password.
    #[arg(long, default_value = "guest")]
    pub password: String,
    /// The virtual host.
    #[arg(long, default_value = "/")]
    pub vhost: String,

    /// Connections that publish, each from a thread of its own.
    #[arg(
        short = 'x',
        long,
        value_name = "N",
        alias = "producers",
        default_value_t = 1,
        help_heading = "Load"
    )]
    pub publishers: u32,
    /// Connections that consume, each from a thread of its own.
    #[arg(
        short = 'y',
        long,
        value_name = "N",
        default_value_t = 1,
        help_heading = "Load"
    )]
    pub consumers: u32,
    /// Octets of a message body.
    #[arg(
        short,
        long,
        value_name = "OCTETS",
        default_value_t = 16,
        help_heading = "Load"
    )]
    pub size: usize,
    /// Durable queues and persistent messages.
    #[arg(short, long, help_heading = "Load")]
    pub persistent: bool,
    /// Publisher confirms with at most so many outstanding per publisher; 0 for none.
    #[arg(
        short,
        long,
        value_name = "WINDOW",
        default_value_t = 0,
        help_heading = "Load"
    )]
    pub confirm: u32,
    /// Return messages that find no queue.
    #[arg(long, help_heading = "Load")]
    pub mandatory: bool,
    /// Consumers acknowledge every delivery (otherwise: auto-ack).
    #[arg(short, long, help_heading = "Load")]
    pub ack: bool,
    /// Consumers acknowledge with one basic.ack for so many deliveries.
    #[arg(short = 'A', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Load")]
    pub multi_ack_every: Option<u32>,
    /// Unacknowledged deliveries a consumer may have; 0 for no limit.
    #[arg(
        short = 'P',
        long,
        value_name = "N",
        alias = "qos",
        default_value_t = 0,
        help_heading = "Load"
    )]
    pub prefetch: u16,
    /// Messages per second that each publisher publishes at most.
    #[arg(short, long, value_name = "PER_SECOND", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Load")]
    pub rate: Option<u64>,
    /// Messages per second that each consumer takes at most.
    #[arg(short = 'R', long, value_name = "PER_SECOND", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Load")]
    pub consumer_rate: Option<u64>,
    /// The `expiration` of each message, in milliseconds.
    #[arg(long, value_name = "MILLISECONDS", help_heading = "Load")]
    pub expiration: Option<u64>,
    /// Messages have priorities from 0 to this, in turn.
    #[arg(long, value_name = "PRIORITY", help_heading = "Load")]
    pub priorities: Option<u8>,
    /// Channels that each connection of the mode connection-count opens.
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Load")]
    pub channels: u16,

    /// How long to publish, in seconds; 5 unless counts end the run.
    #[arg(short, long, short_alias = 'z', alias = "time", value_name = "SECONDS", value_parser = seconds, help_heading = "End")]
    pub duration: Option<f64>,
    /// Each publisher publishes so many messages; in the modes that churn: does it so often.
    #[arg(short = 'C', long, value_name = "N", help_heading = "End")]
    pub pmessages: Option<u64>,
    /// Each consumer takes so many messages.
    #[arg(short = 'D', long, value_name = "N", help_heading = "End")]
    pub cmessages: Option<u64>,
    /// Publish so many messages first and consume them all afterwards; with `-y 0` they are left.
    #[arg(long, value_name = "MESSAGES", conflicts_with_all = ["pmessages", "cmessages", "duration"], help_heading = "End")]
    pub backlog: Option<u64>,
    /// Fail when the broker takes, answers or delivers nothing for so long, in seconds; while a
    /// duration limits the run, a broker that blocks publishers is waited for until its end.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds, help_heading = "End")]
    pub patience: f64,

    /// Queues; publishers and consumers are spread over them in turn.
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Queues and exchanges")]
    pub queues: u32,
    /// The queue's name; of several: NAME-0, NAME-1, … A queue that is there already is refused
    /// unless `--predeclared` or `--replace` says what to do with it.
    #[arg(
        short = 'u',
        long,
        value_name = "NAME",
        help_heading = "Queues and exchanges"
    )]
    pub queue: Option<String>,
    /// Use queues, exchange and bindings as they are; declare and remove nothing.
    #[arg(
        long,
        conflicts_with = "replace",
        help_heading = "Queues and exchanges"
    )]
    pub predeclared: bool,
    /// Remove queues of these names first.
    #[arg(long, help_heading = "Queues and exchanges")]
    pub replace: bool,
    /// Leave the queues and what is in them when it is over.
    #[arg(long, help_heading = "Queues and exchanges")]
    pub keep: bool,
    /// Durable queues, also for transient messages.
    #[arg(long, help_heading = "Queues and exchanges")]
    pub durable: bool,
    /// An argument that the queues are declared with, such as `x-message-ttl=60000`: numbers are
    /// integers, all else is a string. May be given several times.
    #[arg(long = "argument", alias = "queue-args", value_name = "NAME=VALUE", value_parser = argument, help_heading = "Queues and exchanges")]
    pub arguments: Vec<(String, String)>,
    /// Publish through an exchange of this type and not straight to the queues.
    #[arg(
        short = 't',
        long = "type",
        value_name = "TYPE",
        value_enum,
        help_heading = "Queues and exchanges"
    )]
    pub exchange_type: Option<Through>,
    /// The exchange's name; without `--type` it is there already.
    #[arg(
        short,
        long,
        value_name = "NAME",
        help_heading = "Queues and exchanges"
    )]
    pub exchange: Option<String>,
    /// Bindings of the exchange, each with a key of its own that publishers use in turn; they are
    /// spread over the queues in turn.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Queues and exchanges")]
    pub bindings: u32,
    /// The routing key of the messages and of the bindings; several are used in turn.
    #[arg(
        short = 'k',
        long,
        value_name = "KEY",
        conflicts_with = "bindings",
        help_heading = "Queues and exchanges"
    )]
    pub routing_key: Vec<String>,

    /// Measure the time from publishing to delivery (it is written into the bodies). With --rate
    /// it counts from when a message was due, if its publisher was held up.
    #[arg(short = 'l', long, help_heading = "Output")]
    pub measure_latency: bool,
    /// Seconds between lines of progress (standard error).
    #[arg(short, long, value_name = "SECONDS", default_value = "1", value_parser = seconds, help_heading = "Output")]
    pub interval: f64,
    /// No lines of progress.
    #[arg(long, help_heading = "Output")]
    pub quiet: bool,
    /// The summary as JSON.
    #[arg(short, long, help_heading = "Output")]
    pub json: bool,
    /// The summary as CSV: a line of names and a line of values.
    #[arg(long, conflicts_with = "json", help_heading = "Output")]
    pub csv: bool,
    /// Write the progress into this file as CSV.
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output_file: Option<PathBuf>,

    /// The directory of the file that the mode disk writes.
    #[arg(
        long,
        value_name = "DIRECTORY",
        default_value = ".",
        help_heading = "Mode disk"
    )]
    pub dir: PathBuf,
    /// The file has its length before it is written to, as logs have.
    #[arg(long, help_heading = "Mode disk")]
    pub preallocate: bool,
}

const EXAMPLES: &str = "Examples:
  leveretperf                                     as fast as it goes, 1 to 1, 5 s
  leveretperf -s 1024 -p -c 1000 -a -P 500 -d 30  persistent, confirmed, acknowledged
  leveretperf -r 1000 -l -C 60000                 latency of a quiet broker
  leveretperf -t topic -q 20 --bindings 1000      through a topic exchange
  leveretperf --backlog 1000000 -s 100            fill, then drain
  leveretperf connection-churn -x 4 -d 10
  leveretperf ceiling -s 1024                     the most this generator can do

Without --quiet a line a second goes to standard error; Ctrl-C ends a run with its summary. The
exit status is 0, 1 when something failed (the broker refused something, closed a connection, is
gone, or did nothing for as long as --patience), 2 for arguments that make no sense.";

fn argument(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("not NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// A positive number of seconds.
fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds")?;
    if seconds > 0.0 && seconds <= 1e9 {
        Ok(seconds)
    } else {
        Err("not a number of seconds above 0".to_owned())
    }
}

impl Load {
    /// What is wrong with arguments that are each fine by themselves.
    ///
    /// # Errors
    /// A sentence that names the options.
    pub fn check(&self) -> Result<(), String> {
        self.target()?;
        let stamped = self.measure_latency || self.mode == Mode::Relay;
        if stamped && self.size < STAMP {
            return Err(format!(
                "--measure-latency writes the time into the body: --size must be {STAMP} at least"
            ));
        }
        if let Some(every) = self.multi_ack_every
            && self.prefetch != 0
            && every > u32::from(self.prefetch)
        {
            return Err(format!(
                "--multi-ack-every {every} would never come with --prefetch {}",
                self.prefetch
            ));
        }
        if self.mode == Mode::Throughput && self.publishers == 0 && self.consumers == 0 {
            return Err("neither --publishers nor --consumers: nothing to do".to_owned());
        }
        if self.backlog.is_some() && self.publishers == 0 {
            return Err(
                "--backlog has to be published: --publishers must be 1 at least".to_owned(),
            );
        }
        if self.cmessages.is_some() && self.consumers == 0 {
            return Err("--cmessages without --consumers".to_owned());
        }
        if self.publishers == 0 && !matches!(self.mode, Mode::Throughput | Mode::Disk) {
            return Err("--publishers must be 1 at least in this mode".to_owned());
        }
        if self.queue.as_ref().is_some_and(|name| name.len() > 240) {
            return Err("--queue is longer than a name may be".to_owned());
        }
        let long = |key: &String| key.len() > 255;
        if self.routing_key.iter().any(long) || self.exchange.as_ref().is_some_and(long) {
            return Err("a name or routing key is longer than 255 octets".to_owned());
        }
        Ok(())
    }

    /// Whom to talk to.
    ///
    /// # Errors
    /// What is wrong with the URI.
    pub(super) fn target(&self) -> Result<Target, String> {
        match &self.uri {
            Some(uri) => Target::parse(uri).map_err(|why| format!("--uri: {why}")),
            None => Ok(Target {
                address: self.address.clone(),
                user: self.user.clone(),
                password: self.password.clone(),
                vhost: self.vhost.clone(),
            }),
        }
    }

    /// How long to publish, in seconds; `None` when counts end the run.
    pub(super) fn time_limit(&self) -> Option<f64> {
        let counted = self.pmessages.is_some() || self.cmessages.is_some();
        self.duration.or((!counted).then_some(DURATION))
    }

    /// How long the broker may do nothing.
    pub(super) fn patience(&self) -> Duration {
        Duration::from_secs_f64(self.patience)
    }

    /// The n-th queue's name.
    pub(super) fn queue(&self, n: u32) -> String {
        match (&self.queue, self.queues) {
            (Some(name), 1) => name.clone(),
            (Some(name), _) => format!("{name}-{n}"),
            (None, _) => format!("leveretperf-{n}"),
        }
    }

    /// Whether the queues are ours to remove: no-one else has such names.
    pub(super) fn owns_queues(&self) -> bool {
        !self.predeclared && (self.queue.is_none() || self.replace)
    }

    /// The exchange's name: ours unless another is given.
    pub(super) fn exchange_name(&self) -> &str {
        match (&self.exchange, self.exchange_type) {
            (Some(name), _) => name,
            (None, Some(_)) => "leveretperf",
            (None, None) => "",
        }
    }

    /// The queues of the n-th of `of` publishers or consumers: every queue has one at least.
    pub(super) fn queues_of(&self, n: u32, of: u32) -> Vec<String> {
        if of >= self.queues {
            return vec![self.queue(n % self.queues)];
        }
        let own = (n..self.queues).step_by(of.max(1) as usize);
        own.map(|n| self.queue(n)).collect()
    }

    /// Whether consumers acknowledge, and after how many deliveries.
    pub(super) fn ack_every(&self) -> Option<u32> {
        self.multi_ack_every.or(self.ack.then_some(1))
    }

    /// Whether every message that is published stays in exactly one queue until it is consumed.
    pub(super) fn each_is_queued_once(&self) -> bool {
        let known = match self.exchange_type {
            None => self.exchange.is_none(),
            Some(Through::Fanout) => self.queues == 1,
            Some(_) => self.routing_key.is_empty(),
        };
        let kept = self.expiration.is_none() && !self.arguments.iter().any(changes_what_is_kept);
        known && kept && !self.predeclared
    }
}

/// Whether a queue with this argument may lose messages, or give them more than once.
fn changes_what_is_kept((name, value): &(String, String)) -> bool {
    let loses = [
        "x-max-length",
        "x-max-length-bytes",
        "x-message-ttl",
        "x-expires",
    ];
    loses.contains(&name.as_str()) || value == "stream"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(arguments: &str) -> Load {
        let words = std::iter::once("leveretperf").chain(arguments.split_whitespace());
        Load::try_parse_from(words).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn every_queue_has_a_publisher() {
        assert_eq!(load("-u q").queues_of(0, 1), ["q"]);
        assert_eq!(load("-u q -q 3").queues_of(1, 2), ["q-1"]);
        assert_eq!(load("-u q -q 3").queues_of(0, 2), ["q-0", "q-2"]);
        assert_eq!(load("-u q -q 3").queues_of(4, 5), ["q-1"]);
    }

    #[test]
    fn what_makes_no_sense_together_is_said() {
        for (arguments, mention) in [
            ("-l -s 7", "--size"),
            ("-x 0 -y 0", "nothing to do"),
            ("-A 10 -P 9", "--prefetch 9"),
            ("-x 0 --backlog 5", "--backlog"),
            ("-y 0 -D 5", "--cmessages"),
            ("queue-churn -x 0", "--publishers"),
            ("--uri http://h", "amqp://"),
        ] {
            let error = load(arguments).check().expect_err(arguments);
            assert!(error.contains(mention), "{arguments}: {error}");
        }
    }

    #[test]
    fn numbers_that_make_no_sense_are_refused() {
        for arguments in [
            "-d 0",
            "-d nan",
            "-d -1",
            "-r 0",
            "-q 0",
            "--bindings 0",
            "-A 0",
            "churn",
        ] {
            let words = std::iter::once("leveretperf").chain(arguments.split_whitespace());
            Load::try_parse_from(words).expect_err(arguments);
        }
    }

    #[test]
    fn counts_end_a_run_or_else_the_time() {
        assert_eq!(load("").time_limit(), Some(DURATION));
        assert_eq!(load("-C 5").time_limit(), None);
        assert_eq!(load("-C 5 -z 2").time_limit(), Some(2.0));
    }
}
