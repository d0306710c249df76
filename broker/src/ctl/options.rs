//! Splits the command line into verb, arguments and options. As with rabbitmqctl, options may be
//! anywhere; after `--` there are only arguments.

use std::collections::BTreeMap;

use super::program::Program;
use super::verbs::most_similar;
use crate::text::names::NODE_NAME;

enum ValueKind {
    NoValue,
    Text,
    /// A text; the option can be repeated.
    Texts,
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

const MODES: &[&str] = &["directories", "disable", "enable", "is_enabled", "set"];

/// The verbs that set what operators say about a virtual host.
const VHOST_METADATA: &[&str] = &["add_vhost", "update_vhost_metadata"];

/// All options. Those that only matter to Erlang are accepted and ignored, so that scripts need not be
/// changed.
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
    option("script-name", None, ValueKind::Text, &[]),
    option("dry-run", None, ValueKind::NoValue, &[]),
    option("print-stacktrace", None, ValueKind::NoValue, &[]),
    option("erlang-cookie", None, ValueKind::Text, &[]),
    option("rabbitmq-home", None, ValueKind::Text, &[]),
    option("mnesia-dir", None, ValueKind::Text, &[]),
    option("plugins-dir", None, ValueKind::Text, &[]),
    option("enabled-plugins-file", None, ValueKind::Text, &[]),
    option("aliases-file", None, ValueKind::Text, &[]),
    option("if-empty", Some('e'), ValueKind::NoValue, &["delete_queue"]),
    option(
        "if-unused",
        Some('u'),
        ValueKind::NoValue,
        &["delete_queue"],
    ),
    option("online", None, ValueKind::NoValue, &["list_queues"]),
    option("offline", None, ValueKind::NoValue, &["list_queues"]),
    option(
        "local",
        None,
        ValueKind::NoValue,
        &["list_queues", "list_unresponsive_queues"],
    ),
    option(
        "queue-timeout",
        None,
        ValueKind::Number,
        &["list_unresponsive_queues"],
    ),
    option("online", None, ValueKind::NoValue, MODES),
    option("offline", None, ValueKind::NoValue, MODES),
    option(
        "offline",
        None,
        ValueKind::NoValue,
        &["resolve_hostname", "resolver_info"],
    ),
    option(
        "address-family",
        None,
        ValueKind::Text,
        &["resolve_hostname"],
    ),
    option("all", None, ValueKind::NoValue, &["disable", "enable"]),
    option("enabled", Some('E'), ValueKind::NoValue, &["list"]),
    option(
        "implicitly-enabled",
        Some('e'),
        ValueKind::NoValue,
        &["list"],
    ),
    option("minimal", Some('m'), ValueKind::NoValue, &["list"]),
    option("verbose", Some('v'), ValueKind::NoValue, &["list"]),
    option("pid", Some('P'), ValueKind::Number, &["wait"]),
    option(
        "by-source",
        None,
        ValueKind::NoValue,
        &["list_node_auth_attempt_stats"],
    ),
    option(
        "within",
        None,
        ValueKind::Number,
        &["check_certificate_expiration"],
    ),
    option("errors-only", None, ValueKind::NoValue, &["grow", "shrink"]),
    option("vhost-pattern", None, ValueKind::Text, &["grow", "shrink"]),
    option("queue-pattern", None, ValueKind::Text, &["grow", "shrink"]),
    option("tracking", None, ValueKind::NoValue, &["stream_status"]),
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
    option("vhost-pattern", None, ValueKind::Text, &["rebalance"]),
    option("queue-pattern", None, ValueKind::Text, &["rebalance"]),
    option(
        "limit",
        None,
        ValueKind::Number,
        &["close_all_connections", "top"],
    ),
    option("sort", None, ValueKind::Text, &["top"]),
    option("filter", None, ValueKind::Text, &["top"]),
    option("interval", None, ValueKind::Number, &["top"]),
    option("count", None, ValueKind::Number, &["top"]),
    option(
        "unit",
        None,
        ValueKind::Text,
        &["status", "memory_breakdown", "check_certificate_expiration"],
    ),
    option(
        "per-connection-delay",
        None,
        ValueKind::Number,
        &["close_all_connections"],
    ),
    option("description", None, ValueKind::Text, VHOST_METADATA),
    option("tags", None, ValueKind::Text, VHOST_METADATA),
    option("default-queue-type", None, ValueKind::Text, VHOST_METADATA),
    option("wait", None, ValueKind::NoValue, &["shutdown"]),
    option("no-wait", None, ValueKind::NoValue, &["shutdown"]),
    option(
        "format",
        None,
        ValueKind::Text,
        &["export_definitions", "import_definitions", "cipher_suites"],
    ),
    option(
        "compatible-hashes",
        None,
        ValueKind::NoValue,
        &["export_definitions"],
    ),
    option(
        "skip-if-unchanged",
        None,
        ValueKind::NoValue,
        &["import_definitions"],
    ),
    option("idempotent", None, ValueKind::NoValue, &["stop"]),
    option("all", Some('a'), ValueKind::NoValue, &["log_location"]),
    option("all", None, ValueKind::NoValue, &["cipher_suites"]),
    option("number", Some('N'), ValueKind::Number, &["log_tail"]),
    option(
        "duration",
        Some('d'),
        ValueKind::Number,
        &["log_tail_stream"],
    ),
    option("queue", None, ValueKind::Texts, &["shovel"]),
    option("destination-queue", None, ValueKind::Text, &["shovel"]),
    option("auto-delete-too", None, ValueKind::NoValue, &["shovel"]),
    option("follow", None, ValueKind::NoValue, &["shovel"]),
    option("prefetch", None, ValueKind::Number, &["shovel"]),
    option("list-commands", None, ValueKind::NoValue, &["help"]),
];

