//! Moving pages of messages between memory and disk: who does it ([`Pager`]), how a page is written, and who takes memory
//! back from queues that nobody uses. What leaves and what comes back is the machines' to say
//! ([`engine::queue::paging`](crate::engine::queue::paging)).

mod carry_out;
mod codec;
mod pager;
mod sweeper;

pub use pager::{Pager, Records};
