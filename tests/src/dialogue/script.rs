//! Files of dialogues: reading them strictly, and writing what a broker said into them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::item::Item;
use super::scanner::Scanner;

/// What a file says of where its expectations come from.
pub(super) const RECORDED: &str = "recorded: ";

/// A file of dialogues.
#[derive(Debug)]
pub struct Script {
    pub(super) path: PathBuf,
    lines: Vec<String>,
    pub(super) cases: Vec<Case>,
}

/// One dialogue.
#[derive(Debug)]
pub(super) struct Case {
    /// `file:line`, for messages.
    pub(super) place: String,
    pub(super) title: String,
    pub(super) steps: Vec<Step>,
}

/// Something that is done, and what comes of it.
#[derive(Debug)]
pub(super) struct Step {
    /// Its line, from 1.
    pub(super) line: usize,
    pub(super) action: Action,
    pub(super) expected: Vec<Expected>,
    pub(super) deviation: Option<Deviation>,
}

#[derive(Debug)]
pub(super) enum Action {
    /// `> method`: says something.
    Send {
        to: Place,
        text: String,
        manner: Manner,
    },
    /// `connect b user=u`: a connection that is opened before it is spoken to.
    Connect { connection: char, options: String },
    /// `drop b`: the socket goes without a word.
    Drop(char),
    /// `ctl add_user u p`
    Ctl(String),
    /// `by hand`: close-ok is not sent unless the dialogue says so.
    ByHand,
    /// `no round trip`: at the end, the broker is not asked whether it has more to say.
    NoRoundTrip,
}

/// How often something is said, and what a recording waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Once; a method that is answered is recorded with its answer.
    Once,
    /// `eventually`: again and again, until the answer is as expected.
    Eventually,
    /// `unanswered`: once, and no answer is waited for.
    Unanswered,
}

/// A channel of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) connection: char,
    pub(super) channel: u16,
}

/// What the broker says.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    pub(super) line: usize,
    pub(super) from: Place,
    /// One of a run of lines that may come in any order.
    pub(super) any_order: bool,
    /// In the words of [`Item::text`]; empty when it is still to be recorded.
    pub(super) text: String,
}

/// What Leveret says instead of what RabbitMQ says.
#[derive(Debug)]
pub(super) struct Deviation {
    /// The first cell of its row in docs/operate/compatibility.md.
    pub(super) row: String,
    pub(super) expected: Vec<Expected>,
}

impl Place {
    /// `a` and channel 1 are not mentioned.
    pub(super) fn prefix(self, sign: &str) -> String {
        let mut prefix = String::new();
        if self.connection != 'a' {
            prefix.push(self.connection);
        }
        if self.channel != 1 {
            prefix.push_str(&self.channel.to_string());
        }
        prefix + sign
    }
}

/// Splits `b2> rest` into place, sign and rest.
fn spoken(line: &str) -> Option<(Place, &str, &str)> {
    let at = line.find(['<', '>'])?;
    let (prefix, rest) = line.split_at(at);
    let (connection, channel) = match prefix.chars().next() {
        Some(c) if c.is_ascii_lowercase() => (c, &prefix[1..]),
        _ => ('a', prefix),
    };
    let channel = match channel {
        "" => 1,
        digits => digits.parse().ok()?,
    };
    let place = Place {
        connection,
        channel,
    };
    let sign = if rest.starts_with("<*") { 2 } else { 1 };
    Some((place, &rest[..sign], rest[sign..].trim()))
}

fn expected(line: usize, text: &str) -> Result<Option<Expected>, String> {
    let Some((from, sign @ ("<" | "<*"), said)) = spoken(text) else {
        return Ok(None);
    };
    let text = match said {
        "" => String::new(),
        said => Item::parse(said, true)?.text(),
    };
    Ok(Some(Expected {
        line,
        from,
        any_order: sign == "<*",
        text,
    }))
}

