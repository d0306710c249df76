//! Reading a definition file, list by list and entry by entry: decoded as a whole, a file would take ten times its size.

use super::entry::parse;
use crate::domain::auth::HashingAlgorithm;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::fmt::{self, Write};
use thiserror::Error;

/// The kinds of entries, in the order in which they are applied (`rabbit_definitions:apply_defs`).
pub(super) const OF_BROKER: [&str; 10] = [
    "users",
    "vhosts",
    "permissions",
    "exchanges",
    "topic_permissions",
    "global_parameters",
    "policies",
    "parameters",
    "queues",
    "bindings",
];

/// The kinds of entries that are applied to one virtual host.
pub(super) const OF_VHOST: [&str; 5] =
    ["exchanges", "parameters", "policies", "queues", "bindings"];

/// A file that is not one of definitions: nothing was applied.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotDefinitions {
    /// It is not a JSON object.
    #[error("not_json: {0}")]
    NotJson(String),
    /// One of its parts is not a list of objects.
    #[error("{0} is not a list of objects")]
    NotList(&'static str),
    /// It is about one virtual host, which its objects do not name.
    #[error(
        "some queues, exchanges or bindings do not name their virtual host: this is a file of one virtual host, import it \
         into one"
    )]
    NoVhost,
}

/// A definition file whose lists have not been decoded yet.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct File<'a> {
    #[serde(borrow)]
    rabbitmq_version: Option<&'a RawValue>,
    #[serde(borrow)]
    rabbit_version: Option<&'a RawValue>,
    #[serde(borrow)]
    users: Option<&'a RawValue>,
    #[serde(borrow)]
    vhosts: Option<&'a RawValue>,
    #[serde(borrow)]
    permissions: Option<&'a RawValue>,
    #[serde(borrow)]
    exchanges: Option<&'a RawValue>,
    #[serde(borrow)]
    topic_permissions: Option<&'a RawValue>,
    #[serde(borrow)]
    global_parameters: Option<&'a RawValue>,
    #[serde(borrow)]
    policies: Option<&'a RawValue>,
    #[serde(borrow)]
    parameters: Option<&'a RawValue>,
    #[serde(borrow)]
    queues: Option<&'a RawValue>,
    #[serde(borrow)]
    bindings: Option<&'a RawValue>,
}

