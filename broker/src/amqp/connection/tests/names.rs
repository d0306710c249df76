//! What a client hears, as lines that tests can quote.

use leveret_protocol::classes::{
    AMQPClass, basic, channel, confirm, connection, exchange, queue, tx,
};
use leveret_protocol::method::Method;

/// The method without its class where that is plain, and whether content follows.
pub(super) fn describe(method: &Method<'_>) -> (String, bool) {
    match method {
        Method::Ack { tag, multiple } => {
            (format!("ack {tag}{}", flag(*multiple, "multiple")), false)
        }
        Method::Nack { tag, multiple, .. } => {
            (format!("nack {tag}{}", flag(*multiple, "multiple")), false)
        }
        Method::Other(AMQPClass::Basic(method)) => basic_line(method),
        Method::Other(class) => (line(class), false),
        other => (format!("{other:?}"), false),
    }
}

fn flag(set: bool, name: &str) -> String {
    if set {
        format!(" {name}")
    } else {
        String::new()
    }
}

fn basic_line(method: &basic::AMQPMethod) -> (String, bool) {
    use basic::AMQPMethod as M;
    let line = match method {
        M::Deliver(d) => {
            let again = flag(d.redelivered, "redelivered");
            return (
                format!("deliver {} #{}{again}", d.consumer_tag, d.delivery_tag),
                true,
            );
        }
        M::GetOk(g) => {
            let again = flag(g.redelivered, "redelivered");
            let line = format!("get-ok #{}{again} left {}", g.delivery_tag, g.message_count);
            return (line, true);
        }
        M::Return(r) => return (format!("return {} {}", r.reply_code, r.reply_text), true),
        M::GetEmpty(_) => "get-empty".to_owned(),
        M::QosOk(_) => "qos-ok".to_owned(),
        M::ConsumeOk(ok) => format!("consume-ok {}", ok.consumer_tag),
        M::CancelOk(ok) => format!("cancel-ok {}", ok.consumer_tag),
        M::Cancel(cancel) => format!("cancel {}", cancel.consumer_tag),
        M::RecoverOk(_) => "recover-ok".to_owned(),
        other => format!("{other:?}"),
    };
    (line, false)
}

fn line(class: &AMQPClass) -> String {
    use channel::AMQPMethod as Ch;
    use connection::AMQPMethod as Co;
    use exchange::AMQPMethod as X;
    use queue::AMQPMethod as Q;
    match class {
        AMQPClass::Connection(Co::Start(_)) => "start".to_owned(),
        AMQPClass::Connection(Co::Tune(t)) => {
            format!("tune {} {} {}", t.channel_max, t.frame_max, t.heartbeat)
        }
        AMQPClass::Connection(Co::Blocked(b)) => format!("blocked {}", b.reason),
        AMQPClass::Connection(Co::Unblocked(_)) => "unblocked".to_owned(),
        AMQPClass::Connection(Co::OpenOk(_)) | AMQPClass::Channel(Ch::OpenOk(_)) => {
            "open-ok".to_owned()
        }
        AMQPClass::Connection(Co::Close(c)) => {
            format!(
                "close {} {} ({},{})",
                c.reply_code, c.reply_text, c.class_id, c.method_id
            )
        }
        AMQPClass::Channel(Ch::Close(c)) => {
            format!(
                "close {} {} ({},{})",
                c.reply_code, c.reply_text, c.class_id, c.method_id
            )
        }
        AMQPClass::Connection(Co::UpdateSecretOk(_)) => "update-secret-ok".to_owned(),
        AMQPClass::Connection(Co::CloseOk(_)) | AMQPClass::Channel(Ch::CloseOk(_)) => {
            "close-ok".to_owned()
        }
        AMQPClass::Channel(Ch::FlowOk(ok)) => format!("flow-ok {}", ok.active),
        AMQPClass::Confirm(confirm::AMQPMethod::SelectOk(_))
        | AMQPClass::Tx(tx::AMQPMethod::SelectOk(_)) => "select-ok".to_owned(),
        AMQPClass::Tx(tx::AMQPMethod::CommitOk(_)) => "commit-ok".to_owned(),
        AMQPClass::Tx(tx::AMQPMethod::RollbackOk(_)) => "rollback-ok".to_owned(),
        AMQPClass::Queue(Q::DeclareOk(ok)) => {
            format!(
                "declare-ok {} {} {}",
                ok.queue, ok.message_count, ok.consumer_count
            )
        }
        AMQPClass::Queue(Q::PurgeOk(ok)) => format!("purge-ok {}", ok.message_count),
        AMQPClass::Queue(Q::DeleteOk(ok)) => format!("delete-ok {}", ok.message_count),
        AMQPClass::Queue(Q::BindOk(_)) | AMQPClass::Exchange(X::BindOk(_)) => "bind-ok".to_owned(),
        AMQPClass::Queue(Q::UnbindOk(_)) | AMQPClass::Exchange(X::UnbindOk(_)) => {
            "unbind-ok".to_owned()
        }
        AMQPClass::Exchange(X::DeclareOk(_)) => "declare-ok".to_owned(),
        AMQPClass::Exchange(X::DeleteOk(_)) => "delete-ok".to_owned(),
        other => format!("{other:?}"),
    }
}
