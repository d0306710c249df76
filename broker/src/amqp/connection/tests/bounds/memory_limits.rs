//! Limits on what a peer can make the broker hold, though nobody waits for it.

use super::super::client::{Client, frame_bytes, publish_bytes};
use super::super::requests::*;
use super::super::{broker, broker_of, client, lines};
use crate::config::Limits;
use crate::config::{DiskFreeLimit, MemoryWatermark};
use crate::domain::broker::Broker;
use crate::plumbing::alarms::Reading;
use leveret_protocol::classes::{AMQPClass, BasicProperties, exchange as exchange_class, queue};
use leveret_protocol::frame::{FrameKind, PROTOCOL_HEADER};
use leveret_protocol::values::{AMQPValue, FieldTable};

const BODY: usize = 100_000;
/// More than a connection may hold while memory is low, and far more than a mailbox may exceed its mark.
const MESSAGES: usize = 100;

fn set_memory(broker: &Broker, mark: u64, used: u64) {
    let alarms = &broker.alarms;
    alarms.set_limits(MemoryWatermark::Absolute(mark), DiskFreeLimit::Absolute(0));
    alarms.update(Reading {
        memory: used,
        total_memory: 1 << 40,
        disk_free: None,
    });
    if alarms.in_force().is_empty() {
        broker.connections.unblock();
    }
}

/// Low on memory: deliveries of all peers may take 6 MiB, and one alone can get two thirds of that.
fn low(broker: &Broker, low: bool) {
    set_memory(broker, if low { 48 << 20 } else { 1 << 40 }, 49 << 20);
}

/// Does what the task does when it is woken; returns the number of deliveries received.
fn delivered(client: &mut Client) -> usize {
    let mut heard = 0;
    while client.connection.wants_mail() && client.connection.take_mail(None, client.now) {
        heard += client.heard_so_far().len();
    }
    heard + client.heard_so_far().len()
}

fn with_backlog(client: &mut Client, octets: usize, messages: usize) {
    client.ask(declare("q"));
    let body = "x".repeat(octets);
    for _ in 0..messages {
        client.publish("q", &body);
    }
}

#[test]
fn while_memory_is_low_deliveries_wait_for_acknowledgements() {
    let mut client = client();
    with_backlog(&mut client, BODY, MESSAGES);
    low(&client.broker, true);
    client.send(1, consume("q", "t"));
    let mut all = delivered(&mut client) - 1;
    assert!((40..70).contains(&all), "{all} deliveries at once");
    assert_eq!(delivered(&mut client), 0);
    for _ in 0..5 {
        client.send(1, ack(0, true));
        let more = delivered(&mut client);
        assert!(more < 70, "{more} deliveries at once");
        all += more;
    }
    assert_eq!(all, MESSAGES);
}

#[test]
fn when_memory_is_free_again_they_go_on() {
    let mut client = client();
    with_backlog(&mut client, BODY, MESSAGES);
    low(&client.broker, true);
    client.send(1, consume("q", "t"));
    let all = delivered(&mut client);
    low(&client.broker, false);
    assert_eq!(all + delivered(&mut client), MESSAGES + 1);
}

#[test]
fn nobody_holds_more_than_a_quarter_of_what_memory_may_be_used() {
    let mut client = client();
    with_backlog(&mut client, BODY, MESSAGES);
    set_memory(&client.broker, 24 << 20, 0);
    client.send(1, consume("q", "t"));
    let all = delivered(&mut client);
    assert!((40..65).contains(&all), "{all} deliveries");
    client.send(1, ack(0, true));
    assert_eq!(all + delivered(&mut client), MESSAGES + 1);
}

