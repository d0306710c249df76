//! Limits set by an operator: connections, channels, queues, consumers.

use super::client::Client;
use super::requests::*;
use super::{add_user, broker, broker_of, lines};
use crate::config::Limits;
use crate::domain::broker::Broker;
use crate::domain::limits::{UserLimits, VhostLimits};
use leveret_protocol::classes::BasicProperties;

fn limit_vhost(broker: &Broker, definition: &str) {
    let limits = VhostLimits::parse(definition).unwrap();
    let mut fx = broker.effects(None);
    assert!(broker.set_vhost_limits("/", Some(limits), &mut fx));
}

fn limit_user(broker: &Broker, user: &str, definition: &str) {
    let limits = UserLimits::parse(definition).unwrap();
    broker
        .users
        .change_limits(user, |old| limits.or(old))
        .unwrap();
}

#[test]
fn a_full_virtual_host_takes_no_connection_until_one_goes() {
    let broker = broker();
    limit_vhost(&broker, r#"{"max-connections": 1}"#);
    let mut first = Client::open(&broker);
    let (_, told) = Client::tries_to_open(&broker, "guest");
    assert_eq!(
        told,
        "0 close 530 NOT_ALLOWED - access to vhost '/' refused for user 'guest': connection limit \
         (1) is reached (10,40)"
    );
    first.send(0, close());
    assert_eq!(first.hears(), ["0 close-ok"]);
    // Even though the first has not been dropped yet.
    let _second = Client::open(&broker);
}

#[test]
fn a_negative_limit_is_none_and_zero_is_nobody() {
    let broker = broker();
    limit_vhost(&broker, r#"{"max-connections": -1, "max-queues": -1}"#);
    let mut client = Client::ready(&broker);
    assert_eq!(client.ask(declare("q")), ["1 declare-ok q 0 0"]);
    limit_vhost(&broker, r#"{"max-connections": 0}"#);
    let (_, told) = Client::tries_to_open(&broker, "guest");
    assert!(told.contains("connection limit (0) is reached"), "{told}");
}

#[test]
fn a_user_has_so_many_connections() {
    let broker = broker();
    add_user(&broker, "other", ".*");
    limit_user(&broker, "guest", r#"{"max-connections": 1}"#);
    let first = Client::open(&broker);
    let (_, told) = Client::tries_to_open(&broker, "guest");
    assert_eq!(
        told,
        "0 close 530 NOT_ALLOWED - connection refused for user 'guest': user connection limit (1) \
         is reached (10,40)"
    );
    let _other = Client::open_as(&broker, "other");
    drop(first);
    let _again = Client::open(&broker);
}

#[test]
fn a_user_has_so_many_channels_on_all_connections() {
    let broker = broker();
    limit_user(&broker, "guest", r#"{"max-channels": 2}"#);
    let mut first = Client::ready(&broker);
    let mut second = Client::ready(&broker);
    first.send(1, channel_close());
    assert_eq!(first.hears(), ["1 close-ok"]);
    second.open_channel(2);
    second.send(3, channel_open());
    assert_eq!(
        second.hears(),
        [
            "0 close 530 NOT_ALLOWED - number of channels opened for user 'guest' has reached the \
          maximum allowed user limit of 2 (0,0)"
        ]
    );
    // Closing the connection released its channels.
    first.open_channel(1);
    first.open_channel(2);
}

#[test]
fn the_broker_has_so_many_connections_and_channels() {
    let limits = Limits {
        connection_max: Some(2),
        channel_max_per_node: Some(1),
        ..Limits::default()
    };
    let broker = broker_of(limits, None);
    let _first = Client::ready(&broker);
    let mut second = Client::open(&broker);
    let (_, told) = Client::tries_to_open(&broker, "guest");
    assert_eq!(
        told,
        "0 close 530 NOT_ALLOWED - connection refused: node connection limit (2) is reached \
         (10,40)"
    );
    second.send(1, channel_open());
    assert_eq!(
        second.hears(),
        [
            "0 close 530 NOT_ALLOWED - number of channels opened on node 'leveret@localhost' has \
          reached the maximum allowed limit of 1 (0,0)"
        ]
    );
}

#[test]
fn a_virtual_host_has_so_many_queues() {
    let broker = broker();
    limit_vhost(&broker, r#"{"max-queues": 1}"#);
    let mut client = Client::ready(&broker);
    client.ask(declare("a"));
    assert_eq!(client.ask(declare("a")), ["1 declare-ok a 0 0"]);
    assert_eq!(
        client.ask(declare("b")),
        [
            "1 close 406 PRECONDITION_FAILED - cannot declare queue 'b': queue limit in vhost '/' \
          (1) is reached (50,10)"
        ]
    );
    client.ask(channel_close_ok());
    client.open_channel(1);
    client.ask(delete("a"));
    assert_eq!(client.ask(declare("b")), ["1 declare-ok b 0 0"]);
}

#[test]
fn a_channel_has_so_many_consumers() {
    let limits = Limits {
        consumer_max_per_channel: Some(1),
        ..Limits::default()
    };
    let mut client = Client::ready(&broker_of(limits, None));
    client.ask(declare("q"));
    client.ask(consume("q", "a"));
    client.ask(cancel("a"));
    client.ask(consume("q", "b"));
    assert_eq!(
        client.ask(consume("q", "c")),
        ["0 close 530 NOT_ALLOWED - reached maximum (1) of consumers per channel (60,20)"]
    );
}

#[test]
fn an_impersonator_may_publish_in_the_name_of_others() {
    let broker = broker();
    let tags = ["impersonator".to_owned()];
    broker.users.set_tags("guest", &tags).unwrap();
    let mut client = Client::ready(&broker);
    client.ask(declare("q"));
    let properties = BasicProperties::default().with_user_id("mallory".into());
    client.publish_with(1, publish("", "q"), &properties, b"m");
    assert_eq!(client.ask(get("q", true)), ["1 get-ok #1 left 0 'm'"]);
}

#[test]
fn with_a_new_secret_permissions_are_looked_at_again() {
    let broker = broker();
    let mut client = Client::ready(&broker);
    client.ask(declare("mine"));
    client.ask(declare("other"));
    client.ask(consume("mine", "m"));
    client.ask(consume("other", "o"));
    let mut permission = broker.users.permissions_of("guest").unwrap().remove(0);
    permission.read = "^mine$".to_owned();
    broker.users.set_permissions(permission).unwrap();
    client.send(0, update_secret("new"));
    assert_eq!(client.hears(), ["1 cancel o", "0 update-secret-ok"]);
    client.publish("mine", "m");
    client.publish("other", "o");
    assert_eq!(client.hears(), ["1 deliver m #1 'm'"]);
    broker.users.clear_permissions("guest", "/").unwrap();
    client.send(0, update_secret("newer"));
    assert_eq!(
        client.hears(),
        ["0 close 530 NOT_ALLOWED - access to vhost '/' refused for user 'guest' (10,70)"]
    );
    assert_eq!(client.hears(), lines(&[]));
}
