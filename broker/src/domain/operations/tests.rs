//! Operations of callers with and without a connection, and the permissions that each needs.

use super::*;
use crate::config::Limits;
use crate::domain::auth::{Access, Credentials, PasswordHash, Permission};
use crate::domain::broker::{Broker, DEFAULT_VHOST};
use crate::domain::vhost::spec::VhostSpec;
use crate::engine::queue::{Effects, QueueKind};
use crate::net::Ends;
use leveret_protocol::values::{AMQPValue, FieldTable};
use leveret_protocol::{AmqpError, ExchangeName};
use std::net::SocketAddr;
use std::sync::Arc;

/// A broker that keeps everything in memory, with the user guest, who may do everything.
pub(super) fn broker() -> Arc<Broker> {
    let broker = Broker::new(Limits::default(), Vec::new(), None);
    let mut fx = broker.effects(None);
    broker.add_vhost(VhostSpec::named(DEFAULT_VHOST), &mut fx);
    fx.perform();
    add_user(&broker, "guest", &[], [".*"; 3]);
    Arc::new(broker)
}

/// Adds a user whose password is its name, with the patterns of configure, write and read.
fn add_user(broker: &Broker, name: &str, tags: &[&str], [configure, write, read]: [&str; 3]) {
    let tags: Vec<_> = tags.iter().map(|tag| (*tag).to_owned()).collect();
    let users = &broker.users;
    users.add_user(name, PasswordHash::of(name), &tags).unwrap();
    let permission = Permission {
        user: name.to_owned(),
        vhost: DEFAULT_VHOST.to_owned(),
        configure: configure.to_owned(),
        write: write.to_owned(),
        read: read.to_owned(),
    };
    users.set_permissions(permission).unwrap();
}

/// A caller and the effects of its operations.
pub(super) struct Calls {
    pub(super) caller: Caller,
    pub(super) fx: Effects,
}

impl Calls {
    fn of(broker: &Arc<Broker>, user: &str, is_connected: bool) -> Self {
        let given = Credentials {
            user,
            password: user,
        };
        let login = broker.users.authenticate(given).unwrap();
        let vhost = broker.vhost(DEFAULT_VHOST).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let connection =
            is_connected.then(|| broker.connections.add(Ends::new(address, address)).0);
        Calls {
            caller: Caller::new(broker.clone(), vhost, &login, connection),
            fx: broker.effects(None),
        }
    }

    /// Without a connection, as a request over HTTP.
    pub(super) fn alone(broker: &Arc<Broker>, user: &str) -> Self {
        Calls::of(broker, user, false)
    }

    /// On a connection of its own.
    fn connected(broker: &Arc<Broker>, user: &str) -> Self {
        Calls::of(broker, user, true)
    }

    pub(super) fn declare_with(&mut self, name: &str, how: &str, arguments: FieldTable) -> Outcome {
        let declaration = QueueDeclaration {
            name,
            durable: how.contains("durable"),
            exclusive: how.contains("exclusive"),
            auto_delete: how.contains("auto_delete"),
            arguments,
        };
        outcome(self.caller.declare_queue(declaration, &mut self.fx))
    }

    fn declare(&mut self, name: &str, how: &str) -> Outcome {
        self.declare_with(name, how, FieldTable::default())
    }

    fn declare_exchange(&mut self, name: &str, arguments: FieldTable) -> Outcome {
        let declaration = ExchangeDeclaration {
            name,
            kind: "topic",
            durable: false,
            auto_delete: false,
            internal: name == "internal",
            arguments,
        };
        outcome(self.caller.declare_exchange(declaration, &mut self.fx))
    }

    fn delete(&mut self, name: &str, conditions: QueueConditions) -> Outcome {
        outcome(self.caller.delete_queue(name, conditions, &mut self.fx))
    }

    fn delete_exchange(&mut self, name: &str) -> Outcome {
        outcome(self.caller.delete_exchange(name, false, &mut self.fx))
    }

