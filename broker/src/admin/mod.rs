//! What operators ask of a running broker: leveretctl and the broker talk over a Unix socket in
//! the data directory.

#[cfg(test)]
mod changing;
pub mod columns;
#[cfg(test)]
mod hostile;
mod limits;
mod listings;
pub mod pid;
mod policies;
pub mod report;
mod seats;
pub mod server;
pub mod socket;
pub mod status;
mod table;
pub mod value;
mod verbs;
pub mod wire;
