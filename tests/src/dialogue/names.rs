//! The one place where what differs from run to run is taken out of what a broker says, and put
//! into what is sent to it.
//!
//! - `$q` in a dialogue is a name of this run's and this case's own, so that cases do not meet on
//!   a broker that they share.
//! - `$gen1`, `$ctag1`, `$reply1` are the first, second, ... name of a queue, of a consumer and
//!   address for replies that the broker made up, in the order in which they came. A name that is
//!   not made as RabbitMQ makes them stays as it is, and so is found out.
//! - What names the broker (product, version, ...) and when something happened is `$product`,
//!   `$time` and so on. Fields of tables that the broker itself makes are put in order.

use std::sync::OnceLock;

use regex::{Captures, Regex};

use super::item::Item;
use super::value::{Table, Value};

/// What a broker says of itself in its server-properties.
const NAMES_THE_BROKER: [&str; 7] = [
    "product",
    "version",
    "platform",
    "copyright",
    "information",
    "cluster_name",
    "leveret_version",
];

/// The names of one run of one case.
#[derive(Debug)]
pub(super) struct Names {
    /// What tells this run's names from others'; always of one length, as long texts are cut.
    suffix: String,
    own: Regex,
    /// What the broker made up, by kind and in order.
    made_up: Vec<(String, String)>,
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern that was tested")
}

/// `$name`
fn variable() -> &'static Regex {
    static PATTERN: OnceLock<Regex> = OnceLock::new();
    PATTERN.get_or_init(|| regex(r"\$([a-z][a-z0-9_]*)"))
}

/// A name that a broker makes up.
fn generated() -> &'static Regex {
    static PATTERN: OnceLock<Regex> = OnceLock::new();
    PATTERN.get_or_init(|| {
        regex(
            r"(?x) amq\.(?<gen>gen)-[A-Za-z0-9_-]{22}
                 | amq\.(?<ctag>ctag)-[A-Za-z0-9_-]{22}
                 | amq\.rabbitmq\.(?<reply>reply)-to\.[^\s'`,]+",
        )
    })
}

impl Names {
    pub(super) fn new(suffix: String) -> Self {
        let own = regex(&format!("([a-z][a-z0-9_]*)-{suffix}"));
        Names {
            suffix,
            own,
            made_up: Vec::new(),
        }
    }

    /// Whether a name is of this run's making.
    pub(super) fn is_own(&self, name: &str) -> bool {
        name.ends_with(&self.suffix) || self.made_up.iter().any(|(_, actual)| actual == name)
    }

    /// Puts actual names in the place of variables.
    pub(super) fn fill(&self, line: &str) -> Result<String, String> {
        let mut unknown = None;
        let filled = variable().replace_all(line, |found: &Captures<'_>| {
            let (whole, name) = (&found[0], &found[1]);
            if let Some((_, actual)) = self.made_up.iter().find(|(known, _)| known == whole) {
                return actual.clone();
            }
            let kind = name.trim_end_matches(|c: char| c.is_ascii_digit());
            if ["gen", "ctag", "reply"].contains(&kind) {
                unknown = Some(whole.to_owned());
            }
            format!("{name}-{}", self.suffix)
        });
        match unknown {
            Some(name) => Err(format!("{name} has not come from the broker yet")),
            None => Ok(filled.into_owned()),
        }
    }

    fn clean_text(&mut self, text: &str) -> String {
        let made_up = &mut self.made_up;
        let cleaned = generated().replace_all(text, |found: &Captures<'_>| {
            let actual = &found[0];
            if let Some((name, _)) = made_up.iter().find(|(_, known)| known == actual) {
                return name.clone();
            }
            let kinds = ["gen", "ctag", "reply"];
            let kind = kinds.into_iter().find(|kind| found.name(kind).is_some());
            let kind = format!("${}", kind.expect("one of the three matched"));
            let count = made_up.iter().filter(|(n, _)| n.starts_with(&kind)).count();
            let name = format!("{kind}{}", count + 1);
            made_up.push((name.clone(), actual.to_owned()));
            name
        });
        self.own.replace_all(&cleaned, "$$$1").into_owned()
    }

    fn clean_octets(&mut self, octets: &mut Vec<u8>) {
        // Bodies of megabytes hold no names.
        if octets.len() < 1 << 16
            && let Ok(text) = std::str::from_utf8(octets)
        {
            *octets = self.clean_text(text).into_bytes();
        }
    }

    fn clean_value(&mut self, name: &str, value: &mut Value) {
        match value {
            Value::Octets(..) if NAMES_THE_BROKER.contains(&name) => {
                *value = Value::Masked(format!("${name}"));
            }
            Value::Integer(b'T', _) if name == "time" => *value = Value::Masked("$time".into()),
            Value::Octets(_, octets) => self.clean_octets(octets),
            Value::Array(values) => {
                for value in values {
                    if let (Value::Table(table), "x-death") = (&mut *value, name) {
                        sort(table);
                    }
                    self.clean_value("", value);
                }
            }
            Value::Table(table) => {
                if name == "server-properties" || name == "capabilities" {
                    sort(table);
                }
                for (name, value) in table {
                    let name = String::from_utf8_lossy(name).into_owned();
                    self.clean_value(&name, value);
                }
            }
            _ => {}
        }
    }

    /// Takes out of what the broker said whatever differs from run to run.
    pub(super) fn clean(&mut self, item: &mut Item) {
        let Item::Method {
            method,
            values,
            content,
        } = item
        else {
            return;
        };
        for (field, value) in method.fields.iter().zip(values) {
            self.clean_value(field.name, value);
        }
        if let Some(content) = content {
            for (field, value) in &mut content.properties {
                self.clean_value(field.name, value);
            }
            self.clean_octets(&mut content.body);
        }
    }
}

fn sort(table: &mut Table) {
    table.sort_by(|(a, _), (b, _)| a.cmp(b));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_out_and_come_back() {
        let mut names = Names::new("k3f9a".to_owned());
        assert_eq!(names.fill("queue=$q"), Ok("queue=q-k3f9a".to_owned()));
        assert_eq!(names.fill("\"^$\""), Ok("\"^$\"".to_owned()));
        assert!(names.fill("$gen1").is_err());
        let made_up = "amq.gen-ABCDEFGHIJKLMNOPQRSTUV";
        let said = format!("no queue '{made_up}' and no 'q-k3f9a'");
        assert_eq!(names.clean_text(&said), "no queue '$gen1' and no '$q'");
        assert_eq!(names.fill("$gen1"), Ok(made_up.to_owned()));
        assert_eq!(names.clean_text("amq.gen-short"), "amq.gen-short");
    }
}
