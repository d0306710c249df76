//! tx.*, without a store and with one.

use super::client::{Client, publish_bytes};
use super::requests::*;
use super::{broker_with, client, lines};
use crate::domain::broker::Broker;
use crate::plumbing::ledger::Kind;
use leveret_protocol::classes::BasicProperties;
use leveret_storage::{Options, Store};
use std::sync::Arc;
use tempfile::TempDir;

/// A transactional client with an empty queue `q`.
fn transactional() -> Client {
    let mut client = client();
    client.ask(declare("q"));
    assert_eq!(client.ask(tx_select()), ["1 select-ok"]);
    client
}

fn counts(client: &Client, queue: &str) -> (u64, u64) {
    let queue = client.broker.vhost("/").unwrap().queue(queue).unwrap();
    let counts = queue.counts();
    (counts.ready, counts.unacked)
}

#[test]
fn publishes_wait_for_the_commit() {
    let mut client = transactional();
    client.publish("q", "1");
    client.publish("q", "2");
    assert_eq!(counts(&client, "q"), (0, 0));
    assert_eq!(client.ask(tx_commit()), ["1 commit-ok"]);
    assert_eq!(counts(&client, "q"), (2, 0));
    assert_eq!(
        client.ask(tx_commit()),
        ["1 commit-ok"],
        "nothing to commit"
    );
    client.publish("q", "3");
    assert_eq!(client.ask(tx_rollback()), ["1 rollback-ok"]);
    assert_eq!(client.ask(tx_commit()), ["1 commit-ok"]);
    assert_eq!(counts(&client, "q"), (2, 0));
    assert_eq!(
        client.connection.account.holdings().of(Kind::Uncommitted),
        0
    );
}

#[test]
fn acknowledgements_wait_for_the_commit_and_come_back_with_a_rollback() {
    let mut client = transactional();
    for body in ["1", "2", "3", "4"] {
        client.publish("q", body);
    }
    client.ask(tx_commit());
    client.ask(qos(4, false));
    assert_eq!(client.ask(consume("q", "c")).len(), 5);
    client.ask(ack(3, false));
    client.ask(ack(2, true));
    assert_eq!(counts(&client, "q"), (0, 4));
    let told = client.ask(ack(1, false));
    assert!(
        told[0].starts_with("1 close 406"),
        "settled before the commit"
    );
    client.send(1, channel_close_ok());
    client.open_channel(1);
    client.ask(tx_select());
    assert_eq!(
        counts(&client, "q"),
        (4, 0),
        "the channel ended without a commit"
    );

    let told = client.ask(consume("q", "c"));
    assert_eq!(told[1], "1 deliver c #1 redelivered '1'");
    client.ask(ack(4, false));
    client.ask(nack(2, true, false));
    assert_eq!(
        client.ask(tx_rollback()),
        ["1 rollback-ok"],
        "nothing comes again"
    );
    assert_eq!(counts(&client, "q"), (0, 4));
    client.ask(ack(3, true));
    client.ask(reject(4, false));
    assert_eq!(client.ask(tx_commit()), ["1 commit-ok"]);
    assert_eq!(counts(&client, "q"), (0, 0));
}

#[test]
fn requeues_take_effect_with_the_commit_behind_the_publishes() {
    let mut client = transactional();
    client.publish("q", "1");
    client.publish("q", "2");
    client.ask(tx_commit());
    for _ in 0..2 {
        client.ask(get("q", false));
    }
    client.ask(nack(2, false, true));
    client.ask(reject(1, true));
    client.publish("q", "3");
    assert_eq!(counts(&client, "q"), (0, 2));
    assert_eq!(client.ask(tx_commit()), ["1 commit-ok"]);
    for (tag, body) in [(3, "redelivered left 2 '1'"), (4, "redelivered left 1 '2'")] {
        assert_eq!(
            client.ask(get("q", true)),
            [format!("1 get-ok #{tag} {body}")]
        );
    }
    assert_eq!(client.ask(get("q", true)), ["1 get-ok #5 left 0 '3'"]);
}

