//! The protocol as lapin speaks it: one file per class of AMQP or per theme.

mod arguments;
mod exchange;
mod exclusive;
mod queue;
mod routing;
