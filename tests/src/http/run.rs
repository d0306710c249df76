//! Playing and recording many scenarios, one after the other: the API shows the whole broker.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use super::client::Client;
use super::compare::{Difference, compare};
use super::player;
use super::script::{Action, Case, Origin, Request, Script};

/// How long a reply may take to be as a scenario wants it: RabbitMQ collects its figures every five seconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// A broker to play to.
#[derive(Debug)]
pub struct Target {
    /// Where its HTTP API is: `http://127.0.0.1:15672`.
    pub base: String,
    /// Where it speaks AMQP: `127.0.0.1:5672`.
    pub amqp: String,
    /// Its node name, as it says itself.
    pub(super) node: String,
    product: String,
    /// How long a reply may take to be as a scenario wants it.
    pub(super) patience: Duration,
}

/// A difference between a recording and a reply.
#[derive(Clone, Debug, PartialEq)]
pub struct Mismatch {
    /// `file:line` of the request.
    pub place: String,
    /// `GET /api/queues`
    pub request: String,
    /// Where and how they differ.
    pub difference: Difference,
}

impl Target {
    /// Asks the broker who it is, as guest.
    ///
    /// # Errors
    /// When nothing answers there.
    pub fn find(base: &str, amqp: &str) -> Result<Self, String> {
        let request = Request {
            method: "GET".to_owned(),
            path: "/api/overview".to_owned(),
            ..Request::default()
        };
        let reply = Client::new(base).ask(Some("guest:guest"), &request)?;
        let text = |key: &str| {
            reply.body.json()[key]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        Ok(Target {
            base: base.to_owned(),
            amqp: amqp.to_owned(),
            node: text("node"),
            product: format!("{} {}", text("product_name"), text("product_version")),
            patience: PATIENCE,
        })
    }

    /// For a broker that collects its figures more often than by default: replies may take so long to be as a scenario
    /// wants them.
    pub fn with_patience(self, patience: Duration) -> Self {
        Target { patience, ..self }
    }

    /// Whether it is a RabbitMQ; only those are recorded.
    pub fn is_rabbitmq(&self) -> bool {
        self.product.starts_with("RabbitMQ ")
    }
}

fn chosen<'a>(
    scripts: &'a [Script],
    filter: &'a str,
) -> impl Iterator<Item = (&'a Script, &'a Case)> {
    let cases = scripts
        .iter()
        .flat_map(|script| script.cases.iter().map(move |case| (script, case)));
    cases.filter(move |(_, case)| case.place.contains(filter) || case.title.contains(filter))
}

/// Plays all scenarios whose place or title contains `filter`; returns what was not as recorded.
///
/// Scenarios written from the source of a later RabbitMQ are not played to a RabbitMQ.
pub fn play(scripts: &[Script], target: &Target, filter: &str) -> Vec<Mismatch> {
    let mut mismatches = Vec::new();
    for (script, case) in chosen(scripts, filter) {
        if target.is_rabbitmq() && script.origin() == Origin::FromSource {
            continue;
        }
        let played = player::play(case, target);
        for step in &case.steps {
            let place = format!("{}:{}", script.file(), step.line);
            let Action::Ask(ask) = &step.action else {
                continue;
            };
            let (Some(expected), Some(got)) = (&ask.reply, played.replies.get(&step.line)) else {
                continue;
            };
            let mut got = got.clone();
            if script.origin() == Origin::FromSource {
                // By hand only the headers that matter are written.
                got.headers
                    .retain(|name, _| expected.headers.contains_key(name));
            }
            let request = format!("{} {}", ask.request.method, ask.request.path);
            mismatches.extend(
                compare(expected, &got)
                    .into_iter()
                    .map(|difference| Mismatch {
                        place: place.clone(),
                        request: request.clone(),
                        difference,
                    }),
            );
        }
        if let Some((line, error)) = played.failure {
            mismatches.push(broken(
                format!("{}:{line}", script.file()),
                &case.title,
                error,
            ));
        }
    }
    mismatches
}

/// A scenario that could not be played to its end.
fn broken(place: String, title: &str, error: String) -> Mismatch {
    Mismatch {
        place,
        request: title.to_owned(),
        difference: Difference {
            key: "played to its end".to_owned(),
            kind: super::Kind::Value,
            expected: "yes".to_owned(),
            got: error,
        },
    }
}

/// Records all scenarios whose place or title contains `filter` from a RabbitMQ into their files; returns what could
/// not be.
///
/// # Panics
/// When the target is not a RabbitMQ: expectations are never taken from Leveret itself.
pub fn record(scripts: &[Script], target: &Target, filter: &str) -> Vec<String> {
    assert!(
        target.is_rabbitmq(),
        "expectations are recorded from a RabbitMQ, not from {}",
        target.product
    );
    let mut failures = Vec::new();
    for script in scripts {
        let mut said = BTreeMap::new();
        for (_, case) in chosen(std::slice::from_ref(script), filter) {
            if script.origin() == Origin::FromSource {
                continue;
            }
            let played = player::play(case, target);
            let replies = played.replies.into_iter();
            said.extend(replies.map(|(line, reply)| (line, reply.lines())));
            if let Some((line, error)) = played.failure {
                failures.push(format!("{}:{line} {}: {error}", script.file(), case.title));
            }
        }
        if !said.is_empty()
            && let Err(error) = script.rewrite(&target.product, &said)
        {
            failures.push(format!("{}: {error}", script.file()));
        }
    }
    failures
}

/// Returns a table of mismatches, a line each, and how many there are in each file.
pub fn summary(mismatches: &[Mismatch]) -> String {
    let mut text = String::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for mismatch in mismatches {
        let Difference {
            key,
            kind,
            expected,
            got,
        } = &mismatch.difference;
        let (place, request) = (&mismatch.place, &mismatch.request);
        let key = if key.is_empty() { "the body" } else { key };
        let kind = kind.word();
        let _ = writeln!(
            text,
            "{place} {request}\n    {key}: {kind}, expected {expected}, got {got}"
        );
        let file = place.split(':').next().unwrap_or_default();
        *counts.entry(file).or_default() += 1;
    }
    for (file, count) in counts {
        let _ = writeln!(text, "{count:5} in {file}");
    }
    text
}
