//! Why a binding matches a message or does not, in sentences for people.

use super::ExplainedBinding;
use crate::engine::exchange::binding::Binding;
use crate::engine::exchange::headers::{Compared, compared};
use crate::engine::exchange::{ExchangeKind, ExchangeSpec, Routable};
use std::fmt::Write;

/// The names of headers in a sentence at most.
const NAMES_MAX: usize = 5;

/// How an exchange compares its bindings with a message.
pub(super) struct Ways<'a> {
    pub(super) spec: &'a ExchangeSpec,
    pub(super) message: &'a Routable<'a>,
    /// What a consistent-hash exchange hashes.
    pub(super) hashed: Option<&'a str>,
    /// How many bindings the exchange has.
    pub(super) bindings: usize,
}

/// Says that no queue has the name that a message to the default exchange has for a routing key.
pub(super) fn no_queue_named(keys: &[&[u8]]) -> String {
    format!(
        "The default exchange sends a message to the queue that its routing key names: there is no queue {}.",
        quoted(keys, "or")
    )
}

/// Returns keys in quotation marks, joined by a word.
fn quoted(keys: &[&[u8]], word: &str) -> String {
    let mut text = String::new();
    for (n, key) in keys.iter().take(NAMES_MAX).enumerate() {
        if n > 0 {
            let _ = write!(text, " {word} ");
        }
        let _ = write!(text, "\"{}\"", String::from_utf8_lossy(key));
    }
    if keys.len() > NAMES_MAX {
        let _ = write!(text, " {word} {} more", keys.len() - NAMES_MAX);
    }
    text
}

fn listed(names: &[String]) -> String {
    let names: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
    quoted(&names, "and")
}

impl Ways<'_> {
    /// Returns what is to be said about the exchange as a whole.
    pub(super) fn note(&self) -> Option<String> {
        let note = match self.spec.routed_by() {
            _ if self.bindings == 0 => "The exchange has no bindings.",
            ExchangeKind::Random | ExchangeKind::LocalRandom => {
                "Each message goes to one of the bindings at random: the next one may go elsewhere."
            }
            ExchangeKind::ConsistentHash | ExchangeKind::ModulusHash => {
                "Each message goes to one of the bindings."
            }
            _ => return None,
        };
        Some(note.to_owned())
    }

    /// Explains a binding that matches the message, or does not.
    pub(super) fn explained(
        &self,
        binding: Binding,
        matched: bool,
        counts: bool,
    ) -> ExplainedBinding {
        let why = self.why(&binding, matched, counts);
        ExplainedBinding {
            binding,
            matched,
            why,
        }
    }

    /// Returns why a binding matches the message, or does not. `counts`: see `Known`.
    fn why(&self, binding: &Binding, matched: bool, counts: bool) -> String {
        match self.spec.routed_by() {
            ExchangeKind::Fanout => {
                "A fanout exchange sends every message to all its bindings.".to_owned()
            }
            ExchangeKind::Direct | ExchangeKind::DelayedMessage => self.by_key(binding, matched),
            ExchangeKind::Topic => self.by_pattern(binding, matched),
            ExchangeKind::Headers => {
                by_headers(&compared(&binding.arguments, self.message.headers()))
            }
            ExchangeKind::ConsistentHash => self.by_hash(binding, matched, counts),
            ExchangeKind::ModulusHash => {
                let chosen = if matched { "this" } else { "another" };
                format!(
                    "The hash of the routing key, modulo {} bindings, chooses {chosen} one.",
                    self.bindings
                )
            }
            ExchangeKind::Random | ExchangeKind::LocalRandom => match matched {
                true => "It was chosen at random this time.".to_owned(),
                false => "Another one was chosen at random this time.".to_owned(),
            },
        }
    }

    fn by_key(&self, binding: &Binding, matched: bool) -> String {
        let (key, keys) = (binding.key.as_str(), self.message.routing_keys);
        match (matched, keys) {
            (true, [_]) => format!("The routing key is \"{key}\"."),
            (true, _) => format!("One of the routing keys (with CC and BCC) is \"{key}\"."),
            (false, [_]) => format!("The routing key {} is not \"{key}\".", quoted(keys, "or")),
            (false, _) => format!("No routing key (with CC and BCC) is \"{key}\"."),
        }
    }

    fn by_pattern(&self, binding: &Binding, matched: bool) -> String {
        let (pattern, keys) = (binding.key.as_str(), self.message.routing_keys);
        match (matched, keys) {
            (true, [_]) => format!(
                "The pattern \"{pattern}\" matches the routing key {}.",
                quoted(keys, "or")
            ),
            (true, _) => {
                format!(
                    "The pattern \"{pattern}\" matches one of the routing keys (with CC and BCC)."
                )
            }
            (false, [key]) => format!(
                "The pattern \"{pattern}\" does not match the routing key {}{}.",
                quoted(keys, "or"),
                first_difference(pattern, &String::from_utf8_lossy(key))
            ),
            (false, _) => format!(
                "The pattern \"{pattern}\" matches none of the routing keys (with CC and BCC)."
            ),
        }
    }

    fn by_hash(&self, binding: &Binding, matched: bool, counts: bool) -> String {
        let hashed = self.hashed.unwrap_or("routing key");
        let weight = binding.key.as_str();
        match (matched, counts) {
            (true, _) => {
                format!("The hash of the {hashed} chooses this binding, of weight {weight}.")
            }
            (false, true) => format!("The hash of the {hashed} chooses another binding."),
            (false, false) => {
                "Another binding leads to the same destination, and only one of them counts."
                    .to_owned()
            }
        }
    }
}

