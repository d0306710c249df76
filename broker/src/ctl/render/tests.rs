//! The expectations were recorded from rabbitmqctl 3.10.8 over the same queues and bindings,
//! except where a comment says how ours differs.

use super::*;
use crate::manage::value::{Field, FieldKind};

fn table(fields: Vec<(&str, FieldKind, Value)>) -> Value {
    let field = |(name, kind, value): (&str, FieldKind, Value)| Field {
        name: name.to_owned(),
        kind,
        value,
    };
    Value::Table {
        table: fields.into_iter().map(field).collect(),
    }
}

/// What the columns and rows look like in this format.
fn render(format: Format, headers: bool, columns: &[&'static str], rows: &[Vec<Value>]) -> String {
    let mut out = Vec::new();
    let mut listing = Rows::new(format, columns, headers);
    for row in rows {
        listing.row(&mut out, row).unwrap();
    }
    listing.end(&mut out, true).unwrap();
    String::from_utf8(out).unwrap()
}

fn queues() -> Vec<Vec<Value>> {
    let arguments = table(vec![
        (
            "x-message-ttl",
            FieldKind::SignedInt,
            Value::Integer(60_000_000),
        ),
        ("x-max-length", FieldKind::SignedInt, Value::Integer(10_000)),
    ]);
    vec![
        vec![
            "task_queue".into(),
            true.into(),
            arguments,
            0u64.into(),
            Value::Absent,
        ],
        vec![
            "hello".into(),
            false.into(),
            table(vec![]),
            0u64.into(),
            Value::Absent,
        ],
    ]
}

const QUEUE_COLUMNS: [&str; 5] = ["name", "durable", "arguments", "messages", "owner_pid"];

#[test]
fn queues_as_a_table() {
    assert_eq!(
        render(Format::Table, true, &QUEUE_COLUMNS, &queues()),
        "name\tdurable\targuments\tmessages\towner_pid\n\
         task_queue\ttrue\t[{\"x-message-ttl\",60000000},{\"x-max-length\",10000}]\t0\t\n\
         hello\tfalse\t[]\t0\t\n"
    );
    assert_eq!(
        render(Format::Table, false, &["name"], &[vec!["hello".into()]]),
        "hello\n"
    );
}

#[test]
fn queues_as_json() {
    assert_eq!(
        render(Format::Json, true, &QUEUE_COLUMNS, &queues()),
        concat!(
            "[\n",
            r#"{"name":"task_queue","durable":true,"arguments":[["x-message-ttl","signedint",60000000],["x-max-length","signedint",10000]],"messages":0,"owner_pid":""}"#,
            "\n",
            r#",{"name":"hello","durable":false,"arguments":[],"messages":0,"owner_pid":""}"#,
            "\n]\n"
        )
    );
}

#[test]
fn queues_as_csv() {
    assert_eq!(
        render(Format::Csv, true, &QUEUE_COLUMNS, &queues()),
        concat!(
            r#""name","durable","arguments","messages","owner_pid""#,
            "\n",
            r#""task_queue","true","[{""x-message-ttl"",60000000},{""x-max-length"",10000}]","0","""#,
            "\n",
            r#""hello","false","[]","0","""#,
            "\n"
        )
    );
}

#[test]
fn bindings_with_every_kind_of_argument() {
    let nested = table(vec![
        ("f", FieldKind::SignedInt, Value::Integer(1)),
        ("g", FieldKind::LongStr, "q".into()),
    ]);
    let arguments = table(vec![
        ("a", FieldKind::SignedInt, Value::Integer(1)),
        ("b", FieldKind::LongStr, "two".into()),
        ("c", FieldKind::Bool, true.into()),
        (
            "d",
            FieldKind::Array,
            Value::Array {
                array: vec![Value::Integer(1), "x".into()],
            },
        ),
        ("e", FieldKind::Table, nested),
        ("x-match", FieldKind::LongStr, "all".into()),
    ]);
    let rows = [vec!["hdr".into(), "".into(), arguments]];
    let columns = ["source_name", "routing_key", "arguments"];
    assert_eq!(
        render(Format::Table, false, &columns, &rows),
        "hdr\t\t[{\"a\",1},{\"b\",\"two\"},{\"c\",true},{\"d\",[1,\"x\"]},\
         {\"e\",[{\"f\",1},{\"g\",\"q\"}]},{\"x-match\",\"all\"}]\n"
    );
    // RabbitMQ has {"signedint":1,"longstr":"x"} for "d", which loses all but one of each type.
    assert_eq!(
        render(Format::Json, false, &columns, &rows),
        concat!(
            "[\n",
            r#"{"source_name":"hdr","routing_key":"","arguments":[["a","signedint",1],["b","longstr","two"],["c","bool",true],["d","array",[1,"x"]],["e","table",[["f","signedint",1],["g","longstr","q"]]],["x-match","longstr","all"]]}"#,
            "\n]\n"
        )
    );
}

#[test]
fn users_connections_and_ratios() {
    let tags = |words: &[&str]| Value::Words {
        words: words.iter().copied().map(str::to_owned).collect(),
    };
    let rows = [
        vec!["walker".into(), tags(&["administrator", "monitoring"])],
        vec!["w2".into(), tags(&[])],
    ];
    assert_eq!(
        render(Format::Table, true, &["user", "tags"], &rows),
        "user\ttags\nwalker\t[administrator, monitoring]\nw2\t[]\n"
    );
    assert_eq!(
        render(Format::Json, true, &["user", "tags"], &rows),
        "[\n{\"user\":\"walker\",\"tags\":[\"administrator\",\"monitoring\"]}\n\
         ,{\"user\":\"w2\",\"tags\":[]}\n]\n"
    );
    let rows = [vec![
        Value::Tuple {
            tuple: vec![0, 9, 1],
        },
        Value::Float(1.0),
    ]];
    let columns = ["protocol", "consumer_utilisation"];
    assert_eq!(
        render(Format::Table, false, &columns, &rows),
        "{0,9,1}\t1.0\n"
    );
    assert_eq!(
        render(Format::Json, false, &columns, &rows),
        "[\n{\"protocol\":[0,9,1],\"consumer_utilisation\":1.0}\n]\n"
    );
}

#[test]
fn a_name_with_control_characters_keeps_the_layout_and_the_terminal_whole() {
    // RabbitMQ prints the tab and the escape as they are in a table.
    let rows = [vec!["we\tird \"q\", é\\x\u{1b}[2J".into()]];
    assert_eq!(
        render(Format::Table, true, &["name"], &rows),
        "name\nwe\\tird \"q\", é\\x\\u{1b}[2J\n"
    );
    assert_eq!(
        render(Format::Json, true, &["name"], &rows),
        "[\n{\"name\":\"we\\tird \\\"q\\\", é\\\\x\\u001b[2J\"}\n]\n"
    );
    assert_eq!(
        render(
            Format::Csv,
            true,
            &["name"],
            &[vec!["we\tird \"q\"".into()]]
        ),
        "\"name\"\n\"we\tird \"\"q\"\"\"\n"
    );
}

#[test]
fn an_empty_listing_has_no_header() {
    let shown = |format, unstreamed: bool| {
        let mut out = Vec::new();
        Rows::new(format, &["name"], true)
            .end(&mut out, !unstreamed)
            .unwrap();
        String::from_utf8(out).unwrap()
    };
    assert_eq!(shown(Format::Table, false), "");
    assert_eq!(shown(Format::Json, false), "[\n]\n");
    assert_eq!(shown(Format::Csv, false), "");
    assert_eq!(shown(Format::Pretty, false), "");
    assert_eq!(shown(Format::Table, true), "\n");
    assert_eq!(shown(Format::Json, true), "[]\n");
}

#[test]
fn a_pretty_table_is_framed() {
    let rows = [
        vec!["task_queue".into(), 0u64.into()],
        vec!["é".into(), 12u64.into()],
    ];
    assert_eq!(
        render(Format::Pretty, true, &["name", "messages"], &rows),
        "┌────────────┬──────────┐\n\
         │ name       │ messages │\n\
         ├────────────┼──────────┤\n\
         │ task_queue │ 0        │\n\
         ├────────────┼──────────┤\n\
         │ é          │ 12       │\n\
         └────────────┴──────────┘\n"
    );
}

#[test]
fn queues_as_erlang_and_elixir_terms() {
    let columns = ["name", "messages", "durable", "arguments"];
    let arguments = |kind: &str| table(vec![("x-queue-type", FieldKind::LongStr, kind.into())]);
    let rows = [
        vec!["cl".into(), 0u64.into(), true.into(), table(vec![])],
        vec!["qq".into(), 0u64.into(), true.into(), arguments("quorum")],
    ];
    assert_eq!(
        render(Format::Erlang, true, &columns, &rows),
        "[[{name,<<\"cl\">>},{messages,0},{durable,true},{arguments,[]}],\n \
         [{name,<<\"qq\">>},\n  {messages,0},\n  {durable,true},\n  \
         {arguments,[{<<\"x-queue-type\">>,longstr,<<\"quorum\">>}]}]]\n"
    );
    let lines = [
        "[name: \"cl\", messages: 0, durable: true, arguments: []]\n",
        "[name: \"qq\", messages: 0, durable: true, arguments: [{\"x-queue-type\", :longstr, \"quorum\"}]]\n",
    ];
    assert_eq!(
        render(Format::String, true, &columns, &rows),
        lines.concat()
    );
    assert_eq!(
        render(Format::Inspect, true, &columns, &rows),
        format!("[\n{}]\n", lines.join(","))
    );
    let tags = [vec![
        "guest".into(),
        Value::Words {
            words: vec!["administrator".to_owned()],
        },
    ]];
    assert_eq!(
        render(Format::Erlang, true, &["user", "tags"], &tags),
        "[[{user,<<\"guest\">>},{tags,[administrator]}]]\n"
    );
}
