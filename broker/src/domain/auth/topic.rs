//! Topic permissions: which routing keys a user may publish with and bind with.

use super::TopicPermission;
use super::pattern::{Origin, Pattern};
use crate::text::pattern::PatternError;
use leveret_protocol::{AmqpError, texts};
use std::borrow::Cow;

/// A topic permission that is in force.
#[derive(Debug)]
pub struct TopicAccess {
    pub(super) record: TopicPermission,
    write: Pattern,
    read: Pattern,
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
        Ok(TopicAccess {
            write: compile(&record.write)?,
            read: compile(&record.read)?,
            record,
        })
    }

    /// Checks that a message with this routing key may be published to the exchange.
    ///
    /// # Errors
    /// 403.
    pub fn check_write(&self, routing_key: &[u8]) -> Result<(), AmqpError> {
        self.check("write", &self.write, routing_key)
    }

    /// Checks that the exchange may be bound with this routing key, as the source.
    ///
    /// # Errors
    /// 403.
    pub fn check_read(&self, routing_key: &[u8]) -> Result<(), AmqpError> {
        self.check("read", &self.read, routing_key)
    }

    fn check(&self, access: &str, pattern: &Pattern, routing_key: &[u8]) -> Result<(), AmqpError> {
        let routing_key = String::from_utf8_lossy(routing_key);
        if pattern.matches(&routing_key) {
            return Ok(());
        }
        let TopicPermission {
            user,
            vhost,
            exchange,
            ..
        } = &self.record;
        Err(texts::topic_refused(
            access,
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
