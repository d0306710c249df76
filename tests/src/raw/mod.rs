//! AMQP in bytes: for what a well-behaved client library would never send.

mod client;
mod wire;

pub use client::{Raw, Tune};
pub use wire::{
    HEADER, closing_properties, frame, login, method, short_string, split_frames, table,
};
