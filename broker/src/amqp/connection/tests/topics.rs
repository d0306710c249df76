//! Topic permissions, on the fast path and frame by frame, and the default type of queues.

use super::client::Client;
use super::requests::{
    bind, channel_close_ok, declare, declare_with, exchange_bind, table, text, unbind,
};
use super::{add_user, broker, lines};
use crate::domain::auth::TopicPermission;
use crate::domain::broker::Broker;
use crate::domain::vhost::spec::VhostUpdate;
use crate::engine::queue::QueueKind;
use leveret_protocol::classes::BasicProperties;
use leveret_protocol::values::AMQPValue;

fn permit(broker: &Broker, write: &str, read: &str) {
    let [user, vhost, exchange, write, read] =
        ["hare", "/", "amq.topic", write, read].map(str::to_owned);
    let permission = TopicPermission {
        user,
        vhost,
        exchange,
        write,
        read,
    };
    broker.users.set_topic_permission(permission).unwrap();
}

/// Publishes in one piece.
fn publish(client: &mut Client, key: &str, properties: &BasicProperties) {
    let to = super::requests::publish("amq.topic", key);
    client.publish_with(1, to, properties, b"body");
}

fn refused(key: &str) -> String {
    format!(
        "1 close 403 ACCESS_REFUSED - write access to topic '{key}' in exchange 'amq.topic' in \
         vhost '/' refused for user 'hare' (60,40)"
    )
}

#[test]
fn each_key_is_checked_also_when_its_route_is_cached() {
    let broker = broker();
    add_user(&broker, "hare", ".*");
    let mut hare = Client::open_as(&broker, "hare");
    hare.open_channel(1);
    hare.ask(declare("q"));
    hare.ask(bind("q", "amq.topic", "#"));
    let plain = BasicProperties::default();
    let ready = || {
        broker
            .vhost("/")
            .unwrap()
            .queue("q")
            .unwrap()
            .counts()
            .ready
    };
    for key in ["a", "b", "a", "b"] {
        publish(&mut hare, key, &plain);
    }
    assert_eq!((hare.hears(), ready()), (lines(&[]), 4));
    // Routes that were cached before are looked up again.
    permit(&broker, "^a", ".*");
    for key in ["a", "a.1", "a"] {
        publish(&mut hare, key, &plain);
    }
    assert_eq!((hare.hears(), ready()), (lines(&[]), 7));
    publish(&mut hare, "b", &plain);
    assert_eq!((hare.hears(), ready()), (lines(&[&refused("b")]), 7));
    hare.ask(channel_close_ok());
    hare.open_channel(1);
    permit(&broker, "^b", ".*");
    publish(&mut hare, "b", &plain);
    publish(&mut hare, "a", &plain);
    assert_eq!((hare.hears(), ready()), (lines(&[&refused("a")]), 8));
    hare.ask(channel_close_ok());
    hare.open_channel(1);
    broker
        .users
        .clear_topic_permissions("hare", "/", None)
        .unwrap();
    publish(&mut hare, "a", &plain);
    assert_eq!((hare.hears(), ready()), (lines(&[]), 9));
}

#[test]
fn the_keys_of_copies_are_checked_and_come_before_the_user_id() {
    for header in ["CC", "BCC"] {
        let broker = broker();
        add_user(&broker, "hare", ".*");
        permit(&broker, "^a", ".*");
        let mut hare = Client::open_as(&broker, "hare");
        hare.open_channel(1);
        hare.ask(declare("q"));
        let with = |keys: &[&str]| {
            let keys: Vec<AMQPValue> = keys.iter().map(|key| text(key)).collect();
            let headers = table([(header, AMQPValue::FieldArray(keys.into()))]);
            BasicProperties::default().with_headers(headers)
        };
        publish(&mut hare, "a", &with(&["a.1", "a.2"]));
        assert!(hare.hears().is_empty());
        let properties = with(&["a.1", "b"]).with_user_id("guest".into());
        publish(&mut hare, "a", &properties);
        assert_eq!(hare.hears(), [refused("b")]);
    }
}

#[test]
fn bindings_of_a_topic_exchange_need_a_key_that_may_be_read() {
    let broker = broker();
    add_user(&broker, "hare", ".*");
    permit(&broker, "", "^r");
    let mut hare = Client::open_as(&broker, "hare");
    hare.open_channel(1);
    hare.ask(declare("q"));
    assert_eq!(hare.ask(bind("q", "amq.topic", "r.1")), ["1 bind-ok"]);
    assert_eq!(hare.ask(bind("q", "amq.direct", "w")), ["1 bind-ok"]);
    let refused = |key: &str, method: &str| {
        format!(
            "1 close 403 ACCESS_REFUSED - read access to topic '{key}' in exchange 'amq.topic' \
             in vhost '/' refused for user 'hare' ({method})"
        )
    };
    for (request, key, method) in [
        (bind("q", "amq.topic", "w"), "w", "50,20"),
        (bind("missing", "amq.topic", "w"), "w", "50,20"),
        (unbind("q", "amq.topic", "w"), "w", "50,50"),
        (exchange_bind("amq.fanout", "amq.topic"), "", "40,30"),
    ] {
        assert_eq!(hare.ask(request), [refused(key, method)]);
        hare.ask(channel_close_ok());
        hare.open_channel(1);
    }
}

#[test]
fn a_queue_without_a_type_gets_the_default_of_its_virtual_host() {
    let broker = broker();
    let update = VhostUpdate {
        default_queue_type: Some(QueueKind::Quorum),
        ..VhostUpdate::default()
    };
    let mut client = Client::ready(&broker);
    client.ask(declare_with("old", |declare| declare.durable = true));
    assert!(broker.update_vhost("/", update, &mut broker.effects(None)));
    let vhost = broker.vhost("/").unwrap();
    let kind = |name: &str| vhost.queue(name).unwrap().kind;
    let mut declared = |name: &str, set: fn(&mut leveret_protocol::classes::queue::Declare)| {
        let expected = format!("1 declare-ok {name} 0 0");
        assert_eq!(client.ask(declare_with(name, set)), [expected.as_str()]);
    };
    declared("lasting", |declare| declare.durable = true);
    assert_eq!(kind("lasting"), QueueKind::Quorum);
    // Declaring it again is equivalent with and without the type.
    declared("lasting", |declare| declare.durable = true);
    declared("lasting", |declare| {
        declare.durable = true;
        declare.arguments = table([("x-queue-type", text("quorum"))]);
    });
    declared("transient", |declare| declare.durable = false);
    declared("exclusive", |declare| {
        declare.durable = true;
        declare.exclusive = true;
    });
    declared("auto", |declare| {
        declare.durable = true;
        declare.auto_delete = true;
    });
    declared("stream", |declare| {
        declare.durable = true;
        declare.arguments = table([("x-queue-type", text("stream"))]);
    });
    for name in ["transient", "exclusive", "auto", "old"] {
        assert_eq!(kind(name), QueueKind::Classic, "{name}");
    }
    assert_eq!(kind("stream"), QueueKind::Stream);
    let differs = client.ask(declare_with("old", |declare| declare.durable = true));
    assert!(
        differs[0].contains("inequivalent arg 'x-queue-type'"),
        "{differs:?}"
    );
}
