//! Publishers while an alarm is in force (RabbitMQ: "Blocked Connection Notifications").
//!
//! A connection is blocked by the next content frame it sends, not by the alarm itself, so one
//! that only consumes goes on. As in RabbitMQ the frame still counts but nothing after it is
//! read, the body of that message and acknowledgements included, until all alarms are over.

use super::{Connection, Phase};
use leveret_protocol::ChannelId;
use leveret_protocol::classes::{AMQPClass, connection};

impl Connection {
    /// Whether nothing is read because an alarm is in force. One that is being closed is read, for
    /// the end of the closing.
    pub fn is_blocked(&self) -> bool {
        self.blocked && self.phase == Phase::Running
    }

    /// A content header or body frame came.
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

    /// An alarm was cleared. Another may be in force by now; its end will be told, too.
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
