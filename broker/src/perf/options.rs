//! The options of leveretperf, and checks that they make sense together. Names are those of
//! lavinmqperf where it has one, otherwise those of RabbitMQ's PerfTest unless the name means
//! something else here.

use super::perftest::DIFFERENCES;
use super::route::ExchangeKind;
use super::tls::TlsOptions;
use super::values::{argument, count, seconds, size};
use crate::client::uri::{Address, Target};
use crate::text::version::FULL_VERSION;
use clap::{Parser, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// The length of the publishing time at the start of a body.
pub(super) const STAMP: usize = 8;
/// The default duration of a run in seconds, if nothing else ends it.
const DURATION: f64 = 5.0;

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Publish and consume: messages per second, latencies.
    Throughput,
    /// Connect, log in, open a channel and close, repeatedly (with -x connections in parallel).
    ConnectionChurn,
    /// Open and close a channel, repeatedly.
    ChannelChurn,
    /// Declare and delete a queue, repeatedly.
    QueueChurn,
    /// Bind a queue to an exchange and unbind it, repeatedly.
    BindChurn,
    /// Open -x connections and leave them idle until the time is over or Ctrl-C is pressed.
    ConnectionCount,
    /// No broker: send the same bytes through local sockets, to find the most that this generator
    /// can measure.
    Ceiling,
    /// No broker: send messages through a process that only forwards bytes (tokio), to compare with
    /// the latency of an idle broker.
    Relay,
    /// No broker: append a body to a file and sync it (fdatasync), one at a time, to compare with
    /// the latency of confirms.
    Disk,
    /// The process that forwards bytes in the mode `relay`.
    #[value(hide = true)]
    RelayServer,
}

/// Puts load on an AMQP 0-9-1 broker and reports the rates and latencies it achieved.
#[derive(Clone, Debug, Parser)]
#[command(name = "leveretperf", version = FULL_VERSION, after_help = format!("{EXAMPLES}\n\n{DIFFERENCES}"))]
pub struct Load {
    /// What to measure.
    #[arg(value_enum, default_value_t = Mode::Throughput, hide_default_value = true)]
    pub mode: Mode,
    /// The broker: `amqp://user:password@host:port/vhost`, or `amqps://` with the parameters of
    /// RabbitMQ's URIs for TLS.
    #[arg(long, value_name = "URI", conflicts_with_all = ["address", "user", "password", "vhost"])]
    pub uri: Option<String>,
    /// The broker's address: a name or IP address (`[::1]:5672`), or `unix:/path`; default: 127.0.0.1:5672, with --tls
    /// 127.0.0.1:5671.
    #[arg(long, value_name = "HOST:PORT")]
    pub address: Option<String>,
    /// The user to log in as.
    #[arg(long, default_value = "guest")]
    pub user: String,
    /// The user's password.
    #[arg(long, default_value = "guest")]
    pub password: String,
    /// The virtual host.
    #[arg(long, default_value = "/")]
    pub vhost: String,
    /// How to use TLS.
    #[command(flatten)]
    pub tls: TlsOptions,

