//! The class connection: logging in, tuning, opening a virtual host, closing (spec 1.4.2).

use super::route::RouteCache;
use super::{Connection, Phase};
use crate::config::{Mechanism, Secret};
use crate::domain::auth::backend::Attempt;
use crate::domain::auth::{self, Access, KnownBy, Login, LoginProtocol};
use crate::domain::connections::log_connection;
use crate::domain::limits::{ConnectionAttempt, ConnectionLimit, UsageGuard, VhostLimits};
use crate::domain::logins::{LoginResult, LoginStep, PendingLogin};
use crate::domain::operations::Caller;
use crate::domain::vhost::Vhost;
use crate::text::names::RABBITMQ_VERSION;
use leveret_protocol::classes::{AMQPClass, connection};
use leveret_protocol::frame::FRAME_MIN_SIZE;
use leveret_protocol::texts::{self, Entity};
use leveret_protocol::values::{AMQPValue, FieldTable, LongString};
use leveret_protocol::{AmqpError, ChannelId, ReplyCode, UserName, table};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// How long a peer that is refused without a reply waits for its socket to close.
pub(super) const REFUSAL_PAUSE: Duration = Duration::from_secs(1);

/// A login that is being checked.
pub(super) struct Pending {
    login: PendingLogin,
    /// The name that the client gave, and how.
    user: String,
    mechanism: String,
}

/// The capabilities beyond the specification, as RabbitMQ announces them.
const CAPABILITIES: [&str; 9] = [
    "publisher_confirms",
    "exchange_exchange_bindings",
    "basic.nack",
    "consumer_cancel_notify",
    "connection.blocked",
    "consumer_priorities",
    "authentication_failure_close",
    "per_consumer_qos",
    "direct_reply_to",
];

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

fn server_properties(cluster_name: &str) -> FieldTable {
    let mut capabilities = FieldTable::default();
    for name in CAPABILITIES {
        capabilities.insert(name.into(), AMQPValue::Boolean(true));
    }
    let mut properties = FieldTable::default();
    // The actual product and version are in `product` and `leveret_version`.
    properties.insert("product".into(), text("Leveret"));
    properties.insert("version".into(), text(RABBITMQ_VERSION));
    properties.insert("leveret_version".into(), text(env!("CARGO_PKG_VERSION")));
    properties.insert("platform".into(), text("Rust"));
    properties.insert(
        "copyright".into(),
        text("Copyright (c) the Leveret authors"),
    );
    properties.insert(
        "information".into(),
        text("Licensed under Apache-2.0 OR MIT"),
    );
    properties.insert("cluster_name".into(), text(cluster_name));
    properties.insert("capabilities".into(), AMQPValue::FieldTable(capabilities));
    properties
}

impl Connection {
    fn send(&mut self, method: connection::AMQPMethod) {
        self.reply(ChannelId::CONNECTION, AMQPClass::Connection(method));
    }

    pub(super) fn send_start(&mut self) {
        self.send(connection::AMQPMethod::Start(connection::Start {
            version_major: 0,
            version_minor: 9,
            server_properties: server_properties(&self.broker.global_parameters.cluster_name()),
            mechanisms: LongString::from(
                self.broker
                    .mechanisms()
                    .names(self.info.ends.encryption.is_some()),
            ),
            locales: LongString::from("en_US"),
        }));
        self.phase = Phase::Starting;
    }

    pub(super) fn connection_method(
        &mut self,
        method: connection::AMQPMethod,
        now: Instant,
    ) -> Result<(), AmqpError> {
        use connection::AMQPMethod as M;
        match (self.phase, method) {
            (Phase::Starting, M::StartOk(start_ok)) => self.start_ok(start_ok),
            (Phase::Tuning, M::TuneOk(tune_ok)) => self.tune_ok(&tune_ok),
            (Phase::Opening, M::Open(open)) => self.open_vhost(open.virtual_host.as_str()),
            (Phase::Closing { .. }, M::CloseOk(_)) => {
                self.phase = Phase::Ending;
                Ok(())
            }
            (Phase::Running, M::UpdateSecret(secret)) => {
                let secret = String::from_utf8_lossy(secret.new_secret.as_bytes()).into_owned();
                self.update_secret(&Secret::from(&*secret))
            }
            (Phase::Running | Phase::Closing { .. }, M::Close(_)) => {
                self.close_by_peer(now);
                Ok(())
            }
            (phase, method) => {
                // Log only the number: the method may hold a password.
                let method = AMQPClass::Connection(method).get_amqp_method_id();
                tracing::debug!(?phase, method, "unexpected method");
                Err(AmqpError::connection(
                    ReplyCode::ChannelError,
                    format_args!(
                        "unexpected method in connection state {}",
                        self.state_name()
                    ),
                ))
            }
        }
    }