#[test]
fn a_prefetch_is_free_again_with_the_commit() {
    let mut client = transactional();
    client.ask(qos(1, false));
    client.ask(consume("q", "c"));
    client.publish("q", "1");
    client.publish("q", "2");
    assert_eq!(
        client.ask(tx_commit()),
        ["1 commit-ok", "1 deliver c #1 '1'"]
    );
    assert_eq!(client.ask(ack(1, false)), [""; 0]);
    assert_eq!(
        client.ask(tx_commit()),
        ["1 commit-ok", "1 deliver c #2 '2'"]
    );
}

#[test]
fn recovering_leaves_alone_what_the_transaction_has() {
    let mut client = transactional();
    client.publish("q", "1");
    client.publish("q", "2");
    client.ask(tx_commit());
    client.ask(consume("q", "c"));
    client.ask(ack(1, false));
    assert_eq!(
        client.ask(recover(true)),
        ["1 recover-ok", "1 deliver c #3 redelivered '2'"]
    );
    client.ask(tx_rollback());
    assert_eq!(client.ask(ack(1, false)), [""; 0]);
}

#[test]
fn unroutable_mandatory_messages_come_back_with_the_commit_in_their_order() {
    let mut client = transactional();
    client.ask(declare("going"));
    let mandatory = |key| {
        let mut publish = publish("", key);
        publish.mandatory = true;
        publish
    };
    for (key, body) in [("nowhere", "1"), ("q", "2"), ("going", "3")] {
        client.publish_with(
            1,
            mandatory(key),
            &BasicProperties::default(),
            body.as_bytes(),
        );
    }
    assert_eq!(client.hears(), [""; 0]);
    client.ask(delete("going"));
    assert_eq!(
        client.ask(tx_commit()),
        [
            "1 return 312 NO_ROUTE '1'",
            "1 return 312 NO_ROUTE '3'",
            "1 commit-ok"
        ]
    );
    assert_eq!(counts(&client, "q"), (1, 0));
}

#[test]
fn publishes_are_checked_and_routed_at_once() {
    let mut client = transactional();
    client.publish_with(1, publish("nope", "q"), &BasicProperties::default(), b"m");
    assert!(client.hears()[0].starts_with("1 close 404 NOT_FOUND - no exchange 'nope'"));
    client.send(1, channel_close_ok());
    client.open_channel(1);
    client.ask(tx_select());
    client.ask(bind("q", "amq.fanout", ""));
    client.publish_with(
        1,
        publish("amq.fanout", ""),
        &BasicProperties::default(),
        b"m",
    );
    client.ask(unbind("q", "amq.fanout", ""));
    client.ask(tx_commit());
    assert_eq!(counts(&client, "q"), (1, 0), "routed before the unbind");
}

#[test]
fn modes_do_not_mix() {
    let told = transactional().ask(confirm_select());
    assert_eq!(
        told,
        ["1 close 406 PRECONDITION_FAILED - cannot switch from tx to confirm mode (85,10)"]
    );
    let mut confirming = client();
    confirming.ask(confirm_select());
    assert_eq!(
        confirming.ask(tx_select()),
        ["1 close 406 PRECONDITION_FAILED - cannot switch from confirm to tx mode (90,10)"]
    );
    assert_eq!(
        transactional().ask(tx_select()),
        ["1 select-ok"],
        "twice is fine"
    );
    for (method, id) in [(tx_commit(), 20), (tx_rollback(), 30)] {
        let told = client().ask(method);
        let text = "1 close 406 PRECONDITION_FAILED - channel is not transactional";
        assert_eq!(told, [format!("{text} (90,{id})")]);
    }
}

#[test]
fn a_connection_holds_no_more_than_it_may() {
    let mut client = transactional();
    client.open_channel(2);
    client.send(2, tx_select());
    let body = "x".repeat(600_000);
    client.publish("q", &body);
    let publish = publish("", "q");
    let bytes = publish_bytes(
        2,
        publish,
        &BasicProperties::default(),
        body.as_bytes(),
        131_072,
    );
    client.bytes(&bytes);
    let told = client.hears();
    assert_eq!(told[0], "2 select-ok");
    let start = "2 close 406 PRECONDITION_FAILED - uncommitted messages of 12008";
    assert!(told[1].starts_with(start), "{told:?}");
    let end = "bytes on this connection exceed the configured max_transaction_size 1048576 (60,40)";
    assert!(told[1].ends_with(end), "{told:?}");
    assert_eq!(client.ask(tx_commit()), ["1 commit-ok"]);
    assert_eq!(counts(&client, "q"), (1, 0));
    client.publish("q", &body);
    assert_eq!(
        client.ask(tx_commit()),
        ["1 commit-ok"],
        "the room is free again"
    );
}