#[test]
fn acknowledgements_that_are_not_committed_do_not_count() {
    let mut client = client();
    with_backlog(&mut client, BODY, MESSAGES);
    client.ask(tx_select());
    low(&client.broker, true);
    client.send(1, consume("q", "t"));
    let first = delivered(&mut client);
    client.send(1, ack(0, true));
    assert_eq!(delivered(&mut client), 0);
    client.send(1, tx_commit());
    let second = delivered(&mut client);
    assert!(second > 30 && first + second < MESSAGES, "{first} {second}");
}

#[test]
fn who_gets_message_after_message_and_keeps_them_all_is_told() {
    let mut client = client();
    let body = 2 << 20;
    with_backlog(&mut client, body, 40);
    low(&client.broker, true);
    for got in 1.. {
        let heard = client.ask(get("q", false));
        if heard[0].starts_with("1 get-ok") {
            assert!(got < 4, "never told");
            continue;
        }
        let [start, end] = [
            "1 close 406 PRECONDITION_FAILED - more than ",
            " bytes of messages",
        ];
        assert!(
            heard[0].starts_with(start) && heard[0].contains(end),
            "{heard:?}"
        );
        assert!(
            heard[0].ends_with("are not acknowledged (60,70)"),
            "{heard:?}"
        );
        break;
    }
    client.send(1, channel_close_ok());
    client.open_channel(1);
    let heard = client.ask(get("q", true));
    assert!(
        heard[0].starts_with("1 get-ok #1 redelivered left 39"),
        "{heard:?}"
    );
}

/// Peers may hold a quarter of this of what they send: one alone two thirds of that, about 10 MiB.
const SMALL_MARK: u64 = 64 << 20;

/// All but the last frame of a message of this many bytes.
fn unfinished(channel: u16, size: usize) -> Vec<u8> {
    let body = vec![b'x'; size];
    let properties = BasicProperties::default();
    let whole = publish_bytes(channel, publish("", "q"), &properties, &body, 131_072);
    let last = size % (131_072 - 8) + 8;
    whole[..whole.len() - last].to_vec()
}

const TOO_MUCH: &str = "PRECONDITION_FAILED - unfinished and uncommitted messages, channels and consumers of this \
                        connection take more memory than the ";

#[test]
fn who_sends_message_after_message_and_finishes_none_is_told() {
    let mut client = client();
    set_memory(&client.broker, SMALL_MARK, 0);
    for channel in 2..10 {
        client.open_channel(channel);
        client.bytes(&unfinished(channel, 2_000_000));
        let heard = client.hears();
        if heard.is_empty() {
            assert!(channel < 8, "never told");
            continue;
        }
        let start = format!("{channel} close 406 {TOO_MUCH}");
        assert!(heard[0].starts_with(&start), "{heard:?}");
        assert!(heard[0].ends_with("(60,40)"), "{heard:?}");
        assert!(channel > 5, "told after {channel}");
        break;
    }
    let held = client.broker.ledger.total();
    assert!((8 << 20..11 << 20).contains(&held), "{held}");
    // Others publish, one message at a time.
    let mut other = Client::ready(&client.broker);
    other.ask(declare("q"));
    other.publish("q", &"x".repeat(3_000_000));
    assert_eq!(
        other.ask(get("q", true)),
        ["1 get-ok #1 left 0 '3000000 octets'"]
    );
    client.connection.end();
    other.connection.end();
    let outputs = [&mut client, &mut other].map(|it| it.connection.output().memory());
    assert_eq!(client.broker.ledger.total(), outputs.iter().sum::<u64>());
}

#[test]
fn who_publishes_on_and_on_and_commits_nothing_is_told() {
    let broker = broker_of(Limits::default(), None);
    let mut client = Client::ready(&broker);
    set_memory(&broker, SMALL_MARK, 0);
    client.ask(declare("q"));
    client.ask(tx_select());
    let told = (1..).find_map(|sent| {
        client.publish("q", &"x".repeat(1_000_000));
        let heard = client.hears();
        heard.into_iter().next().map(|line| (sent, line))
    });
    let (sent, line) = told.expect("it goes on until told");
    assert!(
        line.starts_with(&format!("1 close 406 {TOO_MUCH}")),
        "{line}"
    );
    assert!((8..14).contains(&sent), "told after {sent}");
    client.send(1, channel_close_ok());
    client.open_channel(1);
    assert_eq!(client.ask(get("q", true)), ["1 get-empty"]);
}

