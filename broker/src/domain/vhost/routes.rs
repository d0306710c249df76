//! Where messages would go: the queues that the default exchange leads to, and explanations of routes.

use super::Vhost;
use crate::engine::exchange::{Copies, Explanation, Routable};
use crate::engine::queue::Queue;
use leveret_protocol::content::PropertyIndex;
use leveret_protocol::{AmqpError, ExchangeName, ReplyCode, texts};
use std::sync::Arc;

impl Vhost {
    /// Finds the queues with these names, without duplicates, in the order of their ids: those that the default exchange
    /// sends a message with these routing keys to.
    pub fn queues_named(&self, keys: &[&[u8]], found: &mut Vec<Arc<Queue>>) {
        let named = |key: &&[u8]| std::str::from_utf8(key).ok().and_then(|n| self.queue(n));
        found.clear();
        found.extend(keys.iter().filter_map(named));
        found.sort_unstable_by_key(|queue| queue.id);
        found.dedup_by_key(|queue| queue.id);
    }

    /// Explains where a message with these raw properties would go from an exchange, the default exchange if the name is
    /// empty. Nothing is sent, and nothing counted.
    ///
    /// # Errors
    /// 404 if there is no such exchange, 406 if CC or BCC is not an array, 502 for malformed properties.
    pub fn explain_route(
        &self,
        exchange: &ExchangeName,
        routing_key: &[u8],
        properties: &[u8],
    ) -> Result<Explanation, AmqpError> {
        let malformed =
            || AmqpError::channel(ReplyCode::SyntaxError, "the properties are malformed");
        let index = PropertyIndex::scan(properties).ok_or_else(malformed)?;
        let copies = match index.headers {
            Some(headers) => Copies::of(properties, headers)?,
            None => Copies::default(),
        };
        let keys: Vec<&[u8]> = std::iter::once(routing_key)
            .chain(copies.keys.iter().map(|key| &key[..]))
            .collect();
        if exchange.is_empty() {
            let mut queues = Vec::new();
            self.queues_named(&keys, &mut queues);
            return Ok(Explanation::by_name(queues, &keys));
        }
        let start = self
            .exchange(exchange.as_str())
            .ok_or_else(|| texts::no_exchange(exchange, &self.name))?;
        let message = Routable {
            routing_keys: &keys,
            properties: copies.properties.as_deref().unwrap_or(properties),
        };
        Ok(Explanation::of(&start, &message, self))
    }
}
