//! What an operator does while clients are busy.

use super::methods::VHOSTS;
use super::turns::Operation;
use super::world::World;
use crate::config::{DiskFreeLimit, MemoryWatermark};
use crate::domain::auth::Permission;
use crate::domain::vhost::spec::VhostSpec;
use crate::plumbing::alarms::Reading;
use crate::plumbing::mailbox::Order;

impl World {
    pub(super) fn add_other_vhost(&self) {
        let mut fx = self.broker.effects(None);
        self.broker.add_vhost(VhostSpec::named(VHOSTS[1]), &mut fx);
        fx.perform();
        self.permit(VHOSTS[1], ".*");
    }

    fn permit(&self, vhost: &str, pattern: &str) {
        let permission = Permission {
            user: "guest".to_owned(),
            vhost: vhost.to_owned(),
            configure: pattern.to_owned(),
            write: pattern.to_owned(),
            read: pattern.to_owned(),
        };
        self.broker.users.set_permissions(permission).unwrap();
    }

    pub(super) fn operate(&mut self, operation: Operation) {
        match operation {
            Operation::Close(peer) => {
                let id = self.peers[peer].id();
                assert!(self.broker.connections.close(id, "enough"));
            }
            Operation::Report(peer) => {
                let (answer, mut report) = tokio::sync::oneshot::channel();
                self.peers[peer].mailbox.order(Order::Report(answer));
                self.settle_down();
                report.try_recv().expect("whoever asks is answered");
            }
            Operation::Permit(pattern) => self.permit(VHOSTS[0], pattern),
            Operation::EndQueue(name) => {
                let vhost = self.broker.vhost(VHOSTS[0]).unwrap();
                if let Some(queue) = vhost.queue(name) {
                    let mut fx = self.broker.effects(None);
                    vhost.end_queue(&queue, &mut fx);
                    fx.perform();
                }
            }
            Operation::Alarm(memory, disk) => self.alarm(memory, disk),
            Operation::RenewVhost => {
                let mut fx = self.broker.effects(None);
                self.broker.delete_vhost(VHOSTS[1], &mut fx).unwrap();
                fx.perform();
                self.add_other_vhost();
            }
        }
    }

    pub(super) fn alarm(&self, memory: bool, disk: bool) {
        let alarms = &self.broker.alarms;
        // So much that what peers may hold is enough for all that they do here.
        let mark = 1 << 30;
        alarms.set_limits(MemoryWatermark::Absolute(mark), DiskFreeLimit::Absolute(10));
        let change = alarms.update(Reading {
            memory: if memory { mark + 1 } else { 0 },
            total_memory: 2 * mark,
            disk_free: Some(if disk { 9 } else { 10 }),
        });
        if !change.cleared.is_empty() {
            self.broker.connections.unblock();
        }
    }
}
