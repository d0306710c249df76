//! Topic permissions: which routing keys a user may publish with and bind with.

use super::backend::{Authority, Resource, ResourceKind};
use super::pattern::{Origin, Pattern};
use super::{Access, TopicPermission};
use crate::text::pattern::PatternError;
use leveret_protocol::{AmqpError, UserName, texts};
use std::borrow::Cow;
use std::sync::Arc;

/// A topic permission that is in force.
#[derive(Debug)]
pub struct TopicAccess {
    pub(super) record: TopicPermission,
    rule: Rule,
}

/// Which routing keys are allowed.
#[derive(Debug)]
enum Rule {
    /// Those that match.
    Patterns { write: Pattern, read: Pattern },
    /// Those that the user's authority permits.
    Asking(Arc<dyn Authority>),
}

impl TopicAccess {
    /// Compiles a topic permission, with its variables replaced.
    ///
    /// # Errors
    /// When a pattern does not compile.
    pub(super) fn compile(record: TopicPermission, origin: Origin) -> Result<Self, PatternError> {
        let compile = |pattern: &str| {
            let expanded = expanded(pattern, &record.user, &record.vhost);
            let compiled = Pattern::expanded(pattern, &expanded, origin);
            compiled.map_err(|error| error.about(pattern))
        };
        let rule = Rule::Patterns {
            write: compile(&record.write)?,
            read: compile(&record.read)?,
        };
        Ok(TopicAccess { record, rule })
    }

    /// Returns the access of a user who is asked about.
    pub(super) fn asking(
        authority: Arc<dyn Authority>,
        user: &UserName,
        vhost: String,
        exchange: String,
    ) -> Self {
        let record = TopicPermission {
            user: user.to_string(),
            vhost,
            exchange,
            write: String::new(),
            read: String::new(),
        };
        TopicAccess {
            record,
            rule: Rule::Asking(authority),
        }
    }

    /// Checks that a message with this routing key may be published to the exchange.
    ///
    /// # Errors
    /// 403.
    pub fn check_write(&self, routing_key: &[u8]) -> Result<(), AmqpError> {
        self.check(Access::Write, routing_key)
    }

    /// Checks that the exchange may be bound with this routing key, as the source.
    ///
    /// # Errors
    /// 403.
    pub fn check_read(&self, routing_key: &[u8]) -> Result<(), AmqpError> {
        self.check(Access::Read, routing_key)
    }

    fn check(&self, access: Access, routing_key: &[u8]) -> Result<(), AmqpError> {
        let routing_key = String::from_utf8_lossy(routing_key);
        let TopicPermission {
            user,
            vhost,
            exchange,
            ..
        } = &self.record;
        let permitted = match &self.rule {
            Rule::Patterns { write, .. } if access == Access::Write => write.matches(&routing_key),
            Rule::Patterns { read, .. } => read.matches(&routing_key),
            Rule::Asking(authority) => {
                let exchange = Resource {
                    vhost,
                    kind: ResourceKind::Exchange,
                    name: exchange,
                };
                authority.permits_topic(access, exchange, &routing_key)
            }
        };
        if permitted {
            return Ok(());
        }
        Err(texts::topic_refused(
            access.as_str(),
            &routing_key,
            exchange,
            vhost,
            user,
        ))
    }
}

/// Replaces `{username}` and `{vhost}` by the names, which are matched as they are
/// (`rabbit_auth_backend_internal:expand_topic_permission`). AMQP 0-9-1 clients have no `{client_id}`: it stands for
/// itself, as in RabbitMQ, where braces that repeat nothing are ordinary characters.
fn expanded<'a>(pattern: &'a str, user: &str, vhost: &str) -> Cow<'a, str> {
    let variables = [
        ("{client_id}", "{client_id}"),
        ("{username}", user),
        ("{vhost}", vhost),
    ];
    let mut result = Cow::Borrowed(pattern);
    for (placeholder, value) in variables {
        if result.contains(placeholder) {
            result = result.replace(placeholder, &escaped(value)).into();
        }
    }
    result
}

