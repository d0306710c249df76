//! Users and virtual hosts that are deleted, changed and added again while somebody is logged in.

use super::client::Client;
use super::requests::*;
use super::{add_user, broker, broker_of, lines};
use crate::config::Limits;
use crate::domain::auth::PasswordHash;
use crate::domain::broker::Broker;
use crate::domain::vhost::spec::VhostSpec;
use leveret_protocol::frame::PROTOCOL_HEADER;
use std::time::Duration;

fn delete_user(broker: &Broker, name: &str) {
    let mut fx = broker.effects(None);
    broker.delete_user(name, &mut fx).unwrap();
    fx.perform();
}

/// Deletes the user and adds one of the same name, password and permissions.
fn replace_user(broker: &Broker, name: &str) {
    delete_user(broker, name);
    add_user(broker, name, ".*");
}

/// Logged in as `hare`, with the virtual host still to open.
fn logged_in(broker: &std::sync::Arc<Broker>) -> Client {
    let mut client = Client::new(broker);
    client.bytes(&PROTOCOL_HEADER);
    client.send(0, start_ok("hare", "hare", true));
    client.send(0, tune_ok(2047, 131_072, 60));
    assert_eq!(client.hears(), ["0 start", "0 tune 2047 131072 60"]);
    client
}

#[test]
fn a_deleted_users_connections_are_closed_and_nobody_elses() {
    let broker = broker();
    add_user(&broker, "hare", ".*");
    let (mut hare, mut guest) = (Client::open_as(&broker, "hare"), Client::ready(&broker));
    delete_user(&broker, "hare");
    let closed = "0 close 320 CONNECTION_FORCED - user 'hare' is deleted (0,0)";
    assert_eq!(hare.hears(), [closed]);
    assert_eq!(guest.ask(declare("q")), ["1 declare-ok q 0 0"]);
}

#[test]
fn what_a_deleted_user_sent_before_it_was_told_is_refused_also_when_it_was_added_again() {
    let broker = broker();
    add_user(&broker, "hare", ".*");
    let mut hare = Client::open_as(&broker, "hare");
    hare.open_channel(1);
    hare.ask(declare("q"));
    hare.publish("q", "before");
    replace_user(&broker, "hare");
    // Read before the order to close is.
    hare.publish("q", "after");
    hare.send(1, get("q", true));
    let queue = broker.vhost("/").unwrap().queue("q").unwrap();
    assert_eq!(queue.counts().ready, 1);
    let refused = "1 close 403 ACCESS_REFUSED - write access to exchange 'amq.default' in vhost '/' \
                   refused for user 'hare' (60,40)";
    let closed = "0 close 320 CONNECTION_FORCED - user 'hare' is deleted (0,0)";
    assert_eq!(hare.hears(), [refused, closed]);
}

#[test]
fn a_login_that_is_under_way_at_the_deletion_does_not_outlive_it() {
    let broker = broker();
    add_user(&broker, "hare", ".*");
    // The order to close comes first, or the last step of the login.
    let mut told = logged_in(&broker);
    let mut hasty = logged_in(&broker);
    replace_user(&broker, "hare");
    let closed = "0 close 320 CONNECTION_FORCED - user 'hare' is deleted (0,0)";
    assert_eq!(told.hears(), [closed]);
    hasty.send(0, open("/"));
    let refused = "0 close 530 NOT_ALLOWED - access to vhost '/' refused for user 'hare' (10,40)";
    assert_eq!(hasty.hears(), [refused]);
}

#[test]
fn a_virtual_host_that_is_replaced_does_not_keep_those_who_were_in_it() {
    let broker = broker();
    let mut guest = Client::ready(&broker);
    let mut fx = broker.effects(None);
    broker.delete_vhost("/", &mut fx).unwrap();
    broker.add_vhost(VhostSpec::named("/"), &mut fx);
    fx.perform();
    let closed = "0 close 320 CONNECTION_FORCED - vhost '/' is deleted (0,0)";
    assert_eq!(guest.hears(), [closed]);
}

#[test]
fn other_limits_of_the_broker_count_on_connections_that_are_there() {
    let broker = broker();
    let mut client = Client::ready(&broker);
    client.ask(declare("q"));
    let limits = Limits {
        max_message_size: 4,
        frame_max: 4096,
        consumer_timeout: Some(Duration::from_secs(1)),
        ..broker.limits()
    };
    broker.set_limits(limits);
    assert!(client.hears().is_empty());
    client.publish("q", "four");
    // As big a frame as was agreed on is taken, but not a message.
    client.publish("q", &"x".repeat(5000));
    let refused = "1 close 406 PRECONDITION_FAILED - message size 5000 is larger than configured \
                   max size 4 (60,40)";
    assert_eq!(client.hears(), [refused]);
    assert_eq!(client.ask(channel_close_ok()), lines(&[]));
    let mut other = Client::new(&broker);
    other.bytes(&PROTOCOL_HEADER);
    other.send(0, start_ok("guest", "guest", true));
    assert_eq!(other.hears(), ["0 start", "0 tune 2047 4096 60"]);
}

#[test]
fn a_shorter_consumer_timeout_counts_for_deliveries_that_are_there() {
    let limits = Limits {
        consumer_timeout: None,
        ..Limits::default()
    };
    let broker = broker_of(limits, None);
    let mut client = Client::ready(&broker);
    client.ask(declare("q"));
    client.publish("q", "m");
    assert_eq!(client.ask(get("q", false)), ["1 get-ok #1 left 0 'm'"]);
    client.wait(Duration::from_secs(3600));
    broker.set_limits(Limits {
        consumer_timeout: Some(Duration::from_secs(1)),
        ..limits
    });
    assert!(client.hears().is_empty(), "it counts from now on");
    client.wait(Duration::from_secs(2));
    let heard = client.hears();
    assert!(
        heard[0].contains("Timeout value used: 1000 ms"),
        "{heard:?}"
    );
}

#[test]
fn another_password_and_lower_limits_leave_those_who_are_there() {
    let broker = broker();
    add_user(&broker, "hare", ".*");
    let mut hare = Client::open_as(&broker, "hare");
    hare.open_channel(1);
    let users = &broker.users;
    users
        .change_password("hare", PasswordHash::of("x"))
        .unwrap();
    users.set_tags("hare", &["monitoring".to_owned()]).unwrap();
    let none =
        crate::domain::limits::UserLimits::parse(r#"{"max-connections":0,"max-channels":0}"#);
    users.change_limits("hare", |_| none.unwrap()).unwrap();
    assert_eq!(hare.ask(declare("q")), ["1 declare-ok q 0 0"]);
}
