//! Single values of a queue's row, without the rest of it: to sort very many queues by one of them.

use super::contents::{QueueContents, QueueTotals};
use super::rates::Rates;
use crate::domain::broker::Broker;
use crate::engine::queue::Queue;
use crate::manage::policies;
use crate::manage::statistics::{self, Columns, Range};
use crate::text::names::NODE_NAME;
use serde_json::Value;

/// Returns the value at a path of the row that [`Queue`](super::Queue) with its counters is written as; `None` if that
/// takes the whole row. What is missing sorts as 0.
pub fn queue_key(broker: &Broker, queue: &Queue, rates: &Rates, path: &[&str]) -> Option<Value> {
    match path {
        [key] => declared(queue, key).or_else(|| held(queue, key)),
        ["message_stats", counter] => {
            // Without statistics there is no such object.
            let stats = queue.stats();
            let mut counters = stats.iter().filter(|(name, _)| Columns::QUEUE.has(name));
            let found = match *counter {
                "deliver_get" => Some(stats.deliver_get()),
                wanted => counters.find(|(name, _)| *name == wanted).map(|it| it.1),
            };
            found.map(Value::from)
        }
        ["message_stats", details, "rate"] if queue.stats().is_zero() => {
            details.ends_with("_details").then(|| 0.into())
        }
        ["message_stats", details, "rate"] => moves(broker, queue, rates.ranges.msg_rates, details),
        [details, "rate"] => moves(broker, queue, rates.ranges.lengths, details)
            .filter(|_| details.starts_with("messages")),
        _ => None,
    }
}

/// Returns the rate of a counter by the name of its details.
fn moves(broker: &Broker, queue: &Queue, range: Option<Range>, details: &str) -> Option<Value> {
    let counter = details.strip_suffix("_details")?;
    if !Columns::QUEUE.has(counter) && counter != "deliver_get" {
        return None;
    }
    let columns = &Columns::QUEUE;
    let [rate] = statistics::rates(
        &broker.statistics,
        &queue.tracked,
        columns,
        range,
        [counter],
    );
    Some(rate.into())
}

fn declared(queue: &Queue, key: &str) -> Option<Value> {
    let spec = &queue.spec;
    Some(match key {
        "name" => queue.name().as_str().into(),
        "vhost" => queue.vhost.as_str().into(),
        "type" => spec.kind().as_str().into(),
        "durable" => spec.durable.into(),
        "auto_delete" => spec.auto_delete.into(),
        "exclusive" => spec.exclusive_to.is_some().into(),
        "node" => NODE_NAME.into(),
        "state" => "running".into(),
        "policy" => policies::name(queue.policy()).into(),
        "operator_policy" => policies::operator_name(queue.policy()).into(),
        _ => return None,
    })
}

fn held(queue: &Queue, key: &str) -> Option<Value> {
    let of_totals = |value: fn(QueueTotals) -> u64| value(QueueTotals::of(&queue.counts()));
    let of_contents = |value: fn(QueueContents) -> u64| value(QueueContents::of(&queue.sums()));
    let value = match key {
        "messages" => of_totals(|it| it.messages),
        "messages_ready" => of_totals(|it| it.messages_ready),
        "messages_unacknowledged" => of_totals(|it| it.messages_unacknowledged),
        "consumers" => of_contents(|it| it.consumers),
        "memory" => of_contents(|it| it.memory),
        "messages_persistent" => of_contents(|it| it.messages_persistent),
        "messages_ram" => of_contents(|it| it.messages_ram),
        "messages_paged_out" => of_contents(|it| it.messages_paged_out),
        "message_bytes" => of_contents(|it| it.message_bytes),
        "message_bytes_ready" => of_contents(|it| it.message_bytes_ready),
        "message_bytes_unacknowledged" => of_contents(|it| it.message_bytes_unacknowledged),
        "message_bytes_persistent" => of_contents(|it| it.message_bytes_persistent),
        "message_bytes_ram" => of_contents(|it| it.message_bytes_ram),
        "message_bytes_paged_out" => of_contents(|it| it.message_bytes_paged_out),
        _ => return None,
    };
    Some(value.into())
}

#[cfg(test)]
mod tests {
    use super::super::{Counted, Queue as Described};
    use super::*;
    use crate::config::Limits;
    use crate::domain::broker::DEFAULT_VHOST;
    use crate::domain::vhost::spec::VhostSpec;
    use crate::engine::message::MessageBuilder;
    use crate::engine::queue::QueueSpec;
    use crate::manage::statistics::{Ranges, Rounding};
    use leveret_protocol::values::FieldTable;
    use std::sync::Arc;

    /// Returns the paths to all values in a row.
    fn paths(value: &Value, above: &[String], found: &mut Vec<Vec<String>>) {
        let Value::Object(fields) = value else { return };
        for (name, value) in fields {
            let path = [above, std::slice::from_ref(name)].concat();
            paths(value, &path, found);
            found.push(path);
        }
    }

    fn check(broker: &Broker, queue: &Arc<Queue>, rates: &Rates) -> usize {
        let row = Counted {
            object: Described::of(broker, queue),
            counters: rates.of_queue(broker, queue),
        };
        let row = serde_json::to_value(row).unwrap();
        let mut all = Vec::new();
        paths(&row, &[], &mut all);
        let mut known = 0;
        for path in all {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let value = path.iter().fold(&row, |value, key| &value[*key]);
            if let Some(key) = queue_key(broker, queue, rates, &path) {
                assert_eq!(key, *value, "{path:?}");
                known += 1;
            }
        }
        known
    }

    #[test]
    fn every_value_is_the_one_in_the_row() {
        let broker = Broker::new(Limits::default(), Vec::new(), None);
        let mut fx = broker.effects(None);
        broker.add_vhost(VhostSpec::named(DEFAULT_VHOST), &mut fx);
        let spec = QueueSpec {
            name: "q".into(),
            durable: true,
            auto_delete: false,
            exclusive_to: None,
            arguments: FieldTable::default(),
        };
        let vhost = broker.vhost(DEFAULT_VHOST).unwrap();
        let declared = vhost.declare_queue(spec, None, || broker.next_queue_id(), &mut fx);
        let queue = declared.unwrap().0;
        let parameter = |name: &str| match name {
            "lengths_age" => Some("60"),
            "lengths_incr" => Some("5"),
            _ => None,
        };
        let ranges = Ranges::of_query(parameter, 1_000_000, Rounding::Up).unwrap();
        let all = [Ranges::default(), ranges].map(|ranges| Rates { ranges });
        for rates in &all {
            assert!(check(&broker, &queue, rates) > 20);
            let absent = ["message_stats", "publish_details", "rate"];
            assert_eq!(queue_key(&broker, &queue, rates, &absent), Some(0.into()));
        }
        for _ in 0..3 {
            let message = MessageBuilder::new(b"", b"q", &[0, 0], true, 0).finish(true);
            queue.publish([(Arc::new(message), None)], false, &mut fx);
        }
        queue.get(false, &mut fx);
        for rates in &all {
            assert!(check(&broker, &queue, rates) > 40);
        }
    }
}