    /// Number of publishing connections, each with its own thread.
    #[arg(
        short = 'x',
        long,
        value_name = "N",
        alias = "producers",
        default_value_t = 1,
        help_heading = "Load"
    )]
    pub publishers: u32,
    /// Number of consuming connections, each with its own thread.
    #[arg(
        short = 'y',
        long,
        value_name = "N",
        default_value_t = 1,
        help_heading = "Load"
    )]
    pub consumers: u32,
    /// Size of a message body in bytes, or with a unit: 16kB, 1KiB, 2MiB.
    #[arg(
        short,
        long,
        value_name = "SIZE",
        default_value = "16",
        value_parser = size,
        help_heading = "Load"
    )]
    pub size: usize,
    /// Use durable queues and persistent messages.
    #[arg(short, long, help_heading = "Load")]
    pub persistent: bool,
    /// Use publisher confirms, with at most this many outstanding per publisher; 0 for none.
    #[arg(
        short,
        long,
        value_name = "WINDOW",
        default_value_t = 0,
        help_heading = "Load"
    )]
    pub confirm: u32,
    /// Ask for unroutable messages to be returned.
    #[arg(long, help_heading = "Load")]
    pub mandatory: bool,
    /// Acknowledge every delivery (default: automatic acknowledgement).
    #[arg(short, long, help_heading = "Load")]
    pub ack: bool,
    /// Acknowledge this many deliveries with one basic.ack.
    #[arg(short = 'A', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Load")]
    pub multi_ack_every: Option<u32>,
    /// Prefetch: how many unacknowledged deliveries a consumer may have; 0 for no limit.
    #[arg(
        short = 'P',
        long,
        value_name = "N",
        alias = "qos",
        default_value_t = 0,
        help_heading = "Load"
    )]
    pub prefetch: u16,
    /// Messages per second and publisher, at most.
    #[arg(short, long, value_name = "PER_SECOND", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Load")]
    pub rate: Option<u64>,
    /// Messages per second and consumer, at most.
    #[arg(short = 'R', long, value_name = "PER_SECOND", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Load")]
    pub consumer_rate: Option<u64>,
    /// The `expiration` of each message, in milliseconds.
    #[arg(long, value_name = "MILLISECONDS", help_heading = "Load")]
    pub expiration: Option<u64>,
    /// Give messages priorities from 0 to this, in turn.
    #[arg(long, value_name = "PRIORITY", help_heading = "Load")]
    pub priorities: Option<u8>,
    /// Number of channels per connection: messages are published on all of them in turn, and
    /// consumed on all of them. Also in the mode connection-count.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..), help_heading = "Load")]
    pub channels: u16,
    /// Number of channels of each publisher, if not that of --channels.
    #[arg(short = 'X', long, alias = "producer-channel-count", value_name = "N", value_parser = clap::value_parser!(u16).range(1..), help_heading = "Load")]
    pub publisher_channels: Option<u16>,
    /// Number of channels of each consumer, if not that of --channels.
    #[arg(short = 'Y', long, alias = "consumer-channel-count", value_name = "N", value_parser = clap::value_parser!(u16).range(1..), help_heading = "Load")]
    pub consumer_channels: Option<u16>,

    /// How long to publish, in seconds; default: 5, unless message counts end the run.
    #[arg(short, long, short_alias = 'z', alias = "time", value_name = "SECONDS", value_parser = seconds, help_heading = "When to stop")]
    pub duration: Option<f64>,
    /// Messages to publish per publisher, also as 100k or 2M; in the churn modes: cycles per connection.
    #[arg(short = 'C', long, value_name = "N", value_parser = count, help_heading = "When to stop")]
    pub pmessages: Option<u64>,
    /// Messages to consume per consumer.
    #[arg(short = 'D', long, value_name = "N", value_parser = count, help_heading = "When to stop")]
    pub cmessages: Option<u64>,
    /// Publish this many messages first and consume them all afterwards; with `-y 0`, leave them in
    /// the queues.
    #[arg(long, value_name = "MESSAGES", value_parser = count, conflicts_with_all = ["pmessages", "cmessages", "duration"], help_heading = "When to stop")]
    pub backlog: Option<u64>,
    /// Fail if the broker accepts, answers or delivers nothing for this long, in seconds. If a
    /// duration limits the run, a broker that blocks publishers is waited for until the run ends.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds, help_heading = "When to stop")]
    pub patience: f64,

    /// Number of queues; publishers and consumers are distributed over them in turn.
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Queues and exchanges")]
    pub queues: u32,
    /// The name of the queue; with several queues: NAME-0, NAME-1, … If a queue exists already, the
    /// run fails unless `--predeclared` or `--replace` is given.
    #[arg(
        short = 'u',
        long,
        value_name = "NAME",
        help_heading = "Queues and exchanges"
    )]
    pub queue: Option<String>,
    /// Use existing queues, exchange and bindings; declare and remove nothing.
    #[arg(
        long,
        conflicts_with = "replace",
        help_heading = "Queues and exchanges"
    )]
    pub predeclared: bool,
    /// Remove existing queues of the same names first.
    #[arg(long, help_heading = "Queues and exchanges")]
    pub replace: bool,
    /// Keep the queues and their messages after the run.
    #[arg(long, help_heading = "Queues and exchanges")]
    pub keep: bool,
    /// Use durable queues even for transient messages.
    #[arg(long, help_heading = "Queues and exchanges")]
    pub durable: bool,
    /// An argument for declaring the queues, such as `x-message-ttl=60000`: numbers become
    /// integers, everything else strings. Can be repeated.
    #[arg(long = "argument", alias = "queue-args", value_name = "NAME=VALUE", value_parser = argument, help_heading = "Queues and exchanges")]
    pub arguments: Vec<(String, String)>,
    /// Publish through an exchange of this type instead of directly to the queues.
    #[arg(
        short = 't',
        long = "type",
        value_name = "TYPE",
        value_enum,
        help_heading = "Queues and exchanges"
    )]
    pub exchange_type: Option<ExchangeKind>,
    /// The name of the exchange; without `--type` it must exist already.
    #[arg(
        short,
        long,
        value_name = "NAME",
        help_heading = "Queues and exchanges"
    )]
    pub exchange: Option<String>,
    /// Number of bindings of the exchange, each with its own key that publishers use in turn. They
    /// are distributed over the queues in turn.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Queues and exchanges")]
    pub bindings: u32,
    /// Routing key for messages and bindings; several keys are used in turn.
    #[arg(
        short = 'k',
        long,
        value_name = "KEY",
        conflicts_with = "bindings",
        help_heading = "Queues and exchanges"
    )]
    pub routing_key: Vec<String>,

    /// Measure the time from publishing to delivery, which is written into the bodies. With --rate,
    /// it counts from when a message was due if its publisher was delayed.
    #[arg(short = 'l', long, help_heading = "Output")]
    pub measure_latency: bool,
    /// Seconds between progress lines (on standard error).
    #[arg(short, long, value_name = "SECONDS", default_value = "1", value_parser = seconds, help_heading = "Output")]
    pub interval: f64,
    /// Print no progress lines.
    #[arg(long, help_heading = "Output")]
    pub quiet: bool,
    /// Print the summary as JSON.
    #[arg(short, long, help_heading = "Output")]
    pub json: bool,
    /// Print the summary as CSV: a line of names and a line of values.
    #[arg(long, conflicts_with = "json", help_heading = "Output")]
    pub csv: bool,
    /// Write the progress to this file as CSV.
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output_file: Option<PathBuf>,

    /// Directory for the file that the mode disk writes.
    #[arg(
        long,
        value_name = "DIRECTORY",
        default_value = ".",
        help_heading = "Mode disk"
    )]
    pub dir: PathBuf,
    /// Preallocate the file, as logs do.
    #[arg(long, help_heading = "Mode disk")]
    pub preallocate: bool,
}

