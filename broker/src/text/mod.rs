//! Text from outside: how to display it safely, and what names are valid.
//!
//! Everything here works on text alone and can be used anywhere.

pub mod escape;
pub mod names;
