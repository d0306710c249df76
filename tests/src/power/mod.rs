//! Power cuts: a process runs on the layer of `tests/power`, which traces what it does to its files; from the trace,
//! the disk contents that a cut may leave are generated.
//!
//! - [`Programs`]: the layer and the helper, built once;
//! - [`Trace`]: the operations, in order;
//! - [`Disk`]: what of them is durable, and what a cut may do to the rest;
//! - [`Model`]: what a store must contain, given the batches that were and were not confirmed.

mod disk;
mod model;
mod programs;
mod trace;

pub use disk::{Disk, Mercy};
pub use model::{Found, Model};
pub use programs::{Programs, programs};
pub use trace::{Event, Trace};
