//! Declarations of a client: queues, exchanges, bindings, consumers.

use super::client::Client;
use super::options::Load;
use super::route::Route;
use leveret_protocol::MethodId;
use leveret_protocol::classes::{AMQPClass, basic, channel, confirm, exchange, queue};
use leveret_protocol::values::{AMQPValue, FieldTable};
use std::io;
use std::time::Duration;

impl Client {
    pub(super) fn declare_queue(&mut self, name: &str, load: &Load) -> io::Result<()> {
        let mut arguments = FieldTable::default();
        for (name, value) in &load.arguments {
            let value = match value.parse() {
                Ok(number) => AMQPValue::LongLongInt(number),
                Err(_) => AMQPValue::LongString(value.as_str().into()),
            };
            arguments.insert(name.as_str().into(), value);
        }
        let durable = load.persistent || load.durable;
        self.declare(name, false, durable, arguments).map(drop)
    }

    /// Returns the number of messages in a queue.
    pub(super) fn messages(&mut self, name: &str) -> io::Result<u32> {
        self.declare(name, true, false, FieldTable::default())
    }

    fn declare(
        &mut self,
        name: &str,
        passive: bool,
        durable: bool,
        arguments: FieldTable,
    ) -> io::Result<u32> {
        let declare = queue::Declare {
            queue: name.into(),
            passive,
            durable,
            exclusive: false,
            auto_delete: false,
            nowait: false,
            arguments,
        };
        self.send(1, AMQPClass::Queue(queue::AMQPMethod::Declare(declare)))?;
        match self.expect(MethodId::new(50, 11))? {
            AMQPClass::Queue(queue::AMQPMethod::DeclareOk(ok)) => Ok(ok.message_count),
            _ => Err(io::Error::other("expected queue.declare-ok")),
        }
    }

    /// Deletes a queue, which must not take longer than `max`.
    pub(super) fn delete_queue(&mut self, name: &str, max: Duration) -> io::Result<()> {
        let delete = queue::Delete {
            queue: name.into(),
            if_unused: false,
            if_empty: false,
            nowait: false,
        };
        self.send(1, AMQPClass::Queue(queue::AMQPMethod::Delete(delete)))?;
        self.expect_within(max, MethodId::new(50, 41)).map(drop)
    }

    pub(super) fn declare_exchange(
        &mut self,
        name: &str,
        kind: &str,
        durable: bool,
    ) -> io::Result<()> {
        let declare = exchange::Declare {
            exchange: name.into(),
            kind: kind.into(),
            passive: false,
            durable,
            auto_delete: false,
            internal: false,
            nowait: false,
            arguments: FieldTable::default(),
        };
        let declare = exchange::AMQPMethod::Declare(declare);
        self.send(1, AMQPClass::Exchange(declare))?;
        self.expect(MethodId::new(40, 11)).map(drop)
    }

    pub(super) fn delete_exchange(&mut self, name: &str) -> io::Result<()> {
        let delete = exchange::Delete {
            exchange: name.into(),
            if_unused: false,
            nowait: false,
        };
        self.send(1, AMQPClass::Exchange(exchange::AMQPMethod::Delete(delete)))?;
        self.expect(MethodId::new(40, 21)).map(drop)
    }

    /// Binds a queue; with `nowait`, without waiting for an answer.
    pub(super) fn bind(
        &mut self,
        queue: &str,
        exchange: &str,
        route: &Route,
        nowait: bool,
    ) -> io::Result<()> {
        let bind = queue::Bind {
            queue: queue.into(),
            exchange: exchange.into(),
            routing_key: route.binding_key.as_str().into(),
            nowait,
            arguments: header_arguments(route),
        };
        self.send(1, AMQPClass::Queue(queue::AMQPMethod::Bind(bind)))?;
        match nowait {
            true => Ok(()),
            false => self.expect(MethodId::new(50, 21)).map(drop),
        }
    }

    pub(super) fn unbind(&mut self, queue: &str, exchange: &str, route: &Route) -> io::Result<()> {
        let unbind = queue::Unbind {
            queue: queue.into(),
            exchange: exchange.into(),
            routing_key: route.binding_key.as_str().into(),
            arguments: header_arguments(route),
        };
        self.send(1, AMQPClass::Queue(queue::AMQPMethod::Unbind(unbind)))?;
        self.expect(MethodId::new(50, 51)).map(drop)
    }

    pub(super) fn confirm_select(&mut self, channel: u16) -> io::Result<()> {
        let select = confirm::Select { nowait: false };
        self.send(
            channel,
            AMQPClass::Confirm(confirm::AMQPMethod::Select(select)),
        )?;
        self.expect(MethodId::new(85, 11)).map(drop)
    }

    pub(super) fn qos(&mut self, channel: u16, prefetch: u16) -> io::Result<()> {
        let qos = basic::Qos {
            prefetch_count: prefetch,
            global: false,
        };
        self.send(channel, AMQPClass::Basic(basic::AMQPMethod::Qos(qos)))?;
        self.expect(MethodId::new(60, 11)).map(drop)
    }

    /// Starts a consumer. Deliveries may arrive before the answer, so the caller handles both.
    pub(super) fn consume(
        &mut self,
        channel: u16,
        name: &str,
        tag: &str,
        ack: bool,
    ) -> io::Result<()> {
        let consume = basic::Consume {
            queue: name.into(),
            consumer_tag: tag.into(),
            no_local: false,
            no_ack: !ack,
            exclusive: false,
            nowait: false,
            arguments: FieldTable::default(),
        };
        self.send(
            channel,
            AMQPClass::Basic(basic::AMQPMethod::Consume(consume)),
        )
    }

    pub(super) fn close_channel(&mut self, channel: u16) -> io::Result<()> {
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
    pub(super) fn reopen_channel(&mut self) -> io::Result<()> {
        let close_ok = channel::AMQPMethod::CloseOk(channel::CloseOk {});
        self.send(1, AMQPClass::Channel(close_ok))?;
        self.open_channel(1)
    }
}

fn header_arguments(route: &Route) -> FieldTable {
    let mut arguments = FieldTable::default();
    if let Some(header) = &route.header {
        arguments.insert("way".into(), AMQPValue::LongString(header.as_str().into()));
    }
    arguments
}