#[test]
fn small_messages_count_as_well() {
    let mut client = transactional();
    let publish = publish_bytes(
        1,
        publish("", "q"),
        &BasicProperties::default(),
        b"",
        131_072,
    );
    let mut told = Vec::new();
    for _ in 0..10_000 {
        client.bytes(&publish);
        told = client.heard_so_far();
        if !told.is_empty() {
            break;
        }
    }
    assert!(told[0].contains("max_transaction_size"), "{told:?}");
}

#[test]
fn a_commit_that_a_full_queue_refuses_closes_the_channel() {
    let mut client = transactional();
    client.ask(declare_limited("full", 1, "reject-publish"));
    for body in ["1", "2"] {
        client.publish("full", body);
    }
    assert_eq!(
        client.ask(tx_commit()),
        ["1 close 406 PRECONDITION_FAILED - partial tx completion (90,20)"]
    );
    assert_eq!(counts(&client, "full"), (1, 0));
}

fn stored_broker() -> (TempDir, Arc<Broker>) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(Options::new(directory.path())).unwrap().store;
    (directory, broker_with(Some(store)))
}

fn persistent(channel: u16, exchange: &str, queue: &str, body: &str) -> Vec<u8> {
    let properties = BasicProperties::default().with_delivery_mode(2);
    let publish = publish(exchange, queue);
    publish_bytes(channel, publish, &properties, body.as_bytes(), 4096).to_vec()
}

#[test]
fn a_message_of_a_commit_is_done_with_in_each_queue_alone() {
    let (directory, broker) = stored_broker();
    let mut client = Client::ready(&broker);
    for queue in ["a", "b", "c"] {
        client.send(1, declare_with(queue, |d| d.durable = true));
        client.hears_until(&format!("1 declare-ok {queue} 0 0"));
    }
    for queue in ["a", "b"] {
        client.send(1, bind(queue, "amq.fanout", ""));
    }
    client.send(1, tx_select());
    client.hears_until("1 select-ok");
    client.bytes(&persistent(1, "", "c", "in"));
    client.send(1, tx_commit());
    client.hears_until("1 commit-ok");

    // Somebody else takes the messages as soon as they are there, one without acknowledging.
    let mut other = Client::ready(&broker);
    for queue in ["a", "b"] {
        other.send(1, consume_with(queue, queue, |c| c.no_ack = queue == "a"));
    }
    client.ask(get("c", false));
    client.bytes(&persistent(1, "amq.fanout", "", "out"));
    client.send(1, ack(1, false));
    client.send(1, tx_commit());
    client.hears_until("1 commit-ok");
    assert_eq!(
        other.hears(),
        lines(&[
            "1 consume-ok a",
            "1 consume-ok b",
            "1 deliver a #1 'out'",
            "1 deliver b #2 'out'"
        ])
    );
    broker.store.as_ref().unwrap().close().unwrap();
    drop((client, other, broker));
    let opened = Store::open(Options::new(directory.path())).unwrap();
    let messages: Vec<u64> = opened.queues.iter().map(|q| q.messages).collect();
    assert_eq!(
        messages.iter().sum::<u64>(),
        1,
        "only b's is left: {messages:?}"
    );
}

#[test]
fn what_comes_behind_a_commit_waits_for_it() {
    let (_directory, broker) = stored_broker();
    let mut client = Client::ready(&broker);
    client.send(1, declare_with("q", |d| d.durable = true));
    client.send(1, tx_select());
    client.hears_until("1 select-ok");
    client.bytes(&persistent(1, "", "q", "1"));
    client.send(1, tx_commit());
    client.bytes(&persistent(1, "", "q", "2"));
    client.send(1, tx_rollback());
    client.send(1, get("q", true));
    let heard = client.hears_until("1 get-ok #1 left 0 '1'");
    assert_eq!(
        heard,
        ["1 commit-ok", "1 rollback-ok", "1 get-ok #1 left 0 '1'"]
    );
}