fn action(line: &str) -> Result<Action, String> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let letter = |text: &str| {
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(c), None) if c.is_ascii_lowercase() => Ok(c),
            _ => Err(format!(
                "`{text}` is no connection: those are single letters"
            )),
        }
    };
    match word {
        "connect" => {
            let (name, options) = rest.split_once(' ').unwrap_or((rest, ""));
            Ok(Action::Connect {
                connection: letter(name)?,
                options: options.to_owned(),
            })
        }
        "drop" => Ok(Action::Drop(letter(rest)?)),
        "ctl" => Ok(Action::Ctl(rest.to_owned())),
        "by" if rest == "hand" => Ok(Action::ByHand),
        "no" if rest == "round trip" => Ok(Action::NoRoundTrip),
        _ => {
            let (manner, said) = match word {
                "eventually" => (Manner::Eventually, rest),
                "unanswered" => (Manner::Unanswered, rest),
                _ => (Manner::Once, line),
            };
            let Some((to, ">", text)) = spoken(said) else {
                return Err(format!("`{line}` is nothing that a dialogue knows"));
            };
            // Names are put in later; `$names` are words as others are.
            Item::parse(text, false)?;
            Ok(Action::Send {
                to,
                text: text.to_owned(),
                manner,
            })
        }
    }
}

/// `row -- reason`
fn deviation(text: &str) -> Result<Deviation, String> {
    let (row, reason) = text
        .split_once(" -- ")
        .ok_or("a deviation is `leveret: row of docs/operate/compatibility.md -- reason`")?;
    if reason.trim().is_empty() {
        return Err("a deviation needs its reason".to_owned());
    }
    Ok(Deviation {
        row: row.trim().to_owned(),
        expected: Vec::new(),
    })
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
        let file = path.file_name().unwrap_or_default().display().to_string();
        for number in 1..=script.lines.len() {
            let line = script.lines[number - 1].trim().to_owned();
            let place = format!("{file}:{number}");
            script
                .line(number, &line, &place)
                .map_err(|error| format!("{place}: {error}"))?;
        }
        Ok(script)
    }

    fn line(&mut self, number: usize, line: &str, place: &str) -> Result<(), String> {
        if line.is_empty() || line.starts_with('#') || line.starts_with(RECORDED) {
            return Ok(());
        }
        if let Some(title) = line.strip_prefix("== ") {
            if self.cases.iter().any(|case| case.title == title) {
                return Err(format!("a second case `{title}`"));
            }
            self.cases.push(Case {
                place: place.to_owned(),
                title: title.to_owned(),
                steps: Vec::new(),
            });
            return Ok(());
        }
        let case = self
            .cases
            .last_mut()
            .ok_or("a case begins with `== title`")?;
        if let Some(text) = line.strip_prefix("leveret: ") {
            let step = case.steps.last_mut().ok_or("nothing to deviate from")?;
            step.deviation = Some(deviation(text)?);
        } else if let Some(text) = line.strip_prefix("| ") {
            let step = case.steps.last_mut();
            let deviation = step.and_then(|step| step.deviation.as_mut());
            let deviation = deviation.ok_or("a line of no deviation")?;
            let said = expected(number, text)?.ok_or("what Leveret says begins with `<`")?;
            deviation.expected.push(said);
        } else if let Some(said) = expected(number, line)? {
            let step = case.steps.last_mut().ok_or("an answer to nothing")?;
            if step.deviation.is_some() {
                return Err("what RabbitMQ says stands before the deviation".to_owned());
            }
            step.expected.push(said);
        } else {
            case.steps.push(Step {
                line: number,
                action: action(line)?,
                expected: Vec::new(),
                deviation: None,
            });
        }
        Ok(())
    }

    /// Every deviation: where it stands and its row.
    pub fn deviations(&self) -> impl Iterator<Item = (&str, &str)> {
        self.cases.iter().flat_map(|case| {
            case.steps
                .iter()
                .filter_map(|step| step.deviation.as_ref())
                .map(|deviation| (case.place.as_str(), deviation.row.as_str()))
        })
    }

    /// Whether its expectations were recorded from a RabbitMQ.
    pub fn is_recorded(&self) -> bool {
        let from = format!("{RECORDED}RabbitMQ ");
        self.lines
            .first()
            .is_some_and(|line| line.starts_with(&from))
    }

    /// The titles of its cases.
    pub fn titles(&self) -> impl Iterator<Item = &str> {
        self.cases.iter().map(|case| case.title.as_str())
    }

    /// Puts what was recorded in the place of what was expected, and writes the file. `said` has
    /// what came of each step, by the step's line; steps of cases that were not played are not in
    /// it and stay.
    pub(super) fn rewrite(
        &self,
        broker: &str,
        said: &[(usize, Vec<String>)],
    ) -> std::io::Result<()> {
        std::fs::write(&self.path, self.with_said(broker, said))
    }

    fn with_said(&self, broker: &str, said: &[(usize, Vec<String>)]) -> String {
        let steps = || self.cases.iter().flat_map(|case| &case.steps);
        let replaced: BTreeSet<usize> = steps()
            .filter(|step| said.iter().any(|(line, _)| *line == step.line))
            .flat_map(|step| step.expected.iter().map(|expected| expected.line))
            .collect();
        let mut text = format!("{RECORDED}{broker}\n");
        for (at, line) in self.lines.iter().enumerate() {
            let number = at + 1;
            if line.starts_with(RECORDED) || replaced.contains(&number) {
                continue;
            }
            text.push_str(line.trim_end());
            text.push('\n');
            for (_, news) in said.iter().filter(|(line, _)| *line == number) {
                for new in news {
                    text.push_str(new);
                    text.push('\n');
                }
            }
        }
        text
    }
}

