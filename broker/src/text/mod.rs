//! Text from outside: how to display it safely, what names are valid, and regular expressions that users write.
//!
//! Everything here works on text alone and can be used anywhere.

pub mod escape;
pub mod names;
pub mod pattern;
pub mod print;
pub mod shorten;
pub mod version;
