//! Reply codes and protocol errors (spec 1.2 "AMQP reply codes", RabbitMQ: "Channel Errors").

use std::fmt;

/// The reply codes that a server may send in `connection.close`, `channel.close` or
/// `basic.return`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum ReplyCode {
    /// 200: a normal close.
    Success = 200,
    /// 311: the client tried to transfer content larger than the server accepts.
    ContentTooLarge = 311,
    /// 312: a mandatory message could not be routed; only in `basic.return`.
    NoRoute = 312,
    /// 313: an immediate message found no consumer.
    NoConsumers = 313,
    /// 320: an operator closed the connection.
    ConnectionForced = 320,
    /// 402: the client tried to work with an unknown virtual host.
    InvalidPath = 402,
    /// 403: the client has no access to the entity.
    AccessRefused = 403,
    /// 404: the entity does not exist.
    NotFound = 404,
    /// 405: another connection holds the entity.
    ResourceLocked = 405,
    /// 406: a precondition failed.
    PreconditionFailed = 406,
    /// 501: a malformed frame.
    FrameError = 501,
    /// 502: a frame held illegal values for one or more fields.
    SyntaxError = 502,
    /// 503: a method that is out of sequence or unknown.
    CommandInvalid = 503,
    /// 504: a channel that was not correctly opened.
    ChannelError = 504,
    /// 505: a frame that was not expected in the context.
    UnexpectedFrame = 505,
    /// 506: the server is out of resources.
    ResourceError = 506,
    /// 530: an entity may not be used in this way.
    NotAllowed = 530,
    /// 540: functionality that the server does not implement.
    NotImplemented = 540,
    /// 541: an internal error of the server.
    InternalError = 541,
}

impl ReplyCode {
    /// Returns the number sent on the wire.
    pub fn code(self) -> u16 {
        self as u16
    }

    /// Returns the constant's name, with which RabbitMQ begins reply texts.
    pub fn name(self) -> &'static str {
        match self {
            ReplyCode::Success => "OK",
            ReplyCode::ContentTooLarge => "CONTENT_TOO_LARGE",
            ReplyCode::NoRoute => "NO_ROUTE",
            ReplyCode::NoConsumers => "NO_CONSUMERS",
            ReplyCode::ConnectionForced => "CONNECTION_FORCED",
            ReplyCode::InvalidPath => "INVALID_PATH",
            ReplyCode::AccessRefused => "ACCESS_REFUSED",
            ReplyCode::NotFound => "NOT_FOUND",
            ReplyCode::ResourceLocked => "RESOURCE_LOCKED",
            ReplyCode::PreconditionFailed => "PRECONDITION_FAILED",
            ReplyCode::FrameError => "FRAME_ERROR",
            ReplyCode::SyntaxError => "SYNTAX_ERROR",
            ReplyCode::CommandInvalid => "COMMAND_INVALID",
            ReplyCode::ChannelError => "CHANNEL_ERROR",
            ReplyCode::UnexpectedFrame => "UNEXPECTED_FRAME",
            ReplyCode::ResourceError => "RESOURCE_ERROR",
            ReplyCode::NotAllowed => "NOT_ALLOWED",
            ReplyCode::NotImplemented => "NOT_IMPLEMENTED",
            ReplyCode::InternalError => "INTERNAL_ERROR",
        }
    }
}

/// What an error closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A soft error: `channel.close`.
    Channel,
    /// A hard error: `connection.close`.
    Connection,
}

/// The numbers of a method, as in the close methods; zero if no method caused the close.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MethodId {
    /// The class number, 60 for `basic`.
    pub class: u16,
    /// The method number within the class, 40 for `basic.publish`.
    pub method: u16,
}

impl MethodId {
    /// Creates a method id from its two numbers.
    pub const fn new(class: u16, method: u16) -> Self {
        MethodId { class, method }
    }

    /// Returns the method's name (`basic.publish`); `None` for numbers that are none of AMQP 0-9-1's or RabbitMQ's.
    pub fn name(self) -> Option<&'static str> {
        let known = METHOD_NAMES.iter();
        known.copied().find_map(|(class, method, name)| {
            (MethodId::new(class, method) == self).then_some(name)
        })
    }
}

