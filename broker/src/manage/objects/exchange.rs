//! Exchanges.

use super::Arguments;
use crate::domain::policy::Target;
use crate::domain::vhost::{SYSTEM_PREFIX, Vhost};
use crate::engine::exchange as engine;
use crate::manage::policies;
use leveret_protocol::VhostName;
use serde::Serialize;
use utoipa::ToSchema;

/// Who declared the exchanges that every virtual host has, in RabbitMQ's words.
const SYSTEM_USER: &str = "rmq-internal";

/// An exchange.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Exchange {
    /// Its name; empty for the default exchange.
    pub name: String,
    /// Its virtual host.
    pub vhost: String,
    /// Its type.
    pub r#type: &'static str,
    /// Whether it survives a restart.
    pub durable: bool,
    /// Whether it is deleted with its last binding.
    pub auto_delete: bool,
    /// Whether clients cannot publish to it.
    pub internal: bool,
    /// The arguments of its declaration.
    #[schema(value_type = Object)]
    pub arguments: Arguments,
    /// The policy that applies to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// `rmq-internal` for an exchange that every virtual host has; who declared another is not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_who_performed_action: Option<&'static str>,
    /// The messages that a delayed exchange keeps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages_delayed: Option<u64>,
    /// What only one exchange by itself shows.
    #[serde(flatten)]
    pub traffic: Option<Traffic>,
}

/// Where an exchange's messages come from and go to.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub struct Traffic {
    /// Publishes by channel: not counted.
    #[schema(value_type = Vec<Object>)]
    pub incoming: [(); 0],
    /// Publishes by queue: not counted.
    #[schema(value_type = Vec<Object>)]
    pub outgoing: [(); 0],
}

impl Exchange {
    /// Describes an exchange; the default exchange if it is `None`.
    pub fn of(vhost: &Vhost, exchange: Option<&engine::Exchange>) -> Self {
        match exchange {
            Some(exchange) => Exchange::declared(vhost.name(), exchange),
            None => Exchange::default_of(vhost),
        }
    }

    fn declared(vhost: &VhostName, exchange: &engine::Exchange) -> Self {
        let spec = &exchange.spec;
        let is_system = spec.name.as_str().starts_with(SYSTEM_PREFIX);
        Exchange {
            name: spec.name.to_string(),
            vhost: vhost.to_string(),
            r#type: spec.kind.name(),
            durable: spec.durable,
            auto_delete: spec.auto_delete,
            internal: spec.internal,
            arguments: Arguments::from(&spec.arguments),
            policy: policies::name(exchange.policy()),
            user_who_performed_action: is_system.then_some(SYSTEM_USER),
            messages_delayed: exchange.delays().map(|delays| delays.len() as u64),
            traffic: None,
        }
    }

    fn default_of(vhost: &Vhost) -> Self {
        Exchange {
            name: String::new(),
            vhost: vhost.name().to_string(),
            r#type: "direct",
            durable: true,
            auto_delete: false,
            internal: false,
            arguments: Arguments::default(),
            policy: policies::name(vhost.applied_to("", Target::Exchange)),
            user_who_performed_action: Some(SYSTEM_USER),
            messages_delayed: None,
            traffic: None,
        }
    }
}