/// Returns a pattern that matches this text only. Braces are escaped, so that no value can bring in a placeholder.
fn escaped(text: &str) -> String {
    const SPECIAL: &str = r"\^$.|?*+()[]{}-";
    let mut pattern = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if SPECIAL.contains(character) {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn access(user: &str, vhost: &str, write: &str, read: &str) -> TopicAccess {
        let [user, vhost, exchange, write, read] =
            [user, vhost, "amq.topic", write, read].map(str::to_owned);
        TopicAccess::compile(
            TopicPermission {
                user,
                vhost,
                exchange,
                write,
                read,
            },
            Origin::Written,
        )
        .unwrap()
    }

    #[test]
    fn write_and_read_are_refused_in_rabbitmqs_words() {
        let access = access("guest", "/", r"^a\.", "");
        assert!(access.check_write(b"a.b").is_ok());
        let error = access.check_write(b"b.a").unwrap_err();
        assert_eq!(
            error.text,
            "ACCESS_REFUSED - write access to topic 'b.a' in exchange 'amq.topic' in vhost '/' \
             refused for user 'guest'"
        );
        let error = access.check_read(b"a.b").unwrap_err();
        assert!(
            error
                .text
                .starts_with("ACCESS_REFUSED - read access to topic 'a.b' ")
        );
        assert!(access.check_read(b"").is_ok(), "the empty pattern is ^$");
    }

    #[test]
    fn variables_stand_for_names_and_nothing_else() {
        let may = |user: &str, pattern: &str, key: &str| {
            access(user, "v.1", pattern, "")
                .check_write(key.as_bytes())
                .is_ok()
        };
        assert!(may("walker", "^{username}-.*", "walker-a"));
        assert!(!may("walker", "^{username}-.*", "hare-a"));
        assert!(may("walker", "^{vhost}.{username}$", "v.1xwalker"));
        assert!(!may("walker", "^{vhost}.{username}$", "vx1xwalker"));
        assert!(!may(".*", "^{username}$", "walker"));
        assert!(may(".*", "^{username}$", ".*"));
        assert!(may("walker", "^{client_id}$", "{client_id}"));
        assert!(!may("{vhost}", "^{username}$", "v.1"));
        assert!(may("{vhost}", "^{username}$", "{vhost}"));
        assert!(may("walker", "^a{2}$", "aa"));
    }

    #[test]
    fn an_error_shows_the_pattern_as_it_was_written() {
        let record = TopicPermission {
            user: "u".to_owned(),
            vhost: "/".to_owned(),
            exchange: "x".to_owned(),
            write: "({username}".to_owned(),
            read: String::new(),
        };
        let error = TopicAccess::compile(record, Origin::Written).unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid regular expression \"({username}\": unclosed group"
        );
    }

    proptest! {
        #[test]
        fn a_name_matches_itself_and_no_other(
            name in r"[a-z\PC\\^$.|?*+()\[\]{}#&~<> -]{1,12}",
            other in r"[a-z\\^$.|?*+()\[\]{}-]{1,12}",
        ) {
            for (user, vhost, pattern) in
                [(&*name, "/", "{username}"), ("u", &*name, "{vhost}")]
            {
                // With a look-ahead it is matched by the other engine.
                for form in [format!("^{pattern}$"), format!("^(?=.){pattern}$")] {
                    let access = access(user, vhost, &form, "");
                    prop_assert!(access.check_write(name.as_bytes()).is_ok(), "{form}");
                    let same = name == other;
                    prop_assert_eq!(access.check_write(other.as_bytes()).is_ok(), same);
                }
            }
        }

        #[test]
        fn no_pattern_and_no_key_cause_a_panic(
            pattern in r"([a-z{}()\[\]|*+?.^$\\]|\{username\}|\{vhost\}|\{client_id\}){0,12}",
            user in ".{1,8}",
            key: Vec<u8>,
        ) {
            let [vhost, exchange] = ["/", "x"].map(str::to_owned);
            let (write, read) = (pattern.clone(), pattern);
            let record = TopicPermission { user, vhost, exchange, write, read };
            if let Ok(access) = TopicAccess::compile(record, Origin::Written) {
                let same = access.check_write(&key).is_ok() == access.check_read(&key).is_ok();
                prop_assert!(same);
            }
        }
    }
}