    fn purge(&mut self, name: &str) -> Outcome {
        outcome(self.caller.purge_queue(&name.into(), &mut self.fx))
    }

    fn bind(&mut self, source: &str, queue: &str) -> Outcome {
        let spec = BindingSpec::of_queue(source, queue, "key".into(), FieldTable::default());
        outcome(self.caller.bind(spec, &mut self.fx))
    }

    fn unbind(&mut self, source: &str, queue: &str) -> Outcome {
        let spec = BindingSpec::of_queue(source, queue, "key".into(), FieldTable::default());
        outcome(self.caller.unbind(spec, &mut self.fx))
    }

    fn bind_exchange(&mut self, source: &str, to: &str) -> Outcome {
        let spec = BindingSpec::of_exchange(source, to, "key".into(), FieldTable::default());
        outcome(self.caller.bind(spec, &mut self.fx))
    }

    fn get(&self, name: &str) -> Outcome {
        outcome(self.caller.queue_to_get_from(&name.into()))
    }

    fn consume(&self, name: &str) -> Outcome {
        let subscription = Subscription {
            arguments: &FieldTable::default(),
            no_ack: false,
            has_prefetch: true,
            has_channel_limit: false,
        };
        outcome(
            self.caller
                .queue_to_consume_from(&name.into(), &subscription),
        )
    }

    fn publish(&self, exchange: &str) -> Outcome {
        outcome(self.caller.exchange_to_publish_to(&exchange.into()))
    }
}

/// The text of a refusal.
pub(super) type Outcome = Result<(), String>;

fn outcome<T>(result: Result<T, AmqpError>) -> Outcome {
    result.map(|_| ()).map_err(|error| error.text)
}

fn refused(text: impl Into<String>) -> Outcome {
    Err(text.into())
}

fn table(fields: &[(&str, &str)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in fields {
        table.insert((*name).into(), AMQPValue::LongString((*value).into()));
    }
    table
}

fn locked(queue: &str) -> Outcome {
    refused(format!(
        "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{queue}' in vhost '/'. It could be originally \
         declared on another connection or the exclusive property value does not match that of the original declaration."
    ))
}

#[test]
fn an_exclusive_queue_is_locked_for_everybody_without_its_connection() {
    let broker = broker();
    let mut owner = Calls::connected(&broker, "guest");
    assert_eq!(owner.declare("q", "exclusive"), Ok(()));
    let others = [
        Calls::alone(&broker, "guest"),
        Calls::connected(&broker, "guest"),
    ];
    for mut other in others {
        assert_eq!(
            other.unbind("amq.direct", "q"),
            Ok(()),
            "there is no binding"
        );
        assert_eq!(owner.bind("amq.direct", "q"), Ok(()));
        assert_eq!(other.declare("q", ""), locked("q"));
        assert_eq!(other.declare("q", "exclusive"), locked("q"));
        let passively = other.caller.declare_queue_passively("q");
        assert_eq!(outcome(passively), locked("q"));
        assert_eq!(other.bind("amq.direct", "q"), locked("q"));
        assert_eq!(other.unbind("amq.direct", "q"), locked("q"));
        assert_eq!(other.purge("q"), locked("q"));
        assert_eq!(other.get("q"), locked("q"));
        assert_eq!(other.consume("q"), locked("q"));
        assert_eq!(other.delete("q", QueueConditions::default()), locked("q"));
        assert_eq!(owner.unbind("amq.direct", "q"), Ok(()));
    }
    assert_eq!(owner.purge("q"), Ok(()));
    assert_eq!(owner.delete("q", QueueConditions::default()), Ok(()));
}

#[test]
fn a_queue_that_is_declared_exclusive_without_a_connection_has_no_owner() {
    let broker = broker();
    let mut alone = Calls::alone(&broker, "guest");
    assert_eq!(alone.declare("q", "durable exclusive"), Ok(()));
    let queue = alone.caller.vhost().queue("q").unwrap();
    assert_eq!((queue.spec.exclusive_to, queue.spec.durable), (None, false));
    let mut other = Calls::connected(&broker, "guest");
    assert_eq!(other.declare("q", "exclusive"), locked("q"));
    for calls in [&mut alone, &mut other] {
        assert_eq!(calls.declare("q", ""), Ok(()));
        assert_eq!(calls.purge("q"), Ok(()));
    }
    let quorum = || table(&[("x-queue-type", "quorum")]);
    let invalid = |property| {
        refused(format!(
            "PRECONDITION_FAILED - invalid property '{property}' for queue 'qq' in vhost '/'"
        ))
    };
    let how = "durable exclusive";
    assert_eq!(
        alone.declare_with("qq", how, quorum()),
        invalid("non-durable")
    );
    assert_eq!(
        other.declare_with("qq", how, quorum()),
        invalid("exclusive-owner")
    );
}

/// What a user may do with nothing but one permission on one name.
struct Needs<'a> {
    /// The access that the operation needs, to what, and to which name.
    access: Access,
    what: &'a str,
    name: &'a str,
    operation: fn(&mut Calls) -> Outcome,
}

