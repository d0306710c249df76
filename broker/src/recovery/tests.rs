use super::*;
use crate::queue::{Effects, QueueSpec};
use leveret_protocol::values::FieldTable;
use leveret_storage::{Batch, Options};

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
    let user_limits = crate::limits::UserLimits::parse(r#"{"max-channels": 4}"#).unwrap();
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
    assert_eq!(vhost.spec.description, "Default virtual host");
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
        let connection = crate::server::ConnectionId(1);
        let new_id = || broker.next_queue_id();
        vhost
            .declare_queue(spec.clone(), connection, new_id, fx)
            .unwrap()
    };
    // Never performed: whoever declared it was held up right after it had become visible.
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
