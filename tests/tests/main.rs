//! The black-box tests, one binary. Each module is a class of AMQP or a promise to users.

mod amqp;
mod amqprs;
mod bytes;
mod command_line;
mod crash;
mod ctl;
mod durability;
mod permissions;
mod pika;
mod shutdown;
