//! Moving pages of messages between memory and disk: the worker threads ([`Pager`]), the encoding of pages, and the
//! sweeper that takes memory back from idle queues. The machines decide what is paged out and in
//! ([`engine::queue::paging`](crate::engine::queue::paging)).
//!
//! The pager owns the sweeper, which asks it whether memory is short: so these two import each other.

mod carry_out;
mod codec;
mod pager;
mod sweeper;

pub use carry_out::Records;
pub use pager::Pager;
