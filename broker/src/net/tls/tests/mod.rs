//! Tests over real handshakes, in memory.

mod ca;
mod handshakes;
mod keys;
mod names;
mod reload;
mod selfsigned;