#[test]
fn consumers_and_channels_without_end_are_told() {
    let mut client = client();
    set_memory(&client.broker, 16 << 20, 0);
    client.ask(declare("q"));
    let told = (0..20_000).find_map(|number| {
        let heard = client.ask(consume("q", &number.to_string()));
        let is_told = !heard[0].starts_with("1 consume-ok");
        is_told.then(|| (number, heard[0].clone()))
    });
    let (number, line) = told.expect("told at some time");
    assert!(
        line.starts_with(&format!("1 close 406 {TOO_MUCH}")),
        "{line}"
    );
    assert!((1_000..6_000).contains(&number), "told after {number}");
    client.send(1, channel_close_ok());
    assert!(client.broker.ledger.total() < 100_000);
    set_memory(&client.broker, 4 << 20, 0);
    let told = (1..2000).find_map(|number| {
        client.send(number, channel_open());
        let line = client.hears().pop()?;
        line.contains("close").then_some((number, line))
    });
    let (number, line) = told.expect("told at some time");
    assert!(
        line.starts_with("0 close 506 RESOURCE_ERROR - unfinished and"),
        "{line}"
    );
    assert!(number > 300, "told after {number}");
}

#[test]
fn nothing_new_is_declared_when_memory_is_exhausted() {
    let mut client = client();
    client.ask(declare("old"));
    client.ask(bind("old", "amq.direct", "k"));
    set_memory(&client.broker, 100 << 20, 200 << 20);
    let text = |what: &str| {
        format!(
            "1 close 406 PRECONDITION_FAILED - cannot declare {what} in vhost '/' or bind to it: memory is far above its \
             watermark"
        )
    };
    for (method, what) in [
        (declare("new"), "queue 'new'"),
        (exchange("new", "fanout"), "exchange 'new'"),
        (bind("old", "amq.direct", "other"), "exchange 'amq.direct'"),
        (
            exchange_bind("amq.fanout", "amq.direct"),
            "exchange 'amq.direct'",
        ),
    ] {
        assert_eq!(client.ask(declare("old")), ["1 declare-ok old 0 0"]);
        assert_eq!(client.ask(bind("old", "amq.direct", "k")), ["1 bind-ok"]);
        let heard = client.ask(method);
        assert!(heard[0].starts_with(&text(what)), "{heard:?}");
        client.send(1, channel_close_ok());
        client.open_channel(1);
    }
    // An alarm alone is no reason.
    set_memory(&client.broker, 100 << 20, 101 << 20);
    assert_eq!(client.ask(declare("new")), ["1 declare-ok new 0 0"]);
}

#[test]
fn large_frames_are_not_read_while_memory_is_low() {
    let mut client = client();
    client.ask(declare("q"));
    let message = publish_bytes(
        1,
        publish("", "q"),
        &BasicProperties::default(),
        &[b'x'; 100_000],
        131_072,
    );
    client.bytes(&message[..50_000]);
    assert!(client.connection.wants_read());
    low(&client.broker, true);
    assert!(!client.connection.wants_read() && client.connection.waits_for_memory());
    low(&client.broker, false);
    assert!(client.connection.wants_read());
    client.bytes(&message[50_000..]);
    assert_eq!(
        client.ask(get("q", true)),
        ["1 get-ok #1 left 0 '100000 octets'"]
    );
}