impl<'a> File<'a> {
    /// Reads a file for a broker, or for one virtual host. As in RabbitMQ, an empty one counts as an empty object.
    ///
    /// # Errors
    /// When it is no JSON object, or its lists are not lists of objects that name their virtual host.
    pub(crate) fn parse(text: &'a [u8], for_vhost: bool) -> Result<Self, NotDefinitions> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        if text.is_empty() {
            return Ok(File::default());
        }
        if !text.trim_ascii_start().starts_with(b"{") {
            // Valid or not, it is no object. Serde would take a list for one.
            let wrong = serde_json::from_slice::<IgnoredAny>(text).err();
            return Err(NotDefinitions::NotJson(wrong.map_or_else(
                || "it is not an object".to_owned(),
                |error| error.to_string(),
            )));
        }
        let file: File = serde_json::from_slice(text)
            .map_err(|error| NotDefinitions::NotJson(error.to_string()))?;
        for kind in kinds(for_vhost) {
            file.check(kind, for_vhost)?;
        }
        Ok(file)
    }

    fn check(&self, kind: &'static str, for_vhost: bool) -> Result<(), NotDefinitions> {
        #[derive(Deserialize)]
        struct Names {
            vhost: Option<IgnoredAny>,
        }
        let names_vhost = !for_vhost && matches!(kind, "queues" | "exchanges" | "bindings");
        let (mut objects, mut nameless) = (true, false);
        let listed = self.for_each(kind, |entry| {
            objects &= entry.get().starts_with('{');
            // What cannot be decoded is reported when it is its turn.
            nameless |= names_vhost
                && serde_json::from_str::<Names>(entry.get())
                    .is_ok_and(|names| names.vhost.is_none());
        });
        match (listed && objects, nameless) {
            (false, _) => Err(NotDefinitions::NotList(kind)),
            (true, true) => Err(NotDefinitions::NoVhost),
            (true, false) => Ok(()),
        }
    }

    fn list(&self, kind: &str) -> Option<&'a RawValue> {
        match kind {
            "users" => self.users,
            "vhosts" => self.vhosts,
            "permissions" => self.permissions,
            "exchanges" => self.exchanges,
            "topic_permissions" => self.topic_permissions,
            "global_parameters" => self.global_parameters,
            "policies" => self.policies,
            "parameters" => self.parameters,
            "queues" => self.queues,
            "bindings" => self.bindings,
            _ => None,
        }
    }

    /// Calls `each` with every entry of a kind; returns false if they are not a list.
    pub(super) fn for_each(&self, kind: &str, each: impl FnMut(&'a RawValue)) -> bool {
        let Some(list) = self.list(kind) else {
            return true;
        };
        let mut json = serde_json::Deserializer::from_str(list.get());
        json.deserialize_seq(Each(each)).is_ok()
    }

    /// Returns the algorithm of the hashes that do not name theirs: RabbitMQ before 3.6 had only MD5.
    pub(super) fn default_algorithm(&self) -> HashingAlgorithm {
        let version = self.rabbitmq_version.or(self.rabbit_version);
        let version = version.and_then(|version| serde_json::from_str(version.get()).ok());
        let version: String = version.unwrap_or_default();
        let mut numbers = version.split('.').map(str::parse::<u32>);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) if (major, minor) < (3, 6) => HashingAlgorithm::Md5,
            _ => HashingAlgorithm::default(),
        }
    }

    /// Returns a hash of what these files define, whatever their white space and the order of their keys.
    pub(super) fn hash(files: &[&File<'_>]) -> String {
        let mut hash = Sha256::new();
        for file in files {
            for kind in OF_BROKER {
                hash.update(kind);
                file.for_each(kind, |entry| {
                    // Sorted by key; what cannot be decoded, as it is written.
                    match parse::<Value>(entry) {
                        Ok(sorted) => hash.update(sorted.to_string()),
                        Err(_) => hash.update(entry.get()),
                    }
                    hash.update(b"\n");
                });
            }
        }
        let mut text = String::new();
        for byte in hash.finalize() {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}

/// Returns the kinds of entries that a file may have, in the order in which they are applied.
pub(super) fn kinds(for_vhost: bool) -> &'static [&'static str] {
    match for_vhost {
        true => &OF_VHOST,
        false => &OF_BROKER,
    }
}

/// Visits the elements of a list.
struct Each<F>(F);

impl<'de, F: FnMut(&'de RawValue)> Visitor<'de> for Each<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element()? {
            (self.0)(element);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        File::parse(text.as_bytes(), false).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_definition_file_is_refused_as_a_whole() {
        for text in [
            "not json",
            "[]",
            "5",
            "null",
            "{",
            "{\"queues\": [}",
            "[",
            "{} x",
        ] {
            assert!(refused(text).starts_with("not_json"), "{text}");
        }
        assert!(refused("\u{1f407}").starts_with("not_json"));
        assert!(File::parse(b"{\"users\":\"\xff\"}", false).is_err());
        for text in [r#"{"queues":{}}"#, r#"{"queues":5}"#, r#"{"queues":[5]}"#] {
            assert_eq!(refused(text), "queues is not a list of objects");
        }
        assert!(refused(r#"{"queues":[{"name":"q"}]}"#).contains("one virtual host"));
        assert!(refused(r#"{"queues":[],"queues":[]}"#).contains("duplicate"));
    }

    #[test]
    fn small_and_odd_files_are_read() {
        for text in [
            "",
            "{}",
            "\u{feff}{}",
            " \n{} ",
            r#"{"queues":null,"x":[[[1e999]]]}"#,
        ] {
            assert!(File::parse(text.as_bytes(), false).is_ok(), "{text}");
        }
        let of_vhost = br#"{"queues":[{"name":"q"}],"users":5}"#;
        assert!(File::parse(of_vhost, true).is_ok());
        let deep = format!("{{\"x\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(File::parse(deep.as_bytes(), false).is_ok());
    }

    #[test]
    fn the_hash_is_that_of_what_is_defined() {
        let hash = |text: &str| File::hash(&[&File::parse(text.as_bytes(), false).unwrap()]);
        let one = hash(r#"{"users":[{"name":"u","tags":[]}],"vhosts":[{"name":"v"}]}"#);
        let same = hash(
            r#"{"vhosts": [{"name": "v"}], "explanation": "x", "users": [{"tags": [], "name": "u"}]}"#,
        );
        assert_eq!(one, same);
        assert_ne!(
            one,
            hash(r#"{"users":[{"name":"u","tags":["x"]}],"vhosts":[{"name":"v"}]}"#)
        );
        assert_eq!(one.len(), 64);
    }

    #[test]
    fn hashes_without_an_algorithm_are_those_of_the_version() {
        let algorithm = |version: &str| {
            let text = format!("{{\"rabbit_version\":{version}}}");
            File::parse(text.as_bytes(), false)
                .unwrap()
                .default_algorithm()
        };
        assert_eq!(algorithm("\"3.5.7\""), HashingAlgorithm::Md5);
        for version in ["\"3.6.0\"", "\"4.1\"", "\"x\"", "5", "null"] {
            assert_eq!(algorithm(version), HashingAlgorithm::Sha256);
        }
    }
}
