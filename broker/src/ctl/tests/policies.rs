//! The verbs about policies.

use super::*;
use crate::manage::request::ErrorKind;
use crate::manage::request::{PolicyKind, WrittenPolicy};
use crate::manage::value::Value;

fn rows() -> Vec<Response> {
    let row = |name: &str, apply_to: &str, priority: i64| {
        let definition = r#"{"max-length":5}"#;
        let texts = ["/", name, r"^pol\.", apply_to, definition];
        let mut row: Vec<Value> = texts.into_iter().map(Value::from).collect();
        row.push(Value::Integer(priority));
        row
    };
    let rows = vec![row("", "all", 0), row("p", "queues", 3)];
    vec![Response::Rows(rows), Response::Ok]
}

fn set(kind: PolicyKind, priority: i64, apply_to: &str) -> Request {
    Request::SetPolicy {
        kind,
        vhost: text("v"),
        policy: Box::new(WrittenPolicy {
            priority,
            apply_to: text(apply_to),
            ..WrittenPolicy::new("p", "^q", r#"{"max-length":5}"#)
        }),
    }
}

#[test]
fn a_policy_is_set() {
    let json = r#"{"max-length":5}"#;
    let words = ["set_policy", "-p", "v", "p", "^q", json];
    let (request, shown) = ctl(&words, vec![Response::Ok]);
    assert_eq!(request, set(PolicyKind::User, 0, "all"));
    let banner = "Setting policy \"p\" for pattern \"^q\" to \"{\"max-length\":5}\" with priority \
                  \"0\" for vhost \"v\" ...\n";
    assert_eq!(shown, outcome(0, banner, ""));
    let words = [
        &[
            "set_operator_policy",
            "--priority",
            "-3",
            "--apply-to",
            "queues",
        ][..],
        &words[1..],
    ];
    let (request, shown) = ctl(&words.concat(), vec![Response::Ok]);
    assert_eq!(request, set(PolicyKind::Operator, -3, "queues"));
    let banner = "Setting operator policy override \"p\" for pattern \"^q\" to \
                  \"{\"max-length\":5}\" with priority \"-3\" for vhost \"v\" ...\n";
    assert_eq!(shown, outcome(0, banner, ""));
    let words = ["set_policy", "--formatter", "json", "p", "^q", json];
    assert_eq!(
        ctl(&words, vec![Response::Ok]).1.out,
        "{\"result\":\"ok\"}\n"
    );
}

#[test]
fn a_policy_is_cleared() {
    let (request, shown) = ctl(&["clear_policy", "p"], vec![Response::Ok]);
    let (vhost, name) = (text("/"), text("p"));
    let kind = PolicyKind::User;
    assert_eq!(request, Request::ClearPolicy { kind, vhost, name });
    assert_eq!(
        shown,
        outcome(0, "Clearing policy \"p\" on vhost \"/\" ...\n", "")
    );
    let refusal = Response::Error {
        kind: ErrorKind::Refused,
        message: text("Parameter does not exist"),
    };
    let (_, shown) = ctl(&["clear_operator_policy", "-p", "v", "o"], vec![refusal]);
    let banner = "Clearing operator policy \"o\" on vhost \"v\" ...\n";
    assert_eq!(
        shown,
        outcome(69, banner, "Error:\nParameter does not exist\n")
    );
}

#[test]
fn policies_are_listed() {
    let (request, shown) = ctl(&["list_policies"], rows());
    let kind = PolicyKind::User;
    assert_eq!(
        request,
        Request::ListPolicies {
            kind,
            vhost: text("/")
        }
    );
    let table = "vhost\tname\tpattern\tapply-to\tdefinition\tpriority\n\
                 /\t\t^pol\\.\tall\t{\"max-length\":5}\t0\n\
                 /\tp\t^pol\\.\tqueues\t{\"max-length\":5}\t3\n";
    assert_eq!(
        shown.out,
        format!("Listing policies for vhost \"/\" ...\n{table}")
    );
    assert_eq!(ctl(&["list_policies", "-q"], rows()).1.out, table);
    let json = ctl(&["list_policies", "--formatter", "json"], rows()).1.out;
    assert_eq!(
        json,
        r#"[
{"vhost":"/","name":"","pattern":"^pol\\.","apply-to":"all","definition":"{\"max-length\":5}","priority":0}
,{"vhost":"/","name":"p","pattern":"^pol\\.","apply-to":"queues","definition":"{\"max-length\":5}","priority":3}
]
"#
    );
    let (_, shown) = ctl(&["list_operator_policies", "-p", "v"], vec![Response::Ok]);
    assert_eq!(
        shown.out,
        "Listing operator policy overrides for vhost \"v\" ...\n"
    );
    let missing = vec![Response::refused(ErrorKind::NoSuchVhost)];
    let (_, shown) = ctl(&["list_policies", "-p", "v"], missing);
    let banner = "Listing policies for vhost \"v\" ...\n";
    assert_eq!(
        shown,
        outcome(65, banner, "Virtual host 'v' does not exist\n")
    );
}

#[test]
fn a_priority_is_a_whole_number() {
    let shown = alone(&["set_policy", "p", "^q", "{}", "--priority", "1.5"]);
    assert_eq!(shown.status, 64);
    let reason = "Error (argument validation): Invalid options for this command:\n--priority : 1.5";
    assert!(shown.err.starts_with(reason), "{}", shown.err);
    assert_eq!(alone(&["list_policies", "--priority", "1"]).status, 64);
}

#[test]
fn what_is_in_force_at_a_queue_is_shown_as_rabbitmqctl_shows_it() {
    let map = vec![
        (text("dead-letter-exchange"), Value::from("x")),
        (text("max-length"), Value::Integer(3)),
    ];
    let row = |name: &str, map| vec![Value::from(name), Value::Map { map }];
    let answer = || {
        let rows = vec![row("a", map.clone()), row("b", Vec::new())];
        vec![Response::Rows(rows), Response::Ok]
    };
    let words = ["list_queues", "-s", "name", "effective_policy_definition"];
    assert_eq!(
        ctl(&words, answer()).1.out,
        "a\t[{<<\"dead-letter-exchange\">>, x}, {<<\"max-length\">>, 3}]\nb\t[]\n"
    );
    let words = [&words[..], &["--formatter", "json"]].concat();
    let json: serde_json::Value = serde_json::from_str(&ctl(&words, answer()).1.out).unwrap();
    assert_eq!(
        json,
        serde_json::json!([
            {"name": "a", "effective_policy_definition": {"dead-letter-exchange": "x", "max-length": 3}},
            {"name": "b", "effective_policy_definition": []},
        ])
    );
}