const EXAMPLES: &str = "Examples:
  leveretperf                                     as fast as possible, 1 to 1, 5 s
  leveretperf -s 1KiB -p -c 1000 -a -P 500 -d 30  persistent, confirmed, acknowledged
  leveretperf -r 1000 -l -C 60000                 latency of a lightly loaded broker
  leveretperf -t topic -q 20 --bindings 1000      through a topic exchange
  leveretperf --backlog 1M -s 100                 fill, then drain
  leveretperf connection-churn -x 4 -d 10
  leveretperf ceiling -s 1024                     the most that this generator can do

Without --quiet, a line per second is printed to standard error. Ctrl-C ends the run with a summary.
The exit status is 0 on success, 1 if something failed (the broker rejected something, closed a
connection, is gone, or did nothing for as long as --patience), and 2 for invalid arguments.";

impl Load {
    /// Checks that the arguments make sense together.
    ///
    /// # Errors
    /// A sentence that names the conflicting options.
    pub fn check(&self) -> Result<(), String> {
        self.target()?;
        let stamped = self.measure_latency || self.mode == Mode::Relay;
        if stamped && self.size < STAMP {
            return Err(format!(
                "--measure-latency writes the time into the body: --size must be at least {STAMP}"
            ));
        }
        if let Some(every) = self.multi_ack_every
            && self.prefetch != 0
            && every > u32::from(self.prefetch)
        {
            return Err(format!(
                "--multi-ack-every {every} can never be reached with --prefetch {}",
                self.prefetch
            ));
        }
        if self.mode == Mode::Throughput && self.publishers == 0 && self.consumers == 0 {
            return Err("--publishers and --consumers are both 0: nothing to do".to_owned());
        }
        if self.backlog.is_some() && self.publishers == 0 {
            return Err("--backlog needs a publisher: --publishers must be at least 1".to_owned());
        }
        if self.cmessages.is_some() && self.consumers == 0 {
            return Err("--cmessages needs a consumer: --consumers must be at least 1".to_owned());
        }
        if self.publishers == 0 && !matches!(self.mode, Mode::Throughput | Mode::Disk) {
            return Err("--publishers must be at least 1 in this mode".to_owned());
        }
        let several = self.publisher_channels() > 1 || self.consumer_channels() > 1;
        if several && matches!(self.mode, Mode::Ceiling | Mode::Relay) {
            return Err("several channels need a broker: not in this mode".to_owned());
        }
        if self.queue.as_ref().is_some_and(|name| name.len() > 240) {
            return Err("--queue is longer than 240 bytes".to_owned());
        }
        let long = |key: &String| key.len() > 255;
        if self.routing_key.iter().any(long) || self.exchange.as_ref().is_some_and(long) {
            return Err("a name or routing key is longer than 255 bytes".to_owned());
        }
        Ok(())
    }

