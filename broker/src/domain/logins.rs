//! Logging in: the one way for credentials, wherever they come from. What knows users and passwords is
//! [`auth`](crate::domain::auth); here they are asked in their order.

use crate::config::Secret;
use crate::domain::auth::backend::{Attempt, Backend, Known};
use crate::domain::auth::{
    FailedLogins, HASH_MEMORY, KnownBy, Login, LoginProtocol, LoginRefused, network,
};
use crate::domain::broker::Broker;
use crate::domain::turns::Turns;
use crate::plumbing::workers::{TooBusy, Workers};
use crate::text::names::NAME_MAX;
use crate::text::shorten::shortened;
use parking_lot::RwLock;
use std::fmt;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// Logins that wait for a slow hash: at some 25 ms each, more would wait for longer than a handshake may take.
const WAITING_FOR_HASHES: usize = 1024;
/// The most hashes that are computed at a time, and the share of the processors that they get.
const MAX_HASHES: usize = 4;
const PROCESSORS_PER_HASH: usize = 2;
/// How long an upgrade of a hash waits for changes by operators.
const PATIENCE: Duration = Duration::from_millis(100);
/// Threads that wait for backends at a time, and logins that wait for one of them.
const ASKING_THREADS: usize = 32;
const WAITING_TO_ASK: usize = 1024;
/// How many logins from one address are in each of the two queues at a time: whoever comes from elsewhere waits for no more
/// than these.
const HASHES_OF_AN_ADDRESS: usize = 8;
const QUESTIONS_OF_AN_ADDRESS: usize = ASKING_THREADS / 2;

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
    hash_turns: Turns,
    asking: Workers,
    asking_turns: Turns,
    failed: FailedLogins,
}

impl Default for Logins {
    /// Asks the broker's own users.
    fn default() -> Self {
        Logins {
            sources: RwLock::new([Source::Accounts].into()),
            hashing: Workers::new("password", hashes_at_a_time(), WAITING_FOR_HASHES),
            hash_turns: Turns::new(HASHES_OF_AN_ADDRESS),
            asking: Workers::new("login", ASKING_THREADS, WAITING_TO_ASK),
            asking_turns: Turns::new(QUESTIONS_OF_AN_ADDRESS),
            failed: FailedLogins::default(),
        }
    }
}

impl Logins {
    /// Forgets that logins of a user have failed.
    pub fn forget_failures(&self, user: &str) {
        self.failed.forget(user);
    }

    /// Remembers a failure, for the next attempts from there.
    fn note(&self, attempt: &Attempt, result: &LoginResult) {
        match result {
            Ok(_) => self.failed.succeeded(attempt.peer, &attempt.user),
            Err(LoginRefused::InvalidCredentials(_) | LoginRefused::Backend { .. }) => {
                let now = Instant::now();
                self.failed.failed(attempt.peer, &attempt.user, now);
            }
            // Nobody guesses a certificate.
            Err(
                LoginRefused::Busy(_)
                | LoginRefused::LoopbackOnly(_)
                | LoginRefused::Certificate(_),
            ) => {}
        }
    }

    /// Sets who is asked from now on. Existing connections keep the rights that they have.
    pub fn set_sources(&self, sources: Vec<Source>) {
        *self.sources.write() = sources.into();
    }
}

impl Broker {
    /// Checks an attempt to log in, later if others from there have failed. The caller counts it.
    pub fn log_in(self: &Arc<Self>, attempt: Attempt) -> LoginStep {
        let failed = &self.logins.failed;
        let (peer, now) = (attempt.peer, Instant::now());
        let delay = failed.delay(peer, &attempt.user, now);
        let mut inquiry = Inquiry::new(self.clone(), attempt);
        if delay.is_zero() || (inquiry.is_proven() && !failed.is_guessing(peer)) {
            return match inquiry.decide_at_once() {
                Some(result) => LoginStep::Done(inquiry.ended(result)),
                None => LoginStep::Pending(Box::pin(inquiry.decide())),
            };
        }
        let Some(waiting) = failed.wait(peer) else {
            return LoginStep::Done(Err(LoginRefused::Busy(inquiry.user())));
        };
        LoginStep::Pending(Box::pin(async move {
            pause(delay).await;
            drop(waiting);
            inquiry.decide().await
        }))
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
        let turn = self.logins.hash_turns.take(network(attempt.peer)).await;
        // The job has the turn, not its client: who hangs up and comes again must not fill the queue.
        let checked = self.logins.hashing.submit(move || {
            let _turn = turn;
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
            // Other logins wait for this thread: if an operator changes much just now, a later login does it.
            let Some(_changing) = broker.admin_changes.try_lock_for(PATIENCE) else {
                return;
            };
            if let Some(change) = broker.users.upgrade_password(given, hash) {
                let mut fx = broker.effects(None);
                broker.store_change(change, &mut fx);
                fx.perform();
                tracing::info!(user = given.user, "password hash replaced by argon2id");
            }
        });
    }
}

impl Broker {
    /// Checks credentials, whatever the address. Blocks until the answer is there.
    ///
    /// # Errors
    /// Why they are wrong.
    pub fn check_credentials(self: &Arc<Self>, user: String, password: &str) -> LoginResult {
        let attempt = Attempt {
            protocol: LoginProtocol::Http,
            peer: Ipv4Addr::LOCALHOST.into(),
            user,
            password: Secret::from(password),
        };
        // Whoever may ask this is not slowed, nor slows others.
        let mut inquiry = Inquiry::new(self.clone(), attempt);
        match inquiry.decide_at_once() {
            Some(result) => result,
            None => wait_for(Box::pin(inquiry.answer())),
        }
    }
}

async fn pause(delay: Duration) {
    // Machines are tested without a runtime, and without waiting.
    if Handle::try_current().is_ok() {
        tokio::time::sleep(delay).await;
    }
}

/// Waits on this thread, which no runtime needs.
fn wait_for<T>(mut future: Pin<Box<dyn Future<Output = T> + Send>>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(result) => return result,
            Poll::Pending => thread::park(),
        }
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
    fn new(broker: Arc<Broker>, attempt: Attempt) -> Self {
        let sources = broker.logins.sources.read().clone();
        Inquiry {
            sources,
            next: 0,
            refused: None,
            attempt: Arc::new(attempt),
            broker,
        }
    }

    /// Returns whether the password was right a moment ago.
    fn is_proven(&self) -> bool {
        self.broker.users.is_proven(self.attempt.credentials())
    }

    async fn decide(self) -> LoginResult {
        let (broker, attempt) = (self.broker.clone(), self.attempt.clone());
        let result = self.answer().await;
        broker.logins.note(&attempt, &result);
        result
    }

    fn ended(&self, result: LoginResult) -> LoginResult {
        self.broker.logins.note(&self.attempt, &result);
        result
    }

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

    async fn answer(mut self) -> LoginResult {
        while let Some(source) = self.sources.get(self.next).cloned() {
            let attempt = self.attempt.clone();
            let answer = match &source {
                Source::Accounts => self.broker.authenticate_account(attempt).await,
                Source::Backend(backend) => {
                    let asked = backend.clone();
                    let turns = &self.broker.logins.asking_turns;
                    let turn = turns.take(network(attempt.peer)).await;
                    let job = move || {
                        let _turn = turn;
                        asked.authenticate(&attempt)
                    };
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

#[cfg(test)]
#[path = "logins_tests.rs"]
mod tests;
