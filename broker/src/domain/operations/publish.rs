//! Publishing a whole message at once, without a channel. The caller waits for the store, and so for what would be a
//! confirm.

use super::Caller;
use super::firehose::NO_CHANNEL;
use super::messages::check_properties;
use crate::engine::exchange::{
    Copies, DelayedMessage, Delays, Directory, Exchange, Postponed, Routable, Route,
};
use crate::engine::message::{MessageBuilder, SharedMessage};
use crate::engine::queue::Effects;
use crate::engine::statistics::{MessageStats, Traffic};
use crate::plumbing::replies::REPLY_TO;
use bytes::Bytes;
use leveret_protocol::content::PropertyIndex;
use leveret_protocol::{AmqpError, ExchangeName, ReplyCode, texts};
use std::sync::Arc;
use std::time::Instant;

/// The length of a routing key at most, in bytes: it travels as a short string.
const ROUTING_KEY_MAX: usize = 255;

/// A message to publish.
#[derive(Debug)]
pub struct NewMessage<'a> {
    /// The exchange; empty for the default exchange.
    pub exchange: &'a str,
    /// The routing key.
    pub routing_key: &'a [u8],
    /// The raw properties of its content header, flags first.
    pub properties: &'a [u8],
    /// The body.
    pub body: Bytes,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// Nothing takes it (`mandatory`): it is returned.
    Unroutable,
    /// At least one queue has rejected it, because it is full.
    Rejected,
    /// All its queues have it, or a delayed exchange.
    Routed,
}

impl Caller {
    /// Publishes a message that has to be routed (`mandatory`), under all the rules of basic.publish.
    ///
    /// # Errors
    /// 403 without the permission or if the exchange is internal, 404 if it does not exist, 406 if the message is too
    /// large or a property is not acceptable, 502 for malformed properties or a routing key that is too long.
    pub fn publish(
        &self,
        message: NewMessage<'_>,
        fx: &mut Effects,
    ) -> Result<Published, AmqpError> {
        let name = ExchangeName::from(message.exchange);
        let to = self.exchange_to_publish_to(&name)?;
        if message.routing_key.len() > ROUTING_KEY_MAX {
            return Err(syntax_error("a routing key has at most 255 bytes"));
        }
        let properties = message.properties;
        let index = PropertyIndex::scan(properties)
            .ok_or_else(|| syntax_error("the properties are malformed"))?;
        let size = message.body.len() as u64;
        check_properties(
            &index,
            properties,
            size,
            self.broker.limits().max_message_size,
        )?;
        let user_id = index.user_id.clone().map(|range| &properties[range]);
        let reply_to = index.reply_to.clone().map(|range| &properties[range]);
        if reply_to == Some(REPLY_TO.as_bytes()) {
            return Err(texts::no_reply_consumer());
        }
        let copies = match index.headers.clone() {
            Some(headers) => Copies::of(properties, headers)?,
            None => Copies::default(),
        };
        to.check_key(message.routing_key)?;
        copies.keys.iter().try_for_each(|key| to.check_key(key))?;
        if let Some(claimed) = user_id {
            self.check_user_id(claimed)?;
        }
        let properties = copies.properties.as_deref().unwrap_or(properties);
        let mut builder = MessageBuilder::new(
            name.as_str().as_bytes(),
            message.routing_key,
            properties,
            index.persistent(),
            size,
        );
        // One piece is never longer than what is missing.
        let pushed = match builder.keeps_frames() {
            true => builder.push_frame(message.body),
            false => builder.push(&message.body),
        };
        debug_assert_eq!(pushed, Ok(()));
        let routing_key = message.routing_key;
        Ok(self.route(to.exchange.as_ref(), routing_key, &copies.keys, builder, fx))
    }

