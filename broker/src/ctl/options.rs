//! Splits the command line into verb, arguments and options. As with rabbitmqctl, options may be
//! anywhere; after `--` there are only arguments.

use std::collections::BTreeMap;

enum ValueKind {
    NoValue,
    Text,
    /// A whole number that is not negative.
    Number,
    /// A whole number.
    Integer,
}

struct OptionSpec {
    long: &'static str,
    short: Option<char>,
    value: ValueKind,
    /// The verbs that accept it; empty for all.
    verbs: &'static [&'static str],
}

const fn option(
    long: &'static str,
    short: Option<char>,
    value: ValueKind,
    verbs: &'static [&'static str],
) -> OptionSpec {
    OptionSpec {
        long,
        short,
        value,
        verbs,
    }
}

/// All options. Those that only matter to a cluster are accepted and ignored, so that scripts need not
/// be changed.
static OPTIONS: &[OptionSpec] = &[
    option("help", Some('?'), ValueKind::NoValue, &[]),
    option("version", Some('V'), ValueKind::NoValue, &[]),
    option("quiet", Some('q'), ValueKind::NoValue, &[]),
    option("silent", Some('s'), ValueKind::NoValue, &[]),
    option("no-table-headers", None, ValueKind::NoValue, &[]),
    option("formatter", None, ValueKind::Text, &[]),
    option("vhost", Some('p'), ValueKind::Text, &[]),
    option("timeout", Some('t'), ValueKind::Number, &[]),
    option("node", Some('n'), ValueKind::Text, &[]),
    option("longnames", Some('l'), ValueKind::NoValue, &[]),
    option("data-dir", None, ValueKind::Text, &[]),
    option("config", None, ValueKind::Text, &[]),
    option("if-empty", Some('e'), ValueKind::NoValue, &["delete_queue"]),
    option(
        "if-unused",
        Some('u'),
        ValueKind::NoValue,
        &["delete_queue"],
    ),
    option("online", None, ValueKind::NoValue, &["list_queues"]),
    option("offline", None, ValueKind::NoValue, &["list_queues"]),
    option("local", None, ValueKind::NoValue, &["list_queues"]),
    option(
        "global",
        None,
        ValueKind::NoValue,
        &[
            "close_all_connections",
            "list_user_limits",
            "list_vhost_limits",
        ],
    ),
    option(
        "priority",
        None,
        ValueKind::Integer,
        &["set_policy", "set_operator_policy"],
    ),
    option(
        "apply-to",
        None,
        ValueKind::Text,
        &["set_policy", "set_operator_policy"],
    ),
    option("user", None, ValueKind::Text, &["list_user_limits"]),
    option("limit", None, ValueKind::Number, &["close_all_connections"]),
    option("description", None, ValueKind::Text, &["add_vhost"]),
    option("tags", None, ValueKind::Text, &["add_vhost"]),
    option("unit", None, ValueKind::Text, &["status"]),
    option(
        "format",
        None,
        ValueKind::Text,
        &["export_definitions", "import_definitions"],
    ),
    option(
        "skip-if-unchanged",
        None,
        ValueKind::NoValue,
        &["import_definitions"],
    ),
    option("idempotent", None, ValueKind::NoValue, &["stop"]),
    option("list-commands", None, ValueKind::NoValue, &["help"]),
];

/// A parsed command line.
#[derive(Debug, Default)]
pub(super) struct CommandLine {
    /// The first argument.
    pub(super) verb: Option<String>,
    /// The arguments after the verb.
    pub(super) arguments: Vec<String>,
    /// Options that do not exist, lack their value or have an invalid one, with that value.
    pub(super) invalid: Vec<(String, String)>,
    /// The words as they were given.
    pub(super) given: Vec<String>,
    options: BTreeMap<&'static str, String>,
}

impl CommandLine {
    /// Parses the arguments after the program's name. Never fails: mistakes are left in `invalid`, to be
    /// reported with the verb's usage.
    pub(super) fn parse(given: Vec<String>) -> Self {
        let mut line = CommandLine::default();
        let mut positional = Vec::new();
        let mut rest = given.iter().map(String::as_str).peekable();
        while let Some(word) = rest.next() {
            if word == "--" {
                positional.extend(rest.by_ref());
            } else if let Some(long) = word.strip_prefix("--") {
                let (name, value) = match long.split_once('=') {
                    Some((name, value)) => (name, Some(value)),
                    None => (long, None),
                };
                let spec = OPTIONS.iter().find(|option| option.long == name);
                line.take(spec, &format!("--{name}"), value, &mut rest);
            } else if word.len() > 1 && word.starts_with('-') {
                line.take_short(word, &mut rest);
            } else {
                positional.push(word);
            }
        }
        let mut positional = positional.into_iter().map(str::to_owned);
        line.verb = positional.next();
        line.arguments = positional.collect();
        line.given = given;
        line.refuse_options_of_other_verbs();
        line
    }