    fn start_ok(&mut self, start_ok: connection::StartOk) -> Result<(), AmqpError> {
        let announced = |name: &str| match start_ok.client_properties.inner().get("capabilities") {
            Some(AMQPValue::FieldTable(capabilities)) => {
                capabilities.inner().get(name) == Some(&AMQPValue::Boolean(true))
            }
            _ => false,
        };
        self.wants_close_on_refusal = announced("authentication_failure_close");
        self.wants_cancel_notice = announced("consumer_cancel_notify");
        self.wants_blocked_notice = announced("connection.blocked");
        let mechanism = start_ok.mechanism.as_str();
        // Before the login: if it is refused, the log says what the client calls itself.
        self.info.set_client_properties(start_ok.client_properties);
        if self.is_external(mechanism) {
            let (user, result) = self.log_in_by_certificate();
            return self.logged_in(&user, mechanism.to_owned(), result);
        }
        let attempt = self.attempt(mechanism, start_ok.response.as_bytes())?;
        let (user, mechanism) = (attempt.user.clone(), mechanism.to_owned());
        match self.broker.log_in(attempt) {
            LoginStep::Done(result) => self.logged_in(&user, mechanism, result),
            LoginStep::Pending(login) => {
                self.pending_login = Some(Pending {
                    login,
                    user,
                    mechanism,
                });
                self.phase = Phase::LoggingIn;
                Ok(())
            }
        }
    }

    /// Goes on with the login that is being checked, if its result is there; returns false if there is none, and then the
    /// context is woken when there is.
    pub fn poll_login(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let Some(pending) = &mut self.pending_login else {
            return false;
        };
        let Poll::Ready(result) = pending.login.as_mut().poll(cx) else {
            return false;
        };
        let pending = self.pending_login.take();
        // An operator may have closed the connection meanwhile.
        let Some(Pending {
            user, mechanism, ..
        }) = pending.filter(|_| self.phase == Phase::LoggingIn)
        else {
            return true;
        };
        self.begin_at(now);
        if let Err(error) = self.logged_in(&user, mechanism, result) {
            self.fail(ChannelId::CONNECTION, error, now);
        }
        true
    }

    /// Reads the credentials in a client's response.
    fn attempt(&self, mechanism: &str, response: &[u8]) -> Result<Attempt, AmqpError> {
        let malformed = || malformed_response(mechanism);
        let not_offered = || {
            AmqpError::connection(
                ReplyCode::CommandInvalid,
                format_args!("unsupported authentication mechanism '{mechanism}'"),
            )
        };
        let mechanisms = self.broker.mechanisms();
        let (user, password) = match mechanisms.offered(mechanism).ok_or_else(not_offered)? {
            Mechanism::Plain => {
                let given = auth::parse_plain(response).ok_or_else(malformed)?;
                (given.user.to_owned(), Secret::from(given.password))
            }
            Mechanism::AmqPlain => {
                let (user, password) = parse_amqplain(response).ok_or_else(malformed)?;
                (user, Secret::from(&*password))
            }
            // Whoever the client claims to be, the operator has configured the user.
            Mechanism::Anonymous => {
                let given = mechanisms.anonymous().ok_or_else(not_offered)?;
                (given.user.to_owned(), Secret::from(given.password))
            }
            // There are no credentials: see `external.rs`.
            Mechanism::External => return Err(not_offered()),
        };
        Ok(Attempt {
            protocol: LoginProtocol::Amqp091,
            peer: self.info.ends.peer.ip(),
            user,
            password,
        })
    }

