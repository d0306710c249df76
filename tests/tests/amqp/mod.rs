//! The protocol as lapin speaks it: one file per class of AMQP or per theme. What lapin never
//! sends, or does not show, is sent as raw bytes.

mod ack;
mod alternate;
mod arguments;
mod channel;
mod confirms;
mod connection;
mod consume;
mod copies;
mod dead_letters;
mod exchange;
mod exclusive;
mod fairness;
mod get;
mod hashing;
mod length_limits;
mod matching;
mod message_priorities;
mod priorities;
mod publish;
mod qos;
mod queue;
mod quorum;
mod reply_to;
mod retry;
mod routing;
mod single_active;
mod transactions;
