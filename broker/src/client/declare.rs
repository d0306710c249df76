//! Declarations of a client: queues, exchanges, bindings, consumers.

use super::connection::{Client, Refusal};
use leveret_protocol::MethodId;
use leveret_protocol::classes::{AMQPClass, basic, channel, confirm, exchange, queue};
use leveret_protocol::values::FieldTable;
use std::io;
use std::time::Duration;

/// An exchange to be declared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchange<'a> {
    pub(crate) name: &'a str,
    /// Its type.
    pub(crate) kind: &'a str,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
}

impl Client {
    /// Declares a queue.
    pub(crate) fn declare_queue(
        &mut self,
        name: &str,
        durable: bool,
        arguments: FieldTable,
    ) -> io::Result<()> {
        self.declare(name, false, durable, arguments).map(drop)
    }

    /// Returns the number of ready messages and of consumers of a queue.
    pub(crate) fn counts(&mut self, name: &str) -> io::Result<(u32, u32)> {
        self.declare(name, true, false, FieldTable::default())
    }

    fn declare(
        &mut self,
        name: &str,
        passive: bool,
        durable: bool,
        arguments: FieldTable,
    ) -> io::Result<(u32, u32)> {
        self.send(1, declare(name, passive, durable, arguments))?;
        match self.expect(MethodId::new(50, 11))? {
            AMQPClass::Queue(queue::AMQPMethod::DeclareOk(ok)) => {
                Ok((ok.message_count, ok.consumer_count))
            }
            _ => Err(io::Error::other("expected queue.declare-ok")),
        }
    }

    /// Returns whether a queue, which must exist, is deleted with its last consumer; `None` if that cannot be told without
    /// the permission to declare it. AMQP has no question for this, but a declaration that does not fit is refused with
    /// the reason.
    pub(crate) fn is_auto_delete(&mut self, name: &str) -> io::Result<Option<bool>> {
        for durable in [true, false] {
            let error = match self.declare_queue(name, durable, FieldTable::default()) {
                Ok(()) => return Ok(Some(false)),
                Err(error) => error,
            };
            let Some(refusal) = Refusal::of(&error) else {
                return Err(error);
            };
            let (code, text) = (refusal.code, refusal.text.clone());
            self.reopen_channel()?;
            match code {
                403 => return Ok(None),
                406 if text.contains("'auto_delete'") => return Ok(Some(true)),
                406 if text.contains("'durable'") => {}
                _ => return Ok(Some(false)),
            }
        }
        Ok(Some(false))
    }

    /// Asks for the counts of a queue. The answer arrives among other frames.
    pub(crate) fn ask_counts(&mut self, name: &str) -> io::Result<()> {
        self.send(1, declare(name, true, false, FieldTable::default()))
    }

    /// Deletes a queue, which must not take longer than `max`.
    pub(crate) fn delete_queue(&mut self, name: &str, max: Duration) -> io::Result<()> {
        let delete = queue::Delete {
            queue: name.into(),
            if_unused: false,
            if_empty: false,
            nowait: false,
        };
        self.send(1, AMQPClass::Queue(queue::AMQPMethod::Delete(delete)))?;
        self.expect_within(max, MethodId::new(50, 41)).map(drop)
    }

    pub(crate) fn declare_exchange(&mut self, exchange: Exchange<'_>) -> io::Result<()> {
        let declare = exchange::Declare {
            exchange: exchange.name.into(),
            kind: exchange.kind.into(),
            passive: false,
            durable: exchange.durable,
            auto_delete: exchange.auto_delete,
            internal: false,
            nowait: false,
            arguments: FieldTable::default(),
        };
        let declare = exchange::AMQPMethod::Declare(declare);
        self.send(1, AMQPClass::Exchange(declare))?;
        self.expect(MethodId::new(40, 11)).map(drop)
    }

    pub(crate) fn delete_exchange(&mut self, name: &str) -> io::Result<()> {
        let delete = exchange::Delete {
            exchange: name.into(),
            if_unused: false,
            nowait: false,
        };
        self.send(1, AMQPClass::Exchange(exchange::AMQPMethod::Delete(delete)))?;
        self.expect(MethodId::new(40, 21)).map(drop)
    }