/// What completions say of an option.
pub(super) struct ListedOption {
    pub(super) long: &'static str,
    pub(super) short: Option<char>,
    pub(super) has_value: bool,
    pub(super) is_of_every_verb: bool,
}

/// Returns the options of a verb, or else those of every verb.
pub(super) fn listed(verb: Option<&'static str>) -> impl Iterator<Item = ListedOption> {
    let fits = move |option: &&OptionSpec| match verb {
        None => option.verbs.is_empty(),
        Some(verb) => option.verbs.contains(&verb),
    };
    OPTIONS.iter().filter(fits).map(|option| ListedOption {
        long: option.long,
        short: option.short,
        has_value: !matches!(option.value, ValueKind::NoValue),
        is_of_every_verb: option.verbs.is_empty(),
    })
}

/// A parsed command line.
#[derive(Debug, Default)]
pub(super) struct CommandLine {
    /// The name that the program was called by.
    pub(super) program: Program,
    /// Whether headings are bold.
    pub(super) bold: bool,
    /// The first argument.
    pub(super) verb: Option<String>,
    /// The arguments after the verb.
    pub(super) arguments: Vec<String>,
    /// Options that do not exist, lack their value or have an invalid one, with that value.
    pub(super) invalid: Vec<(String, String)>,
    /// The words as they were given.
    pub(super) given: Vec<String>,
    options: BTreeMap<&'static str, String>,
    /// The values of options that can be repeated.
    lists: BTreeMap<&'static str, Vec<String>>,
}

/// Returns the option that a verb has, or else one of another verb, which is refused by name.
fn find(verb: Option<&str>, named: impl Fn(&OptionSpec) -> bool) -> Option<&'static OptionSpec> {
    let named = || OPTIONS.iter().filter(|option| named(option));
    let fits = |option: &&OptionSpec| {
        option.verbs.is_empty() || verb.is_some_and(|verb| option.verbs.contains(&verb))
    };
    named().find(fits).or_else(|| named().next())
}

impl CommandLine {
    /// Parses the arguments after the program's name. Never fails: mistakes are left in `invalid`, to be
    /// reported with the verb's usage.
    pub(super) fn parse(program: Program, given: Vec<String>) -> Self {
        // What an option means depends on the verb, which may come after it.
        let verb = Self::parse_for(None, &given).verb;
        let mut line = Self::parse_for(verb.as_deref(), &given);
        line.program = match line.text("script-name") {
            Some(name) => Program::called(name),
            None => program,
        };
        line.given = given;
        line.refuse_options_of_other_verbs();
        line
    }

