//! What can be listed and what can be done: the columns of every listing, and every operation.
//!
//! A new column or a new operation belongs here, how it is requested and shown belongs in `control` and `ctl`, and the
//! rules that it follows belong in [`domain`](crate::domain).

pub mod access;
pub mod administration;
mod audit;
#[cfg(test)]
mod change_order_tests;
pub mod columns;
pub mod definitions;
mod erlang_hash;
mod limits;
pub(crate) mod listings;
pub mod metrics;
pub mod objects;
pub mod perform;
mod permissions;
pub mod pid;
mod policies;
pub mod request;
pub mod statistics;
pub mod status;
pub(crate) mod table;
pub mod value;
pub(crate) mod verbs;

use crate::domain::broker::Broker;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;

/// What administrators' requests work on: the broker and its process.
#[derive(Clone)]
pub struct AdminContext {
    /// The broker.
    pub broker: Arc<Broker>,
    /// The data directory.
    pub data_dir: PathBuf,
    /// The configuration files that were read.
    pub config_files: Vec<PathBuf>,
    /// The address that it listens on for AMQP.
    pub address: SocketAddr,
    /// The address of the management HTTP API, if it is served.
    pub management_address: Option<SocketAddr>,
    /// The address where anybody may read the metrics, if there is one.
    pub prometheus_address: Option<SocketAddr>,
    /// Set to true to stop the broker.
    pub stop: Arc<watch::Sender<bool>>,
}
