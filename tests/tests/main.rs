//! The black-box tests, one binary. Each module is a class of AMQP or a promise to users.

mod amqp;
mod bytes;
mod crash;
mod pika;