    fn parse_for(verb: Option<&str>, given: &[String]) -> Self {
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
                let spec = find(verb, |option| option.long == name);
                line.take(spec, &format!("--{name}"), value, &mut rest);
            } else if word.len() > 1 && word.starts_with('-') {
                line.take_short(verb, word, &mut rest);
            } else {
                positional.push(word);
            }
        }
        let mut positional = positional.into_iter().map(str::to_owned);
        line.verb = positional.next();
        line.arguments = positional.collect();
        line
    }

    /// Parses `-q`, or several options without values in one word (`-qs`).
    fn take_short<'a>(
        &mut self,
        verb: Option<&str>,
        word: &'a str,
        rest: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>,
    ) {
        let find = |letter| find(verb, |option| option.short == Some(letter));
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
            // `-t5`: the value follows at once.
            None => match find(letters[0]).filter(|spec| !matches!(spec.value, ValueKind::NoValue))
            {
                Some(spec) => {
                    let value = &word[1 + letters[0].len_utf8()..];
                    self.take(Some(spec), &format!("-{}", letters[0]), Some(value), rest);
                }
                None => self.invalid.push((word.to_owned(), String::new())),
            },
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
            ValueKind::NoValue => match value {
                None | Some("true") => Some(String::new()),
                // `--quiet=false`, as rabbitmqctl understands it.
                Some("false") => {
                    self.options.remove(spec.long);
                    return;
                }
                Some(other) => {
                    self.invalid.push((written.to_owned(), other.to_owned()));
                    return;
                }
            },
            ValueKind::Text | ValueKind::Texts | ValueKind::Number | ValueKind::Integer => {
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
            ValueKind::NoValue | ValueKind::Text | ValueKind::Texts => false,
        };
        match value {
            None => self.invalid.push((written.to_owned(), String::new())),
            Some(text) if wrong(&text) => {
                self.invalid.push((written.to_owned(), text));
            }
            Some(text) => {
                if matches!(spec.value, ValueKind::Texts) {
                    self.lists.entry(spec.long).or_default().push(text.clone());
                }
                self.options.insert(spec.long, text);
            }
        }
    }

    fn refuse_options_of_other_verbs(&mut self) {
        let Some(verb) = self.verb.as_deref() else {
            return;
        };
        let given: Vec<&'static str> = self.options.keys().copied().collect();
        for long in given {
            let spec = find(Some(verb), |option| option.long == long);
            let fits = |spec: &OptionSpec| spec.verbs.is_empty() || spec.verbs.contains(&verb);
            if !spec.is_some_and(fits) {
                self.invalid.push((format!("--{long}"), String::new()));
            }
        }
    }

    /// Returns the option that was probably meant by an unknown one.
    pub(super) fn similar_option(&self, written: &str) -> Option<&'static str> {
        let verb = self.verb.as_deref()?;
        let name = written.strip_prefix("--")?;
        let fits = |spec: &&OptionSpec| spec.verbs.is_empty() || spec.verbs.contains(&verb);
        most_similar(name, OPTIONS.iter().filter(fits).map(|option| option.long))
            .filter(|found| *found != name)
    }

    /// Returns whether a name is that of the broker's node: its own, or one that an untouched
    /// configuration of RabbitMQ gives to a node on this machine.
    pub(super) fn is_this_node(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        let (base, host) = name.split_once('@').unwrap_or((&name, "localhost"));
        let system = rustix::system::uname();
        let own = system.nodename().to_string_lossy().to_lowercase();
        let short = own.split('.').next().unwrap_or_default();
        name == NODE_NAME
            || (matches!(base, "leveret" | "rabbit")
                && (host == "localhost" || host == own || host == short))
    }

    /// Returns whether nothing but results is to be printed.
    pub(super) fn is_quiet(&self) -> bool {
        self.has("quiet") || self.has("silent")
    }

    /// Returns whether an option without a value was given.
    pub(super) fn has(&self, long: &str) -> bool {
        self.options.contains_key(long)
    }

    /// Returns the value of an option.
    pub(super) fn text(&self, long: &str) -> Option<&str> {
        self.options.get(long).map(String::as_str)
    }

    /// Returns the values of an option that can be repeated.
    pub(super) fn texts(&self, long: &str) -> &[String] {
        self.lists.get(long).map_or(&[], Vec::as_slice)
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
mod tests;
