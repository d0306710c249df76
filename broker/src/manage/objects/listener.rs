//! Sockets that the broker listens on.

use crate::manage::AdminContext;
use crate::net::{Bound, Service};
use crate::text::names::NODE_NAME;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A socket that the broker listens on.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Listener {
    /// The node.
    pub node: &'static str,
    /// RabbitMQ's name of the protocol: `amqp`, `amqp/ssl`, `http`, `https`, `http/prometheus`, `https/prometheus`.
    pub protocol: &'static str,
    /// The address; `unix:PATH` for a Unix socket.
    pub ip_address: String,
    /// The TCP port; 0 for a Unix socket.
    pub port: u16,
    /// Its options; none are reported.
    #[schema(value_type = Object)]
    pub socket_opts: Map<String, Value>,
    /// Whether connections are encrypted.
    pub tls: bool,
    /// What it is for, in words.
    #[serde(skip)]
    pub purpose: &'static str,
}

/// RabbitMQ's name for what a listener speaks, and in words what for.
fn names(bound: &Bound) -> (&'static str, &'static str) {
    match (bound.service, bound.tls) {
        (Service::Amqp, false) => ("amqp", "AMQP 0-9-1"),
        (Service::Amqp, true) => ("amqp/ssl", "AMQP 0-9-1 over TLS"),
        (Service::Management, false) => ("http", "HTTP API"),
        (Service::Management, true) => ("https", "HTTP API over TLS (HTTPS)"),
        (Service::Prometheus, false) => ("http/prometheus", "Prometheus exporter API over HTTP"),
        (Service::Prometheus, true) => (
            "https/prometheus",
            "Prometheus exporter API over TLS (HTTPS)",
        ),
    }
}

/// Returns the protocol that is meant by one of its names (`rabbit_networking`).
pub fn protocol(name: &str) -> String {
    let name = name.to_lowercase();
    let known = match name.as_str() {
        "amqp091" | "amqp0.9.1" | "amqp0-9-1" | "amqp0_9_1" | "amqp-0-9-1" | "amqp 0-9-1"
        | "amqp10" | "amqp1.0" | "amqp1-0" | "amqp1_0" => "amqp",
        "amqps" => "amqp/ssl",
        "http1" | "http1.1" | "http_api" | "management" | "management_ui" | "ui" => "http",
        "prometheus" => "http/prometheus",
        _ => return name,
    };
    known.to_owned()
}

impl Listener {
    /// Returns all listeners, in the order of their protocols.
    pub fn all(context: &AdminContext) -> Vec<Self> {
        let listeners = context.listeners.iter().map(Listener::of);
        let mut listeners: Vec<Listener> = listeners.collect();
        // Those of one protocol stay in the order in which they are configured.
        listeners.sort_by_key(|listener| listener.protocol);
        listeners
    }

    fn of(bound: &Bound) -> Self {
        let (protocol, purpose) = names(bound);
        Listener {
            node: NODE_NAME,
            protocol,
            ip_address: bound.endpoint.host(),
            port: bound.endpoint.port(),
            socket_opts: Map::new(),
            tls: bound.tls,
            purpose,
        }
    }
}

/// What a web server of the broker serves.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WebContext {
    /// What it serves.
    pub description: &'static str,
    /// The path that it begins at.
    pub path: &'static str,
    /// The address.
    pub ip: String,
    /// The TCP port, as text.
    pub port: String,
    /// Options of RabbitMQ's web server; none.
    pub cowboy_opts: &'static str,
    /// Options of its encryption; none.
    #[schema(value_type = Vec<Object>)]
    pub ssl_opts: [(); 0],
    /// The node.
    pub node: &'static str,
}

impl WebContext {
    /// Returns what is served.
    pub fn all(context: &AdminContext) -> Vec<Self> {
        let listeners = context.listeners.iter();
        listeners.filter_map(WebContext::of).collect()
    }

    fn of(bound: &Bound) -> Option<Self> {
        let description = match bound.service {
            Service::Amqp => return None,
            Service::Management => "RabbitMQ Management",
            Service::Prometheus => "RabbitMQ Prometheus",
        };
        Some(WebContext {
            description,
            path: "/",
            ip: bound.endpoint.host(),
            port: bound.endpoint.port().to_string(),
            cowboy_opts: "[]",
            ssl_opts: [],
            node: NODE_NAME,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_have_several_names() {
        for name in ["AMQP", "amqp0-9-1", "amqp1.0"] {
            assert_eq!(protocol(name), "amqp");
        }
        assert_eq!(protocol("amqps"), "amqp/ssl");
        assert_eq!(protocol("management"), "http");
        assert_eq!(protocol("mqtt"), "mqtt");
    }
}
