//! The numbers of the methods that code refers to.

use crate::error::MethodId;

/// `connection.start`.
pub const CONNECTION_START: MethodId = MethodId::new(10, 10);
/// `connection.start-ok`.
pub const CONNECTION_START_OK: MethodId = MethodId::new(10, 11);
/// `connection.secure-ok`.
pub const CONNECTION_SECURE_OK: MethodId = MethodId::new(10, 21);
/// `connection.tune-ok`.
pub const CONNECTION_TUNE_OK: MethodId = MethodId::new(10, 31);
/// `connection.open`.
pub const CONNECTION_OPEN: MethodId = MethodId::new(10, 40);
/// `connection.close`.
pub const CONNECTION_CLOSE: MethodId = MethodId::new(10, 50);
/// `connection.close-ok`.
pub const CONNECTION_CLOSE_OK: MethodId = MethodId::new(10, 51);
/// `channel.open`.
pub const CHANNEL_OPEN: MethodId = MethodId::new(20, 10);
/// `channel.flow`.
pub const CHANNEL_FLOW: MethodId = MethodId::new(20, 20);
/// `channel.close`.
pub const CHANNEL_CLOSE: MethodId = MethodId::new(20, 40);
/// `channel.close-ok`.
pub const CHANNEL_CLOSE_OK: MethodId = MethodId::new(20, 41);
/// `exchange.declare`.
pub const EXCHANGE_DECLARE: MethodId = MethodId::new(40, 10);
/// `exchange.delete`.
pub const EXCHANGE_DELETE: MethodId = MethodId::new(40, 20);
/// `exchange.bind`.
pub const EXCHANGE_BIND: MethodId = MethodId::new(40, 30);
/// `exchange.unbind`.
pub const EXCHANGE_UNBIND: MethodId = MethodId::new(40, 40);
/// `queue.declare`.
pub const QUEUE_DECLARE: MethodId = MethodId::new(50, 10);
/// `queue.bind`.
pub const QUEUE_BIND: MethodId = MethodId::new(50, 20);
/// `queue.purge`.
pub const QUEUE_PURGE: MethodId = MethodId::new(50, 30);
/// `queue.delete`.
pub const QUEUE_DELETE: MethodId = MethodId::new(50, 40);
/// `queue.unbind`.
pub const QUEUE_UNBIND: MethodId = MethodId::new(50, 50);
/// `basic.qos`.
pub const BASIC_QOS: MethodId = MethodId::new(60, 10);
/// `basic.consume`.
pub const BASIC_CONSUME: MethodId = MethodId::new(60, 20);
/// `basic.cancel`.
pub const BASIC_CANCEL: MethodId = MethodId::new(60, 30);
/// `basic.publish`.
pub const BASIC_PUBLISH: MethodId = MethodId::new(60, 40);
/// `basic.return`.
pub const BASIC_RETURN: MethodId = MethodId::new(60, 50);
/// `basic.deliver`.
pub const BASIC_DELIVER: MethodId = MethodId::new(60, 60);
/// `basic.get`.
pub const BASIC_GET: MethodId = MethodId::new(60, 70);
/// `basic.get-ok`.
pub const BASIC_GET_OK: MethodId = MethodId::new(60, 71);
/// `basic.ack`.
pub const BASIC_ACK: MethodId = MethodId::new(60, 80);
/// `basic.reject`.
pub const BASIC_REJECT: MethodId = MethodId::new(60, 90);
/// `basic.recover-async`.
pub const BASIC_RECOVER_ASYNC: MethodId = MethodId::new(60, 100);
/// `basic.recover`.
pub const BASIC_RECOVER: MethodId = MethodId::new(60, 110);
/// `basic.nack`.
pub const BASIC_NACK: MethodId = MethodId::new(60, 120);
/// `confirm.select`.
pub const CONFIRM_SELECT: MethodId = MethodId::new(85, 10);
/// `tx.select`.
pub const TX_SELECT: MethodId = MethodId::new(90, 10);
/// `tx.commit`.
pub const TX_COMMIT: MethodId = MethodId::new(90, 20);
/// `tx.rollback`.
pub const TX_ROLLBACK: MethodId = MethodId::new(90, 30);

/// Returns whether AMQP 0-9-1 with RabbitMQ's extensions has such a method.
pub fn is_known(id: MethodId) -> bool {
    match id.class {
        10 => matches!(
            id.method,
            10 | 11 | 20 | 21 | 30 | 31 | 40 | 41 | 50 | 51 | 60 | 61 | 70 | 71
        ),
        20 => matches!(id.method, 10 | 11 | 20 | 21 | 40 | 41),
        30 => matches!(id.method, 10 | 11),
        40 => matches!(id.method, 10 | 11 | 20 | 21 | 30 | 31 | 40 | 51),
        50 => matches!(id.method, 10 | 11 | 20 | 21 | 30 | 31 | 40 | 41 | 50 | 51),
        60 => matches!(
            id.method,
            10 | 11
                | 20
                | 21
                | 30
                | 31
                | 40
                | 50
                | 60
                | 70
                | 71
                | 72
                | 80
                | 90
                | 100
                | 110
                | 111
                | 120
        ),
        85 => matches!(id.method, 10 | 11),
        90 => matches!(id.method, 10 | 11 | 20 | 21 | 30 | 31),
        _ => false,
    }
}