/// `name=value ...` of a connect line.
pub(super) fn options(line: &str) -> Result<Vec<(String, String)>, String> {
    let mut scanner = Scanner::new(line);
    let mut options = Vec::new();
    while !scanner.is_empty() {
        let name = scanner.word()?.to_owned();
        scanner.expect('=')?;
        let value = String::from_utf8_lossy(&scanner.string()?).into_owned();
        options.push((name, value));
    }
    Ok(options)
}

/// The words of a ctl line.
pub(super) fn words(line: &str) -> Result<Vec<String>, String> {
    let mut scanner = Scanner::new(line);
    let mut words = Vec::new();
    while !scanner.is_empty() {
        words.push(String::from_utf8_lossy(&scanner.string()?).into_owned());
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Script, String> {
        Script::parse(Path::new("x.txt"), text)
    }

    #[test]
    fn what_a_dialogue_does_not_know_is_named_with_its_line() {
        let wrong = [
            (
                "> queue.purge queue=q",
                "x.txt:1: a case begins with `== title`",
            ),
            ("== t\n> queue.purg", "x.txt:2: no method `queue.purg`"),
            ("== t\n> queue.purge name=q", "x.txt:2: no field `name`"),
            (
                "== t\n> queue.purge queue=q queue=r",
                "x.txt:2: `queue` twice",
            ),
            (
                "== t\n> queue.purge \"body\"",
                "x.txt:2: `queue.purge` carries no content",
            ),
            ("== t\n< eof", "x.txt:2: an answer to nothing"),
            (
                "== t\ndrop b\n< queue.purge-ok",
                "x.txt:3: `message-count` is missing",
            ),
            (
                "== t\ndrop bee",
                "x.txt:2: `bee` is no connection: those are single letters",
            ),
            (
                "== t\nsay hello",
                "x.txt:2: `say hello` is nothing that a dialogue knows",
            ),
            ("== t\n== t", "x.txt:2: a second case `t`"),
            ("== t\ndrop b\n| < eof", "x.txt:3: a line of no deviation"),
            ("== t\ndrop b\nleveret: row -- ", "x.txt:3: a deviation is"),
        ];
        for (text, error) in wrong {
            let found = parse(text).err().unwrap_or_default();
            assert!(found.starts_with(error), "{text:?}: {found}");
        }
    }

    #[test]
    fn recording_replaces_what_rabbitmq_said_and_nothing_else() {
        let text = "recorded: RabbitMQ 3\n# why\n== t\n> queue.purge queue=q\n\
                    < eof\nleveret: row -- reason\n| 0< eof\n\n== u\ndrop b\n< eof\n";
        let script = parse(text).expect("a dialogue");
        let said = vec![(4, vec!["< queue.purge-ok message-count=0".to_owned()])];
        let expected = text.replace("RabbitMQ 3", "RabbitMQ 4").replacen(
            "< eof",
            "< queue.purge-ok message-count=0",
            1,
        );
        assert_eq!(script.with_said("RabbitMQ 4", &said), expected);
    }
}
