//! What is declared, and who may: the broker with its virtual hosts, queues, exchanges and bindings, users and their
//! permissions, policies and limits; how all that is stored and comes back at a start; who is connected, and who has to go when memory is
//! short.
//!
//! A rule about a declaration, a name or a right belongs here, once, whoever asks. What does not: any form in which it is
//! asked (AMQP methods, leveretctl's verbs, HTTP), and what happens to messages.

pub mod auth;
pub mod broker;
pub mod connections;
pub mod definitions;
pub mod limits;
pub mod policy;
pub mod recovery;
pub mod shortage;
pub mod vhost;
