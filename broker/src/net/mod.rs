//! Listening sockets, and what stands between a socket and a session: TLS, the PROXY protocol, Unix sockets.
//!
//! What belongs here turns what the network sends into a stream of bytes with two addresses, whatever is spoken on it.
//! What does not: AMQP and HTTP, which read the stream, and who may log in on it (`domain::auth`).

pub mod tls;
