//! Whether a redeclaration is equivalent (spec 1.7.2.1.4, RabbitMQ: "Queue Declaration and Property
//! Equivalence").

use crate::engine::queue::QueueKind;
use crate::engine::queue::arguments::compared;
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
    for name in compared(QueueKind::of(current)) {
        let wanted = or_classic(name, wanted.inner().get(name));
        let current = or_classic(name, current.inner().get(name));
        same_argument(name, wanted, current, entity, vhost)?;
    }
    Ok(())
}
