//! The command line of `shovel`.

use std::io::BufRead;
use std::time::Duration;

use crate::client::transport::resolve;
use crate::client::uri::{Address, Target};
use crate::config::Environment;
use crate::ctl::options::CommandLine;
use crate::ctl::render::Format;
use crate::ctl::request::{Invalid, refused, usage};

/// How many messages may be on their way, unless `--prefetch` says otherwise.
const PREFETCH: u16 = 1000;
/// How long a broker may do nothing, unless `--timeout` says otherwise.
const PATIENCE: Duration = Duration::from_secs(60);
/// The most names that are read from standard input.
const MAX_QUEUES: usize = 1_000_000;
/// The longest name of a queue in bytes.
const MAX_NAME: usize = 255;

/// A valid command line of `shovel`.
#[derive(Debug)]
pub(in crate::ctl) struct Options {
    pub(super) source: Target,
    pub(super) destination: Target,
    /// Each queue at the source and the one at the destination.
    pub(super) queues: Vec<(String, String)>,
    pub(super) follow: bool,
    /// Move also queues that are deleted with their last consumer.
    pub(super) auto_delete_too: bool,
    pub(super) prefetch: u16,
    pub(super) patience: Duration,
    pub(super) shows_progress: bool,
    pub(super) shows_summary: bool,
    pub(super) json: bool,
}

impl Options {
    /// Checks the arguments of a command line.
    pub(in crate::ctl) fn of(
        line: &CommandLine,
        format: Format,
        environment: &Environment<'_>,
    ) -> Result<Self, Invalid> {
        let json = match format {
            Format::Table => false,
            Format::Json => true,
            _ => return Err(usage("shovel has the formatters table and json")),
        };
        let target = |at: usize, variable: &str, name: &str| {
            let argument = line.arguments.get(at).map_or("", String::as_str);
            target(argument, variable, environment)
                .map_err(|why| usage(format!("{name} URI: {why}")))
        };
        let mut source = target(0, "LEVERET_SHOVEL_SOURCE", "source")?;
        let mut destination = target(1, "LEVERET_SHOVEL_DESTINATION", "destination")?;
        if let Some(vhost) = line.text("vhost") {
            source.vhost = vhost.to_owned();
            destination.vhost = vhost.to_owned();
        }
        let queues = queues(line)?;
        let follow = line.has("follow");
        if follow && queues.len() > 1 {
            return Err(usage(
                "--follow never ends, so it moves one queue: run one shovel for each",
            ));
        }
        if let Some((queue, _)) = queues.iter().find(|(queue, to)| queue == to)
            && are_same(&source, &destination)
        {
            return Err(refused(format!(
                "source and destination are the same: '{queue}' would be moved to itself, for ever"
            )));
        }
        Ok(Options {
            source,
            destination,
            queues,
            follow,
            auto_delete_too: line.has("auto-delete-too"),
            prefetch: prefetch(line)?,
            patience: line.number("timeout").map_or(PATIENCE, Duration::from_secs),
            shows_progress: !line.is_quiet(),
            shows_summary: !line.has("silent"),
            json,
        })
    }
}

fn target(argument: &str, variable: &str, environment: &Environment<'_>) -> Result<Target, String> {
    let given = match argument {
        "-" => {
            let given = environment.get(variable);
            let given = given.ok_or_else(|| format!("the variable {variable} is not set"))?;
            given
                .into_string()
                .map_err(|_| format!("{variable} is not UTF-8"))?
        }
        uri => uri.to_owned(),
    };
    Target::parse(&given)
}

fn prefetch(line: &CommandLine) -> Result<u16, Invalid> {
    match line.number("prefetch") {
        None => Ok(PREFETCH),
        Some(number) => match u16::try_from(number) {
            Ok(1..) => Ok(number as u16),
            _ => Err(usage("--prefetch must be a number from 1 to 65535")),
        },
    }
}

/// Returns the pairs of queues.
fn queues(line: &CommandLine) -> Result<Vec<(String, String)>, Invalid> {
    let given = line.texts("queue");
    let names = match given {
        [] => return Err(usage("--queue is missing: which queue is to be moved?")),
        [only] if only == "-" => read_names(std::io::stdin().lock()).map_err(usage)?,
        names => names.to_vec(),
    };
    let mut seen = std::collections::BTreeSet::new();
    for name in &names {
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(usage(format!(
                "the name of a queue has from 1 to {MAX_NAME} bytes, not {}",
                name.len()
            )));
        }
        if !seen.insert(name) {
            return Err(usage(format!("the queue '{name}' is given twice")));
        }
    }
    match (line.text("destination-queue"), names.as_slice()) {
        (None, _) => Ok(names.into_iter().map(|name| (name.clone(), name)).collect()),
        (Some(to), [name]) if !to.is_empty() && to.len() <= MAX_NAME => {
            Ok(vec![(name.clone(), to.to_owned())])
        }
        (Some(_), [_]) => Err(usage("--destination-queue is no name of a queue")),
        (Some(_), _) => Err(usage("--destination-queue goes with one --queue")),
    }
}

