//! The black-box tests, one binary. Each module is a class of AMQP or a promise to users.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "tests, helpers included"
)]

mod amqp;
mod amqprs;
mod bytes;
mod command_line;
mod crash;
mod ctl;
mod delayed;
mod durability;
mod permissions;
mod pika;
mod shutdown;
mod tidy;
