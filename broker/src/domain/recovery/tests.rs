use super::*;
use crate::domain::broker::DEFAULT_VHOST;
use crate::domain::vhost::spec::{VhostDeletionError, VhostUpdate};
use crate::engine::interfaces::Timed;
use crate::engine::message::MessageBuilder;
use crate::engine::queue::{Effects, Entry, Queue, QueueKind, QueueSpec, Return};
use leveret_protocol::values::{AMQPValue, FieldTable};
use leveret_storage::{Batch, Op, Options};

#[test]
fn an_object_without_its_virtual_host_is_dropped_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config::with_data_dir(dir.path().to_owned());
    let open = || Store::open(Options::new(dir.path().join("store"))).unwrap();
    let broker = recover(&config, open()).unwrap();
    let stray = Definition::Queue {
        vhost: "gone".to_owned(),
        name: "q".to_owned(),
        id: 7,
        auto_delete: false,
        arguments: FieldTable::default(),
    };
    let store = broker.store.clone().unwrap();
    store.submit(Batch {
        ops: vec![stray.put()],
        sink: None,
    });
    store.close().unwrap();
    drop((broker, store));
    let again = recover(&config, open()).unwrap();
    assert!(again.vhost("gone").is_none());
    again.store.as_ref().unwrap().close().unwrap();
    drop(again);
    let definitions = open().definitions;
    assert!(definitions.iter().all(|(key, _)| *key != stray.key()));
    assert!(!definitions.is_empty());
}

#[test]
fn limits_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config::with_data_dir(dir.path().to_owned());
    let open = || Store::open(Options::new(dir.path().join("store"))).unwrap();
    let broker = recover(&config, open()).unwrap();
    let vhost_limits = VhostLimits::parse(r#"{"max-queues": 3}"#).unwrap();
    let user_limits = crate::domain::limits::UserLimits::parse(r#"{"max-channels": 4}"#).unwrap();
    let mut fx = broker.effects(None);
    assert!(broker.set_vhost_limits(DEFAULT_VHOST, Some(vhost_limits), &mut fx));
    let change = broker.users.change_limits("guest", |_| user_limits);
    broker.store_change(change.unwrap(), &mut fx);
    fx.perform();
    broker.store.as_ref().unwrap().close().unwrap();
    drop((fx, broker));
    let broker = recover(&config, open()).unwrap();
    let vhost = broker.vhost(DEFAULT_VHOST).unwrap();
    assert_eq!(vhost.limits(), Some(vhost_limits));
    assert_eq!(vhost.metadata().description, "Default virtual host");
    assert_eq!(broker.users.limits("guest"), user_limits);
    let mut fx = broker.effects(None);
    assert!(broker.set_vhost_limits(DEFAULT_VHOST, None, &mut fx));
    assert!(!broker.set_vhost_limits("nowhere", None, &mut fx));
    broker.store.as_ref().unwrap().close().unwrap();
    drop((fx, vhost, broker));
    let broker = recover(&config, open()).unwrap();
    assert_eq!(broker.vhost(DEFAULT_VHOST).unwrap().limits(), None);
}

#[test]
fn topic_permissions_and_metadata_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config::with_data_dir(dir.path().to_owned());
    let open = || Store::open(Options::new(dir.path().join("store"))).unwrap();
    let broker = recover(&config, open()).unwrap();
    let mut fx = broker.effects(None);
    let permission = |user: &str, exchange: &str| TopicPermission {
        user: user.to_owned(),
        vhost: DEFAULT_VHOST.to_owned(),
        exchange: exchange.to_owned(),
        write: "^a".to_owned(),
        read: "^b".to_owned(),
    };
    for exchange in ["x", "y"] {
        let change = broker
            .users
            .set_topic_permission(permission("guest", exchange));
        broker.store_change(change.unwrap(), &mut fx);
    }
    let cleared = broker
        .users
        .clear_topic_permissions("guest", DEFAULT_VHOST, Some("y"));
    for change in cleared.unwrap() {
        broker.store_change(change, &mut fx);
    }
    // The user was deleted at the moment of a crash.
    fx.store(Definition::TopicPermission(permission("gone", "x")).put());
    let update = VhostUpdate {
        tags: Some(vec!["t".to_owned()]),
        default_queue_type: Some(QueueKind::Quorum),
        protected_from_deletion: Some(true),
        ..VhostUpdate::default()
    };
    assert!(broker.update_vhost(DEFAULT_VHOST, update.clone(), &mut fx));
    assert!(!broker.update_vhost("nowhere", update, &mut fx));
    fx.perform();
    let before = broker.vhost(DEFAULT_VHOST).unwrap().metadata();
    broker.store.as_ref().unwrap().close().unwrap();
    drop((fx, broker));
    let broker = recover(&config, open()).unwrap();
    let permissions = broker.users.topic_permissions(None, None).unwrap();
    assert_eq!(permissions, [permission("guest", "x")]);
    assert_eq!(broker.vhost(DEFAULT_VHOST).unwrap().metadata(), before);
    assert_eq!(before.description, "Default virtual host");
    let mut fx = broker.effects(None);
    let deleted = broker.delete_vhost(DEFAULT_VHOST, &mut fx);
    assert_eq!(deleted, Err(VhostDeletionError::Protected));
    let update = VhostUpdate {
        protected_from_deletion: Some(false),
        ..VhostUpdate::default()
    };
    assert!(broker.update_vhost(DEFAULT_VHOST, update, &mut fx));
    assert_eq!(broker.delete_vhost(DEFAULT_VHOST, &mut fx), Ok(()));
    let again = broker.delete_vhost(DEFAULT_VHOST, &mut fx);
    assert_eq!(again, Err(VhostDeletionError::NoSuchVhost));
    fx.perform();
    broker.store.as_ref().unwrap().close().unwrap();
    drop((fx, broker));
    let broker = recover(&config, open()).unwrap();
    assert!(broker.vhosts().is_empty());
    assert!(
        broker
            .users
            .topic_permissions(None, None)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_definition_that_does_not_decode_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config::with_data_dir(dir.path().to_owned());
    let open = || Store::open(Options::new(dir.path().join("store"))).unwrap();
    let broker = recover(&config, open()).unwrap();
    let store = broker.store.clone().unwrap();
    let key = crate::domain::durable::permission_key("/", "hare");
    let value = b"\x01{\"permission\":{\"user\":5}}"[..].into();
    store.submit(Batch {
        ops: vec![Op::PutDefinition { key, value }],
        sink: None,
    });
    store.close().unwrap();
    drop((broker, store));
    let error = recover(&config, open()).err().unwrap().to_string();
    assert!(
        error.starts_with("cannot decode stored permission '/' 'hare': "),
        "{error}"
    );
}

#[test]
fn a_declaration_reaches_the_store_before_anybody_can_find_it() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config::with_data_dir(dir.path().to_owned());
    let open = || Store::open(Options::new(dir.path().join("store"))).unwrap();
    let broker = recover(&config, open()).unwrap();
    let vhost = broker.vhost(DEFAULT_VHOST).unwrap();
    let spec = QueueSpec {
        name: "q".into(),
        durable: true,
        auto_delete: false,
        exclusive_to: None,
        arguments: FieldTable::default(),
    };
    let declared = |fx: &mut Effects| {
        let new_id = || broker.next_queue_id();
        vhost.declare_queue(spec.clone(), None, new_id, fx).unwrap()
    };
    // Never performed: the declaring connection was suspended right after the queue had become visible.
    let mut held_up = broker.effects(None);
    assert!(declared(&mut held_up).1);
    let mut second = broker.effects(None);
    assert!(!declared(&mut second).1);
    broker.store.as_ref().unwrap().close().unwrap();
    drop((held_up, second));
    let key = {
        let queue = vhost.queue("q").unwrap();
        Definition::queue(&queue).key()
    };
    drop((vhost, broker));
    assert!(open().definitions.iter().any(|(stored, _)| *stored == key));
}

