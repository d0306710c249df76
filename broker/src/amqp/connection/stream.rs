//! What streams require of their consumers.

use super::Connection;
use leveret_protocol::classes::basic;
use leveret_protocol::{AmqpError, ChannelId, QueueName, texts};

impl Connection {
    /// Checks that a stream's consumer has a prefetch of its own and acknowledges: only
    /// acknowledgements let it go on (`rabbit_stream_queue:consume`).
    pub(super) fn check_stream_consumer(
        &mut self,
        id: ChannelId,
        consume: &basic::Consume,
        queue: &QueueName,
    ) -> Result<(), AmqpError> {
        let vhost = self.vhost()?.name().clone();
        let channel = self.open_channel(id)?;
        if channel.prefetch == 0 {
            Err(texts::no_prefetch(queue, &vhost))
        } else if consume.no_ack {
            Err(texts::no_automatic_ack(queue, &vhost))
        } else if channel.credit.limit() > 0 {
            Err(texts::no_global_qos(queue, &vhost))
        } else {
            Ok(())
        }
    }
}
