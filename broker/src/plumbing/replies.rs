//! The addresses under which channels wait for replies (RabbitMQ: "Direct Reply-to").

use super::mailbox::{Mailbox, Reply};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;

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
