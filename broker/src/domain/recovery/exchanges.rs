//! Recovery of durable exchanges.

use super::RecoveryError;
use super::messages::restore_delayed;
use crate::domain::broker::Broker;
use crate::domain::durable::Definition;
use crate::domain::vhost::spec::VhostSpec;
use crate::engine::exchange::{Delays, Exchange, ExchangeKind, ExchangeSpec};
use leveret_storage::{QueueId, RecoveredQueue, Store};
use std::collections::HashMap;
use std::sync::Arc;

/// Restores an exchange, with its delayed messages if it delays messages.
pub(super) fn restore_exchange(
    broker: &Broker,
    definition: Definition,
    recovered: &mut HashMap<QueueId, RecoveredQueue>,
    store: &Store,
) -> Result<(), RecoveryError> {
    let Definition::Exchange {
        vhost,
        name,
        kind,
        auto_delete,
        internal,
        arguments,
        delays,
    } = definition
    else {
        return Ok(());
    };
    let Some(kind) = ExchangeKind::parse(&kind) else {
        let reason = format!("this version does not support exchange type '{kind}'");
        return Err(RecoveryError::Unusable {
            what: "exchange",
            name,
            reason,
        });
    };
    let vhost = broker.restore_vhost(VhostSpec::named(&vhost));
    let spec = ExchangeSpec {
        name: name.into(),
        kind,
        durable: true,
        auto_delete,
        internal,
        arguments,
    };
    let exchange = match delays.map(QueueId) {
        Some(id) => {
            broker.reserve_queue_id(id);
            let delays = Arc::new(Delays::new(id, vhost.name(), &spec, broker.clock));
            if let Some(found) = recovered.remove(&id) {
                restore_delayed(broker, &delays, &spec.name, &found, store)?;
            }
            Exchange::delayed(spec, delays)
        }
        None if spec.kind == ExchangeKind::DelayedMessage => {
            return Err(RecoveryError::Unusable {
                what: "exchange",
                name: spec.name.to_string(),
                reason: "the id of its delayed messages is missing".to_owned(),
            });
        }
        None => Exchange::new(spec),
    };
    let exchange = Arc::new(exchange);
    if let Some(delays) = exchange.delays() {
        let mut fx = broker.effects(None);
        delays.start(&mut fx);
        fx.perform();
    }
    vhost.insert_exchange(exchange);
    Ok(())
}
