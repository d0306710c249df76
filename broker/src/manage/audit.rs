//! The audit trail: a line in the log for each change that an operator makes or is refused, with who, from where and
//! what. Secrets are left out, and long texts are shortened.

use super::access::{Principal, Process};
use super::class::Changes;
use super::request::Request;
use crate::text::shorten::shortened;
use serde_json::{Map, Value};

/// The length of a text in the line at most, in bytes.
const TEXT_MAX: usize = 200;
/// The length of all arguments together at most, in bytes.
const ARGUMENTS_MAX: usize = 1000;
/// Parts of the names of arguments whose values may be, or contain, secrets.
const SECRETS: [&str; 7] = [
    "password", "hash", "uri", "secret", "token", "api_key", "apikey",
];

/// A change that an operator asks for, as the log shows it.
#[derive(Debug)]
pub struct Change {
    verb: String,
    arguments: Map<String, Value>,
}

impl Change {
    /// Returns the change that a request makes; `None` if it changes nothing.
    pub(super) fn of(request: &Request) -> Option<Self> {
        if request.class().changes == Changes::Nothing {
            return None;
        }
        let Ok(Value::Object(mut arguments)) = serde_json::to_value(request) else {
            return None;
        };
        // Nothing is shown for what was not given, and here that means everything.
        if matches!(request, Request::CloseAllConnections { vhost: None, .. }) {
            arguments.insert("global".to_owned(), true.into());
        }
        let verb = match arguments.remove("verb") {
            Some(Value::String(verb)) => verb,
            _ => String::new(),
        };
        Some(Change { verb, arguments })
    }

    /// Returns a change that is no request.
    pub fn new<const N: usize>(verb: &str, arguments: [(&str, Value); N]) -> Self {
        let arguments = arguments.into_iter();
        Change {
            verb: verb.to_owned(),
            arguments: arguments
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        }
    }

    /// Adds an argument.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.arguments.insert(name.to_owned(), value.into());
        self
    }

    fn arguments(&self) -> String {
        let arguments = Value::Object(shown(self.arguments.clone())).to_string();
        shortened(&arguments, ARGUMENTS_MAX).into_owned()
    }

    /// Writes the line. `refused` says why, if it was.
    pub(super) fn log(self, principal: &Principal, refused: Option<&str>) {
        let (verb, arguments) = (self.verb.as_str(), self.arguments());
        // The owner of the data directory comes over the admin socket.
        let (user, from) = match principal {
            Principal::Owner(Process { uid, pid }) => {
                let known = [("uid", uid.map(i64::from)), ("pid", pid.map(i64::from))];
                let known = known
                    .into_iter()
                    .filter_map(|(what, id)| Some(format!(", {what} {}", id?)));
                (
                    None,
                    format!("the admin socket{}", String::from_iter(known)),
                )
            }
            Principal::User { login, from } => {
                (Some(login.identity.name.as_str()), from.to_string())
            }
        };
        match refused {
            Some(reason) => tracing::warn!(
                user,
                from,
                verb,
                arguments,
                reason = %shortened(reason, TEXT_MAX),
                "an operator's change was refused"
            ),
            None => tracing::info!(user, from, verb, arguments, "changed by an operator"),
        }
    }
}

fn shown(arguments: Map<String, Value>) -> Map<String, Value> {
    let shown = |(name, value): (String, Value)| {
        let lower = name.to_lowercase();
        let is_secret = SECRETS.iter().any(|secret| lower.contains(secret));
        let value = match value {
            _ if is_secret => "***".into(),
            other => shown_value(other),
        };
        (name, value)
    };
    let given = arguments.into_iter().filter(|(_, value)| !value.is_null());
    given.map(shown).collect()
}

fn shown_value(value: Value) -> Value {
    match value {
        Value::Object(inner) => Value::Object(shown(inner)),
        Value::Array(items) => items.into_iter().map(shown_value).collect(),
        Value::String(text) => match serde_json::from_str(&text) {
            // Policies and limits are JSON in a text.
            Ok(json @ (Value::Object(_) | Value::Array(_))) => shown_value(json),
            _ => shortened(&without_credentials(&text), TEXT_MAX).into(),
        },
        other => other,
    }
}

/// Masks what stands between `://` and `@`: the user and the password of a URI.
fn without_credentials(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown.push_str(before);
        let authority = after.find(['/', '?', '#', ' ']).unwrap_or(after.len());
        rest = match after[..authority].rfind('@') {
            Some(end) => {
                shown.push_str("***");
                &after[end..]
            }
            None => after,
        };
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn change(request: &Request) -> (String, String) {
        let change = Change::of(request).unwrap();
        let arguments = change.arguments();
        (change.verb, arguments)
    }

    #[test]
    fn secrets_are_found_wherever_they_are() {
        let arguments = |value: Value| {
            let change = Change::new("set_global_parameter", [("value", value)]);
            change.arguments()
        };
        for hidden in [
            json!("amqp://u:hunter2@h/v"),
            json!(["amqps://u:hunter2@h", {"nested": {"Password_Hash": "hunter2", "Token": "hunter2"}}]),
            json!({"connection": "http://user:hunter2@host/x and ftp://a:hunter2@b"}),
            json!("{\"dead-letter-exchange\": \"amqp://u:hun@ter2@h\", \"api_key\": \"hunter2\"}"),
        ] {
            let shown = arguments(hidden);
            assert!(!shown.contains("ter2"), "{shown}");
        }
        let harmless = arguments(json!("see http://host/a@b and c@d"));
        assert_eq!(harmless, r#"{"value":"see http://host/a@b and c@d"}"#);
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in ".{0,40}(://)?.{0,20}@?.{0,20}") {
            without_credentials(&text);
        }
    }

    #[test]
    fn a_change_is_its_verb_and_arguments_without_secrets() {
        let add = Request::AddUser {
            user: "walker".into(),
            password: "do-not-tell".into(),
        };
        let expected = r#"{"password":"***","user":"walker"}"#;
        assert_eq!(change(&add), ("add_user".into(), expected.into()));
        let shovel = Request::SetParameter {
            vhost: "/".into(),
            component: "shovel".into(),
            name: "s".into(),
            value: serde_json::json!({"src-uri": "amqp://u:do-not-tell@h", "ack-mode": "no-ack"}),
        };
        let (verb, arguments) = change(&shovel);
        assert!(verb == "set_parameter" && arguments.contains("no-ack"));
        assert!(!arguments.contains("do-not-tell"), "{arguments}");
    }

    #[test]
    fn long_arguments_are_shortened_and_questions_are_no_change() {
        let tags = vec!["é".repeat(1000); 100];
        let set = Request::SetUserTags {
            user: "u".repeat(5000),
            tags,
        };
        let (_, arguments) = change(&set);
        assert!(arguments.len() <= ARGUMENTS_MAX + 3 && arguments.ends_with("..."));
        assert!(Change::of(&Request::Ping).is_none());
    }
}