/// The methods that clients send, with RabbitMQ's extensions.
const METHOD_NAMES: [(u16, u16, &str); 37] = [
    (10, 11, "connection.start_ok"),
    (10, 21, "connection.secure_ok"),
    (10, 31, "connection.tune_ok"),
    (10, 40, "connection.open"),
    (10, 50, "connection.close"),
    (10, 51, "connection.close_ok"),
    (10, 70, "connection.update_secret"),
    (20, 10, "channel.open"),
    (20, 20, "channel.flow"),
    (20, 21, "channel.flow_ok"),
    (20, 40, "channel.close"),
    (20, 41, "channel.close_ok"),
    (30, 10, "access.request"),
    (40, 10, "exchange.declare"),
    (40, 20, "exchange.delete"),
    (40, 30, "exchange.bind"),
    (40, 40, "exchange.unbind"),
    (50, 10, "queue.declare"),
    (50, 20, "queue.bind"),
    (50, 30, "queue.purge"),
    (50, 40, "queue.delete"),
    (50, 50, "queue.unbind"),
    (60, 10, "basic.qos"),
    (60, 20, "basic.consume"),
    (60, 30, "basic.cancel"),
    (60, 31, "basic.cancel_ok"),
    (60, 40, "basic.publish"),
    (60, 70, "basic.get"),
    (60, 80, "basic.ack"),
    (60, 90, "basic.reject"),
    (60, 100, "basic.recover_async"),
    (60, 110, "basic.recover"),
    (60, 120, "basic.nack"),
    (85, 10, "confirm.select"),
    (90, 10, "tx.select"),
    (90, 20, "tx.commit"),
    (90, 30, "tx.rollback"),
];

/// The longest reply text: it travels as a short string (spec 4.2.5.3).
pub const MAX_REPLY_TEXT: usize = 255;

/// A protocol error: what to tell the peer, and whether its channel or its connection closes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AmqpError {
    /// The reply code.
    pub code: ReplyCode,
    /// The whole reply text, `NOT_FOUND - …`, at most [`MAX_REPLY_TEXT`] bytes.
    pub text: String,
    /// What closes.
    pub scope: Scope,
    /// The method that caused it, if one did.
    pub method: MethodId,
}

impl AmqpError {
    /// Creates a soft error. `explanation` follows the name of the code.
    pub fn channel(code: ReplyCode, explanation: impl fmt::Display) -> Self {
        Self::new(code, Scope::Channel, explanation)
    }

    /// Creates a hard error. `explanation` follows the name of the code.
    pub fn connection(code: ReplyCode, explanation: impl fmt::Display) -> Self {
        Self::new(code, Scope::Connection, explanation)
    }

    fn new(code: ReplyCode, scope: Scope, explanation: impl fmt::Display) -> Self {
        AmqpError {
            code,
            text: truncate(format!("{} - {explanation}", code.name())),
            scope,
            method: MethodId::default(),
        }
    }

    /// Returns the reply text without the name of its code.
    pub fn explanation(&self) -> &str {
        let text = self
            .text
            .strip_prefix(self.code.name())
            .unwrap_or(&self.text);
        text.strip_prefix(" - ").unwrap_or(text)
    }

    /// Sets the method that caused the error, unless it is already set.
    #[must_use]
    pub fn caused_by(mut self, method: MethodId) -> Self {
        if self.method == MethodId::default() {
            self.method = method;
        }
        self
    }
}

impl fmt::Display for AmqpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text, self.code.code())
    }
}

impl std::error::Error for AmqpError {}

/// Truncates a text to the length of a short string, ending in `...` as in RabbitMQ.
fn truncate(mut text: String) -> String {
    if text.len() > MAX_REPLY_TEXT {
        let mut end = MAX_REPLY_TEXT - 3;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use amq_protocol::protocol::{basic, confirm, connection, queue};

    #[test]
    fn methods_are_named_by_their_numbers() {
        let name = |class, method| MethodId::new(class, method).name();
        let publish = basic::Publish::default();
        let (class, method) = (publish.get_amqp_class_id(), publish.get_amqp_method_id());
        assert_eq!(name(class, method), Some("basic.publish"));
        let secret = connection::UpdateSecret::default();
        let (class, method) = (secret.get_amqp_class_id(), secret.get_amqp_method_id());
        assert_eq!(name(class, method), Some("connection.update_secret"));
        let select = confirm::Select::default();
        let (class, method) = (select.get_amqp_class_id(), select.get_amqp_method_id());
        assert_eq!(name(class, method), Some("confirm.select"));
        let bind = queue::Bind::default();
        let (class, method) = (bind.get_amqp_class_id(), bind.get_amqp_method_id());
        assert_eq!(name(class, method), Some("queue.bind"));
        assert_eq!((name(0, 0), name(60, 41)), (None, None));
    }

    #[test]
    fn a_reply_text_never_exceeds_a_short_string() {
        let error = AmqpError::channel(ReplyCode::NotFound, "ä".repeat(300));
        assert!(error.text.len() <= MAX_REPLY_TEXT);
        assert!(error.text.ends_with("..."));
        assert!(error.text.starts_with("NOT_FOUND - ä"));
    }

    #[test]
    fn the_first_method_named_stays() {
        let error = AmqpError::channel(ReplyCode::NotFound, "x")
            .caused_by(MethodId::new(50, 10))
            .caused_by(MethodId::new(60, 40));
        assert_eq!(error.method, MethodId::new(50, 10));
    }
}
