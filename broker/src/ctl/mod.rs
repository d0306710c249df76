//! leveretctl: rabbitmqctl's commands for one Leveret broker.
//!
//! What belongs here is the command line and what is printed. What does not: anything that the broker knows or decides.
//!
//! How a command runs: [`options`] splits the command line, [`verbs`] knows its verb and the tools that
//! have it ([`program`]), [`request`] checks it, [`commands`] turns
//! it into a request (or says what is wrong with it) and has the line that announces it, [`client`]
//! sends it to the broker, [`show`], [`render`] and [`report`] print the response. What a verb does
//! otherwise, [`action`] says. Texts and statuses are those
//! of rabbitmqctl 3.10.8, recorded by running it; docs/operate/leveretctl.md lists the differences and
//! their reasons.

mod action;
mod alarms;
mod client;
mod commands;
mod confirm;
mod definitions;
mod discovery;
pub mod exit;
mod help;
mod listing;
mod logs;
pub mod manual;
mod options;
mod password;
mod program;
mod render;
mod report;
mod request;
mod run;
mod several;
mod shovel;
mod show;
mod status;
mod top;
mod verbs;

#[cfg(test)]
mod tests;

pub use program::is_known;
pub use run::{Terminal, main, run_process};
