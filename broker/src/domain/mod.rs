//! The broker's declarations and permissions: virtual hosts, queues, exchanges and bindings, users and their permissions,
//! policies, limits and parameters; what callers may do to them ([`operations`]); how they are stored and recovered; and
//! the open connections, of which [`shortage`] closes some when memory is low.
//!
//! A rule about a declaration, a name or a permission belongs here, once, for all callers. The form of requests (AMQP
//! methods, leveretctl's verbs, HTTP) and the handling of messages do not belong here.

pub mod addresses;
pub mod auth;
pub mod broker;
pub mod connections;
pub mod durable;
pub mod limits;
pub mod login_sources;
pub mod logins;
pub mod operations;
pub mod parameters;
pub mod policy;
pub mod recovery;
mod reset;
pub mod service;
pub mod shortage;
mod turns;
pub mod vhost;