    /// Binds a queue; with `nowait`, without waiting for an answer.
    pub(crate) fn bind(
        &mut self,
        queue: &str,
        exchange: &str,
        routing_key: &str,
        arguments: FieldTable,
        nowait: bool,
    ) -> io::Result<()> {
        let bind = queue::Bind {
            queue: queue.into(),
            exchange: exchange.into(),
            routing_key: routing_key.into(),
            nowait,
            arguments,
        };
        self.send(1, AMQPClass::Queue(queue::AMQPMethod::Bind(bind)))?;
        match nowait {
            true => Ok(()),
            false => self.expect(MethodId::new(50, 21)).map(drop),
        }
    }

    pub(crate) fn unbind(
        &mut self,
        queue: &str,
        exchange: &str,
        routing_key: &str,
        arguments: FieldTable,
    ) -> io::Result<()> {
        let unbind = queue::Unbind {
            queue: queue.into(),
            exchange: exchange.into(),
            routing_key: routing_key.into(),
            arguments,
        };
        self.send(1, AMQPClass::Queue(queue::AMQPMethod::Unbind(unbind)))?;
        self.expect(MethodId::new(50, 51)).map(drop)
    }

    pub(crate) fn confirm_select(&mut self, channel: u16) -> io::Result<()> {
        let select = confirm::Select { nowait: false };
        self.send(
            channel,
            AMQPClass::Confirm(confirm::AMQPMethod::Select(select)),
        )?;
        self.expect(MethodId::new(85, 11)).map(drop)
    }

    pub(crate) fn qos(&mut self, channel: u16, prefetch: u16) -> io::Result<()> {
        self.ask_qos(channel, prefetch)?;
        self.expect(MethodId::new(60, 11)).map(drop)
    }

    /// Limits the consumers to come. The answer arrives among other frames.
    pub(crate) fn ask_qos(&mut self, channel: u16, prefetch: u16) -> io::Result<()> {
        let qos = basic::Qos {
            prefetch_count: prefetch,
            global: false,
        };
        self.send(channel, AMQPClass::Basic(basic::AMQPMethod::Qos(qos)))
    }

    /// Starts a consumer. Deliveries may arrive before the answer, so the caller handles both.
    pub(crate) fn consume(
        &mut self,
        channel: u16,
        name: &str,
        tag: &str,
        ack: bool,
        arguments: FieldTable,
    ) -> io::Result<()> {
        let consume = basic::Consume {
            queue: name.into(),
            consumer_tag: tag.into(),
            no_local: false,
            no_ack: !ack,
            exclusive: false,
            nowait: false,
            arguments,
        };
        self.send(
            channel,
            AMQPClass::Basic(basic::AMQPMethod::Consume(consume)),
        )
    }

    /// Fetches a message, which is not acknowledged and goes back with the connection, and succeeds whether or not there is
    /// one.
    pub(crate) fn is_gettable(&mut self, queue: &str) -> io::Result<()> {
        let get = basic::Get {
            queue: queue.into(),
            no_ack: false,
        };
        self.send(1, AMQPClass::Basic(basic::AMQPMethod::Get(get)))?;
        // Its answers come before that of the next method.
        self.counts(queue).map(drop)
    }

    /// Ends a consumer. Deliveries may arrive before the answer, so the caller handles both; with `nowait` there is none.
    pub(crate) fn cancel(&mut self, channel: u16, tag: &str, nowait: bool) -> io::Result<()> {
        let cancel = basic::Cancel {
            consumer_tag: tag.into(),
            nowait,
        };
        self.send(channel, AMQPClass::Basic(basic::AMQPMethod::Cancel(cancel)))
    }

    pub(crate) fn close_channel(&mut self, channel: u16) -> io::Result<()> {
        let close = channel::Close {
            reply_code: 200,
            reply_text: "done".into(),
            class_id: 0,
            method_id: 0,
        };
        self.send(
            channel,
            AMQPClass::Channel(channel::AMQPMethod::Close(close)),
        )?;
        self.expect(MethodId::new(20, 41)).map(drop)
    }

    /// Reopens channel 1 after the broker has closed it.
    pub(crate) fn reopen_channel(&mut self) -> io::Result<()> {
        let close_ok = channel::AMQPMethod::CloseOk(channel::CloseOk {});
        self.send(1, AMQPClass::Channel(close_ok))?;
        self.open_channel(1)
    }
}

fn declare(name: &str, passive: bool, durable: bool, arguments: FieldTable) -> AMQPClass {
    AMQPClass::Queue(queue::AMQPMethod::Declare(queue::Declare {
        queue: name.into(),
        passive,
        durable,
        exclusive: false,
        auto_delete: false,
        nowait: false,
        arguments,
    }))
}
