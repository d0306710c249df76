//! AMQP on sockets: listeners, a task for each connection, and the connection machine that turns bytes into methods and
//! back.
//!
//! What a method does to a connection or a channel belongs here; what it does to a queue or an exchange, and any rule
//! about who may, does not ([`domain`](crate::domain)).

pub mod connection;
mod linger;
pub mod listener;
mod session;