/// Declares a queue of this type whose returned messages wait an hour.
fn queue_with_retries(broker: &Broker, kind: &str, fx: &mut Effects) -> Arc<Queue> {
    let mut arguments = FieldTable::default();
    for (name, value) in [
        ("x-queue-type", AMQPValue::LongString(kind.into())),
        ("x-delayed-retry-type", AMQPValue::LongString("all".into())),
        ("x-delayed-retry-min", AMQPValue::LongInt(3_600_000)),
    ] {
        arguments.insert(name.into(), value);
    }
    let spec = QueueSpec {
        name: kind.into(),
        durable: true,
        auto_delete: false,
        exclusive_to: None,
        arguments,
    };
    let vhost = broker.vhost(DEFAULT_VHOST).unwrap();
    let new_id = || broker.next_queue_id();
    vhost.declare_queue(spec, None, new_id, fx).unwrap().0
}

/// Publishes many pages of messages of 1000 bytes, every third with another priority.
fn publish_pages_of(queue: &Arc<Queue>, fx: &mut Effects) {
    for number in 0..1200_u64 {
        let priority = if number % 3 == 0 { 9 } else { 4 };
        let properties = [1 << 4 | 1 << 3, 0, 2, priority];
        let mut builder = MessageBuilder::new(b"", b"", &properties, true, 1000);
        builder.push(&[0; 1000]).unwrap();
        let message = Arc::new(builder.finish(true));
        queue.publish([(message, None)], false, fx);
    }
}

