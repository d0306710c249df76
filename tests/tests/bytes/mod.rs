//! Input that no sane client sends. Each is answered as RabbitMQ 3.10.8 answers it, and the broker
//! then serves the next client as if nothing had happened.

mod content;
mod frames;
mod handshake;
mod heartbeats;
mod tables;
mod unharmed;
