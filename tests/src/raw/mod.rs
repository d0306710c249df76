//! AMQP in bytes: for what a well-behaved client library would never send.

mod client;
mod wire;

pub use client::{Raw, Tune};
pub use wire::{
    HEADER, closing_properties, encode, frame, login, method, publish_bytes, short_string,
    split_frames, table,
};
