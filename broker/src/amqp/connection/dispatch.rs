//! Where the methods on a channel go, and the classes that are too small for a file of their own: channel, confirm and
//! access.

use super::Connection;
use super::confirms::Confirms;
use super::input::METHOD_EFFORT;
use super::settle::Outcome;
use crate::engine::queue::Return;
use leveret_protocol::classes::{AMQPClass, access, channel as channel_class, confirm};
use leveret_protocol::method::{self, Method};
use leveret_protocol::{AmqpError, ChannelId, texts};

impl Connection {
    /// Handles a method frame on an open channel.
    pub(super) fn method_frame(&mut self, id: ChannelId, payload: &[u8]) -> Result<(), AmqpError> {
        let method = method::decode(payload)?;
        let method_id = method.id();
        self.method(id, method)
            .map_err(|error| error.caused_by(method_id))
    }

    fn method(&mut self, id: ChannelId, method: Method<'_>) -> Result<(), AmqpError> {
        match method {
            Method::Publish(publish) => return self.publish_method(id, publish),
            Method::Ack { tag, multiple } => {
                return self.settle(id, tag, multiple, Outcome::Acknowledged);
            }
            Method::Nack {
                tag,
                multiple,
                requeue,
            } => {
                return self.settle(id, tag, multiple, rejected(requeue, Return::Released));
            }
            Method::Reject { tag, requeue } => {
                return self.settle(id, tag, false, rejected(requeue, Return::Failed));
            }
            Method::Qos(_) | Method::Other(_) => {}
        }
        self.effort += METHOD_EFFORT;
        // All other methods must see the effect of earlier ones.
        self.flush_settled();
        self.flush_publishes();
        self.perform();
        let class = match method {
            Method::Qos(qos) => return self.qos(id, qos),
            Method::Other(class) => class,
            _ => return Ok(()),
        };
        match class {
            AMQPClass::Basic(method) => self.basic_method(id, method),
            AMQPClass::Queue(method) => self.queue_method(id, method),
            AMQPClass::Exchange(method) => self.exchange_method(id, method),
            AMQPClass::Channel(method) => self.channel_method(id, method),
            AMQPClass::Confirm(confirm::AMQPMethod::Select(select)) => {
                self.confirm_select(id, select.nowait)
            }
            AMQPClass::Tx(method) => self.tx_method(id, &method),
            AMQPClass::Access(access::AMQPMethod::Request(_)) => {
                // Obsolete since 0-9-1; clients of 0-9 ask for it, and any ticket will do.
                let ok = access::AMQPMethod::RequestOk(access::RequestOk {});
                self.reply(id, AMQPClass::Access(ok));
                Ok(())
            }
            _ => Err(texts::unimplemented_method()),
        }
    }

    fn channel_method(
        &mut self,
        id: ChannelId,
        method: channel_class::AMQPMethod,
    ) -> Result<(), AmqpError> {
        match method {
            channel_class::AMQPMethod::Open(_) => Err(texts::second_channel_open()),
            channel_class::AMQPMethod::Close(_) => {
                self.close_channel(id);
                Ok(())
            }
            channel_class::AMQPMethod::Flow(flow) if flow.active => {
                let ok = channel_class::FlowOk { active: true };
                self.reply(
                    id,
                    AMQPClass::Channel(channel_class::AMQPMethod::FlowOk(ok)),
                );
                Ok(())
            }
            channel_class::AMQPMethod::Flow(_) => Err(texts::not_implemented("active=false")),
            // Replies to requests that we never sent.
            channel_class::AMQPMethod::FlowOk(_)
            | channel_class::AMQPMethod::CloseOk(_)
            | channel_class::AMQPMethod::OpenOk(_) => Err(texts::unimplemented_method()),
        }
    }

    fn confirm_select(&mut self, id: ChannelId, no_wait: bool) -> Result<(), AmqpError> {
        let channel = self.open_channel(id)?;
        if channel.transaction.is_some() {
            return Err(texts::confirm_after_tx());
        }
        channel.confirms.get_or_insert_with(Confirms::default);
        if !no_wait {
            let ok = confirm::SelectOk {};
            self.reply(id, AMQPClass::Confirm(confirm::AMQPMethod::SelectOk(ok)));
        }
        Ok(())
    }
}

fn rejected(requeue: bool, how: Return) -> Outcome {
    if requeue {
        Outcome::Requeued(how)
    } else {
        Outcome::Discarded
    }
}
