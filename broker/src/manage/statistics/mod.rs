//! Rates and histories: when samples are taken, and how they are shown.
//!
//! What is counted and kept is in [`engine::statistics`](crate::engine::statistics). A way to ask belongs neither here
//! nor there: it passes the parameters of a query to [`Ranges`] and shows [`Details`].

mod columns;
mod details;
mod range;
mod sampler;
mod visit;
#[cfg(test)]
mod visit_tests;

pub use columns::Columns;
pub use details::{Details, Sample, Series, rates};
pub use range::{InvalidRange, Range, Ranges, Rounding};
pub use sampler::{Sampler, run};
pub use visit::visit;
