//! Files of scenarios: reading them strictly, and writing what a broker answered into them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::condition::Condition;
use super::reply::Reply;

const RECORDED: &str = "recorded: ";
const FROM_SOURCE: &str = "from the source: ";

/// Where the answers in a file come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A RabbitMQ said them.
    Recorded,
    /// They were written by hand after reading the source of a later RabbitMQ.
    FromSource,
    /// Nowhere yet.
    Unrecorded,
}

/// A file of scenarios.
#[derive(Debug)]
pub struct Script {
    pub(super) path: PathBuf,
    lines: Vec<String>,
    pub(super) cases: Vec<Case>,
}

/// One scenario. It begins with a broker that has nothing but what it is born with.
#[derive(Debug)]
pub(super) struct Case {
    /// `file:line`, for messages.
    pub(super) place: String,
    pub(super) title: String,
    pub(super) steps: Vec<Step>,
}

/// Something that is done.
#[derive(Debug)]
pub(super) struct Step {
    /// Its line, from 1.
    pub(super) line: usize,
    pub(super) action: Action,
}

#[derive(Debug)]
pub(super) enum Action {
    /// `connect a user=u`: opens an AMQP connection with channel 1.
    Connect { connection: char, options: String },
    /// `a1> queue.declare queue=q`: says a method and waits for its answer.
    Say(Place, String),
    /// `a1< basic.deliver`: waits for a method.
    Hear(Place, String),
    /// `drop a`: the socket goes without a word.
    Drop(char),
    /// `as user:password`, `as nobody`: who asks from here on.
    As(Option<String>),
    /// `do PUT /path`: a request that has to succeed and is not looked at.
    Do(Request),
    /// `GET /path`: a request whose reply is compared.
    Ask(Box<Ask>),
}

/// A channel of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) connection: char,
    pub(super) channel: u16,
}

/// An HTTP request.
#[derive(Clone, Debug, Default)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<String>,
}

/// A request and what is known of its reply.
#[derive(Debug, Default)]
pub(super) struct Ask {
    pub(super) request: Request,
    /// Asked again and again until the reply fulfils these.
    pub(super) until: Vec<Condition>,
    /// Keys whose values are not compared.
    pub(super) ignored: Vec<String>,
    /// The lines of the reply, with their numbers.
    expected: BTreeMap<usize, String>,
    pub(super) reply: Option<Reply>,
}

fn letter(text: &str) -> Result<char, String> {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) if c.is_ascii_lowercase() => Ok(c),
        _ => Err(format!(
            "`{text}` is no connection: those are single letters"
        )),
    }
}

/// Splits `a2> rest` into place, sign and rest.
fn spoken(line: &str) -> Option<(Place, char, &str)> {
    let (word, rest) = line.split_once(' ')?;
    let sign = word.chars().last().filter(|sign| "<>".contains(*sign))?;
    let word = &word[..word.len() - 1];
    let connection = word.chars().next().filter(char::is_ascii_lowercase)?;
    let channel = match &word[1..] {
        "" => 1,
        digits => digits.parse().ok()?,
    };
    let place = Place {
        connection,
        channel,
    };
    Some((place, sign, rest.trim()))
}

fn is_method(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase())
}

/// Reads `METHOD /path until key=value ...`.
fn ask(line: &str) -> Result<Ask, String> {
    let (words, until) = line.split_once(" until ").unwrap_or((line, ""));
    let (method, path) = words.split_once(' ').unwrap_or((words, ""));
    if !is_method(method) || !path.starts_with('/') || path.contains(' ') {
        return Err(format!("`{line}` is nothing that a scenario knows"));
    }
    let until: Result<_, _> = until.split_whitespace().map(Condition::parse).collect();
    Ok(Ask {
        request: Request {
            method: method.to_owned(),
            path: path.to_owned(),
            ..Request::default()
        },
        until: until?,
        ..Ask::default()
    })
}

