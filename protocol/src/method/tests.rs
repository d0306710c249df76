use super::*;
use crate::classes::{confirm, queue};
use proptest::prelude::*;

fn payload(frame: &[u8]) -> &[u8] {
    &frame[7..frame.len() - 1]
}

#[test]
fn a_publish_is_read_in_place() {
    let class = AMQPClass::Basic(basic::AMQPMethod::Publish(basic::Publish {
        exchange: "logs".into(),
        routing_key: "a.b".into(),
        mandatory: true,
        immediate: false,
    }));
    let mut out = BytesMut::new();
    encode(&mut out, ChannelId(3), &class);
    let Method::Publish(publish) = decode(payload(&out)).unwrap() else {
        panic!("not a publish");
    };
    assert_eq!(publish.exchange, b"logs");
    assert_eq!(publish.routing_key, b"a.b");
    assert!(publish.mandatory && !publish.immediate);
}

#[test]
fn hand_written_methods_are_what_amq_protocol_reads() {
    let mut out = BytesMut::new();
    encode_deliver(
        &mut out,
        ChannelId(1),
        "ct",
        DeliveryTag(9),
        true,
        b"x",
        b"rk",
    );
    let (_, class) = parse_class(payload(&out)).unwrap();
    assert_eq!(
        class,
        AMQPClass::Basic(basic::AMQPMethod::Deliver(basic::Deliver {
            consumer_tag: "ct".into(),
            delivery_tag: 9,
            redelivered: true,
            exchange: "x".into(),
            routing_key: "rk".into(),
        }))
    );
    out.clear();
    encode_return(&mut out, ChannelId(1), ReplyCode::NoRoute, b"x", b"rk");
    let (_, class) = parse_class(payload(&out)).unwrap();
    let AMQPClass::Basic(basic::AMQPMethod::Return(returned)) = class else {
        panic!("not a return");
    };
    assert_eq!(
        (returned.reply_code, returned.reply_text.as_str()),
        (312, "NO_ROUTE")
    );
}

#[test]
fn arguments_left_over_or_cut_short_are_a_frame_error() {
    let class = AMQPClass::Confirm(confirm::AMQPMethod::Select(confirm::Select {
        nowait: false,
    }));
    let mut out = BytesMut::new();
    encode(&mut out, ChannelId(1), &class);
    let good = payload(&out).to_vec();
    assert!(decode(&good).is_ok());
    let mut long = good.clone();
    long.push(0);
    assert_eq!(decode(&long).unwrap_err().code, ReplyCode::FrameError);
    assert_eq!(decode(&good[..4]).unwrap_err().code, ReplyCode::FrameError);
    assert_eq!(
        decode(&[0, 60, 0, 99]).unwrap_err().code,
        ReplyCode::CommandInvalid
    );
}

#[test]
fn a_table_nested_without_bound_is_refused_before_it_is_decoded() {
    let mut inner: Vec<u8> = vec![0, 0, 0, 0];
    for _ in 0..10_000 {
        let mut body = vec![1, b'k', b'F'];
        body.extend_from_slice(&inner);
        let mut outer = (body.len() as u32).to_be_bytes().to_vec();
        outer.extend_from_slice(&body);
        inner = outer;
    }
    let befores: [&[u8]; 9] = [
        &[0, 10, 0, 10, 0, 9],
        &[0, 10, 0, 11],
        &[0, 40, 0, 10, 0, 0, 1, b'x', 1, b't', 0],
        &[0, 40, 0, 30, 0, 0, 0, 0, 0, 0],
        &[0, 40, 0, 40, 0, 0, 0, 0, 0, 0],
        &[0, 50, 0, 10, 0, 0, 1, b'q', 0],
        &[0, 50, 0, 20, 0, 0, 0, 0, 0, 0],
        &[0, 50, 0, 50, 0, 0, 0, 0, 0],
        &[0, 60, 0, 20, 0, 0, 0, 0, 0],
    ];
    for before in befores {
        let bytes = [before, &inner].concat();
        assert_eq!(decode(&bytes).unwrap_err().code, ReplyCode::FrameError);
    }
}

#[test]
fn a_declare_passes_through() {
    let class = AMQPClass::Queue(queue::AMQPMethod::Declare(queue::Declare {
        queue: "q".into(),
        passive: false,
        durable: true,
        exclusive: false,
        auto_delete: false,
        nowait: false,
        arguments: Default::default(),
    }));
    let mut out = BytesMut::new();
    encode(&mut out, ChannelId(1), &class);
    assert_eq!(decode(payload(&out)).unwrap(), Method::Other(class));
}

proptest! {
    #[test]
    fn no_payload_makes_it_panic(
        class in prop::sample::select(vec![10u16, 20, 30, 40, 50, 60, 85, 90, 0]),
        method in prop_oneof![0u16..12, Just(20), Just(21), Just(30), Just(40), Just(50),
            Just(60), Just(70), Just(80), Just(90), Just(120)],
        args in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut bytes = class.to_be_bytes().to_vec();
        bytes.extend_from_slice(&method.to_be_bytes());
        bytes.extend_from_slice(&args);
        let _ = decode(&bytes);
    }
}
