//! What a client asks; the rarer options are set by a closure.

use leveret_protocol::classes::{
    AMQPClass, basic, channel, confirm, connection, exchange, queue, tx,
};
use leveret_protocol::values::{AMQPValue, FieldTable};

pub(super) fn table<const N: usize>(fields: [(&str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in fields {
        table.insert(name.into(), value);
    }
    table
}

pub(super) fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

/// PLAIN; `capable`: with the capabilities that modern clients announce.
pub(super) fn start_ok(user: &str, password: &str, capable: bool) -> AMQPClass {
    let yes = AMQPValue::Boolean(capable);
    let capabilities = table([
        ("authentication_failure_close", yes.clone()),
        ("connection.blocked", yes.clone()),
        ("consumer_cancel_notify", yes),
    ]);
    start_ok_with("PLAIN", &format!("\0{user}\0{password}"), capabilities)
}

pub(super) fn start_ok_with(
    mechanism: &str,
    response: &str,
    capabilities: FieldTable,
) -> AMQPClass {
    let capabilities = ("capabilities", AMQPValue::FieldTable(capabilities));
    AMQPClass::Connection(connection::AMQPMethod::StartOk(connection::StartOk {
        client_properties: table([capabilities]),
        mechanism: mechanism.into(),
        response: response.into(),
        locale: "en_US".into(),
    }))
}

pub(super) fn tune_ok(channel_max: u16, frame_max: u32, heartbeat: u16) -> AMQPClass {
    AMQPClass::Connection(connection::AMQPMethod::TuneOk(connection::TuneOk {
        channel_max,
        frame_max,
        heartbeat,
    }))
}

pub(super) fn open(vhost: &str) -> AMQPClass {
    AMQPClass::Connection(connection::AMQPMethod::Open(connection::Open {
        virtual_host: vhost.into(),
    }))
}

pub(super) fn update_secret(secret: &str) -> AMQPClass {
    AMQPClass::Connection(connection::AMQPMethod::UpdateSecret(
        connection::UpdateSecret {
            new_secret: secret.into(),
            reason: "expired".into(),
        },
    ))
}

pub(super) fn close() -> AMQPClass {
    AMQPClass::Connection(connection::AMQPMethod::Close(connection::Close {
        reply_code: 200,
        reply_text: "bye".into(),
        class_id: 0,
        method_id: 0,
    }))
}

pub(super) fn close_ok() -> AMQPClass {
    AMQPClass::Connection(connection::AMQPMethod::CloseOk(connection::CloseOk {}))
}

pub(super) fn channel_open() -> AMQPClass {
    AMQPClass::Channel(channel::AMQPMethod::Open(channel::Open {}))
}

pub(super) fn channel_close() -> AMQPClass {
    AMQPClass::Channel(channel::AMQPMethod::Close(channel::Close {
        reply_code: 200,
        reply_text: "bye".into(),
        class_id: 0,
        method_id: 0,
    }))
}

pub(super) fn channel_close_ok() -> AMQPClass {
    AMQPClass::Channel(channel::AMQPMethod::CloseOk(channel::CloseOk {}))
}

pub(super) fn flow(active: bool) -> AMQPClass {
    AMQPClass::Channel(channel::AMQPMethod::Flow(channel::Flow { active }))
}

pub(super) fn declare(name: &str) -> AMQPClass {
    declare_with(name, |_| {})
}

pub(super) fn declare_with(name: &str, set: impl FnOnce(&mut queue::Declare)) -> AMQPClass {
    let mut declare = queue::Declare {
        queue: name.into(),
        passive: false,
        durable: false,
        exclusive: false,
        auto_delete: false,
        nowait: false,
        arguments: FieldTable::default(),
    };
    set(&mut declare);
    AMQPClass::Queue(queue::AMQPMethod::Declare(declare))
}

pub(super) fn delete(name: &str) -> AMQPClass {
    delete_if(name, false, false)
}

pub(super) fn delete_if(name: &str, if_unused: bool, if_empty: bool) -> AMQPClass {
    AMQPClass::Queue(queue::AMQPMethod::Delete(queue::Delete {
        queue: name.into(),
        if_unused,
        if_empty,
        nowait: false,
    }))
}

pub(super) fn purge(name: &str) -> AMQPClass {
    AMQPClass::Queue(queue::AMQPMethod::Purge(queue::Purge {
        queue: name.into(),
        nowait: false,
    }))
}

pub(super) fn bind(name: &str, exchange: &str, key: &str) -> AMQPClass {
    AMQPClass::Queue(queue::AMQPMethod::Bind(queue::Bind {
        queue: name.into(),
        exchange: exchange.into(),
        routing_key: key.into(),
        nowait: false,
        arguments: FieldTable::default(),
    }))
}

pub(super) fn unbind(name: &str, exchange: &str, key: &str) -> AMQPClass {
    AMQPClass::Queue(queue::AMQPMethod::Unbind(queue::Unbind {
        queue: name.into(),
        exchange: exchange.into(),
        routing_key: key.into(),
        arguments: FieldTable::default(),
    }))
}

pub(super) fn exchange(name: &str, kind: &str) -> AMQPClass {
    exchange_with(name, kind, |_| {})
}

pub(super) fn exchange_with(
    name: &str,
    kind: &str,
    set: impl FnOnce(&mut exchange::Declare),
) -> AMQPClass {
    let mut declare = exchange::Declare {
        exchange: name.into(),
        kind: kind.into(),
        passive: false,
        durable: false,
        auto_delete: false,
        internal: false,
        nowait: false,
        arguments: FieldTable::default(),
    };
    set(&mut declare);
    AMQPClass::Exchange(exchange::AMQPMethod::Declare(declare))
}

pub(super) fn exchange_delete(name: &str, if_unused: bool) -> AMQPClass {
    AMQPClass::Exchange(exchange::AMQPMethod::Delete(exchange::Delete {
        exchange: name.into(),
        if_unused,
        nowait: false,
    }))
}

pub(super) fn exchange_bind(destination: &str, source: &str) -> AMQPClass {
    AMQPClass::Exchange(exchange::AMQPMethod::Bind(exchange::Bind {
        destination: destination.into(),
        source: source.into(),
        routing_key: "".into(),
        nowait: false,
        arguments: FieldTable::default(),
    }))
}

pub(super) fn publish(exchange: &str, key: &str) -> basic::Publish {
    basic::Publish {
        exchange: exchange.into(),
        routing_key: key.into(),
        mandatory: false,
        immediate: false,
    }
}

pub(super) fn basic(method: basic::AMQPMethod) -> AMQPClass {
    AMQPClass::Basic(method)
}

pub(super) fn consume(queue: &str, tag: &str) -> AMQPClass {
    consume_with(queue, tag, |_| {})
}

pub(super) fn consume_with(
    queue: &str,
    tag: &str,
    set: impl FnOnce(&mut basic::Consume),
) -> AMQPClass {
    let mut consume = basic::Consume {
        queue: queue.into(),
        consumer_tag: tag.into(),
        no_local: false,
        no_ack: false,
        exclusive: false,
        nowait: false,
        arguments: FieldTable::default(),
    };
    set(&mut consume);
    basic(basic::AMQPMethod::Consume(consume))
}

pub(super) fn cancel(tag: &str) -> AMQPClass {
    basic(basic::AMQPMethod::Cancel(basic::Cancel {
        consumer_tag: tag.into(),
        nowait: false,
    }))
}

pub(super) fn get(queue: &str, no_ack: bool) -> AMQPClass {
    basic(basic::AMQPMethod::Get(basic::Get {
        queue: queue.into(),
        no_ack,
    }))
}

pub(super) fn ack(delivery_tag: u64, multiple: bool) -> AMQPClass {
    basic(basic::AMQPMethod::Ack(basic::Ack {
        delivery_tag,
        multiple,
    }))
}

pub(super) fn nack(delivery_tag: u64, multiple: bool, requeue: bool) -> AMQPClass {
    basic(basic::AMQPMethod::Nack(basic::Nack {
        delivery_tag,
        multiple,
        requeue,
    }))
}

pub(super) fn reject(delivery_tag: u64, requeue: bool) -> AMQPClass {
    basic(basic::AMQPMethod::Reject(basic::Reject {
        delivery_tag,
        requeue,
    }))
}

pub(super) fn qos(prefetch_count: u16, global: bool) -> AMQPClass {
    basic(basic::AMQPMethod::Qos(basic::Qos {
        prefetch_count,
        global,
    }))
}

pub(super) fn recover(requeue: bool) -> AMQPClass {
    basic(basic::AMQPMethod::Recover(basic::Recover { requeue }))
}

pub(super) fn tx_select() -> AMQPClass {
    AMQPClass::Tx(tx::AMQPMethod::Select(tx::Select {}))
}

pub(super) fn tx_commit() -> AMQPClass {
    AMQPClass::Tx(tx::AMQPMethod::Commit(tx::Commit {}))
}

pub(super) fn tx_rollback() -> AMQPClass {
    AMQPClass::Tx(tx::AMQPMethod::Rollback(tx::Rollback {}))
}

/// A queue of limited length; `overflow` may be empty.
pub(super) fn declare_limited(name: &str, messages: i32, overflow: &str) -> AMQPClass {
    declare_with(name, |d| {
        d.arguments = table([("x-max-length", AMQPValue::LongInt(messages))]);
        if !overflow.is_empty() {
            d.arguments.insert("x-overflow".into(), text(overflow));
        }
    })
}

pub(super) fn confirm_select() -> AMQPClass {
    AMQPClass::Confirm(confirm::AMQPMethod::Select(confirm::Select {
        nowait: false,
    }))
}