fn needs<'a>(
    access: Access,
    what: &'a str,
    name: &'a str,
    operation: fn(&mut Calls) -> Outcome,
) -> Needs<'a> {
    Needs {
        access,
        what,
        name,
        operation,
    }
}

#[test]
fn each_operation_needs_its_permissions() {
    use Access::{Configure, Read, Write};
    let broker = broker();
    let mut guest = Calls::alone(&broker, "guest");
    assert_eq!(guest.declare("q", ""), Ok(()));
    for name in ["x", "y"] {
        assert_eq!(guest.declare_exchange(name, FieldTable::default()), Ok(()));
    }
    let dead_letters: fn(&mut Calls) -> Outcome =
        |calls| calls.declare_with("new", "", table(&[("x-dead-letter-exchange", "y")]));
    let alternate: fn(&mut Calls) -> Outcome =
        |calls| calls.declare_exchange("new", table(&[("alternate-exchange", "y")]));
    let all = [
        needs(Configure, "queue", "q", |calls| calls.declare("q", "")),
        needs(Configure, "queue", "new", dead_letters),
        needs(Read, "queue", "new", dead_letters),
        needs(Write, "exchange", "y", dead_letters),
        needs(Configure, "exchange", "x", |calls| {
            calls.declare_exchange("x", FieldTable::default())
        }),
        needs(Configure, "exchange", "new", alternate),
        needs(Read, "exchange", "new", alternate),
        needs(Write, "exchange", "y", alternate),
        needs(Write, "queue", "q", |calls| calls.bind("x", "q")),
        needs(Read, "exchange", "x", |calls| calls.bind("x", "q")),
        needs(Write, "queue", "q", |calls| calls.unbind("x", "q")),
        needs(Read, "exchange", "x", |calls| calls.unbind("x", "q")),
        needs(Write, "exchange", "y", |calls| {
            calls.bind_exchange("x", "y")
        }),
        needs(Read, "exchange", "x", |calls| calls.bind_exchange("x", "y")),
        needs(Read, "queue", "q", |calls| calls.purge("q")),
        needs(Read, "queue", "q", |calls| calls.get("q")),
        needs(Write, "exchange", "x", |calls| calls.publish("x")),
        needs(Write, "exchange", "amq.default", |calls| calls.publish("")),
        needs(Configure, "exchange", "new", |calls| {
            calls.delete_exchange("new")
        }),
        needs(Configure, "queue", "new", |calls| {
            calls.delete("new", QueueConditions::default())
        }),
    ];
    for (n, needs) in all.into_iter().enumerate() {
        // Everything but this access to this name.
        let user = format!("user{n}");
        let but = format!("^(?!{}$)", needs.name.replace('.', "\\."));
        let pattern = |access| match access == needs.access {
            true => but.as_str(),
            false => ".*",
        };
        let patterns = [Configure, Write, Read].map(pattern);
        add_user(&broker, &user, &[], patterns);
        let (access, what, name) = (needs.access, needs.what, needs.name);
        let refusal = refused(format!(
            "ACCESS_REFUSED - {access} access to {what} '{name}' in vhost '/' refused for user '{user}'"
        ));
        let mut user = Calls::alone(&broker, &user);
        assert_eq!((needs.operation)(&mut user), refusal);
        assert_eq!((needs.operation)(&mut guest), Ok(()), "{access} {name}");
        for delete in [Calls::delete_exchange, |calls: &mut Calls, name: &str| {
            calls.delete(name, QueueConditions::default())
        }] {
            assert_eq!(delete(&mut guest, "new"), Ok(()));
        }
    }
}

