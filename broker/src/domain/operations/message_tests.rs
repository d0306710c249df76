//! Publishing and getting messages without a connection.

use super::tests::{Calls, broker};
use super::{Got, NewMessage, Published, Settlement, Wanted};
use crate::engine::queue::Return;
use bytes::Bytes;
use leveret_protocol::AmqpError;
use leveret_protocol::classes::BasicProperties;
use leveret_protocol::method::properties_to_vec;
use leveret_protocol::values::{AMQPValue, FieldTable};
use proptest::prelude::*;
use std::collections::VecDeque;

const NO_PROPERTIES: &[u8] = &[0, 0];

fn publish(
    calls: &mut Calls,
    exchange: &str,
    key: &[u8],
    properties: &[u8],
    body: &str,
) -> Result<Published, AmqpError> {
    let message = NewMessage {
        exchange,
        routing_key: key,
        properties,
        body: Bytes::copy_from_slice(body.as_bytes()),
    };
    let published = calls.caller.publish(message, &mut calls.fx);
    calls.fx.perform();
    published
}

fn get(calls: &mut Calls, count: u64, bytes: u64, settlement: Settlement) -> Vec<Got> {
    let wanted = Wanted {
        count,
        bytes,
        settlement,
    };
    let got = calls.caller.get(&"q".into(), wanted, &mut calls.fx);
    got.unwrap()
}

fn bodies(got: &[Got]) -> Vec<(String, bool, u64)> {
    let body = |got: &Got| {
        let text = String::from_utf8_lossy(got.message().body()).into_owned();
        (text, got.entry.redelivered(), got.left)
    };
    got.iter().map(body).collect()
}

fn with_queue(arguments: &[(&str, AMQPValue)]) -> Calls {
    let mut calls = Calls::alone(&broker(), "guest");
    let mut table = FieldTable::default();
    for (name, value) in arguments {
        table.insert((*name).into(), value.clone());
    }
    assert_eq!(calls.declare_with("q", "", table), Ok(()));
    calls
}

#[test]
fn a_message_is_routed_returned_or_rejected() {
    let text = |text: &str| AMQPValue::LongString(text.into());
    let mut calls = with_queue(&[
        ("x-max-length", AMQPValue::LongInt(1)),
        ("x-overflow", text("reject-publish")),
    ]);
    let mut to = |exchange, key: &str| {
        publish(&mut calls, exchange, key.as_bytes(), NO_PROPERTIES, "x").map_err(|e| e.text)
    };
    assert_eq!(to("", "nobody"), Ok(Published::Unroutable));
    assert_eq!(to("amq.fanout", "q"), Ok(Published::Unroutable));
    assert_eq!(to("", "q"), Ok(Published::Routed));
    assert_eq!(to("", "q"), Ok(Published::Rejected));
    assert_eq!(
        to("", "nobody"),
        Ok(Published::Unroutable),
        "it is not counted twice"
    );
    let long = "k".repeat(256);
    let refused = to("", &long).unwrap_err();
    assert_eq!(
        refused,
        "SYNTAX_ERROR - a routing key has at most 255 bytes"
    );
    let malformed = publish(&mut calls, "", b"q", &[0xff], "x").unwrap_err();
    assert_eq!(
        malformed.text,
        "SYNTAX_ERROR - the properties are malformed"
    );
}

#[test]
fn copies_go_to_further_keys_and_bcc_disappears() {
    let mut calls = with_queue(&[]);
    let mut headers = FieldTable::default();
    let keys = vec![AMQPValue::LongString("q".into())];
    headers.insert("BCC".into(), AMQPValue::FieldArray(keys.into()));
    let with = BasicProperties::default().with_headers(headers);
    let properties = properties_to_vec(&with);
    let published = publish(&mut calls, "", b"nobody", &properties, "x");
    assert_eq!(published, Ok(Published::Routed));
    let got = get(&mut calls, 1, 1 << 20, Settlement::Acknowledged);
    let without = BasicProperties::default().with_headers(FieldTable::default());
    assert_eq!(got[0].message().properties(), properties_to_vec(&without));
}

#[test]
fn an_answer_is_bounded_by_the_bytes_of_its_messages() {
    let mut calls = with_queue(&[]);
    let body = "x".repeat(100_000);
    for _ in 0..40 {
        publish(&mut calls, "", b"q", NO_PROPERTIES, &body).unwrap();
    }
    let requeue = Settlement::Requeued(Return::Released);
    let mut count = |count, bytes| get(&mut calls, count, bytes, requeue).len();
    assert_eq!(count(u64::MAX, 1), 1, "one at least");
    assert_eq!(count(u64::MAX, 1_000_000), 10);
    assert_eq!(count(3, 1_000_000), 3);
    assert_eq!(count(0, 1_000_000), 0);
    assert_eq!(count(1_000_000_000, u64::MAX), 40, "all are back");
}

#[derive(Clone, Debug)]
enum Act {
    Publish,
    Get(u64, Settlement),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let settlement = prop_oneof![
        Just(Settlement::Acknowledged),
        Just(Settlement::Rejected),
        Just(Settlement::Requeued(Return::Released)),
        Just(Settlement::Requeued(Return::Failed)),
    ];
    let act = prop_oneof![
        Just(Act::Publish),
        (0u64..5, settlement).prop_map(|(count, settlement)| Act::Get(count, settlement)),
    ];
    prop::collection::vec(act, 0..40)
}

proptest! {
    /// Messages come in order, and those that go back are found at their places again, marked.
    #[test]
    fn a_queue_behaves_like_a_list(acts in acts()) {
        let mut calls = with_queue(&[]);
        let mut model: VecDeque<(String, bool)> = VecDeque::new();
        for (n, act) in acts.into_iter().enumerate() {
            match act {
                Act::Publish => {
                    let body = n.to_string();
                    publish(&mut calls, "", b"q", NO_PROPERTIES, &body).unwrap();
                    model.push_back((body, false));
                }
                Act::Get(count, settlement) => {
                    let got = get(&mut calls, count, u64::MAX, settlement);
                    let taken: Vec<_> = model.drain(..model.len().min(count as usize)).collect();
                    let all = model.len() + taken.len();
                    let wanted = taken.iter().enumerate();
                    let wanted: Vec<_> = wanted
                        .map(|(at, (body, seen))| (body.clone(), *seen, (all - at - 1) as u64))
                        .collect();
                    prop_assert_eq!(bodies(&got), wanted);
                    if matches!(settlement, Settlement::Requeued(_)) {
                        for (body, _) in taken.into_iter().rev() {
                            model.push_front((body, true));
                        }
                    }
                }
            }
        }
    }
}