    /// Returns the broker to connect to.
    ///
    /// # Errors
    /// The URI is invalid; the error says why.
    pub(super) fn target(&self) -> Result<Target, String> {
        let mut target = match &self.uri {
            Some(uri) => Target::parse(uri).map_err(|why| format!("--uri: {why}"))?,
            None => Target {
                address: Address::parse(self.address.as_deref(), self.tls.tls)
                    .map_err(|why| format!("--address: {why}"))?,
                user: self.user.clone(),
                password: self.password.clone(),
                vhost: self.vhost.clone(),
                external: false,
                tls: self.tls.tls.then(Default::default),
            },
        };
        self.tls.apply(&mut target)?;
        Ok(target)
    }

    /// Returns the number of channels of each publisher.
    pub(super) fn publisher_channels(&self) -> u16 {
        self.publisher_channels.unwrap_or(self.channels)
    }

    /// Returns the number of channels of each consumer.
    pub(super) fn consumer_channels(&self) -> u16 {
        self.consumer_channels.unwrap_or(self.channels)
    }

    /// Returns how long to publish, in seconds, or `None` if message counts end the run.
    pub(super) fn time_limit(&self) -> Option<f64> {
        let counted = self.pmessages.is_some() || self.cmessages.is_some();
        self.duration.or((!counted).then_some(DURATION))
    }

    /// Returns how long the broker may be idle.
    pub(super) fn patience(&self) -> Duration {
        Duration::from_secs_f64(self.patience)
    }

    /// Returns the name of the n-th queue.
    pub(super) fn queue(&self, n: u32) -> String {
        match (&self.queue, self.queues) {
            (Some(name), 1) => name.clone(),
            (Some(name), _) => format!("{name}-{n}"),
            (None, _) => format!("leveretperf-{n}"),
        }
    }

    /// Returns whether we may remove the queues, because nobody else uses such names.
    pub(super) fn owns_queues(&self) -> bool {
        !self.predeclared && (self.queue.is_none() || self.replace)
    }

