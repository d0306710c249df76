//! One scenario, from its first line to its last.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::clean::clean;
use super::client::Client;
use super::mask::Names;
use super::reply::{Body, Reply};
use super::run::Target;
use super::script::{Action, Ask, Case, Place, Request};
use crate::dialogue::Speaker;

const POLL: Duration = Duration::from_millis(100);

/// What came of one scenario: the replies by the lines of their requests, and what ended it early.
pub(super) struct Played {
    pub(super) replies: BTreeMap<usize, Reply>,
    pub(super) failure: Option<(usize, String)>,
}

struct Player<'a> {
    target: &'a Target,
    client: Client,
    names: Names,
    user: Option<String>,
    speakers: BTreeMap<char, Speaker>,
    replies: BTreeMap<usize, Reply>,
}

/// Plays a scenario to a broker that is brought to its first state before.
pub(super) fn play(case: &Case, target: &Target) -> Played {
    let mut player = Player {
        target,
        client: Client::new(&target.base),
        names: Names {
            node: target.node.clone(),
            connections: Vec::new(),
        },
        user: Some("guest:guest".to_owned()),
        speakers: BTreeMap::new(),
        replies: BTreeMap::new(),
    };
    let mut failure = clean(&player.client).err().map(|error| (0, error));
    for step in &case.steps {
        if failure.is_some() {
            break;
        }
        let done = player.step(step.line, &step.action);
        failure = done.err().map(|error| (step.line, error));
    }
    Played {
        replies: player.replies,
        failure,
    }
}

/// Puts `<any>` at the keys that a scenario ignores: `a.b`, with `*` for all elements or keys.
fn ignore(body: &mut Value, path: &[&str]) {
    let Some((first, rest)) = path.split_first() else {
        *body = Value::from("<any>");
        return;
    };
    match body {
        Value::Array(elements) if *first == "*" => {
            elements
                .iter_mut()
                .for_each(|element| ignore(element, rest));
        }
        Value::Object(fields) if *first == "*" => {
            fields.values_mut().for_each(|value| ignore(value, rest));
        }
        Value::Object(fields) => {
            if let Some(value) = fields.get_mut(*first) {
                ignore(value, rest);
            }
        }
        _ => {}
    }
}

impl Player<'_> {
    fn step(&mut self, line: usize, action: &Action) -> Result<(), String> {
        match action {
            Action::Connect {
                connection,
                options,
            } => {
                let speaker = Speaker::connect(&self.target.amqp, options)?;
                self.names
                    .connections
                    .retain(|(name, _)| name != connection);
                self.names.connections.push((*connection, speaker.name()?));
                self.speakers.insert(*connection, speaker);
            }
            Action::Say(place, text) => {
                let text = self.names.fill(text);
                self.speaker(*place)?.say(place.channel, &text)?;
            }
            Action::Hear(place, name) => self.speaker(*place)?.hear(place.channel, name)?,
            Action::Drop(connection) => {
                self.speakers.remove(connection);
            }
            Action::As(user) => self.user.clone_from(user),
            Action::Do(request) => {
                let reply = self
                    .client
                    .ask(self.user.as_deref(), &self.filled(request))?;
                if reply.status >= 300 {
                    return Err(format!("{} {:?}", reply.status, reply.body));
                }
            }
            Action::Ask(ask) => {
                let reply = self.ask(ask)?;
                self.replies.insert(line, reply);
            }
        }
        Ok(())
    }

    fn speaker(&mut self, place: Place) -> Result<&mut Speaker, String> {
        let speaker = self.speakers.get_mut(&place.connection);
        speaker.ok_or_else(|| format!("no connection `{}`", place.connection))
    }

    fn filled(&self, request: &Request) -> Request {
        Request {
            path: self.names.fill(&request.path),
            body: request
                .body
                .as_deref()
                .map(|body| body.replace("$node", &self.names.node)),
            ..request.clone()
        }
    }

    /// Asks until the reply is as the scenario wants it, or it has had its time.
    fn ask(&self, ask: &Ask) -> Result<Reply, String> {
        let request = self.filled(&ask.request);
        let deadline = Instant::now() + self.target.patience;
        loop {
            let reply = self.client.ask(self.user.as_deref(), &request)?;
            let mut clean = reply.clone();
            self.clean(ask, &mut clean);
            let fulfilled = |body: &Value| ask.until.iter().all(|until| until.holds(body));
            if fulfilled(clean.body.json())
                || fulfilled(reply.body.json())
                || Instant::now() > deadline
            {
                return Ok(clean);
            }
            std::thread::sleep(POLL);
        }
    }

    fn clean(&self, ask: &Ask, reply: &mut Reply) {
        let ordered = ask.request.path.contains("sort=") || ask.request.path.contains("page=");
        match &mut reply.body {
            Body::Json(body) => {
                self.names.clean(body, ordered);
                for path in &ask.ignored {
                    let path: Vec<&str> = path.split('.').collect();
                    ignore(body, &path);
                }
            }
            Body::Text(text) => *text = self.names.clean_text(text),
            Body::Empty => {}
        }
        for value in reply.headers.values_mut() {
            *value = self.names.clean_text(value);
        }
    }
}
