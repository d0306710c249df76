//! Values of arguments, right and wrong.

use super::*;

fn reason(name: &str, value: AMQPValue) -> String {
    let mut arguments = FieldTable::default();
    arguments.insert(name.into(), value);
    let error = check(&arguments, &"q".into(), &"/".into()).unwrap_err();
    assert_eq!(error.code.code(), 406);
    error.text
}

#[test]
fn values_are_refused_in_rabbitmqs_words() {
    let text = |t: &str| AMQPValue::LongString(t.into());
    assert_eq!(
        reason("x-message-ttl", text("a")),
        "PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue 'q' in vhost '/': \
         \"expected integer, got longstr\""
    );
    assert!(reason("x-message-ttl", AMQPValue::LongInt(-1)).ends_with("{value_negative,-1}"));
    assert!(reason("x-expires", AMQPValue::LongInt(0)).ends_with("{value_zero,0}"));
    assert!(
        reason("x-max-priority", AMQPValue::LongInt(256)).ends_with("{max_value_exceeded,256}")
    );
    let eleven_years = AMQPValue::LongLongInt(346_896_000_000);
    assert!(reason("x-expires", eleven_years).ends_with("{value_too_large,346896000000}"));
    assert!(reason("x-overflow", AMQPValue::Void).ends_with("{unacceptable_type,void}"));
    assert!(reason("x-overflow", text("bad")).ends_with("invalid_overflow"));
    assert!(
        reason("x-dead-letter-routing-key", text("k")).ends_with("routing_key_but_no_dlx_defined")
    );
    assert!(reason("x-queue-type", text("bad")).ends_with("\"unsupported queue type 'bad'\""));
}

#[test]
fn delays_have_to_make_sense() {
    let text = |t: &str| AMQPValue::LongString(t.into());
    assert!(reason(RETRY_TYPE, text("some")).ends_with(": invalid_delayed_retry_type"));
    assert!(reason(RETRY_MIN, AMQPValue::LongInt(0)).ends_with("{value_zero,0}"));
    assert!(reason(RETRY_MAX, text("1")).ends_with("\"expected integer, got longstr\""));
    let with = |kind: &str, min, max| {
        let mut arguments = FieldTable::default();
        arguments.insert(QUEUE_TYPE.into(), text(kind));
        arguments.insert(RETRY_TYPE.into(), text("all"));
        arguments.insert(RETRY_MIN.into(), AMQPValue::LongInt(min));
        arguments.insert(RETRY_MAX.into(), AMQPValue::LongInt(max));
        let checked = check(&arguments, &"q".into(), &"/".into());
        checked.map_err(|error| error.text)
    };
    assert_eq!(with("quorum", 5, 5), Ok(()));
    assert_eq!(with("classic", 5, 6), Ok(()));
    assert_eq!(
        with("quorum", 5, 4).unwrap_err(),
        "PRECONDITION_FAILED - invalid arg 'x-delayed-retry-max' for queue 'q' in vhost '/': \
         \"delayed-retry-max (4) must not be smaller than delayed-retry-min (5)\""
    );
    assert!(
        with("stream", 5, 6)
            .unwrap_err()
            .ends_with("of queue type rabbit_stream_queue")
    );
}

#[test]
fn a_prefix_is_for_queues_without_a_name_and_no_argument_of_theirs() {
    let prefix = |name: &str, kind: &str, value: AMQPValue| {
        let mut arguments = FieldTable::default();
        arguments.insert(NAME_PREFIX.into(), value);
        arguments.insert(QUEUE_TYPE.into(), AMQPValue::LongString(kind.into()));
        let mut spec = QueueSpec {
            name: name.into(),
            durable: true,
            auto_delete: false,
            exclusive_to: None,
            arguments,
        };
        let prefix = take_name_prefix(&mut spec);
        assert_eq!(spec.arguments.inner().len(), 1);
        prefix.map_err(|error| error.text)
    };
    let text = |t: &str| AMQPValue::LongString(t.into());
    assert_eq!(prefix("", "classic", text("my.app")), Ok("my.app".into()));
    assert_eq!(prefix("", "classic", text("my\r\napp")), Ok("myapp".into()));
    let longest = "é".repeat(32);
    assert_eq!(prefix("", "classic", text(&longest)), Ok(longest.clone()));
    let beyond = "x".repeat(65);
    assert_eq!(
        prefix("", "classic", text(&beyond)),
        Err(format!(
            "PRECONDITION_FAILED - Queue name prefix '{beyond}' exceeds the 64-byte limit"
        ))
    );
    for (name, kind, value) in [
        ("", "classic", text("")),
        ("", "classic", AMQPValue::LongInt(42)),
        ("", "quorum", text(&beyond)),
        ("q", "classic", text(&beyond)),
    ] {
        assert_eq!(prefix(name, kind, value), Ok(DEFAULT_PREFIX.into()));
    }
}

#[test]
fn what_nobody_knows_is_accepted() {
    let mut arguments = FieldTable::default();
    arguments.insert("x-mine".into(), AMQPValue::Void);
    assert!(check(&arguments, &"q".into(), &"/".into()).is_ok());
}