    /// Goes on with the handshake, or refuses the login.
    fn logged_in(
        &mut self,
        user: &str,
        mechanism: String,
        result: LoginResult,
    ) -> Result<(), AmqpError> {
        let attempts = &self.broker.login_attempts;
        let peer = self.info.ends.peer.ip();
        // A token says another name than the client.
        let name = result
            .as_ref()
            .map_or(user, |login| login.identity.name.as_str());
        attempts.count(LoginProtocol::Amqp091, peer, name, result.is_ok());
        let login = result.map_err(|reason| {
            log_connection!(error, self.info, "login refused: {reason}");
            texts::login_refused(&mechanism)
        })?;
        self.info.set_client(login.identity.clone(), mechanism);
        self.set_login(login);
        let limits = self.limits;
        self.send(connection::AMQPMethod::Tune(connection::Tune {
            channel_max: limits.channel_max,
            frame_max: limits.frame_max,
            heartbeat: limits.heartbeat,
        }));
        self.phase = Phase::Tuning;
        Ok(())
    }

    fn tune_ok(&mut self, tune_ok: &connection::TuneOk) -> Result<(), AmqpError> {
        let limits = self.limits;
        negotiated(
            "channel_max",
            1,
            limits.channel_max.into(),
            tune_ok.channel_max.into(),
        )?;
        negotiated(
            "frame_max",
            FRAME_MIN_SIZE,
            limits.frame_max,
            tune_ok.frame_max,
        )?;
        self.tuned.channel_max = match tune_ok.channel_max {
            0 => u16::MAX,
            max => max,
        };
        self.tuned.frame_max = tune_ok.frame_max;
        self.tuned.heartbeat =
            (tune_ok.heartbeat > 0).then(|| Duration::from_secs(tune_ok.heartbeat.into()));
        self.info
            .set_tuned(self.tuned.channel_max, tune_ok.frame_max, tune_ok.heartbeat);
        self.phase = Phase::Opening;
        Ok(())
    }

    fn open_vhost(&mut self, name: &str) -> Result<(), AmqpError> {
        let Some(login) = &self.login else {
            return Err(texts::login_refused("PLAIN"));
        };
        let user = &login.identity;
        let max = self.limits.connection_max;
        // This connection is already counted.
        if let Some(max) = max.filter(|max| self.broker.connections.count() as u64 > *max) {
            return Err(texts::node_connection_limit(max));
        }
        let Some(vhost) = self.broker.vhost(name) else {
            return Err(texts::no_vhost(name));
        };
        let usage = self.count_connection(&user.name, &vhost)?;
        // Deleting a user or a virtual host removes it first and then closes the connections that
        // claim to use it. We make the claim before we look, so that one of the two always sees the
        // other.
        self.info.set_vhost(vhost.name().clone());
        if !self.broker.has_vhost(&vhost) {
            return Err(texts::no_vhost(name));
        }
        if !self.broker.users.may_enter(user, name) {
            return Err(texts::vhost_refused(name, &user.name));
        }
        log_connection!(
            info,
            self.info,
            id = %self.info.id,
            tls = self.info.ends.encryption.as_deref().map(|tls| tls.protocol),
            "user authenticated and granted access to the virtual host"
        );
        let (broker, info) = (self.broker.clone(), self.info.clone());
        self.caller = Some(Caller::new(broker, vhost, login, Some(info)));
        self.usage = Some(usage);
        self.tally.is_open = true;
        self.broker.statistics.churn.connection_created.count();
        self.send(connection::AMQPMethod::OpenOk(connection::OpenOk {}));
        self.phase = Phase::Running;
        Ok(())
    }

    /// Counts the connection, unless the virtual host or the user is at its limit.
    fn count_connection(&self, user: &UserName, vhost: &Vhost) -> Result<UsageGuard, AmqpError> {
        let attempt = ConnectionAttempt {
            user: user.clone(),
            vhost: vhost.name().clone(),
            vhost_limit: vhost.limits().and_then(VhostLimits::connections),
            user_limit: self.broker.users.limits(user.as_str()).connections(),
        };
        let usage = self.broker.usage.admit(attempt);
        usage.map_err(|full| match full {
            ConnectionLimit::Vhost(limit) => {
                texts::vhost_connection_limit(vhost.name(), user, limit)
            }
            ConnectionLimit::User(limit) => texts::user_connection_limit(user, limit),
        })
    }

