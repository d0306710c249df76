//! Command lines as people write them, and what they are taken for.

use super::*;

fn parse(words: &str) -> CommandLine {
    let words = words.split_whitespace().map(str::to_owned).collect();
    CommandLine::parse(Program::default(), words)
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
    assert_eq!(parse("list_queues -t5").number("timeout"), Some(5));
    assert!(parse("list_queues --quiet=true").has("quiet"));
    assert!(!parse("list_queues -q --quiet=false").has("quiet"));
}

#[test]
fn a_letter_means_what_the_verb_has() {
    let list = parse("list -E -m -e");
    assert!(list.has("enabled") && list.has("minimal") && list.has("implicitly-enabled"));
    assert!(list.invalid.is_empty());
    let delete = parse("-e delete_queue q");
    assert!(delete.has("if-empty") && delete.invalid.is_empty());
}

#[test]
fn the_node_has_its_own_name_and_rabbitmqs() {
    let line = CommandLine::default();
    for name in ["leveret@localhost", "rabbit@localhost", "rabbit", "leveret"] {
        assert!(line.is_this_node(name), "{name}");
    }
    for name in ["other@localhost", "rabbit@elsewhere.example", "x"] {
        assert!(!line.is_this_node(name), "{name}");
    }
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
    assert_eq!(invalid("list_queues -tx"), of("-t", "x"));
    assert_eq!(invalid("list_queues --quiet=x"), of("--quiet", "x"));
    assert_eq!(
        parse("--nope list_queues").verb.as_deref(),
        Some("list_queues")
    );
}
