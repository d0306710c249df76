//! Tests over real handshakes, in memory.

mod ca;
mod handshakes;
mod keys;
mod names;
mod old;
mod reload;
mod selfsigned;
