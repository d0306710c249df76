//! What a burst leaves behind in a connection: buffers that have grown. Ten thousand connections
//! that were busy once must not cost more than ten thousand that never were.

use super::Connection;
use super::channel::Channel;

impl Connection {
    /// Gives back the memory of empty buffers, when nothing has happened for a while. Whatever is
    /// used again grows again, so this must not be called between two batches of a stream.
    pub fn give_back(&mut self) {
        self.out.give_back();
        self.fx.give_back();
        self.run.give_back();
        self.route.give_back();
        self.mailbox.give_back();
        self.taken.mail.shrink_to_fit();
        self.taken.tokens.shrink_to_fit();
        self.settled.shrink_to_fit();
        self.discarded.shrink_to_fit();
        self.unconfirmed_news.shrink_to_fit();
        self.tokens.shrink_to_fit();
        self.unread.shrink_to_fit();
        self.channels.give_back();
        for channel in self.channels.iter_mut() {
            channel.give_back();
        }
    }
}

impl Channel {
    fn give_back(&mut self) {
        self.unacked.give_back();
        self.routing_key.shrink_to_fit();
        if let Some(confirms) = &mut self.confirms {
            confirms.give_back();
        }
    }
}
