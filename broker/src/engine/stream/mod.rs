//! Streams (`x-queue-type: stream`; RabbitMQ: "Streams"): queues that consumers read and do not
//! empty.
//!
//! A stream is a log. A message's place in it, its offset, is its position in the store, where all
//! of it lies; in memory are the last few messages, and a line per unit of the log. Consumers have
//! no message kept for them: each is a [`Cursor`](cursor::Cursor) that reads on, as its prefetch
//! lets it, on threads of its own: never under a lock and never on a connection's task. What an
//! acknowledgement does is give credit.
//!
//! | file | concept |
//! | --- | --- |
//! | `handle` | the lock, and what is done under it |
//! | `machine` | the rules: appending, what is committed, who waits, retention |
//! | `units` | the parts in which a stream forgets, and its index by time |
//! | `committed` | up to where the log is whole |
//! | `tail`, `tails` | the last messages, in memory; those of all streams together |
//! | `cursor` | where a consumer is, and how it comes further, on threads of `plumbing/stream_readers` |
//! | `budget` | what all consumers together may read ahead |
//! | `start`, `filter` | what a consumer asks for |
//! | `record`, `header` | a message as it is kept, and as it is delivered |

mod budget;
mod committed;
mod cursor;
mod filter;
mod handle;
mod header;
mod machine;
mod record;
mod recover;
mod start;
mod tail;
mod tails;
#[cfg(test)]
mod tests;
mod units;

pub use budget::Budget;
pub use cursor::{After, Cursor, StreamReaders};
pub use handle::{Home, Stream};
pub use header::with_long;
pub use start::StartAt;
pub use tails::Tails;
