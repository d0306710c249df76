//! The addresses under which channels wait for replies (RabbitMQ: "Direct Reply-to").

use super::mailbox::{Mailbox, Reply};
use crate::engine::message::SharedMessage;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;

/// The name that clients consume from and put into `reply_to`.
pub const REPLY_TO: &str = "amq.rabbitmq.reply-to";
/// The prefix of an address.
pub const TOKEN_PREFIX: &str = "amq.rabbitmq.reply-to.";

/// Returns whether a routing key of the default exchange is a reply address.
pub fn is_address(routing_key: &[u8]) -> bool {
    routing_key.starts_with(TOKEN_PREFIX.as_bytes())
}

/// The addresses of all channels that wait for replies.
#[derive(Debug, Default)]
pub struct ReplyAddresses {
    all: RwLock<HashMap<Box<[u8]>, Arc<Mailbox>>>,
}

/// An address, registered while its channel waits for replies.
#[derive(Debug)]
pub struct ReplyAddress {
    name: Box<str>,
    addresses: Arc<ReplyAddresses>,
}

impl ReplyAddresses {
    /// Registers `name`, which must be unique, for a connection.
    pub fn add(self: &Arc<Self>, name: String, mailbox: &Arc<Mailbox>) -> ReplyAddress {
        let name = name.into_boxed_str();
        self.all
            .write()
            .insert(name.as_bytes().into(), mailbox.clone());
        ReplyAddress {
            name,
            addresses: self.clone(),
        }
    }

    /// Returns whether a channel waits under this address.
    pub fn leads_somewhere(&self, address: &[u8]) -> bool {
        self.all.read().contains_key(address)
    }

    /// Sends a message that was published to the default exchange to every reply address among its
    /// routing keys; `copies` are the keys beyond the first. Returns false if none leads anywhere.
    pub fn send_to_all(&self, message: &SharedMessage, copies: &[Box<[u8]>]) -> bool {
        let key = message.routing_key();
        let mut sent = is_address(key) && self.send(Reply::new(message.clone()));
        for (at, copy) in copies.iter().enumerate() {
            let again = || **copy == *key || copies[..at].contains(copy);
            if is_address(copy) && !again() {
                sent |= self.send(Reply::copy(message.clone(), copy));
            }
        }
        sent
    }

    /// Hands a reply to the connection whose channel waits for it. Returns false if there is none.
    pub fn send(&self, reply: Reply) -> bool {
        let mailbox = self.all.read().get(reply.address()).cloned();
        let found = mailbox.is_some();
        if let Some(mailbox) = mailbox {
            mailbox.reply(reply);
        }
        found
    }
}

impl ReplyAddress {
    /// Returns the address to which replies are published.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for ReplyAddress {
    fn drop(&mut self) {
        self.addresses.all.write().remove(self.name.as_bytes());
    }
}
