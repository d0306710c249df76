//! Playing one case: saying its lines to a broker, and hearing whether the answers are the
//! expected ones, or what they are.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::item::Item;
use super::login;
use super::names::Names;
use super::peer::Peer;
use super::script::{Action, Case, Expected, Manner, Place, Step, words};
use super::target::Target;
use super::value::Value;

/// How long an answer may take.
pub(super) const ANSWER: Duration = Duration::from_secs(15);
/// How long a recording waits for what was said the last time and may not be said any more.
const RECORDING: Duration = Duration::from_secs(3);
/// How long a recording waits before it asks what is to be so eventually.
const SETTLING: Duration = Duration::from_secs(1);
/// Between two tries of what is to be so eventually.
const PAUSE: Duration = Duration::from_millis(10);

/// A case that is being played.
pub(super) struct Player<'a> {
    target: &'a Target,
    names: Names,
    peers: BTreeMap<char, Peer>,
    answers_close: bool,
    round_trip: bool,
    /// What has to go from a broker that others use: methods that delete, arguments of ctl.
    litter: Vec<String>,
    ctl_litter: Vec<Vec<String>>,
}

impl<'a> Player<'a> {
    /// `suffix` makes the names of this run its own.
    pub(super) fn new(target: &'a Target, suffix: String) -> Self {
        Player {
            target,
            names: Names::new(suffix),
            peers: BTreeMap::new(),
            answers_close: true,
            round_trip: true,
            litter: Vec::new(),
            ctl_litter: Vec::new(),
        }
    }

    /// Plays a case; `Err` says what was not as expected.
    pub(super) fn play(&mut self, case: &Case) -> Result<(), String> {
        for step in &case.steps {
            let deviation = step
                .deviation
                .as_ref()
                .filter(|_| !self.target.is_rabbitmq());
            let expected = deviation.map_or(&step.expected, |deviation| &deviation.expected);
            if let Some(open) = expected.iter().find(|expected| expected.text.is_empty()) {
                return Err(format!("line {}: not recorded yet", open.line));
            }
            let wanted: Vec<String> = in_order(expected, |e| e.from.prefix("") + &e.text);
            let mut said = self.attempt(step, expected)?;
            if let Action::Send {
                to,
                manner: Manner::Eventually,
                ..
            } = &step.action
            {
                let until = Instant::now() + ANSWER;
                while said != wanted && Instant::now() < until {
                    std::thread::sleep(PAUSE);
                    self.reopen(*to)?;
                    said = self.attempt(step, expected)?;
                }
            }
            if said != wanted {
                return Err(self.difference(step, &wanted, &said));
            }
        }
        match self.afterwards()? {
            more if more.is_empty() => Ok(()),
            more => Err(format!(
                "at the end, unexpected:\n      {}",
                more.join("\n      ")
            )),
        }
    }

    fn difference(&mut self, step: &Step, wanted: &[String], said: &[String]) -> String {
        let mut text = format!("line {}: {:?}\n    expected:", step.line, step.action);
        for line in wanted {
            text.push_str(&format!("\n      {line}"));
        }
        text.push_str("\n    got:");
        for line in said {
            text.push_str(&format!("\n      {line}"));
        }
        for line in self.leftovers() {
            text.push_str(&format!("\n      then {line}"));
        }
        text
    }

    /// Performs a step once and hears as much as is expected.
    fn attempt(&mut self, step: &Step, expected: &[Expected]) -> Result<Vec<String>, String> {
        self.perform(&step.action)?;
        let mut said = Vec::new();
        for expected in expected {
            match self.hear(expected.from, ANSWER)? {
                Some((from, item)) => said.push(from.prefix("") + &item.text()),
                None => {
                    said.push("nothing".to_owned());
                    break;
                }
            }
        }
        let heard: Vec<(bool, String)> = said
            .into_iter()
            .zip(expected)
            .map(|(said, expected)| (expected.any_order, said))
            .collect();
        Ok(in_order(&heard, |(_, said)| said.clone()))
    }

    /// Plays a case and returns what came of each step, by its line.
    pub(super) fn record(&mut self, case: &Case) -> Result<Vec<(usize, Vec<String>)>, String> {
        let mut all = Vec::new();
        for step in &case.steps {
            let said = self.record_step(step);
            all.push((
                step.line,
                said.map_err(|error| format!("line {}: {error}", step.line))?,
            ));
        }
        let more = self.afterwards()?;
        if let Some((_, last)) = all.last_mut() {
            last.extend(more);
        }
        Ok(all)
    }

