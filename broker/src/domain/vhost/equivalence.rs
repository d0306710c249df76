//! Whether a redeclaration is equivalent (spec 1.7.2.1.4, RabbitMQ: "Queue Declaration and Property
//! Equivalence").

use crate::engine::queue::QueueKind;
use leveret_protocol::texts::{self, Entity};
use leveret_protocol::values::{AMQPValue, FieldTable};
use leveret_protocol::{AmqpError, VhostName, table};

pub(super) fn same_properties(
    properties: &[(&str, bool, bool)],
    entity: Entity<'_>,
    vhost: &VhostName,
) -> Result<(), AmqpError> {
    match properties
        .iter()
        .find(|(_, wanted, current)| wanted != current)
    {
        Some((name, wanted, current)) => Err(texts::inequivalent_property(
            name, entity, vhost, wanted, current,
        )),
        None => Ok(()),
    }
}

pub(super) fn same_argument(
    name: &str,
    wanted: Option<&AMQPValue>,
    current: Option<&AMQPValue>,
    entity: Entity<'_>,
    vhost: &VhostName,
) -> Result<(), AmqpError> {
    let same = match (wanted, current) {
        (Some(wanted), Some(current)) => table::equivalent(wanted, current),
        (None, None) => true,
        _ => false,
    };
    if same {
        return Ok(());
    }
    Err(texts::inequivalent_argument(
        name, entity, vhost, wanted, current,
    ))
}

/// The arguments that a redeclaration has to repeat, in RabbitMQ's order
/// (`rabbit_classic_queue:capabilities`).
const COMPARED_FOR_CLASSIC: [&str; 17] = [
    "x-expires",
    "x-message-ttl",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-priority",
    "x-overflow",
    "x-queue-mode",
    "x-queue-version",
    "x-single-active-consumer",
    "x-queue-type",
    "x-queue-master-locator",
    "x-queue-leader-locator",
    "x-delayed-retry-type",
    "x-delayed-retry-min",
    "x-delayed-retry-max",
];

/// The same for quorum queues and streams (`rabbit_quorum_queue:capabilities`,
/// `rabbit_stream_queue:capabilities`).
const COMPARED_FOR_QUORUM_AND_STREAM: [&str; 23] = [
    "x-expires",
    "x-message-ttl",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-in-memory-length",
    "x-max-in-memory-bytes",
    "x-overflow",
    "x-single-active-consumer",
    "x-queue-type",
    "x-quorum-initial-group-size",
    "x-delivery-limit",
    "x-queue-leader-locator",
    "x-consumer-disconnected-timeout",
    "x-delayed-retry-type",
    "x-delayed-retry-min",
    "x-delayed-retry-max",
    "x-max-age",
    "x-stream-max-segment-size-bytes",
    "x-initial-cluster-size",
    "x-stream-filter-size-bytes",
];

/// What RabbitMQ 4.3 also compares for quorum queues.
const ALSO_COMPARED_FOR_QUORUM: [&str; 1] = ["x-consumer-timeout"];

/// Treats an explicit `x-queue-type` of classic as absent, because that is the default.
fn or_classic<'a>(name: &str, value: Option<&'a AMQPValue>) -> Option<&'a AMQPValue> {
    let says_classic =
        matches!(value, Some(AMQPValue::LongString(text)) if text.as_bytes() == b"classic");
    value.filter(|_| name != "x-queue-type" || !says_classic)
}

pub(super) fn same_arguments(
    wanted: &FieldTable,
    current: &FieldTable,
    entity: Entity<'_>,
    vhost: &VhostName,
) -> Result<(), AmqpError> {
    let (names, more) = match QueueKind::of(current) {
        QueueKind::Classic => (COMPARED_FOR_CLASSIC.as_slice(), [].as_slice()),
        QueueKind::Quorum => (
            COMPARED_FOR_QUORUM_AND_STREAM.as_slice(),
            ALSO_COMPARED_FOR_QUORUM.as_slice(),
        ),
        QueueKind::Stream => (COMPARED_FOR_QUORUM_AND_STREAM.as_slice(), [].as_slice()),
    };
    for name in names.iter().chain(more) {
        let name = *name;
        let wanted = or_classic(name, wanted.inner().get(name));
        let current = or_classic(name, current.inner().get(name));
        same_argument(name, wanted, current, entity, vhost)?;
    }
    Ok(())
}
