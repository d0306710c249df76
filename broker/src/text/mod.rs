//! Text from outside: how it is shown without doing harm, and what a name may be.
//!
//! What belongs here works on text alone, and is used everywhere.

pub mod escape;
pub mod names;
