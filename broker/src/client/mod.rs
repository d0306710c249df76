//! A blocking AMQP client, for leveretperf and `leveretctl shovel`: raw frames on sockets, in the clear or through TLS
//! ([`transport`]). It works with any AMQP 0-9-1 broker, and nothing here uses Leveret's.
//!
//! [`uri`] says which broker, [`dialer`] connects to it, [`connection`] logs in and has frames in and out, [`declare`]
//! declares. Calls return within moments if nothing happens; [`patience`] limits how often they are repeated, and
//! [`interrupt`] says that the user wants an end.

mod connection;
mod declare;
mod dialer;
pub(crate) mod interrupt;
mod patience;
pub(crate) mod transport;
pub(crate) mod uri;

pub(crate) use connection::{ACCEPTED_NOTHING, Client, Refusal, check_frame, with_context};
pub(crate) use declare::Exchange;
pub(crate) use dialer::{Dialer, Program};
pub(crate) use patience::Patience;
pub use transport::Version;
