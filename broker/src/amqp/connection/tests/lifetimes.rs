//! Queues and exchanges that are deleted together with something else, and who is told.

use super::client::Client;
use super::requests::*;
use super::{broker, client, two_clients};
use crate::engine::message::MessageBuilder;
use leveret_protocol::frame::PROTOCOL_HEADER;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

fn exists(client: &Client, queue: &str) -> bool {
    client.broker.vhost("/").unwrap().queue(queue).is_some()
}

#[test]
fn an_exclusive_queue_ends_with_its_connection() {
    let ends: [fn(&mut Client); 3] = [
        |c| c.send(0, close()),
        |c| c.connection.end(),
        |c| c.connection.force_close("enough", c.now),
    ];
    for end in ends {
        let (mut a, b) = two_clients();
        a.ask(declare_with("mine", |d| d.exclusive = true));
        a.ask(consume("mine", "c"));
        a.publish("mine", "m");
        end(&mut a);
        assert!(!exists(&b, "mine"));
    }
}

#[test]
fn an_exclusive_queue_does_not_end_with_a_channel() {
    let mut client = client();
    client.ask(declare_with("mine", |d| d.exclusive = true));
    client.ask(channel_close());
    assert!(exists(&client, "mine"));
    client.open_channel(1);
    client.ask(delete("mine"));
    assert!(!exists(&client, "mine"));
}

#[test]
fn exclusive_queues_that_are_gone_are_not_remembered() {
    // As clients do that make a reply queue for each request.
    let mut client = client();
    client.ask(declare_with("kept", |d| d.exclusive = true));
    for _ in 0..1000 {
        client.ask(declare_with("reply", |d| {
            d.exclusive = true;
            d.auto_delete = true;
        }));
        client.ask(consume("reply", "c"));
        client.ask(cancel("c"));
    }
    assert!(client.connection.exclusive_queues.len() < 50);
    client.connection.end();
    assert!(!exists(&client, "kept"));
}

#[test]
fn an_auto_delete_queue_goes_with_its_last_consumer_and_not_before_the_first() {
    let (mut a, mut b) = two_clients();
    a.ask(declare_with("q", |d| d.auto_delete = true));
    a.ask(consume("q", "a"));
    b.ask(consume("q", "b"));
    a.ask(cancel("a"));
    assert!(exists(&a, "q"));
    b.connection.end();
    assert!(!exists(&a, "q"));
    a.ask(declare_with("q", |d| d.auto_delete = true));
    a.connection.end();
    assert!(exists(&a, "q"));
}

#[test]
fn consumers_of_a_deleted_queue_are_told_if_they_asked_to_be() {
    let broker = broker();
    let mut owner = Client::ready(&broker);
    owner.ask(declare("q"));
    let mut deaf = Client::new(&broker);
    deaf.bytes(&PROTOCOL_HEADER);
    deaf.send(0, start_ok("guest", "guest", false));
    deaf.send(0, tune_ok(10, 4096, 0));
    deaf.send(0, open("/"));
    deaf.hears();
    deaf.open_channel(1);
    let mut told = Client::ready(&broker);
    told.ask(consume("q", "t"));
    deaf.ask(consume("q", "d"));
    owner.publish("q", "1");
    owner.publish("q", "2");
    assert_eq!(owner.ask(delete("q")), ["1 delete-ok 0"]);
    assert_eq!(told.hears(), ["1 deliver t #1 '1'", "1 cancel t"]);
    assert_eq!(deaf.hears(), ["1 deliver d #1 '2'"]);
    assert_eq!(told.ask(ack(1, false)), [""; 0], "of a queue that is gone");
    assert_eq!(told.ask(cancel("t")), ["1 cancel-ok t"]);
    owner.ask(declare("q"));
    assert_eq!(told.ask(consume("q", "t")), ["1 consume-ok t"]);
}

#[test]
fn what_comes_back_to_a_deleted_queue_is_gone() {
    let mut client = client();
    client.ask(declare("q"));
    client.publish("q", "1");
    client.ask(get("q", false));
    client.ask(delete("q"));
    client.ask(declare("q"));
    assert_eq!(client.ask(nack(1, false, true)), [""; 0]);
    assert_eq!(client.ask(get("q", true)), ["1 get-empty"]);
}

#[test]
fn an_auto_delete_exchange_goes_with_its_last_binding() {
    let mut client = client();
    client.ask(exchange_with("x", "fanout", |x| x.auto_delete = true));
    client.ask(declare("a"));
    client.ask(declare("b"));
    client.ask(bind("a", "x", ""));
    client.ask(bind("b", "x", ""));
    client.ask(unbind("a", "x", ""));
    let exists = |c: &Client| c.broker.vhost("/").unwrap().exchange("x").is_some();
    assert!(exists(&client));
    client.ask(delete("b"));
    assert!(!exists(&client));
}

#[test]
fn a_long_chain_of_auto_delete_exchanges_goes_without_harm() {
    let mut client = client();
    const LENGTH: usize = 20_000;
    for i in 0..LENGTH {
        let name = format!("x{i}");
        client.ask(exchange_with(&name, "fanout", |x| x.auto_delete = i > 0));
        if i > 0 {
            client.ask(exchange_bind(&format!("x{}", i - 1), &name));
        }
    }
    assert_eq!(client.ask(exchange_delete("x0", false)), ["1 delete-ok"]);
    let left = client.broker.vhost("/").unwrap().exchanges();
    assert!(
        left.iter()
            .all(|exchange| exchange.name().as_str().starts_with("amq."))
    );
}

#[test]
fn a_connection_that_is_dropped_in_mid_work_still_wakes_whom_it_served() {
    struct Bell(AtomicBool);
    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let (mut a, mut b) = two_clients();
    a.ask(declare("q"));
    a.ask(consume("q", "c"));
    let bell = Arc::new(Bell(AtomicBool::new(false)));
    let waker = Waker::from(bell.clone());
    while a.connection.take_mail(Some(&waker), a.now) {}
    // As if its task had panicked between the queue's lock and the effects.
    let queue = b.broker.vhost("/").unwrap().queue("q").unwrap();
    let message = MessageBuilder::new(b"", b"q", &[0, 0], false, 0).finish(false);
    queue.publish([(Arc::new(message), None)], false, &mut b.connection.fx);
    assert!(!bell.0.load(Ordering::SeqCst));
    drop(b);
    assert!(bell.0.load(Ordering::SeqCst));
    assert_eq!(a.hears(), ["1 deliver c #1 ''"]);
}
