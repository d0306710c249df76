//! Logging in: the one way for credentials, wherever they come from. What knows users and passwords is
//! [`auth`](crate::domain::auth); here they are asked in their order.

use crate::domain::auth::backend::{Attempt, Backend, Known};
use crate::domain::auth::{HASH_MEMORY, KnownBy, Login, LoginRefused};
use crate::domain::broker::Broker;
use crate::plumbing::workers::{TooBusy, Workers};
use crate::text::names::NAME_MAX;
use crate::text::shorten::shortened;
use parking_lot::RwLock;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

/// Logins that wait for a slow hash: at some 25 ms each, more would wait for longer than a handshake may take.
const WAITING_FOR_HASHES: usize = 1024;
/// The most hashes that are computed at a time, and the share of the processors that they get.
const MAX_HASHES: usize = 4;
const PROCESSORS_PER_HASH: usize = 2;
/// Threads that wait for backends at a time, and logins that wait for one of them.
const ASKING_THREADS: usize = 32;
const WAITING_TO_ASK: usize = 1024;

/// How a login ended.
pub type LoginResult = Result<Login, LoginRefused>;

/// A login that has to wait; whoever drops it gives it up.
pub type PendingLogin = Pin<Box<dyn Future<Output = LoginResult> + Send>>;

/// What became of an attempt to log in.
pub enum LoginStep {
    /// It was decided at once.
    Done(LoginResult),
    /// It has to wait.
    Pending(PendingLogin),
}

impl LoginStep {
    /// Waits for the end of the login.
    pub async fn result(self) -> LoginResult {
        match self {
            LoginStep::Done(result) => result,
            LoginStep::Pending(pending) => pending.await,
        }
    }
}

impl fmt::Debug for LoginStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LoginStep::Done(_) => "Done",
            LoginStep::Pending(_) => "Pending",
        })
    }
}

/// Who is asked whether credentials are right.
#[derive(Clone, Debug)]
pub enum Source {
    /// The broker's own users.
    Accounts,
    /// Somebody else.
    Backend(Arc<dyn Backend>),
}

/// Who is asked about logins, in this order, and the threads for those that have to wait.
#[derive(Debug)]
pub struct Logins {
    sources: RwLock<Arc<[Source]>>,
    hashing: Workers,
    asking: Workers,
}

impl Default for Logins {
    /// Asks the broker's own users.
    fn default() -> Self {
        Logins {
            sources: RwLock::new([Source::Accounts].into()),
            hashing: Workers::new("password", hashes_at_a_time(), WAITING_FOR_HASHES),
            asking: Workers::new("login", ASKING_THREADS, WAITING_TO_ASK),
        }
    }
}

impl Logins {
    /// Sets who is asked from now on. Existing connections keep the rights that they have.
    pub fn set_sources(&self, sources: Vec<Source>) {
        *self.sources.write() = sources.into();
    }
}

impl Broker {
    /// Checks an attempt to log in. The caller counts it.
    pub fn log_in(self: &Arc<Self>, attempt: Attempt) -> LoginStep {
        let mut inquiry = Inquiry {
            sources: self.logins.sources.read().clone(),
            next: 0,
            refused: None,
            attempt: Arc::new(attempt),
            broker: self.clone(),
        };
        match inquiry.decide_at_once() {
            Some(result) => LoginStep::Done(result),
            None => LoginStep::Pending(Box::pin(inquiry.decide())),
        }
    }
}

fn hashes_at_a_time() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    (processors / PROCESSORS_PER_HASH).clamp(1, MAX_HASHES)
}

impl Broker {
    /// Checks a password on one of the threads for that.
    async fn authenticate_account(self: &Arc<Self>, attempt: Arc<Attempt>) -> LoginResult {
        let user = shortened(&attempt.user, NAME_MAX).into_owned();
        let broker = self.clone();
        let checked = self.logins.hashing.submit(move || {
            let _memory = broker.ledger.hold_for_hash(HASH_MEMORY);
            broker.users.authenticate(attempt.credentials())
        });
        match checked {
            Err(TooBusy) => Err(LoginRefused::Busy(user)),
            // It has panicked, which is in the log.
            Ok(checked) => checked
                .await
                .unwrap_or(Err(LoginRefused::InvalidCredentials(user))),
        }
    }

