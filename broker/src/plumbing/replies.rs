//! Who waits for replies under which address (RabbitMQ: "Direct Reply-to").

use super::mailbox::{Mailbox, Reply};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;

/// The addresses of all channels that wait for replies.
#[derive(Debug, Default)]
pub struct ReplyAddresses {
    all: RwLock<HashMap<Box<[u8]>, Arc<Mailbox>>>,
}

/// An address for as long as its channel waits for replies.
#[derive(Debug)]
pub struct ReplyAddress {
    name: Box<str>,
    addresses: Arc<ReplyAddresses>,
}

impl ReplyAddresses {
    /// Makes `name`, which nobody else has, lead to a connection.
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

    /// Whether somebody waits under this address.
    pub fn leads_somewhere(&self, address: &[u8]) -> bool {
        self.all.read().contains_key(address)
    }

    /// Hands a reply to the connection whose channel waits for it; `false` when nobody does.
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
    /// What replies are published to.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for ReplyAddress {
    fn drop(&mut self) {
        self.addresses.all.write().remove(self.name.as_bytes());
    }
}