    fn record_step(&mut self, step: &Step) -> Result<Vec<String>, String> {
        let mut asked = None;
        if let Action::Send { to, text, manner } = &step.action {
            if *manner == Manner::Eventually {
                std::thread::sleep(SETTLING);
            }
            let item = Item::parse(&self.names.fill(text)?, false)?;
            let silent = *manner == Manner::Unanswered || item.is_set("no-wait");
            let method = item.method().filter(|m| m.is_answered() && !silent);
            asked = method.map(|method| (*to, method.name));
        }
        self.perform(&step.action)?;
        let mut heard: Vec<(bool, Place, Item)> = Vec::new();
        for expected in &step.expected {
            match self.hear(expected.from, RECORDING)? {
                Some((from, item)) => heard.push((expected.any_order, from, item)),
                None => eprintln!("line {}: not said any more", expected.line),
            }
        }
        loop {
            let answered = |(_, from, item): &(bool, Place, Item)| {
                asked.is_none_or(|(to, name)| ends_waiting(to, name, *from, item))
            };
            let next = match heard.last() {
                Some((_, from, item)) if is_close(item) && self.answers_close => Some(Place {
                    connection: from.connection,
                    channel: 0,
                }),
                _ if asked.is_some() && !heard.iter().any(answered) => asked.map(|(to, _)| to),
                _ => None,
            };
            let Some(next) = next else { break };
            match self.hear(next, ANSWER)? {
                Some((from, item)) => heard.push((false, from, item)),
                None => return Err("no answer".to_owned()),
            }
        }
        Ok(in_order(&heard, |(any, from, item)| {
            from.prefix(if *any { "<* " } else { "< " }) + &item.text()
        }))
    }

    /// What a step does.
    fn perform(&mut self, action: &Action) -> Result<(), String> {
        match action {
            Action::Send { to, text, .. } => {
                let item = Item::parse(&self.names.fill(text)?, false)?;
                self.remember(&item);
                self.peer(to.connection)?.send(to.channel, &item);
            }
            Action::Connect {
                connection,
                options,
            } => {
                let options = self.names.fill(options)?;
                self.connect(*connection, &options)?;
            }
            Action::Drop(connection) => {
                self.peers.remove(connection);
            }
            Action::Ctl(line) => {
                let words = words(&self.names.fill(line)?)?;
                self.target.ctl(&words)?;
                self.ctl_litter.retain(|litter| *litter != words);
                if let [verb, name, ..] = &words[..]
                    && ["add_user", "add_vhost"].contains(&verb.as_str())
                {
                    let delete = verb.replace("add", "delete");
                    self.ctl_litter.push(vec![delete, name.clone()]);
                }
            }
            Action::ByHand => self.answers_close = false,
            Action::NoRoundTrip => self.round_trip = false,
        }
        Ok(())
    }

    fn connect(&mut self, name: char, options: &str) -> Result<(), String> {
        let until = Instant::now() + ANSWER;
        let (peer, _) = login::connect(&self.target.address, options, self.answers_close, until)?;
        self.peers.insert(name, peer);
        Ok(())
    }

    /// A connection, opened as guest when it is spoken to for the first time.
    fn peer(&mut self, name: char) -> Result<&mut Peer, String> {
        if !self.peers.contains_key(&name) {
            self.connect(name, "")?;
        }
        Ok(self.peers.get_mut(&name).expect("just connected"))
    }

    /// The next thing said, cleaned.
    fn hear(&mut self, at: Place, limit: Duration) -> Result<Option<(Place, Item)>, String> {
        let until = Instant::now() + limit;
        let Some((channel, mut item)) = self.peer(at.connection)?.next(at.channel, until)? else {
            return Ok(None);
        };
        self.note_declared(&item);
        self.names.clean(&mut item);
        let from = Place { channel, ..at };
        Ok(Some((from, item)))
    }

    /// Opens a channel again that an answer has closed.
    fn reopen(&mut self, at: Place) -> Result<(), String> {
        let peer = self.peer(at.connection)?;
        if !peer.idle_channels().contains(&at.channel) {
            peer.send(at.channel, &Item::parse("channel.open", false)?);
            self.hear(at, ANSWER)?;
        }
        Ok(())
    }