fn action(line: &str) -> Result<Action, String> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "connect" => {
            let (name, options) = rest.split_once(' ').unwrap_or((rest, ""));
            Ok(Action::Connect {
                connection: letter(name)?,
                options: options.to_owned(),
            })
        }
        "drop" => Ok(Action::Drop(letter(rest)?)),
        "as" if rest == "nobody" => Ok(Action::As(None)),
        "as" if rest.contains(':') => Ok(Action::As(Some(rest.to_owned()))),
        "do" => Ok(Action::Do(ask(rest)?.request)),
        _ => match spoken(line) {
            Some((place, '>', text)) => Ok(Action::Say(place, text.to_owned())),
            Some((place, _, name)) => Ok(Action::Hear(place, name.to_owned())),
            None => Ok(Action::Ask(Box::new(ask(line)?))),
        },
    }
}

fn request(step: Option<&mut Step>) -> Result<&mut Request, String> {
    match step.map(|step| &mut step.action) {
        Some(Action::Do(request)) => Ok(request),
        Some(Action::Ask(ask)) => Ok(&mut ask.request),
        _ => Err("this belongs to no request".to_owned()),
    }
}

impl Script {
    /// Reads a file.
    ///
    /// # Errors
    /// `file:line: what is wrong`.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, String> {
        let mut script = Script {
            path: path.to_owned(),
            lines: text.lines().map(str::to_owned).collect(),
            cases: Vec::new(),
        };
        let file = script.file();
        for number in 1..=script.lines.len() {
            let line = script.lines[number - 1].trim_end().to_owned();
            let place = format!("{file}:{number}");
            script
                .line(number, &line, &place)
                .map_err(|error| format!("{place}: {error}"))?;
        }
        for step in script.cases.iter_mut().flat_map(|case| &mut case.steps) {
            if let Action::Ask(ask) = &mut step.action
                && !ask.expected.is_empty()
            {
                let lines: Vec<&str> = ask.expected.values().map(String::as_str).collect();
                let reply = Reply::parse(&lines);
                ask.reply = Some(reply.map_err(|error| format!("{file}:{}: {error}", step.line))?);
            }
        }
        Ok(script)
    }

    /// Returns the file's name.
    pub fn file(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        name.display().to_string()
    }

    fn line(&mut self, number: usize, line: &str, place: &str) -> Result<(), String> {
        let heads = [RECORDED, FROM_SOURCE, "#"];
        if line.is_empty() || heads.iter().any(|head| line.starts_with(head)) {
            return Ok(());
        }
        if let Some(title) = line.strip_prefix("== ") {
            if self.cases.iter().any(|case| case.title == title) {
                return Err(format!("a second scenario `{title}`"));
            }
            self.cases.push(Case {
                place: place.to_owned(),
                title: title.to_owned(),
                steps: Vec::new(),
            });
            return Ok(());
        }
        let case = self.cases.last_mut();
        let case = case.ok_or("a scenario begins with `== title`")?;
        let last = case.steps.last_mut();
        let (sign, rest) = line.split_once(' ').unwrap_or((line, ""));
        match sign {
            "+" => {
                let header = rest.split_once(": ").ok_or("a header is `name: value`")?;
                let headers = &mut request(last)?.headers;
                headers.push((header.0.to_owned(), header.1.to_owned()));
            }
            "|" => {
                let body = request(last)?.body.get_or_insert_default();
                if !body.is_empty() {
                    body.push('\n');
                }
                body.push_str(rest);
            }
            "<" | "~" => match last.map(|step| &mut step.action) {
                Some(Action::Ask(ask)) if sign == "~" => ask.ignored.push(rest.to_owned()),
                Some(Action::Ask(ask)) => {
                    ask.expected.insert(number, rest.to_owned());
                }
                _ => return Err("a reply to nothing".to_owned()),
            },
            _ => case.steps.push(Step {
                line: number,
                action: action(line)?,
            }),
        }
        Ok(())
    }

    /// Returns where its answers come from.
    pub fn origin(&self) -> Origin {
        let first = self.lines.first().map_or("", String::as_str);
        if first.starts_with(&format!("{RECORDED}RabbitMQ ")) {
            Origin::Recorded
        } else if first.starts_with(FROM_SOURCE) {
            Origin::FromSource
        } else {
            Origin::Unrecorded
        }
    }

    /// Returns the places of requests without a reply.
    pub fn unanswered(&self) -> Vec<String> {
        let steps = self.cases.iter().flat_map(|case| &case.steps);
        let unanswered = steps.filter(|step| match &step.action {
            Action::Ask(ask) => ask.reply.is_none(),
            _ => false,
        });
        unanswered
            .map(|step| format!("{}:{}", self.file(), step.line))
            .collect()
    }

    /// Puts what was recorded in the place of what was expected, and writes the file. `said` has the lines of each
    /// reply by the number of its request's line; other requests keep theirs.
    pub(super) fn rewrite(
        &self,
        broker: &str,
        said: &BTreeMap<usize, Vec<String>>,
    ) -> std::io::Result<()> {
        std::fs::write(&self.path, self.with_said(broker, said))
    }

    fn with_said(&self, broker: &str, said: &BTreeMap<usize, Vec<String>>) -> String {
        let mut text = format!("{RECORDED}{broker}\n");
        let mut pending: Option<&Vec<String>> = None;
        // The request's own lines come before its reply.
        let flush = |pending: &mut Option<&Vec<String>>, text: &mut String| {
            for line in pending.take().into_iter().flatten() {
                text.push_str(format!("< {line}").trim_end());
                text.push('\n');
            }
        };
        let mut replaced = false;
        for (at, line) in self.lines.iter().enumerate() {
            if line.starts_with(RECORDED) || (replaced && line.starts_with('<')) {
                continue;
            }
            if !["+ ", "| ", "~ ", "|"]
                .iter()
                .any(|sign| line.starts_with(sign))
            {
                flush(&mut pending, &mut text);
                if !line.starts_with('<') {
                    replaced = false;
                }
            }
            if let Some(news) = said.get(&(at + 1)) {
                pending = Some(news);
                replaced = true;
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        flush(&mut pending, &mut text);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Script, String> {
        Script::parse(Path::new("x.txt"), text)
    }

    #[test]
    fn what_a_scenario_does_not_know_is_named_with_its_line() {
        let wrong = [
            ("GET /x", "x.txt:1: a scenario begins with `== title`"),
            ("== t\nsay hello", "x.txt:2: `say hello` is nothing"),
            ("== t\nGET x", "x.txt:2: `GET x` is nothing"),
            ("== t\n< 200", "x.txt:2: a reply to nothing"),
            ("== t\ndrop a\n| {}", "x.txt:3: this belongs to no request"),
            ("== t\nGET /x\n+ accept", "x.txt:3: a header is"),
            ("== t\nGET /x until y", "x.txt:2: a condition is"),
            ("== t\nGET /x\n< ok", "x.txt:2: no status: `ok`"),
            ("== t\ndrop bee", "x.txt:2: `bee` is no connection"),
            ("== t\n== t", "x.txt:2: a second scenario `t`"),
        ];
        for (text, error) in wrong {
            let found = parse(text).err().unwrap_or_default();
            assert!(found.starts_with(error), "{text:?}: {found}");
        }
    }

    #[test]
    fn recording_replaces_the_replies_and_nothing_else() {
        let text = "recorded: RabbitMQ 3\n# why\n== t\nconnect a\na2> queue.declare queue=q\nPUT /x\n+ accept: x/y\n\
                    | {}\n| []\n< 204\n\nGET /y\n< 200\n< content-type: application/json\n< {\n<   \"a\": 1\n< }\n";
        let script = parse(text).expect("a scenario");
        assert_eq!(script.origin(), Origin::Recorded);
        assert!(script.unanswered().is_empty());
        assert_eq!(script.with_said("RabbitMQ 3", &BTreeMap::new()), text);
        let said = BTreeMap::from([(6, vec!["201".to_owned(), "location: z".to_owned()])]);
        let expected = text
            .replace("RabbitMQ 3", "RabbitMQ 4")
            .replace("< 204", "< 201\n< location: z");
        assert_eq!(script.with_said("RabbitMQ 4", &said), expected);
    }
}
