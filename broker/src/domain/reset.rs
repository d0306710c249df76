//! Returning a broker to its first state (`rabbitmqctl reset`).

use super::broker::{Broker, change_op};
use super::durable::{self, Definition};
use super::vhost::Vhost;
use crate::engine::queue::Effects;
use leveret_storage::Op;
use std::sync::Arc;

impl Broker {
    /// Deletes everything that is declared or set, and every message. Connections must be closed.
    pub fn reset(&self, fx: &mut Effects) {
        for vhost in self.forget_everything(fx) {
            vhost.clear(fx);
            self.statistics.retire(vhost.statistics.clone());
            fx.perform();
        }
    }

    /// Removes all virtual hosts, users and global parameters in one record, and returns the virtual hosts, which have to
    /// be cleared. Recovery drops what belonged to virtual hosts that do not exist, so a crash leaves everything or nothing.
    fn forget_everything(&self, fx: &mut Effects) -> Vec<Arc<Vhost>> {
        let vhosts = std::mem::take(&mut *self.vhosts.write());
        for user in self.users.users() {
            // Somebody else may have deleted it.
            if let Ok((_, changes)) = self.users.delete_user(&user.name) {
                changes
                    .into_iter()
                    .for_each(|change| fx.store(change_op(change)));
            }
        }
        for parameter in self.global_parameters.take_all() {
            fx.store(Definition::GlobalParameter(parameter).delete());
        }
        for name in vhosts.keys() {
            let key = durable::vhost_key(name.as_str());
            fx.store(Op::DeleteDefinition { key });
        }
        fx.submit();
        vhosts.into_values().collect()
    }

    /// Returns whether it has neither virtual hosts nor users: it is new, or was reset.
    pub fn is_new(&self) -> bool {
        self.vhosts().is_empty() && self.users.users().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::domain::recovery::recover;
    use crate::engine::message::MessageBuilder;
    use crate::engine::queue::QueueSpec;
    use leveret_storage::{Options, Store};

    /// Resets a broker with a queue, perhaps only until the first record is stored, and starts it again.
    fn starts_as_new(interrupted: bool) {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::with_data_dir(dir.path().to_owned());
        let open = || Store::open(Options::new(dir.path().join("store"))).unwrap();
        let broker = recover(&config, open()).unwrap();
        let mut fx = broker.effects(None);
        let id = broker.global_parameters.cluster_id();
        let spec = QueueSpec {
            name: "q".into(),
            durable: true,
            auto_delete: false,
            exclusive_to: None,
            arguments: Default::default(),
        };
        let vhost = broker.vhost("/").unwrap();
        let declared = vhost.declare_queue(spec, None, || broker.next_queue_id(), &mut fx);
        let message = Arc::new(MessageBuilder::new(b"", b"q", &[0, 0], true, 0).finish(false));
        declared
            .unwrap()
            .0
            .publish([(message, None)], false, &mut fx);
        fx.perform();
        match interrupted {
            true => drop(broker.forget_everything(&mut fx)),
            false => broker.reset(&mut fx),
        }
        broker.store.as_ref().unwrap().close().unwrap();
        drop((fx, vhost, broker));
        for _ in 0..2 {
            let broker = recover(&config, open()).unwrap();
            assert_ne!(broker.global_parameters.cluster_id(), id);
            assert_eq!(broker.users.users().len(), 1);
            assert!(broker.vhost("/").unwrap().queues().is_empty());
            broker.store.as_ref().unwrap().close().unwrap();
        }
    }

    #[test]
    fn a_reset_broker_starts_as_new() {
        starts_as_new(false);
    }

    #[test]
    fn a_crash_in_the_middle_of_a_reset_leaves_nothing() {
        starts_as_new(true);
    }
}