/// Returns where a pattern and a key differ first, if a `#` does not make that hard to say.
fn first_difference(pattern: &str, key: &str) -> String {
    let words = |text: &str| match text.is_empty() {
        true => Vec::new(),
        false => text.split('.').map(str::to_owned).collect(),
    };
    let (pattern, key) = (words(pattern), words(key));
    let has_hash = pattern.iter().any(|word| word == "#");
    let before = pattern
        .iter()
        .zip(&key)
        .take_while(|(wanted, _)| *wanted != "#");
    for (at, (wanted, word)) in before.enumerate() {
        if wanted != "*" && wanted != word {
            return format!(": word {} is \"{word}\", not \"{wanted}\"", at + 1);
        }
    }
    let count = |n: usize| {
        if n == 1 {
            "1 word".to_owned()
        } else {
            format!("{n} words")
        }
    };
    match has_hash {
        false if pattern.len() != key.len() => format!(
            ": the key has {}, the pattern {}",
            count(key.len()),
            pattern.len()
        ),
        _ => String::new(),
    }
}

fn by_headers(compared: &Compared) -> String {
    let Compared {
        any,
        equal,
        different,
        missing,
    } = compared;
    let asked = equal.len() + different.len() + missing.len();
    match (any, asked) {
        (false, 0) => {
            return "The binding asks for no header, so it matches every message.".to_owned();
        }
        (true, 0) => {
            return "The binding asks for any of no headers, so it matches nothing.".to_owned();
        }
        _ => {}
    }
    let header = |names: &[String]| {
        if names.len() == 1 {
            "header"
        } else {
            "headers"
        }
    };
    let verb = |names: &[String]| if names.len() == 1 { "matches" } else { "match" };
    if !equal.is_empty() && (*any || equal.len() == asked) {
        return format!("The {} {} {}.", header(equal), listed(equal), verb(equal));
    }
    let mut reasons = Vec::new();
    if !missing.is_empty() {
        let is = if missing.len() == 1 { "is" } else { "are" };
        let listed = listed(missing);
        reasons.push(format!("the {} {listed} {is} missing", header(missing)));
    }
    if !different.is_empty() {
        let listed = listed(different);
        let values = match different.len() {
            1 => "has another value",
            _ => "have other values",
        };
        reasons.push(format!("the {} {listed} {values}", header(different)));
    }
    let reasons = reasons.join(", and ");
    match any {
        true => format!("Not one of the headers matches: {reasons}."),
        false => format!("Not all headers match: {reasons}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_does_not_match_says_where() {
        let cases = [
            ("a.b", "a.c", ": word 2 is \"c\", not \"b\""),
            ("a.*", "a", ": the key has 1 word, the pattern 2"),
            ("*", "", ": the key has 0 words, the pattern 1"),
            ("a.#.z", "b.z", ": word 1 is \"b\", not \"a\""),
            ("#.z", "a.b", ""),
        ];
        for (pattern, key, expected) in cases {
            assert_eq!(first_difference(pattern, key), expected, "{pattern} {key}");
        }
    }

    #[test]
    fn headers_are_named_that_match_differ_or_are_missing() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let all = Compared {
            equal: names(&["a"]),
            different: names(&["b"]),
            missing: names(&["c", "d"]),
            any: false,
        };
        assert_eq!(
            by_headers(&all),
            "Not all headers match: the headers \"c\" and \"d\" are missing, and the header \"b\" has another value."
        );
        let any = Compared { any: true, ..all };
        assert_eq!(by_headers(&any), "The header \"a\" matches.");
        let nothing = Compared::default();
        let text = "The binding asks for no header, so it matches every message.";
        assert_eq!(by_headers(&nothing), text);
    }
}
