//! What administrators see and do, described once for leveretctl, the HTTP API, the metrics and definition files.
//!
//! [`objects`] are the things that exist, with RabbitMQ's JSON keys; [`columns`] and `listings` are leveretctl's view of
//! them, [`metrics`] Prometheus', [`definitions`] that of definition files. [`statistics`] adds rates and histories,
//! [`map`] draws a virtual host.
//! [`request`] declares every operation, and `class` what it changes and which right it needs; `operations` and the files
//! beside it perform them; [`perform`] and [`access`] check the right.
//!
//! A new kind of thing, field, metric or operation belongs here. What does not: how it is requested and written
//! (`control`, `ctl`, `http`), the rules that it follows ([`domain`](crate::domain)), and counting (the layers below).

pub mod access;
pub mod audit;
#[cfg(test)]
mod change_order_tests;
mod class;
pub mod columns;
pub mod definitions;
mod http_operations;
mod limits;
pub(crate) mod listings;
mod logs;
pub mod map;
pub mod metrics;
pub mod objects;
pub(crate) mod operations;
pub mod perform;
mod permissions;
pub mod pid;
mod policies;
pub mod request;
mod service;
pub mod statistics;
pub mod status;
pub(crate) mod table;
mod tls;
pub mod top;
pub mod value;
mod vhosts;

use crate::config::Config;
use crate::domain::broker::Broker;
use crate::net::Bound;
use crate::net::tls::Tls;
use crate::plumbing::log::Log;
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;

/// Settings by key, shared with who changes them.
pub type Settings = Arc<Mutex<Vec<(&'static str, String)>>>;

/// What administrators' requests work on: the broker and its process.
#[derive(Clone)]
pub struct AdminContext {
    /// The broker.
    pub broker: Arc<Broker>,
    /// The data directory.
    pub data_dir: PathBuf,
    /// The settings in force, without passwords. A reload changes them.
    pub settings: Settings,
    /// The configuration that the broker started with.
    pub config: Arc<Config>,
    /// What it listens on.
    pub listeners: Arc<[Bound]>,
    /// The certificates and keys for TLS.
    pub tls: Tls,
    /// The log of the process.
    pub log: Log,
    /// Set to true to stop the broker.
    pub stop: Arc<watch::Sender<bool>>,
}
