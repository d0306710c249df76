//! Power cuts: a process runs over the layer of `tests/power`, which traces what it does to its files; from the trace
//! come the disks that a cut may leave.
//!
//! - [`Programs`]: the layer and the helper, built once;
//! - [`Trace`]: what was done, in order;
//! - [`Disk`]: what of it is durable, and what a cut may make of the rest;
//! - [`Model`]: what a store that is told and not told of batches has to hold.

mod disk;
mod model;
mod programs;
mod trace;

pub use disk::{Disk, Mercy};
pub use model::{Found, Model};
pub use programs::{Programs, programs};
pub use trace::{Event, Trace};