    /// Asks every channel that is left for an answer: what comes before it was not expected.
    fn afterwards(&mut self) -> Result<Vec<String>, String> {
        let names: Vec<char> = match self.round_trip {
            true => self.peers.keys().copied().collect(),
            false => Vec::new(),
        };
        let mut more = Vec::new();
        for connection in names {
            for channel in self.peer(connection)?.idle_channels() {
                let at = Place {
                    connection,
                    channel,
                };
                self.ask(at, &mut more)?;
            }
        }
        more.extend(self.leftovers());
        Ok(more)
    }

    /// One round trip on a channel, that changes nothing.
    fn ask(&mut self, at: Place, more: &mut Vec<String>) -> Result<(), String> {
        let flow = Item::parse("channel.flow active", false)?;
        self.peer(at.connection)?.send(at.channel, &flow);
        loop {
            let Some((from, item)) = self.hear(at, ANSWER)? else {
                more.push(at.prefix("< ") + "nothing, when asked for an answer");
                return Ok(());
            };
            if item.method().is_some_and(|m| m.name == "channel.flow-ok") {
                return Ok(());
            }
            more.push(from.prefix("< ") + &item.text());
            let open = self.peer(at.connection)?.idle_channels();
            if !open.contains(&at.channel) {
                return Ok(());
            }
        }
    }

    fn leftovers(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        for (connection, peer) in &mut self.peers {
            for (channel, mut item) in peer.leftovers() {
                self.names.clean(&mut item);
                let from = Place {
                    connection: *connection,
                    channel,
                };
                lines.push(from.prefix("< ") + &item.text());
            }
        }
        lines
    }

    /// Remembers what has to be deleted from a broker that others use.
    fn remember(&mut self, item: &Item) {
        let (name, field) = match item.method().map(|method| method.name) {
            Some("queue.declare") => ("queue", "queue"),
            Some("exchange.declare") => ("exchange", "exchange"),
            _ => return,
        };
        if let Some(Value::Octets(_, octets)) = item.field(field)
            && self.names.is_own(&String::from_utf8_lossy(octets))
        {
            let octets = super::scanner::quoted(octets);
            self.litter.push(format!("{name}.delete {field}={octets}"));
        }
    }

    fn note_declared(&mut self, item: &Item) {
        if item.method().is_some_and(|m| m.name == "queue.declare-ok")
            && let Some(Value::Octets(_, octets)) = item.field("queue")
            && octets.starts_with(b"amq.gen-")
        {
            let octets = super::scanner::quoted(octets);
            self.litter.push(format!("queue.delete queue={octets}"));
        }
    }

    /// Leaves a broker that others use as it was.
    pub(super) fn clean_up(&mut self) -> Result<(), String> {
        self.peers.clear();
        let litter = std::mem::take(&mut self.litter);
        if !litter.is_empty() {
            self.answers_close = true;
            self.connect('a', "")?;
        }
        let at = Place {
            connection: 'a',
            channel: 1,
        };
        for line in litter {
            self.peer('a')?.send(1, &Item::parse(&line, false)?);
            self.hear(at, ANSWER)?;
            self.reopen(at)?;
        }
        self.peers.clear();
        for words in std::mem::take(&mut self.ctl_litter) {
            self.target.ctl(&words)?;
        }
        Ok(())
    }
}

fn is_close(item: &Item) -> bool {
    item.method().is_some_and(|m| m.name == "connection.close")
}

/// Whether nothing more is to be waited for after this.
fn ends_waiting(asked_at: Place, asked: &str, from: Place, item: &Item) -> bool {
    let closes = |name: &str| ["connection.close", "channel.close"].contains(&name);
    let ends = |name: &str| closes(name) || item.method().is_some_and(|m| m.answers(asked));
    match item {
        Item::Eof => true,
        item => {
            let here = from == asked_at || from.channel == 0;
            here && item.method().is_some_and(|method| ends(method.name))
        }
    }
}

/// Whether something may stand anywhere in the run that it is in.
trait Ordered {
    fn any_order(&self) -> bool;
}

impl Ordered for Expected {
    fn any_order(&self) -> bool {
        self.any_order
    }
}

impl Ordered for (bool, String) {
    fn any_order(&self) -> bool {
        self.0
    }
}

impl Ordered for (bool, Place, Item) {
    fn any_order(&self) -> bool {
        self.0
    }
}

/// The texts, those of each run that may come in any order sorted.
fn in_order<T: Ordered>(all: &[T], text: impl Fn(&T) -> String) -> Vec<String> {
    let mut texts = Vec::new();
    for run in all.chunk_by(|a, b| a.any_order() && b.any_order()) {
        let mut run: Vec<String> = run.iter().map(&text).collect();
        run.sort();
        texts.extend(run);
    }
    texts
}
