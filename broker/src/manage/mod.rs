//! What can be listed and what can be done, once: the fields of every kind of thing, and every operation.
//!
//! A new field of a listing or a new operation belongs here. What does not: how it is asked for and shown (`control`), and the
//! rules that it follows ([`domain`](crate::domain)).

#[cfg(test)]
mod changing;
pub mod columns;
mod limits;
pub(crate) mod listings;
pub mod pid;
mod policies;
pub mod request;
pub mod status;
mod table;
pub mod value;
pub(crate) mod verbs;

use crate::domain::broker::Broker;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;

/// What is managed: the broker and the process around it.
#[derive(Clone)]
pub struct Surroundings {
    /// The broker.
    pub broker: Arc<Broker>,
    /// Where it keeps what survives a restart.
    pub data_dir: PathBuf,
    /// The configuration files that were read.
    pub config_files: Vec<PathBuf>,
    /// Where it listens.
    pub address: SocketAddr,
    /// Set to true to stop it.
    pub stop: Arc<watch::Sender<bool>>,
}
