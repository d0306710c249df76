//! The broker as a service of an operating system: what systemd is told, and what is done in bounded time.
//!
//! What belongs here: readiness, the watchdog, progress while the start or the stop takes long, and what a stop waits for.
//! What does not: what is started and stopped ([`start`](super::start)).

mod notifier;
pub mod reporter;
mod status;
mod stop;
mod watchdog;

pub(super) use notifier::Notifier;
pub(super) use reporter::Reporter;
pub(super) use status::Status;
pub(super) use stop::{close_store, say_goodbye};
pub(super) use watchdog::Watchdog;
