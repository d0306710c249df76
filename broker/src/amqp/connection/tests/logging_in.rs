//! Logins that take their time, and users whom somebody else knows.

use super::client::Client;
use super::requests::*;
use super::{add_user, broker};
use crate::config::Secret;
use crate::domain::auth::backend::{Attempt, Authority, Backend, Known, Resource, Verdict};
use crate::domain::auth::{Access, HashingAlgorithm, PasswordHash, PasswordPolicy};
use crate::domain::broker::Broker;
use crate::domain::logins::Source;
use leveret_protocol::frame::PROTOCOL_HEADER;
use std::sync::Arc;

/// A broker with a user whose password takes long to check.
fn slow_broker() -> Arc<Broker> {
    let broker = broker();
    broker.users.set_password_policy(PasswordPolicy {
        algorithm: HashingAlgorithm::Argon2id,
        upgrade: false,
    });
    add_user(&broker, "hare", ".*");
    let hash = PasswordHash::with(HashingAlgorithm::Argon2id, "hare");
    broker.users.change_password("hare", hash).unwrap();
    broker
}

/// A client that has sent its credentials, which are being checked.
fn logging_in(broker: &Arc<Broker>, password: &str) -> Client {
    let mut client = Client::new(broker);
    client.bytes(&PROTOCOL_HEADER);
    client.send(0, start_ok("hare", password, true));
    assert!(client.connection.is_logging_in() && client.connection.is_handshaking());
    client
}

#[test]
fn nothing_is_read_until_the_password_is_checked_and_then_all_that_was_sent_is() {
    let broker = slow_broker();
    let mut client = logging_in(&broker, "hare");
    assert!(!client.connection.wants_read());
    client.send(0, tune_ok(2047, 131_072, 60));
    client.send(0, open("/"));
    client.send(1, channel_open());
    assert_eq!(client.heard_so_far(), ["0 start"]);
    let lines = ["0 tune 2047 131072 60", "0 open-ok", "1 open-ok"];
    assert_eq!(client.hears(), lines);
    // The next one is let in at once.
    Client::open_as(&broker, "hare");
}

#[test]
fn a_wrong_password_is_told_late() {
    let mut client = logging_in(&slow_broker(), "wrong");
    let refused = "0 close 403 ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see \
                   the broker logfile. (0,0)";
    assert_eq!(client.hears(), ["0 start", refused]);
}

#[test]
fn an_operator_may_close_it_meanwhile_and_its_user_be_deleted() {
    let broker = slow_broker();
    let mut client = logging_in(&broker, "hare");
    broker.connections.close_all("the end");
    assert_eq!(client.hears(), ["0 start"]);
    assert!(client.connection.is_over(client.now));
    let mut client = logging_in(&slow_broker(), "hare");
    let mut fx = client.broker.effects(None);
    client.broker.delete_user("hare", &mut fx).unwrap();
    fx.perform();
    let lines = client.hears();
    assert!(lines[1].starts_with("0 close 403 "), "{lines:?}");
    // Whoever goes away gives its login up.
    let client = logging_in(&broker, "hare");
    drop(client);
    Client::open_as(&broker, "hare");
}

/// Knows everybody; the password is what the names of queues and exchanges begin with that may be used.
#[derive(Debug)]
struct Prefixes;

#[derive(Debug)]
struct Prefix(String);

fn known(password: &Secret) -> Known {
    let prefix = password.expose().to_owned();
    Known {
        name: "bearer".into(),
        tags: Vec::new(),
        authority: Arc::new(Prefix(prefix)),
    }
}

impl Authority for Prefix {
    fn may_enter(&self, _: &str) -> bool {
        !self.0.is_empty()
    }
    fn permits(&self, _: Access, resource: Resource<'_>) -> bool {
        resource.name.starts_with(&self.0) || resource.name == "amq.topic"
    }
    fn permits_topic(&self, _: Access, _: Resource<'_>, routing_key: &str) -> bool {
        routing_key.starts_with(&self.0)
    }
    fn generation(&self) -> u64 {
        0
    }
    fn renewed(&self, secret: &Secret) -> Result<Option<Known>, String> {
        match secret.expose() {
            "expired" => Err("it has expired".to_owned()),
            _ => Ok(Some(known(secret))),
        }
    }
}

impl Backend for Prefixes {
    fn name(&self) -> &'static str {
        "prefixes"
    }
    fn authenticate_at_once(&self, attempt: &Attempt) -> Option<Verdict> {
        Some(Ok(known(&attempt.password)))
    }
    fn authenticate(&self, attempt: &Attempt) -> Verdict {
        Ok(known(&attempt.password))
    }
}

#[test]
fn what_a_user_from_elsewhere_may_do_is_asked_there_and_a_new_secret_brings_new_rights() {
    let broker = broker();
    broker
        .logins
        .set_sources(vec![Source::Backend(Arc::new(Prefixes))]);
    let mut client = Client::open_as(&broker, "amq");
    client.open_channel(1);
    let refused = "1 close 403 ACCESS_REFUSED - configure access to queue 'own' in vhost '/' refused for user 'bearer' \
                   (50,10)";
    assert_eq!(client.ask(declare("own")), [refused]);
    client.send(1, channel_close_ok());
    client.open_channel(1);
    // The default exchange is amq.default, and that may be written to.
    client.publish("nobody", "1");
    client.publish_with(1, publish("amq.topic", "amq.1"), &Default::default(), b"1");
    assert!(client.hears().is_empty());
    client.send(0, update_secret("own"));
    assert_eq!(client.hears(), ["0 update-secret-ok"]);
    client.publish_with(1, publish("amq.topic", "amq.1"), &Default::default(), b"1");
    let refused = "1 close 403 ACCESS_REFUSED - write access to topic 'amq.1' in exchange 'amq.topic' in vhost '/' \
                   refused for user 'bearer' (60,40)";
    assert_eq!(client.hears(), [refused]);
    client.send(1, channel_close_ok());
    client.open_channel(1);
    assert_eq!(client.ask(declare("own")), ["1 declare-ok own 0 0"]);
    client.send(0, update_secret("expired"));
    let refused = "0 close 530 NOT_ALLOWED - New secret was refused by one of the backends (10,70)";
    assert_eq!(client.hears(), [refused]);
}