#[test]
fn reserved_names_and_the_default_exchange_are_refused() {
    let mut calls = Calls::alone(&broker(), "guest");
    let refused = |text: &str| refused(format!("ACCESS_REFUSED - {text}"));
    let none = FieldTable::default;
    let default = refused("operation not permitted on the default exchange");
    for outcome in [
        calls.declare_exchange("", none()),
        calls.declare_exchange("\r\n", none()),
        outcome(calls.caller.declare_exchange_passively("")),
        calls.delete_exchange(""),
        calls.bind("", "q"),
        calls.unbind("", "q"),
        calls.bind_exchange("", "amq.direct"),
        calls.bind_exchange("amq.direct", ""),
    ] {
        assert_eq!(outcome, default);
    }
    assert_eq!(
        calls.declare("amq.q", ""),
        refused("queue name 'amq.q' contains reserved prefix 'amq.*'")
    );
    assert_eq!(
        calls.declare_exchange("amq.x", none()),
        refused("exchange name 'amq.x' contains reserved prefix 'amq.*'")
    );
    assert_eq!(
        calls.delete_exchange("amq.direct"),
        refused("deletion of system exchange 'amq.direct' in vhost '/' not allowed")
    );
}

#[test]
fn a_queue_without_a_name_gets_one() {
    let mut calls = Calls::alone(&broker(), "guest");
    for _ in 0..2 {
        assert_eq!(calls.declare("", ""), Ok(()));
    }
    let prefix = table(&[("x-name-prefix", "mine")]);
    assert_eq!(calls.declare_with("", "", prefix), Ok(()));
    let queues = calls.caller.vhost().queues();
    let names: Vec<_> = queues.iter().map(|queue| queue.name().as_str()).collect();
    assert!(names[0].starts_with("amq.gen-"), "{names:?}");
    assert!(names[1].starts_with("amq.gen-"), "{names:?}");
    assert!(names[2].starts_with("mine-"), "{names:?}");
    assert!(queues[2].spec.arguments.inner().is_empty());
    assert_eq!(
        calls.declare_with("", "durable", table(&[("x-queue-type", "stream")])),
        refused(
            "PRECONDITION_FAILED - Cannot declare a server-named queue for type rabbit_stream_queue"
        )
    );
}

#[test]
fn line_ends_are_no_part_of_names() {
    let mut calls = Calls::alone(&broker(), "guest");
    assert_eq!(calls.declare("\rq\n", ""), Ok(()));
    assert_eq!(
        calls.declare_exchange("x\r\n", FieldTable::default()),
        Ok(())
    );
    assert_eq!(calls.bind("\nx", "q\n"), Ok(()));
    let vhost = calls.caller.vhost();
    assert!(vhost.queue("q").is_some());
    assert!(!vhost.exchange("x").unwrap().is_unbound());
}