/// Reads names of queues, one a line. Empty lines are left out.
fn read_names(input: impl BufRead) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for line in input.split(b'\n') {
        let line = line.map_err(|error| format!("cannot read the names of queues: {error}"))?;
        let name = String::from_utf8(line).map_err(|_| "names of queues are UTF-8".to_owned())?;
        let name = name.strip_suffix('\r').unwrap_or(&name);
        if name.is_empty() {
            continue;
        }
        if names.len() == MAX_QUEUES {
            return Err(format!("more than {MAX_QUEUES} queues"));
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

/// Returns whether two targets are the same virtual host of the same broker, as far as can be told.
fn are_same(one: &Target, other: &Target) -> bool {
    if one.vhost != other.vhost {
        return false;
    }
    match (&one.address, &other.address) {
        (Address::Tcp(one), Address::Tcp(other)) if one != other => {
            let (Ok(one), Ok(other)) = (resolve(one), resolve(other)) else {
                return false;
            };
            let one: Vec<_> = one.collect();
            other.into_iter().any(|address| one.contains(&address))
        }
        (one, other) => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctl::program::Program;
    use std::ffi::OsString;
    use std::path::Path;

    fn options(words: &str) -> Result<Options, String> {
        let words = format!("shovel {words}");
        let words = words.split_whitespace().map(str::to_owned).collect();
        let line = CommandLine::parse(Program::default(), words);
        assert_eq!(line.invalid, []);
        let variable = |name: &str| {
            let known = name == "LEVERET_SHOVEL_SOURCE";
            known.then(|| OsString::from("amqp://u:secret@h/v"))
        };
        let environment = Environment {
            variable: &variable,
            uid: 0,
            default_folder: Path::new("/nowhere"),
        };
        Options::of(&line, Format::Table, &environment).map_err(|invalid| invalid.reason)
    }

    #[test]
    fn queues_can_be_repeated_and_one_can_have_another_name() {
        let queues = |words: &str| options(words).expect("valid").queues;
        let pair = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        let two = queues("amqp://a amqp://b --queue x --queue y");
        assert_eq!(two, [pair("x", "x"), pair("y", "y")]);
        let renamed = queues("amqp://a amqp://a --queue x --destination-queue y");
        assert_eq!(renamed, [pair("x", "y")]);
    }

    #[test]
    fn one_virtual_host_can_be_given_for_both() {
        let both = options("amqp://a/x amqp://b -p caf\u{e9} --queue q").expect("valid");
        assert_eq!(
            (&*both.source.vhost, &*both.destination.vhost),
            ("caf\u{e9}", "caf\u{e9}")
        );
    }

    #[test]
    fn a_dash_takes_the_uri_from_the_environment() {
        let options = options("- amqp://b --queue x").expect("valid");
        assert_eq!(
            (options.source.user.as_str(), options.source.vhost.as_str()),
            ("u", "v")
        );
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        for (words, mention) in [
            ("amqp://a amqp://b", "--queue is missing"),
            ("amqp://a http://b --queue x", "destination URI"),
            ("amqp://a - --queue x", "LEVERET_SHOVEL_DESTINATION"),
            ("amqp://a amqp://a --queue x", "the same"),
            (
                "amqp://127.0.0.1 amqp://127.0.0.1:5672 --queue x",
                "the same",
            ),
            ("amqp://a amqp://b --queue x --queue x", "twice"),
            ("amqp://a amqp://b --queue x --queue y --follow", "--follow"),
            (
                "amqp://a amqp://b --queue x --queue y --destination-queue z",
                "one --queue",
            ),
            (
                "amqp://a amqp://b --queue x --prefetch 0",
                "from 1 to 65535",
            ),
            (
                "amqp://a amqp://b --queue x --prefetch 70000",
                "from 1 to 65535",
            ),
        ] {
            let reason = options(words).expect_err(words);
            assert!(reason.contains(mention), "{words}: {reason}");
            assert!(!reason.contains("secret"), "{words}: {reason}");
        }
    }

    #[test]
    fn names_are_read_one_a_line() {
        let names = read_names(&b"a\r\n\nb c\n"[..]);
        assert_eq!(names, Ok(vec!["a".to_owned(), "b c".to_owned()]));
        read_names(&b"\xff\n"[..]).expect_err("no text");
    }
}
