//! What a burst leaves behind in a connection: buffers that have grown. Ten thousand connections
//! that were busy once must not cost more than ten thousand that never were.

use super::Connection;
use super::channel::Channel;

impl Connection {
    /// Frees the memory of empty buffers after some idle time. They grow again when used, so this
    /// must not be called between two batches of a stream.
    pub fn release_memory(&mut self) {
        self.out.release_memory();
        self.fx.release_memory();
        self.run.release_memory();
        self.count_routes();
        self.route.release_memory();
        self.mailbox.release_memory();
        self.mail_batch.mail.shrink_to_fit();
        self.mail_batch.tokens.shrink_to_fit();
        self.settled.shrink_to_fit();
        self.discarded.shrink_to_fit();
        self.unconfirmed_news.shrink_to_fit();
        self.tokens.shrink_to_fit();
        self.unread.shrink_to_fit();
        self.channels.release_memory();
        for channel in self.channels.iter_mut() {
            channel.release_memory();
        }
    }
}

impl Channel {
    fn release_memory(&mut self) {
        self.unacked.release_memory();
        self.routing_key.shrink_to_fit();
        if let Some(confirms) = &mut self.confirms {
            confirms.release_memory();
        }
    }
}