#[test]
fn types_of_queues_refuse_what_they_do_not_support() {
    let mut calls = Calls::alone(&broker(), "guest");
    for kind in [QueueKind::Quorum, QueueKind::Stream] {
        let kind = match kind {
            QueueKind::Quorum => "quorum",
            _ => "stream",
        };
        let arguments = table(&[("x-queue-type", kind)]);
        assert_eq!(calls.declare_with(kind, "durable", arguments), Ok(()));
    }
    let not = |text: &str| refused(format!("NOT_IMPLEMENTED - {text}"));
    for (if_unused, flag) in [(true, "if-unused"), (false, "if-empty")] {
        let conditions = QueueConditions {
            if_unused,
            if_empty: true,
        };
        let text = format!(
            "cannot delete queue 'quorum' in vhost '/'. queue.delete operations with {flag} flag set are not supported by \
             quorum queues"
        );
        assert_eq!(calls.delete("quorum", conditions), not(&text));
    }
    for (method, outcome) in [
        ("queue.purge", calls.purge("stream")),
        ("basic.get", calls.get("stream")),
    ] {
        let text = format!("{method} not supported by stream queues queue 'stream' in vhost '/'");
        assert_eq!(outcome, not(&text));
    }
    assert_eq!(calls.purge("quorum"), Ok(()));
    assert_eq!(calls.get("quorum"), Ok(()));
    let consume = |queue: &str, has_prefetch, no_ack, has_channel_limit| {
        let subscription = Subscription {
            arguments: &FieldTable::default(),
            no_ack,
            has_prefetch,
            has_channel_limit,
        };
        outcome(
            calls
                .caller
                .queue_to_consume_from(&queue.into(), &subscription),
        )
    };
    assert!(consume("stream", false, true, true).is_err_and(|text| text.contains("prefetch")));
    assert!(consume("stream", true, true, true).is_err_and(|text| text.contains("automatic")));
    assert!(consume("stream", true, false, true).is_err_and(|text| text.contains("global qos")));
    assert!(consume("quorum", false, true, true).is_err_and(|text| text.contains("global qos")));
    assert_eq!(consume("stream", true, false, false), Ok(()));
    assert_eq!(consume("quorum", false, true, false), Ok(()));
}

#[test]
fn only_impersonators_publish_in_the_name_of_others() {
    let broker = broker();
    add_user(&broker, "actor", &["impersonator"], [".*"; 3]);
    let publish = |user: &str, claimed: Option<&str>| {
        let calls = Calls::alone(&broker, user);
        let claimed = claimed.map(str::as_bytes);
        outcome(claimed.map_or(Ok(()), |claimed| calls.caller.check_user_id(claimed)))
    };
    assert_eq!(publish("guest", None), Ok(()));
    assert_eq!(publish("guest", Some("guest")), Ok(()));
    assert_eq!(
        publish("guest", Some("actor")),
        refused(
            "PRECONDITION_FAILED - user_id property set to 'actor' but authenticated user was 'guest'"
        )
    );
    assert_eq!(publish("actor", Some("guest")), Ok(()));
}

#[test]
fn who_may_not_publish_does_not_learn_which_exchanges_exist() {
    let broker = broker();
    let mut guest = Calls::alone(&broker, "guest");
    assert_eq!(
        guest.declare_exchange("internal", FieldTable::default()),
        Ok(())
    );
    assert_eq!(
        guest.publish("internal"),
        refused("ACCESS_REFUSED - cannot publish to internal exchange 'internal' in vhost '/'")
    );
    assert_eq!(
        guest.publish("none"),
        refused("NOT_FOUND - no exchange 'none' in vhost '/'")
    );
    let name = ExchangeName::from("");
    assert!(
        guest
            .caller
            .exchange_to_publish_to(&name)
            .unwrap()
            .exchange
            .is_none()
    );
    add_user(&broker, "stranger", &[], [""; 3]);
    let stranger = Calls::alone(&broker, "stranger");
    for name in ["internal", "none", "amq.default"] {
        assert_eq!(
            stranger.publish(name),
            refused(format!(
                "ACCESS_REFUSED - write access to exchange '{name}' in vhost '/' refused for user 'stranger'"
            ))
        );
    }
}