    /// Replaces the hash of a user who has just logged in, if it is to be.
    fn upgrade_hash(self: &Arc<Self>, attempt: &Arc<Attempt>) {
        if !self.users.is_to_be_upgraded(&attempt.user) {
            return;
        }
        let (broker, attempt) = (self.clone(), attempt.clone());
        // If too much waits, a later login does it.
        let _ = self.logins.hashing.run(move || {
            let given = attempt.credentials();
            let memory = broker.ledger.hold_for_hash(HASH_MEMORY);
            let Some(hash) = broker.users.upgraded_hash(given) else {
                return;
            };
            drop(memory);
            let _changing = broker.admin_changes.lock();
            if let Some(change) = broker.users.upgrade_password(given, hash) {
                let mut fx = broker.effects(None);
                broker.store_change(change, &mut fx);
                fx.perform();
                tracing::info!(user = given.user, "password hash replaced by argon2id");
            }
        });
    }
}

/// An attempt on its way from source to source.
struct Inquiry {
    broker: Arc<Broker>,
    attempt: Arc<Attempt>,
    sources: Arc<[Source]>,
    /// The source to ask next.
    next: usize,
    /// What the last one said.
    refused: Option<LoginRefused>,
}

impl Inquiry {
    /// Asks the sources up to the first that has to wait; returns `None` if there is one.
    fn decide_at_once(&mut self) -> Option<LoginResult> {
        while let Some(source) = self.sources.get(self.next) {
            let answer = match source {
                Source::Accounts => self.broker.users.authenticate_at_once(&self.attempt),
                Source::Backend(backend) => {
                    let verdict = backend.authenticate_at_once(&self.attempt);
                    verdict.map(|verdict| self.login(&**backend, verdict))
                }
            };
            if let Some(login) = self.answered(answer?) {
                return Some(Ok(login));
            }
        }
        Some(Err(self.refusal()))
    }

    async fn decide(mut self) -> LoginResult {
        while let Some(source) = self.sources.get(self.next).cloned() {
            let attempt = self.attempt.clone();
            let answer = match &source {
                Source::Accounts => self.broker.authenticate_account(attempt).await,
                Source::Backend(backend) => {
                    let asked = backend.clone();
                    let job = move || asked.authenticate(&attempt);
                    match self.broker.logins.asking.submit(job) {
                        Err(_) => Err(LoginRefused::Busy(self.user())),
                        Ok(verdict) => {
                            let failed = || Err("the request failed".to_owned());
                            let verdict = verdict.await.unwrap_or_else(|_| failed());
                            self.login(&**backend, verdict)
                        }
                    }
                }
            };
            if let Some(login) = self.answered(answer) {
                return Ok(login);
            }
            // The next ones may know at once.
            if let Some(result) = self.decide_at_once() {
                return result;
            }
        }
        Err(self.refusal())
    }

    fn login(&self, backend: &dyn Backend, verdict: Result<Known, String>) -> LoginResult {
        verdict
            .map(Login::from)
            .map_err(|reason| LoginRefused::Backend {
                user: self.user(),
                backend: backend.name(),
                reason,
            })
    }

    /// Notes a source's answer, and returns the login if it is one that is allowed from there.
    fn answered(&mut self, answer: LoginResult) -> Option<Login> {
        self.next += 1;
        let checked = answer.and_then(|login| {
            let (users, peer) = (&self.broker.users, self.attempt.peer);
            users.check_address(login.identity.name.as_str(), peer)?;
            Ok(login)
        });
        match checked {
            Ok(login) => {
                if let KnownBy::Account(_) = login.identity.known_by {
                    self.broker.upgrade_hash(&self.attempt);
                }
                Some(login)
            }
            Err(reason) => {
                // As in RabbitMQ, no other source is asked about a user who may not come from there.
                if matches!(reason, LoginRefused::LoopbackOnly(_)) {
                    self.next = self.sources.len();
                }
                self.refused = Some(reason);
                None
            }
        }
    }

    fn refusal(&mut self) -> LoginRefused {
        let user = self.user();
        let refused = self.refused.take();
        refused.unwrap_or(LoginRefused::InvalidCredentials(user))
    }

    /// Returns the name that the client gave, for the log.
    fn user(&self) -> String {
        shortened(&self.attempt.user, NAME_MAX).into_owned()
    }
}
