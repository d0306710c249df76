//! Whether a redeclaration is the same (spec 1.7.2.1.4, RabbitMQ: "Queue Declaration and Property
//! Equivalence").

use leveret_protocol::texts::{self, Entity};
use leveret_protocol::values::FieldTable;
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
    wanted: Option<&leveret_protocol::values::AMQPValue>,
    current: Option<&leveret_protocol::values::AMQPValue>,
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

/// The arguments that a redeclaration has to repeat (`rabbit_amqqueue:args_equivalence`).
const COMPARED_ARGUMENTS: [&str; 15] = [
    "x-expires",
    "x-message-ttl",
    "x-max-age",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-in-memory-length",
    "x-max-in-memory-bytes",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-max-priority",
    "x-overflow",
    "x-queue-mode",
    "x-single-active-consumer",
    "x-queue-type",
];

pub(super) fn same_arguments(
    wanted: &FieldTable,
    current: &FieldTable,
    entity: Entity<'_>,
    vhost: &VhostName,
) -> Result<(), AmqpError> {
    for name in COMPARED_ARGUMENTS {
        let (wanted, current) = (wanted.inner().get(name), current.inner().get(name));
        same_argument(name, wanted, current, entity, vhost)?;
    }
    Ok(())
}
