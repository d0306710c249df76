//! What those who know RabbitMQ's PerfTest type, and what it is here.

/// What means something else here, for the help.
pub(super) const DIFFERENCES: &str = "Flags that mean something else than in RabbitMQ's PerfTest:
  -a          acknowledge each delivery; PerfTest's -a (--autoack) is what happens without it
  -d          how long to publish, as -z; PerfTest's -d is a name for the run
  -h          this help; PerfTest's -h URI is --uri URI
  -l          measure latency; PerfTest always does, and its -l changes how that is shown
  -p          durable queues and persistent messages; PerfTest's -p is --predeclared, its -f persistent is -p
  -P          the prefetch; PerfTest's -P is a pause between messages, for which there is --rate
  -q          the number of queues; PerfTest's -q (--qos) is -P
Without -d, -C or -D a run takes 5 seconds, and without -t messages go straight to the queue.";

/// Flags of PerfTest that do not exist here, short and long, and what there is instead. A form that does exist is empty.
const OTHERS: [(&str, &str, &str); 36] = [
    ("-H", "--uris", "--uri names one broker"),
    (
        "-K",
        "--random-routing-key",
        "-k KEY, repeated: the keys are used in turn",
    ),
    ("-sb", "--skip-binding-queues", "--predeclared"),
    ("-S", "--slow-start", "nothing: consumers start at once"),
    (
        "-m",
        "--ptxsize",
        "-c WINDOW: there are confirms and no transactions",
    ),
    (
        "-n",
        "--ctxsize",
        "-a: there are acknowledgements and no transactions",
    ),
    ("-ct", "--confirm-timeout", "--patience SECONDS"),
    ("-Q", "--global-qos", "-P N, the prefetch of a consumer"),
    (
        "-f",
        "--flag",
        "-p for persistent, --mandatory for mandatory",
    ),
    ("-M", "--framemax", "nothing: frames have at most 128 KiB"),
    ("-b", "--heartbeat", "nothing: there are no heartbeats"),
    ("-B", "--body", "-s SIZE: bodies have a size and no content"),
    (
        "-T",
        "--body-content-type",
        "nothing: messages have no content type",
    ),
    ("", "--autoack", "nothing: leave out -a"),
    (
        "-ad",
        "--auto-delete",
        "nothing: queues are removed at the end, unless --keep",
    ),
    (
        "-ms",
        "--use-millis",
        "nothing: latencies are in microseconds",
    ),
    ("-qa", "", "--argument NAME=VALUE, repeated"),
    (
        "-qq",
        "--quorum-queue",
        "--argument x-queue-type=quorum --durable",
    ),
    (
        "-sq",
        "--stream-queue",
        "--argument x-queue-type=stream --durable",
    ),
    ("-L", "--consumer-latency", "-R PER_SECOND"),
    (
        "-udsc",
        "--use-default-ssl-context",
        "--cacert FILE, --cert FILE",
    ),
    ("-se", "--sasl-external", "--external"),
    (
        "-qp",
        "--queue-pattern",
        "-u NAME -q N: NAME-0, NAME-1, ...",
    ),
    (
        "-qpf",
        "--queue-pattern-from",
        "-u NAME -q N: NAME-0, NAME-1, ...",
    ),
    (
        "-qpt",
        "--queue-pattern-to",
        "-u NAME -q N: NAME-0, NAME-1, ...",
    ),
    (
        "-mp",
        "--message-properties",
        "--priorities N, --expiration MILLISECONDS",
    ),
    ("-E", "--exclusive", "nothing: queues are not exclusive"),
    ("", "--publishing-interval", "-r PER_SECOND"),
    ("", "--id", "nothing: runs have no name"),
    ("", "--legacy-metrics", "-l measures latency"),
    (
        "-vr",
        "--variable-rate",
        "-r PER_SECOND, one run for each rate",
    ),
    ("-vs", "--variable-size", "-s SIZE, one run for each size"),
    ("-vl", "--variable-latency", "-R PER_SECOND"),
    (
        "-jb",
        "--json-body",
        "-s SIZE: bodies have a size and no content",
    ),
    (
        "-dcr",
        "--disable-connection-recovery",
        "nothing: a lost connection ends the run",
    ),
    (
        "-niot",
        "--nio-threads",
        "nothing: each connection has a thread",
    ),
];

/// Returns what to use in place of a flag of PerfTest's among arguments that cannot be parsed.
pub fn hint(arguments: impl IntoIterator<Item = String>) -> Option<String> {
    arguments.into_iter().find_map(|argument| {
        let flag = argument.split('=').next().filter(|flag| !flag.is_empty())?;
        let known = OTHERS
            .iter()
            .find(|other| other.0 == flag || other.1 == flag);
        known.map(|(_, _, instead)| {
            format!("{flag} is a flag of RabbitMQ's PerfTest; here it is: {instead}")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::perf::Load;
    use clap::Parser;

    #[test]
    fn flags_of_perftest_have_a_hint_if_they_are_not_ours() {
        let hint = |line: &str| hint(line.split_whitespace().map(str::to_owned));
        assert!(hint("-x 1 -qa a=1").is_some_and(|hint| hint.contains("--argument")));
        assert!(hint("--flag=persistent").is_some_and(|hint| hint.starts_with("--flag is")));
        assert_eq!(hint("-x 1 --nonsense"), None);
    }

    #[test]
    fn what_is_said_not_to_exist_does_not() {
        for (short, long, _) in OTHERS {
            if long.is_empty() {
                continue;
            }
            let line = ["leveretperf".to_owned(), format!("{long}=1")];
            assert!(Load::try_parse_from(line).is_err(), "{short}, {long}");
        }
    }
}
