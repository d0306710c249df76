//! Listening sockets, and what stands between a socket and a session: TLS, the PROXY protocol, Unix sockets, WebSocket.
//!
//! A [`Listener`] is bound to one address or Unix socket. What arrives there becomes a [`Stream`] with two [`Ends`]: first
//! comes the header of the PROXY protocol, if the listener wants one, then the handshake of TLS.
//!
//! Also the way out: asking HTTP services (`web_client`).
//!
//! What belongs here turns what the network sends into a stream of bytes with two addresses, whatever is spoken on it.
//! What does not: AMQP and HTTP, which read the stream, and who may log in on it (`domain::auth`).

mod accept;
mod bind;
mod endpoint;
mod listen;
mod proxy;
mod read_ahead;
mod stream;
pub mod tls;
mod unix_socket;
pub mod web_client;
pub mod websocket;

pub use accept::{Acceptor, Arrival, Detached};
pub use bind::{BindError, endpoints};
pub use endpoint::{Endpoint, Ends};
pub use listen::{Bound, Listener, Service, SocketOptions, Source};
pub use stream::{ByteStream, Stream, StreamPlace, StreamService};
