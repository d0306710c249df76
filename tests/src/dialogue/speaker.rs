//! An AMQP connection for tests whose subject is something else: says methods in the words of the dialogues, and waits
//! for their answers.

use std::time::Instant;

use super::item::Item;
use super::login;
use super::peer::Peer;
use super::player::ANSWER;

/// A connection with its channel 1 open.
pub(crate) struct Speaker {
    peer: Peer,
}

impl Speaker {
    /// Opens a connection; `options` are those of a `connect` line.
    ///
    /// # Errors
    /// When the broker refuses it.
    pub(crate) fn connect(address: &str, options: &str) -> Result<Self, String> {
        let (peer, _) = login::connect(address, options, true, Instant::now() + ANSWER)?;
        Ok(Speaker { peer })
    }

    /// Returns the name that RabbitMQ gives this connection: `127.0.0.1:50000 -> 127.0.0.1:5672`.
    ///
    /// # Errors
    /// When the socket does not know its ports.
    pub(crate) fn name(&self) -> Result<String, String> {
        let (ours, theirs) = self.peer.ports()?;
        Ok(format!("127.0.0.1:{ours} -> 127.0.0.1:{theirs}"))
    }

    /// Says a method on a channel, and waits for its answer if it has one.
    ///
    /// # Errors
    /// When the line is no method, or the broker answers it with something else.
    pub(crate) fn say(&mut self, channel: u16, line: &str) -> Result<(), String> {
        let item = Item::parse(line, false)?;
        self.peer.send(channel, &item);
        let Some(method) = item.method() else {
            return Ok(());
        };
        match method.is_answered() && !item.is_set("no-wait") {
            true => self.await_one(channel, |name| name.answers(method.name)),
            false => Ok(()),
        }
    }

    /// Waits until the broker says a method of this name on a channel.
    ///
    /// # Errors
    /// When it says something else, or nothing in time.
    pub(crate) fn hear(&mut self, channel: u16, name: &str) -> Result<(), String> {
        self.await_one(channel, |method| method.name == name)
    }

    fn await_one(
        &mut self,
        channel: u16,
        wanted: impl Fn(&super::spec::Method) -> bool,
    ) -> Result<(), String> {
        loop {
            let next = self.peer.next(channel, Instant::now() + ANSWER)?;
            let Some((from, item)) = next else {
                return Err("no answer in time".to_owned());
            };
            match item.method() {
                Some(method) if wanted(method) => return Ok(()),
                // Deliveries come between other answers whenever they like.
                Some(method) if method.name == "basic.deliver" => {}
                _ => return Err(format!("channel {from}: {}", item.text())),
            }
        }
    }
}
