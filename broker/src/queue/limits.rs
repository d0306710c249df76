//! How much may be ready in a queue: `x-max-length`, `x-max-length-bytes` and what `x-overflow`
//! does beyond (RabbitMQ: "Queue Length Limit"). Only ready messages count, and only the octets of
//! their bodies.

use super::ready::Ready;
use crate::message::Message;
use leveret_protocol::table;
use leveret_protocol::values::{AMQPValue, FieldTable};

/// The limits of one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Messages; no limit is the largest number.
    messages: u64,
    /// Octets of bodies; no limit is the largest number.
    octets: u64,
    overflow: Overflow,
}

/// What gives way when a queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overflow {
    /// The oldest messages.
    DropHead,
    /// The message that comes.
    RejectPublish,
}

impl Limits {
    /// The limits that queue.declare's arguments set; `None` when they set none.
    pub fn of(arguments: &FieldTable) -> Option<Limits> {
        let number = |name: &str| {
            let value = table::as_integer(arguments.inner().get(name)?)?;
            u64::try_from(value).ok()
        };
        let (messages, octets) = (number("x-max-length"), number("x-max-length-bytes"));
        if messages.is_none() && octets.is_none() {
            return None;
        }
        let overflow = match arguments.inner().get("x-overflow") {
            Some(AMQPValue::LongString(text)) if text.as_bytes().starts_with(b"reject-publish") => {
                Overflow::RejectPublish
            }
            _ => Overflow::DropHead,
        };
        Some(Limits {
            messages: messages.unwrap_or(u64::MAX),
            octets: octets.unwrap_or(u64::MAX),
            overflow,
        })
    }

    /// Whether a message is turned away: it would be one too many, even where a consumer waits for
    /// it (`rabbit_amqqueue_process:will_overflow`).
    pub fn refuse(&self, message: &Message, ready: &Ready) -> bool {
        let octets = message.body().len() as u64;
        self.overflow == Overflow::RejectPublish
            && self.exceeded(ready.len() as u64 + 1, ready.bytes() + octets)
    }

    /// Whether the head of the queue has to go.
    pub fn drop_head(&self, ready: &Ready) -> bool {
        self.overflow == Overflow::DropHead && self.exceeded(ready.len() as u64, ready.bytes())
    }

    fn exceeded(&self, messages: u64, octets: u64) -> bool {
        messages > self.messages || octets > self.octets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(pairs: &[(&str, AMQPValue)]) -> FieldTable {
        let mut table = FieldTable::default();
        for (name, value) in pairs {
            table.insert((*name).into(), value.clone());
        }
        table
    }

    #[test]
    fn a_queue_without_a_limit_has_none_whatever_it_does_on_overflow() {
        let overflow = AMQPValue::LongString("reject-publish".into());
        assert_eq!(Limits::of(&arguments(&[("x-overflow", overflow)])), None);
    }

    #[test]
    fn what_is_not_set_does_not_limit() {
        let overflow = AMQPValue::LongString("reject-publish-dlx".into());
        let set = [
            ("x-max-length-bytes", AMQPValue::LongInt(7)),
            ("x-overflow", overflow),
        ];
        assert_eq!(
            Limits::of(&arguments(&set)),
            Some(Limits {
                messages: u64::MAX,
                octets: 7,
                overflow: Overflow::RejectPublish
            })
        );
        let set = [("x-max-length", AMQPValue::ShortShortUInt(0))];
        assert_eq!(
            Limits::of(&arguments(&set)),
            Some(Limits {
                messages: 0,
                octets: u64::MAX,
                overflow: Overflow::DropHead
            })
        );
    }
}