#[test]
fn who_waits_for_room_goes_on_when_others_hold_less() {
    let mut one = client();
    with_backlog(&mut one, BODY, MESSAGES);
    set_memory(&one.broker, 24 << 20, 0);
    one.send(1, consume("q", "t"));
    delivered(&mut one);
    let mut other = Client::ready(&one.broker);
    other.send(1, consume("q", "t"));
    let held = delivered(&mut other);
    one.connection.end();
    one.broker.connections.wake_those_waiting_for_memory();
    let more = delivered(&mut other);
    assert!(more > 0, "{held} and no more");
}

fn large(octets: usize) -> FieldTable {
    table([("x", AMQPValue::LongString("x".repeat(octets).into()))])
}

fn with_arguments(octets: usize) -> [AMQPClass; 4] {
    [
        declare_with("new", |d| d.arguments = large(octets)),
        exchange_with("new", "fanout", |e| e.arguments = large(octets)),
        with(bind("q", "amq.headers", ""), large(octets)),
        with(exchange_bind("amq.direct", "amq.headers"), large(octets)),
    ]
}

fn with(mut bind: AMQPClass, arguments: FieldTable) -> AMQPClass {
    match &mut bind {
        AMQPClass::Queue(queue::AMQPMethod::Bind(bind)) => bind.arguments = arguments,
        AMQPClass::Exchange(exchange_class::AMQPMethod::Bind(bind)) => bind.arguments = arguments,
        other => panic!("not a binding: {other:?}"),
    }
    bind
}

#[test]
fn arguments_that_are_kept_have_a_limit() {
    let broker = broker();
    let mut client = Client::ready(&broker);
    client.ask(declare("q"));
    for class in with_arguments(33_000) {
        let heard = client.ask(class);
        let text = "1 close 406 PRECONDITION_FAILED - arguments of 33011 bytes are larger than \
                    the allowed 32768 bytes";
        assert!(heard[0].starts_with(text), "{heard:?}");
        client.send(1, channel_close_ok());
        client.open_channel(1);
    }
    low(&broker, true);
    for class in with_arguments(2000) {
        let heard = client.ask(class);
        assert!(heard[0].contains("the allowed 1024 bytes"), "{heard:?}");
        client.send(1, channel_close_ok());
        client.open_channel(1);
    }
    low(&broker, false);
    for class in with_arguments(32_000) {
        let heard = client.ask(class);
        assert!(heard[0].contains("-ok"), "{heard:?}");
    }
}

#[test]
fn so_have_those_of_all_consumers_of_a_connection() {
    let mut client = client();
    client.ask(declare("q"));
    let start = |client: &mut Client, tag: &str| {
        let consume = consume_with("q", tag, |c| c.arguments = large(120_000));
        client.ask(consume).remove(0)
    };
    let mut heard = String::new();
    let mut count = 0;
    while count < 100 && !heard.contains("close") {
        heard = start(&mut client, &count.to_string());
        count += 1;
    }
    assert_eq!(count, 35, "{heard}");
    let text = "1 close 406 PRECONDITION_FAILED - arguments of a connection's consumers are \
                limited to 4194304 bytes";
    assert!(heard.starts_with(text), "{heard}");
    // Those of a closed channel no longer count, nor do cancelled ones.
    client.send(1, channel_close_ok());
    client.open_channel(1);
    for _ in 0..100 {
        assert_eq!(start(&mut client, "again"), "1 consume-ok again");
        assert_eq!(client.ask(cancel("again")), ["1 cancel-ok again"]);
    }
}

#[test]
fn before_the_login_frames_are_small() {
    let mut client = Client::new(&broker());
    client.bytes(&PROTOCOL_HEADER);
    client.frame(FrameKind::Method, 0, &[0; 9000]);
    let heard = client.hears();
    assert!(heard.iter().all(|line| !line.contains("tune")), "{heard:?}");
    assert!(!client.connection.wants_read());
    let mut client = Client::ready(&broker());
    client.bytes(&frame_bytes(FrameKind::Heartbeat.octet(), 0, &[]));
    assert_eq!(client.hears(), lines(&[]));
}
