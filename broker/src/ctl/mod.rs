//! leveretctl: rabbitmqctl's verbs for one Leveret broker.
//!
//! The way of a command: [`options`] splits the command line, [`request`] makes a request of it
//! (or says what is wrong with it), [`client`] asks the broker, [`render`] and [`report`] write
//! what comes back. Texts and statuses are those of rabbitmqctl 3.10.8, recorded by running it;
//! docs/operate/leveretctl.md says where and why ours differ.

mod alarms;
mod banner;
mod client;
pub mod exit;
mod help;
mod listing;
mod options;
mod password;
mod render;
mod report;
mod request;
mod run;
mod status;
mod verbs;

#[cfg(test)]
mod tests;

pub use run::{Terminal, main};