    /// Returns the name of the exchange: our own unless one is given.
    pub(super) fn exchange_name(&self) -> &str {
        match (&self.exchange, self.exchange_type) {
            (Some(name), _) => name,
            (None, Some(_)) => "leveretperf",
            (None, None) => "",
        }
    }

    /// Returns the queues of the n-th of `of` publishers or consumers. Every queue has at least
    /// one.
    pub(super) fn queues_of(&self, n: u32, of: u32) -> Vec<String> {
        if of >= self.queues {
            return vec![self.queue(n % self.queues)];
        }
        let own = (n..self.queues).step_by(of.max(1) as usize);
        own.map(|n| self.queue(n)).collect()
    }

    /// Returns after how many deliveries consumers acknowledge, or `None` if they do not.
    pub(super) fn ack_every(&self) -> Option<u32> {
        self.multi_ack_every.or(self.ack.then_some(1))
    }

    /// Returns whether every published message stays in exactly one queue until it is consumed.
    pub(super) fn each_is_queued_once(&self) -> bool {
        let known = match self.exchange_type {
            None => self.exchange.is_none(),
            Some(ExchangeKind::Fanout) => self.queues == 1,
            Some(_) => self.routing_key.is_empty(),
        };
        let kept = self.expiration.is_none() && !self.arguments.iter().any(changes_what_is_kept);
        known && kept && !self.predeclared
    }
}

/// Returns whether a queue with this argument may lose messages or deliver them more than once.
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
            ("--cacert ca.pem", "--cacert needs TLS"),
            ("--uri amqp://h --insecure", "--insecure needs TLS"),
            ("--tls --key k.pem", "--cert"),
            ("--tls --external", "--cert"),
            ("--tls --address unix:/tmp/s", "Unix sockets"),
            ("ceiling -X 2", "several channels"),
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
            "--channels 0",
            "-X 0",
            "--tls-version 1.1",
            "--tls --uri amqps://h",
            "--tls --insecure --cacert f",
            "churn",
        ] {
            let words = std::iter::once("leveretperf").chain(arguments.split_whitespace());
            Load::try_parse_from(words).expect_err(arguments);
        }
    }

    #[test]
    fn options_of_tls_replace_those_of_the_uri() {
        let tls = |arguments: &str| load(arguments).target().expect("a target").tls;
        assert_eq!(tls(""), None);
        assert_eq!(tls("--tls"), Some(Default::default()));
        let uri =
            "--uri amqps://h?cacertfile=a&certfile=b&keyfile=c&server_name_indication=disable";
        let settings = tls(&format!("{uri} --cert d --server-name n --tls-version 1.2"));
        let settings = settings.expect("TLS");
        assert_eq!(settings.cacert, Some("a".into()));
        // The key belongs to the certificate that was replaced.
        assert_eq!((settings.cert, settings.key), (Some("d".into()), None));
        assert_eq!(settings.server_name, Some("n".to_owned()));
        assert!(!settings.no_sni && !settings.resumption && !settings.insecure);
        let checked = tls("--uri amqps://h?verify=verify_none --cacert a").expect("TLS");
        assert!(!checked.insecure);
    }

    #[test]
    fn channels_are_those_of_both_unless_one_has_its_own() {
        let channels = |arguments: &str| {
            let load = load(arguments);
            (load.publisher_channels(), load.consumer_channels())
        };
        assert_eq!(channels(""), (1, 1));
        assert_eq!(channels("--channels 5"), (5, 5));
        assert_eq!(channels("-X 3 --channels 2"), (3, 2));
        assert_eq!(channels("--consumer-channel-count 4"), (1, 4));
    }

    #[test]
    fn counts_end_a_run_or_else_the_time() {
        assert_eq!(load("").time_limit(), Some(DURATION));
        assert_eq!(load("-C 5").time_limit(), None);
        assert_eq!(load("-C 5 -z 2").time_limit(), Some(2.0));
    }
}
