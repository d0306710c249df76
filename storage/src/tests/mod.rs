//! The store as a whole, against models, crashes and a failing disk.

mod basics;
mod world;