    /// Handles connection.update-secret, which renews an expiring secret such as a token. Passwords do not expire: as with
    /// RabbitMQ's internal user database, a new one is ignored. But as in RabbitMQ 4 the user's permissions are checked
    /// again: the connection is closed if its virtual host is no longer allowed, and consumers that are no longer allowed
    /// end.
    fn update_secret(&mut self, secret: &Secret) -> Result<(), AmqpError> {
        self.renew_login(secret)?;
        let Some(caller) = &self.caller else {
            return Ok(());
        };
        let (vhost, user) = (caller.vhost().name(), caller.user());
        if !self.broker.users.may_enter(user, vhost.as_str()) {
            return Err(texts::vhost_refused(vhost, &user.name));
        }
        let channels = self.channels.iter();
        let consumers: Vec<_> = channels
            .flat_map(|c| c.consumers.values().cloned())
            .collect();
        for consumer in consumers {
            let queue = Entity::Queue(consumer.queue.name());
            if self.caller()?.check_access(Access::Read, queue).is_err() {
                self.end_consumer(&consumer);
            }
        }
        let ok = connection::UpdateSecretOk {};
        self.send(connection::AMQPMethod::UpdateSecretOk(ok));
        Ok(())
    }

    /// Gives the connection the rights that come with a new secret, if they come with one.
    fn renew_login(&mut self, secret: &Secret) -> Result<(), AmqpError> {
        let Some(login) = &self.login else {
            return Ok(());
        };
        let KnownBy::Backend(authority) = &login.identity.known_by else {
            return Ok(());
        };
        let renewed = authority.renewed(secret).map_err(|reason| {
            log_connection!(error, self.info, "new secret refused: {reason}");
            texts::secret_refused()
        })?;
        let Some(login) = renewed.map(Login::from) else {
            return Ok(());
        };
        if let Some(caller) = &mut self.caller {
            caller.renew(&login);
        }
        self.set_login(login);
        // Two authorities may have the same generation.
        self.count_routes();
        self.route = RouteCache::default();
        Ok(())
    }

    /// Handles connection.close from the peer: what it sent before takes effect, then close-ok is
    /// the last thing sent.
    fn close_by_peer(&mut self, now: Instant) {
        self.replay_all_deferred(now);
        self.flush();
        self.release_all_channels();
        self.send(connection::AMQPMethod::CloseOk(connection::CloseOk {}));
        self.phase = Phase::Ending;
    }
}

/// Refuses without a reply: only clients that speak SASL correctly are told why.
fn malformed_response(mechanism: &str) -> AmqpError {
    AmqpError::connection(
        ReplyCode::SyntaxError,
        format_args!("{mechanism} response invalid"),
    )
}

/// Reads LOGIN and PASSWORD from a field table without its length prefix.
fn parse_amqplain(response: &[u8]) -> Option<(String, String)> {
    let mut table = u32::try_from(response.len()).ok()?.to_be_bytes().to_vec();
    table.extend_from_slice(response);
    let table = table::decode(&table)?;
    let string = |name: &str| match table.inner().get(name) {
        Some(AMQPValue::LongString(value)) => String::from_utf8(value.as_bytes().to_vec()).ok(),
        Some(AMQPValue::ByteArray(value)) => String::from_utf8(value.as_slice().to_vec()).ok(),
        _ => None,
    };
    Some((string("LOGIN")?, string("PASSWORD")?))
}

/// Checks that a client's value for a limit is acceptable; the text is RabbitMQ's
/// (`rabbit_reader:validate_negotiated_integer_value`).
fn negotiated(field: &str, min: u32, server: u32, client: u32) -> Result<(), AmqpError> {
    let refuse = |than: &str, bound: &str, limit: u32| {
        let detail = if client == 0 { " (no limit)" } else { "" };
        Err(AmqpError::connection(
            ReplyCode::NotAllowed,
            format_args!(
                "negotiated {field} = {client}{detail} is {than} than the {bound} allowed value \
                 ({limit})"
            ),
        ))
    };
    if client != 0 && client < min {
        refuse("lower", "minimum", min)
    } else if server != 0 && (client == 0 || client > server) {
        refuse("higher", "maximum", server)
    } else {
        Ok(())
    }
}
