//! The protocol as lapin speaks it: one file per class of AMQP or per theme.

mod arguments;
mod confirms;
mod consume;
mod exchange;
mod exclusive;
mod get;
mod publish;
mod qos;
mod queue;
mod routing;