    fn route(
        &self,
        exchange: Option<&Arc<Exchange>>,
        routing_key: &[u8],
        copies: &[Box<[u8]>],
        builder: MessageBuilder,
        fx: &mut Effects,
    ) -> Published {
        let keys: Vec<&[u8]> = std::iter::once(routing_key)
            .chain(copies.iter().map(|key| &key[..]))
            .collect();
        let mut route = self.routes(exchange, &keys, builder.properties());
        if route.queues.is_empty() {
            // A mandatory message is kept only if it would lead to a queue.
            let (vhost, properties) = (self.vhost(), builder.properties());
            let leads = |delays: &Arc<Delays>| {
                delays.leads_on(&keys, properties, vhost.as_ref() as &dyn Directory)
            };
            if !route.kept_by.iter().any(leads) {
                route.kept_by.clear();
            }
        }
        let persistent = builder.persistent;
        let storing = route.queues.iter().filter(|q| q.stores(persistent)).count();
        let kept_by = route.kept_by.iter();
        let keeping = kept_by.filter(|d| persistent && d.is_stored()).count();
        let message = Arc::new(builder.finish(storing + keeping == 1));
        if self.vhost().is_traced() {
            self.trace_publish(NO_CHANNEL, &message, copies, &route.queues, fx);
        }
        let replied = exchange.is_none() && self.broker.replies.send_to_all(&message, copies);
        let is_taken = replied || !route.queues.is_empty() || !route.kept_by.is_empty();
        self.count_publish(exchange, route.queues.len() as u64, is_taken);
        if route.queues.is_empty() && route.kept_by.is_empty() {
            return match replied {
                true => Published::Routed,
                false => Published::Unroutable,
            };
        }
        hand_over(route, &message, copies, fx);
        match std::mem::take(&mut fx.refused().count) {
            0 => Published::Routed,
            _ => Published::Rejected,
        }
    }

    /// Counts a publish to an exchange that was routed to this many queues; one that nothing takes is returned.
    fn count_publish(&self, exchange: Option<&Arc<Exchange>>, queues: u64, is_taken: bool) {
        let statistics = &self.vhost().statistics;
        let published = MessageStats {
            publish: 1,
            publish_in: 1,
            publish_out: queues,
            return_unroutable: u64::from(!is_taken),
            ..MessageStats::default()
        };
        statistics.traffic.add(&Traffic {
            published,
            ..Traffic::default()
        });
        match exchange {
            Some(exchange) => {
                if let Some(moved) = exchange.count(1, queues) {
                    self.broker.statistics.has_moved(moved);
                }
            }
            None => {
                statistics.default_exchange.add(1, queues);
            }
        }
    }

    /// Returns the queues and delayed exchanges that a message goes to.
    fn routes(&self, exchange: Option<&Arc<Exchange>>, keys: &[&[u8]], properties: &[u8]) -> Route {
        let vhost = self.vhost();
        let mut route = Route::default();
        if let Some(exchange) = exchange {
            let message = Routable {
                routing_keys: keys,
                properties,
            };
            route.find(exchange, &message, vhost.as_ref());
            return route;
        }
        vhost.queues_named(keys, &mut route.queues);
        route
    }
}

/// Hands a message to where it goes.
pub(super) fn hand_over(
    route: Route,
    message: &SharedMessage,
    copies: &[Box<[u8]>],
    fx: &mut Effects,
) {
    let routable = Routable {
        routing_keys: &[message.routing_key()],
        properties: message.properties(),
    };
    let delay = routable.delay().unwrap_or_default();
    for delays in &route.kept_by {
        let postponed = Postponed {
            delayed: DelayedMessage {
                message: message.clone(),
                more_keys: copies.into(),
            },
            delay,
            token: None,
        };
        delays.hold([postponed], Instant::now(), fx);
    }
    // A message for several queues reaches the store in one batch per queue, each under its queue's lock.
    let shared = route.queues.len() > 1;
    let _group = shared.then(|| fx.group());
    for queue in &route.queues {
        queue.publish([(message.clone(), None)], shared, fx);
    }
}

fn syntax_error(text: &str) -> AmqpError {
    AmqpError::channel(ReplyCode::SyntaxError, text)
}
