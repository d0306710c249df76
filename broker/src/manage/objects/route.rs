//! The route of a message that is not sent: where it would go, and why.

use super::Arguments;
use crate::domain::vhost::Vhost;
use crate::engine::exchange::{DestinationName, ExplainedBinding, Explanation, Reached, Step};
use leveret_protocol::{AmqpError, ExchangeName};
use serde::Serialize;
use utoipa::ToSchema;

/// The queues that are listed at most.
const QUEUES_MAX: usize = 1000;

/// Where a message would go, and why.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Route {
    /// The names of the queues that would get it.
    pub queues: Vec<String>,
    /// How many queues there are.
    pub total_queues: usize,
    /// The exchanges on the way, in the order in which they are asked.
    pub steps: Vec<RouteStep>,
    /// How many more exchanges there are on the way.
    pub steps_not_shown: usize,
    /// What else there is to say.
    pub note: Option<String>,
}

/// An exchange on the way.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RouteStep {
    /// Its name; empty for the default exchange.
    pub exchange: String,
    /// Its type.
    pub r#type: &'static str,
    /// From where the message reaches it; `null` for the first one.
    pub reached_by: Option<RouteOrigin>,
    /// Its bindings, those that match first.
    pub bindings: Vec<RouteBinding>,
    /// How many more bindings it has.
    pub not_shown: usize,
    /// What else there is to say.
    pub note: Option<String>,
}

/// From where a message reaches an exchange.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RouteOrigin {
    /// The exchange that it comes from.
    pub exchange: String,
    /// `binding` or `alternate`.
    pub kind: &'static str,
    /// The routing key of the binding; missing if it would have cost too much to find.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing_key: Option<String>,
}

/// A binding, and what it does to the message.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RouteBinding {
    /// Where it leads.
    pub destination: String,
    /// `queue` or `exchange`.
    pub destination_type: &'static str,
    /// Its routing key.
    pub routing_key: String,
    /// Its arguments.
    #[schema(value_type = Object)]
    pub arguments: Arguments,
    /// Whether the message goes this way.
    pub matched: bool,
    /// Why, in a sentence.
    pub why: String,
}

impl Route {
    /// Explains where a message with these raw properties would go from an exchange.
    ///
    /// # Errors
    /// Those of [`Vhost::explain_route`].
    pub fn of(
        vhost: &Vhost,
        exchange: &str,
        routing_key: &str,
        properties: &[u8],
    ) -> Result<Self, AmqpError> {
        let name = ExchangeName::from(exchange);
        let explained = vhost.explain_route(&name, routing_key.as_bytes(), properties)?;
        let is_internal = vhost
            .exchange(exchange)
            .is_some_and(|exchange| exchange.spec.internal);
        Ok(Route::described(explained, is_internal))
    }

    fn described(explained: Explanation, is_internal: bool) -> Self {
        let mut queues = explained.queues;
        // Clients cannot publish to it, so nothing arrives.
        if is_internal {
            queues.clear();
        }
        let note = match (is_internal, queues.is_empty()) {
            (true, _) => Some(
                "The exchange is internal: a publish to it is refused. Below is how it routes what comes from other \
                 exchanges.",
            ),
            (false, true) => Some(
                "No queue would get the message: it would be dropped, or returned to a publisher that asks for that \
                 (mandatory).",
            ),
            (false, false) => None,
        };
        let names = queues.iter().take(QUEUES_MAX);
        let mut names: Vec<String> = names.map(|queue| queue.name().to_string()).collect();
        names.sort();
        Route {
            queues: names,
            total_queues: queues.len(),
            steps: explained.steps.iter().map(RouteStep::of).collect(),
            steps_not_shown: explained.steps_not_shown,
            note: note.map(str::to_owned),
        }
    }
}

impl RouteStep {
    fn of(step: &Step) -> Self {
        let spec = step.exchange.as_ref().map(|exchange| &exchange.spec);
        RouteStep {
            exchange: spec.map_or_else(String::new, |spec| spec.name.to_string()),
            r#type: spec.map_or("direct", |spec| spec.kind.name()),
            reached_by: step.reached_by.as_ref().map(RouteOrigin::of),
            bindings: step.bindings.iter().map(RouteBinding::of).collect(),
            not_shown: step.not_shown,
            note: step.note.clone(),
        }
    }
}

impl RouteOrigin {
    fn of(reached: &Reached) -> Self {
        match reached {
            Reached::Binding(exchange, key) => RouteOrigin {
                exchange: exchange.to_string(),
                kind: "binding",
                routing_key: key.clone(),
            },
            Reached::Alternate(exchange) => RouteOrigin {
                exchange: exchange.to_string(),
                kind: "alternate",
                routing_key: None,
            },
        }
    }
}

impl RouteBinding {
    fn of(explained: &ExplainedBinding) -> Self {
        let binding = &explained.binding;
        let (destination_type, destination) = match binding.destination.name() {
            DestinationName::Queue(name) => ("queue", name.to_string()),
            DestinationName::Exchange(name) => ("exchange", name.to_string()),
        };
        RouteBinding {
            destination,
            destination_type,
            routing_key: binding.key.to_string(),
            arguments: Arguments::from(&binding.arguments),
            matched: explained.matched,
            why: explained.why.clone(),
        }
    }
}
