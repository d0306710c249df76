//! Streams (`x-queue-type: stream`; RabbitMQ: "Streams"): queues that consumers read without
//! emptying them.
//!
//! A stream is a log. A message's offset is its position in the store, which has all messages; in
//! memory are the last few messages, and one entry per unit of the log. No messages are kept for
//! consumers: each is a [`Cursor`](cursor::Cursor) that reads on as its prefetch allows, on
//! separate threads: never under a lock and never on a connection's task. Acknowledgements only
//! release credit.
//!
//! | file | concept |
//! | --- | --- |
//! | `handle` | the lock, and what is done under it |
//! | `machine` | the rules: appending, what is committed, who waits, retention |
//! | `units` | the parts in which a stream forgets, and its index by time |
//! | `committed` | up to which offset the log has no gaps |
//! | `tail`, `tails` | the last messages, in memory; those of all streams together |
//! | `cursor` | a consumer's position, and how it advances, on the threads of `plumbing/stream_readers` |
//! | `budget` | what all consumers together may read ahead |
//! | `start`, `filter` | what a consumer asks for |
//! | `record`, `header` | a message as it is kept, and as it is delivered |
//! | `recover` | what a restart reads of a stream |
//!
//! A stream knows its cursors and a cursor reads from its stream, so `handle`, `machine` and `cursor` import one another;
//! `tails` knows the streams that have one.

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
pub use cursor::{AfterTurn, Cursor, StreamReaders};
pub use handle::{Stream, StreamBackend};
pub use header::with_long;
pub use machine::Extent;
pub use start::StartAt;
pub use tails::Tails;