    /// Parses `-q`, or several options without values in one word (`-qs`).
    fn take_short<'a>(
        &mut self,
        word: &'a str,
        rest: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>,
    ) {
        let find = |letter| OPTIONS.iter().find(|option| option.short == Some(letter));
        let letters: Vec<char> = word.chars().skip(1).collect();
        if let [letter] = letters[..] {
            self.take(find(letter), word, None, rest);
            return;
        }
        let switches = letters.iter().map(|letter| find(*letter));
        let switches: Option<Vec<_>> = switches
            .map(|spec| spec.filter(|spec| matches!(spec.value, ValueKind::NoValue)))
            .collect();
        match switches {
            Some(switches) => {
                for spec in switches {
                    self.options.insert(spec.long, String::new());
                }
            }
            None => self.invalid.push((word.to_owned(), String::new())),
        }
    }

    fn take<'a>(
        &mut self,
        spec: Option<&OptionSpec>,
        written: &str,
        value: Option<&str>,
        rest: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>,
    ) {
        let Some(spec) = spec else {
            self.invalid.push((written.to_owned(), String::new()));
            return;
        };
        let value = match spec.value {
            ValueKind::NoValue => Some(String::new()),
            ValueKind::Text | ValueKind::Number | ValueKind::Integer => {
                value.map(str::to_owned).or_else(|| {
                    // What looks like an option is not a value, unless it is a number or written
                    // as in `--vhost=-x`.
                    let integer = matches!(spec.value, ValueKind::Integer);
                    let is_value = |word: &&str| {
                        word.len() < 2
                            || !word.starts_with('-')
                            || (integer && word.parse::<i64>().is_ok())
                    };
                    let next = rest.next_if(is_value);
                    next.map(str::to_owned)
                })
            }
        };
        let wrong = |text: &str| match spec.value {
            // A deadline some centuries away still fits into an `Instant`.
            ValueKind::Number => text.parse::<u32>().is_err(),
            ValueKind::Integer => text.parse::<i64>().is_err(),
            ValueKind::NoValue | ValueKind::Text => false,
        };
        match value {
            None => self.invalid.push((written.to_owned(), String::new())),
            Some(text) if wrong(&text) => {
                self.invalid.push((written.to_owned(), text));
            }
            Some(text) => {
                self.options.insert(spec.long, text);
            }
        }
    }

    fn refuse_options_of_other_verbs(&mut self) {
        let Some(verb) = self.verb.as_deref() else {
            return;
        };
        for spec in OPTIONS {
            let other = !spec.verbs.is_empty() && !spec.verbs.contains(&verb);
            if other && self.options.contains_key(spec.long) {
                self.invalid
                    .push((format!("--{}", spec.long), String::new()));
            }
        }
    }

    /// Returns whether an option without a value was given.
    pub(super) fn has(&self, long: &str) -> bool {
        self.options.contains_key(long)
    }

    /// Returns the value of an option.
    pub(super) fn text(&self, long: &str) -> Option<&str> {
        self.options.get(long).map(String::as_str)
    }

    /// Returns the value of an option that is a number.
    pub(super) fn number(&self, long: &str) -> Option<u64> {
        self.text(long).and_then(|text| text.parse().ok())
    }

    /// Returns the value of an option that is an integer.
    pub(super) fn integer(&self, long: &str) -> Option<i64> {
        self.text(long).and_then(|text| text.parse().ok())
    }

    /// Returns the value of `--vhost`, or the default virtual host.
    pub(super) fn vhost(&self) -> &str {
        self.text("vhost").unwrap_or("/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> CommandLine {
        CommandLine::parse(words.split_whitespace().map(str::to_owned).collect())
    }

    #[test]
    fn options_may_be_anywhere() {
        for words in [
            "-q -p v list_queues name messages -t 5",
            "list_queues name -p v messages --quiet --timeout=5",
            "list_queues --vhost=v name messages -t 5 -q",
        ] {
            let line = parse(words);
            assert_eq!(line.verb.as_deref(), Some("list_queues"));
            assert_eq!(line.arguments, ["name", "messages"]);
            assert_eq!((line.vhost(), line.number("timeout")), ("v", Some(5)));
            assert!(
                line.has("quiet") && line.invalid.is_empty(),
                "{words}: {:?}",
                line.invalid
            );
        }
        assert!(parse("list_queues -qs").has("silent"));
    }

    #[test]
    fn after_two_dashes_there_are_arguments_only() {
        let line = parse("add_user -q walker -- -x");
        assert_eq!(line.arguments, ["walker", "-x"]);
        assert!(line.invalid.is_empty());
    }

    #[test]
    fn a_wrong_option_is_kept_for_the_report() {
        let invalid = |words: &str| parse(words).invalid;
        let of = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        assert_eq!(invalid("list_queues --nope=3"), of("--nope", ""));
        assert_eq!(invalid("list_queues -t x"), of("-t", "x"));
        assert_eq!(invalid("list_queues -t -q"), of("-t", ""));
        assert_eq!(invalid("list_queues --formatter"), of("--formatter", ""));
        assert_eq!(invalid("list_queues -u"), of("--if-unused", ""));
        assert_eq!(invalid("add_user walker -x"), of("-x", ""));
        assert_eq!(
            parse("--nope list_queues").verb.as_deref(),
            Some("list_queues")
        );
    }
}
