//! Sockets that the broker listens on.

use crate::manage::AdminContext;
use crate::text::names::NODE_NAME;
use serde::Serialize;
use serde_json::{Map, Value};
use std::net::SocketAddr;
use utoipa::ToSchema;

/// A socket that the broker listens on.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Listener {
    /// The node.
    pub node: &'static str,
    /// RabbitMQ's name of the protocol: `amqp`, `http`, `http/prometheus`.
    pub protocol: &'static str,
    /// The address.
    pub ip_address: String,
    /// The TCP port.
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

impl Listener {
    /// Returns all listeners, in the order of their protocols.
    pub fn all(context: &AdminContext) -> Vec<Self> {
        let amqp = Listener::new("amqp", "AMQP 0-9-1", context.address);
        let http = |address| Listener::new("http", "HTTP API", address);
        let http = context.management_address.map(http);
        let metrics = |address| {
            let purpose = "Prometheus exporter API over HTTP";
            Listener::new("http/prometheus", purpose, address)
        };
        let metrics = context.prometheus_address.map(metrics);
        [Some(amqp), http, metrics].into_iter().flatten().collect()
    }

    fn new(protocol: &'static str, purpose: &'static str, address: SocketAddr) -> Self {
        Listener {
            node: NODE_NAME,
            protocol,
            ip_address: address.ip().to_string(),
            port: address.port(),
            socket_opts: Map::new(),
            tls: false,
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
        let described = |description| {
            move |address: SocketAddr| WebContext {
                description,
                path: "/",
                ip: address.ip().to_string(),
                port: address.port().to_string(),
                cowboy_opts: "[]",
                ssl_opts: [],
                node: NODE_NAME,
            }
        };
        let management = context.management_address;
        let management = management.map(described("RabbitMQ Management"));
        let metrics = context.prometheus_address;
        let metrics = metrics.map(described("RabbitMQ Prometheus"));
        [management, metrics].into_iter().flatten().collect()
    }
}
