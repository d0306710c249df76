//! Publishers while an alarm is in force (RabbitMQ: "Blocked Connection Notifications").
//!
//! A connection is blocked by the next content frame it sends, not by the alarm itself, so one that
//! only consumes goes on. As in RabbitMQ that frame still counts, but nothing after it is read,
//! including the rest of that message and acknowledgements, until all alarms are cleared.

use super::{Connection, Phase};
use leveret_protocol::ChannelId;
use leveret_protocol::classes::{AMQPClass, connection};

impl Connection {
    /// Returns whether an alarm keeps the connection from being read. A closing connection is read,
    /// to complete the handshake.
    pub fn is_blocked(&self) -> bool {
        self.blocked && self.phase == Phase::Running
    }

    /// Blocks the connection if an alarm is in force: a content frame arrived.
    pub(super) fn content_came(&mut self) {
        if self.alarms.is_empty() || self.blocked {
            return;
        }
        self.blocked = true;
        self.info.set_blocked(true);
        if self.wants_blocked_notice {
            let blocked = connection::Blocked {
                reason: self.alarms.to_string().as_str().into(),
            };
            self.reply(
                ChannelId::CONNECTION,
                AMQPClass::Connection(connection::AMQPMethod::Blocked(blocked)),
            );
        }
    }

    /// Unblocks the connection after an alarm was cleared. If another was raised meanwhile, its end
    /// is announced, too.
    pub(super) fn alarm_cleared(&mut self) {
        self.alarms = self.broker.alarms.in_force();
        if !self.blocked || !self.alarms.is_empty() {
            return;
        }
        self.blocked = false;
        self.info.set_blocked(false);
        if self.wants_blocked_notice && self.phase == Phase::Running {
            let unblocked = connection::Unblocked {};
            self.reply(
                ChannelId::CONNECTION,
                AMQPClass::Connection(connection::AMQPMethod::Unblocked(unblocked)),
            );
        }
    }
}