fn messages_wait_over_a_restart(kind: &str) {
    let dir = tempfile::tempdir().unwrap();
    let config = Config::with_data_dir(dir.path().to_owned());
    let open = || Store::open(Options::new(dir.path().join("store"))).unwrap();
    let broker = recover(&config, open()).unwrap();
    let mut fx = broker.effects(None);
    let queue = queue_with_retries(&broker, kind, &mut fx);
    publish_pages_of(&queue, &mut fx);
    fx.perform();
    // All are delivered; every seventh waits for a retry, the others are settled, except the last hundred.
    let mut waiting = Vec::new();
    while let Some((entry, _)) = queue.get(false, &mut fx) {
        let (place, priority) = (entry.position.0, entry.message.priority());
        let how = match (place % 7, place) {
            (0, _) => Return::Failed,
            (_, 1100..) => Return::Unseen,
            _ => {
                queue.settle([&entry], [], &mut fx);
                continue;
            }
        };
        waiting.push((entry, how, priority));
    }
    let expected: Vec<u64> = waiting.iter().map(|(e, ..)| e.position.0).collect();
    let waiting_places =
        |(entry, how, _): &(Entry, Return, _)| (*how == Return::Failed).then_some(entry.position.0);
    let waits: Vec<u64> = waiting.iter().filter_map(waiting_places).collect();
    queue.requeue(waiting.into_iter().map(|(e, how, _)| (e, how)), &mut fx);
    let counts = queue.counts();
    assert_eq!(counts.waiting.messages, waits.len() as u64);
    assert_eq!(
        counts.ready + counts.waiting.messages,
        expected.len() as u64
    );
    fx.perform();
    broker.store.as_ref().unwrap().close().unwrap();
    drop((fx, queue, broker));

    let broker = recover(&config, open()).unwrap();
    let queue = broker.vhost(DEFAULT_VHOST).unwrap().queue(kind).unwrap();
    let again = queue.counts();
    let numbers =
        |c: &crate::engine::queue::Counts| (c.ready, c.waiting, c.persistent, c.persistent_bytes);
    assert_eq!(numbers(&again), numbers(&counts));
    let mut fx = broker.effects(None);
    let mut found = Vec::new();
    while let Some((entry, _)) = queue.get(true, &mut fx) {
        assert!(!waits.contains(&entry.position.0), "it waits");
        assert!(entry.returns().is_zero());
        found.push(entry.position.0);
    }
    assert_eq!(found.len() as u64, counts.ready);
    assert_eq!(queue.counts().ready, 0);
    assert_eq!(queue.counts().waiting, counts.waiting);
    let later = std::time::Instant::now() + std::time::Duration::from_secs(3601);
    let next = queue.clone().on_time(&broker, later, &mut fx);
    assert!(next.is_none(), "nothing is left to wait for");
    assert_eq!(queue.counts().waiting.messages, 0);
    let mut found = Vec::new();
    while let Some((entry, _)) = queue.get(true, &mut fx) {
        assert_eq!((entry.returns().failed, entry.redelivered()), (1, true));
        found.push(entry.position.0);
    }
    // In the order of their priorities, if any, and of their positions.
    let mut expected = waits;
    if kind == "classic" {
        expected.sort_unstable();
    }
    assert_eq!(found, expected);
    fx.perform();
    broker.store.as_ref().unwrap().close().unwrap();
    drop((fx, queue, broker));
    let counts = open().definitions.into_iter();
    assert_eq!(counts.filter(|(key, _)| key[0] == b'c').count(), 0);
}

#[test]
fn what_waited_over_a_restart_stands_where_it_stood() {
    for (kind, waiting) in [("quorum", 1), ("classic", 1), ("classic", 3), ("quorum", 6)] {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::with_data_dir(dir.path().to_owned());
        let open = || Store::open(Options::new(dir.path().join("store"))).unwrap();
        let broker = recover(&config, open()).unwrap();
        let mut fx = broker.effects(None);
        let queue = queue_with_retries(&broker, kind, &mut fx);
        let publish = |fx: &mut _| {
            let message = MessageBuilder::new(b"", b"", &[1 << 4, 0, 2], true, 0).finish(true);
            queue.publish([(Arc::new(message), None)], false, fx);
        };
        (0..6).for_each(|_| publish(&mut fx));
        let taken = || queue.get(false, &mut broker.effects(None)).unwrap().0;
        let back: Vec<_> = (0..waiting).map(|_| (taken(), Return::Failed)).collect();
        queue.requeue(back, &mut fx);
        publish(&mut fx);
        fx.perform();
        broker.store.as_ref().unwrap().close().unwrap();
        drop((fx, queue, broker));

        let broker = recover(&config, open()).unwrap();
        let queue = broker.vhost(DEFAULT_VHOST).unwrap().queue(kind).unwrap();
        let mut fx = broker.effects(None);
        // The first messages are in memory before the others are due.
        queue.declared(&mut fx);
        let later = std::time::Instant::now() + std::time::Duration::from_secs(3601);
        queue.clone().on_time(&broker, later, &mut fx);
        let next = || Some(queue.get(true, &mut broker.effects(None))?.0.position.0);
        let found: Vec<u64> = std::iter::from_fn(next).collect();
        assert!(
            found.is_sorted() && found.len() == 7,
            "{kind} {waiting}: {found:?}"
        );
        fx.perform();
        broker.store.as_ref().unwrap().close().unwrap();
    }
}

#[test]
fn messages_of_a_quorum_queue_wait_over_a_restart() {
    messages_wait_over_a_restart("quorum");
}

#[test]
fn messages_of_a_classic_queue_wait_over_a_restart() {
    messages_wait_over_a_restart("classic");
}
