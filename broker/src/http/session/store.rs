//! The sessions, in bounded memory.

use crate::domain::auth::{Login, PasswordMark};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use rand::RngCore;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq;

/// Sessions of all users together; when there are more, the one that has been idle for longest ends.
const ALL: usize = 1024;
/// Sessions of one user.
const OF_A_USER: usize = 32;
/// How long a session lasts that nobody uses.
const IDLE: Duration = Duration::from_secs(60 * 60);
/// Random bytes in an id and in a CSRF token.
const RANDOM: usize = 32;

/// What a session is found by: a hash of its id, so that comparing takes the same time for all, and what is in memory lets
/// nobody in.
type Key = [u8; 32];

/// All sessions.
#[derive(Debug)]
pub(in crate::http) struct Sessions {
    bounds: Bounds,
    kept: Mutex<HashMap<Key, Session>>,
}

/// How many there are at most, and for how long.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    all: usize,
    of_a_user: usize,
    lifetime: Duration,
    idle: Duration,
}

#[derive(Debug)]
struct Session {
    login: Login,
    mark: Option<PasswordMark>,
    csrf_token: String,
    began: Instant,
    used: Instant,
}

/// A session as a request finds it.
#[derive(Clone, Debug)]
pub(in crate::http) struct Seen {
    /// Who has signed in.
    pub(in crate::http) login: Login,
    /// The password that was right then, if it is the broker's own user.
    pub(super) mark: Option<PasswordMark>,
    /// What requests have to send along.
    pub(in crate::http) csrf_token: String,
    /// When it ends, however much it is used.
    pub(in crate::http) expires_in: Duration,
}

impl Seen {
    /// Returns whether this is the session's token, in the same time for all of its length.
    pub(super) fn has_token(&self, token: &[u8]) -> bool {
        self.csrf_token.as_bytes().ct_eq(token).into()
    }
}

impl Session {
    fn lasts_for(&self, bounds: &Bounds, now: Instant) -> Duration {
        let left = bounds.lifetime.saturating_sub(now - self.began);
        self.login
            .expires_in()
            .map_or(left, |rights| rights.min(left))
    }

    fn has_ended(&self, bounds: &Bounds, now: Instant) -> bool {
        now.saturating_duration_since(self.used) >= bounds.idle
            || self.lasts_for(bounds, now).is_zero()
    }

    fn seen(&self, bounds: &Bounds, now: Instant) -> Seen {
        Seen {
            login: self.login.clone(),
            mark: self.mark,
            csrf_token: self.csrf_token.clone(),
            expires_in: self.lasts_for(bounds, now),
        }
    }
}

impl Sessions {
    /// Returns a store of sessions that last for this long at most.
    pub(in crate::http) fn new(lifetime: Duration) -> Self {
        Sessions::within(Bounds {
            all: ALL,
            of_a_user: OF_A_USER,
            lifetime,
            idle: IDLE,
        })
    }

    fn within(bounds: Bounds) -> Self {
        Sessions {
            bounds,
            kept: Mutex::default(),
        }
    }

    /// Begins a session, and returns its id. If there are too many, of the user or in all, one ends.
    pub(in crate::http) fn begin(
        &self,
        login: Login,
        mark: Option<PasswordMark>,
        now: Instant,
    ) -> (String, Seen) {
        let (id, csrf_token) = (random_text(), random_text());
        let session = Session {
            login,
            mark,
            csrf_token,
            began: now,
            used: now,
        };
        let seen = session.seen(&self.bounds, now);
        let mut kept = self.kept.lock();
        kept.retain(|_, session| !session.has_ended(&self.bounds, now));
        let user = &session.login.identity.name;
        let of_user = |one: &Session| one.login.identity.name == *user;
        if kept.values().filter(|one| of_user(one)).count() >= self.bounds.of_a_user {
            end_longest_idle(&mut kept, of_user);
        }
        if kept.len() >= self.bounds.all {
            end_longest_idle(&mut kept, |_| true);
        }
        kept.insert(key(&id), session);
        (id, seen)
    }

    /// Returns the session with this id, unless it has ended.
    pub(super) fn find(&self, id: &str, now: Instant) -> Option<Seen> {
        let mut kept = self.kept.lock();
        let key = key(id);
        let session = kept.get(&key)?;
        if session.has_ended(&self.bounds, now) {
            kept.remove(&key);
            return None;
        }
        Some(session.seen(&self.bounds, now))
    }

    /// Notes that a session is used.
    pub(super) fn used(&self, id: &str, now: Instant) {
        if let Some(session) = self.kept.lock().get_mut(&key(id)) {
            session.used = now;
        }
    }

    /// Ends a session.
    pub(in crate::http) fn end(&self, id: &str) {
        self.kept.lock().remove(&key(id));
    }
}

/// Ends the session that has been idle for longest among some.
fn end_longest_idle(kept: &mut HashMap<Key, Session>, among: impl Fn(&Session) -> bool) {
    let some = kept.iter().filter(|(_, session)| among(session));
    let longest = some.min_by_key(|(_, session)| session.used);
    if let Some(key) = longest.map(|(key, _)| *key) {
        kept.remove(&key);
    }
}

fn key(id: &str) -> Key {
    Sha256::digest(id.as_bytes()).into()
}

fn random_text() -> String {
    let mut bytes = [0; RANDOM];
    rand::rng().fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
