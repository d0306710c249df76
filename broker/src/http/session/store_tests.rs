//! Tests of the sessions' bounds and ends, with invented users and times.

use super::*;
use crate::domain::auth::backend::{Authority, Resource};
use crate::domain::auth::{Access, Identity, KnownBy};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::sync::Arc;
use std::time::SystemTime;

const SECOND: Duration = Duration::from_secs(1);
const BOUNDS: Bounds = Bounds {
    all: 12,
    of_a_user: 3,
    lifetime: Duration::from_secs(500),
    idle: Duration::from_secs(60),
};

/// Rights that end.
#[derive(Debug)]
struct Until(Option<SystemTime>);

impl Authority for Until {
    fn may_enter(&self, _: &str) -> bool {
        true
    }

    fn permits(&self, _: Access, _: Resource<'_>) -> bool {
        true
    }

    fn permits_topic(&self, _: Access, _: Resource<'_>, _: &str) -> bool {
        true
    }

    fn generation(&self) -> u64 {
        0
    }

    fn expires_at(&self) -> Option<SystemTime> {
        self.0
    }
}

fn login_until(user: &str, until: Option<SystemTime>) -> Login {
    let identity = Identity {
        name: user.into(),
        known_by: KnownBy::Backend(Arc::new(Until(until))),
    };
    Login {
        identity,
        tags: vec!["management".to_owned()],
    }
}

fn login(user: &str) -> Login {
    login_until(user, None)
}

#[test]
fn ids_and_tokens_are_random_and_safe_in_a_cookie() {
    let sessions = Sessions::new(SECOND);
    let mut all = std::collections::HashSet::new();
    for _ in 0..OF_A_USER {
        let (id, seen) = sessions.begin(login("hare"), None, Instant::now());
        for text in [id, seen.csrf_token] {
            assert!(text.len() * 6 >= 128, "{text}");
            assert!(
                text.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
            );
            assert!(all.insert(text));
        }
    }
}

#[test]
fn a_session_ends_after_its_time_however_much_it_is_used() {
    let sessions = Sessions::within(BOUNDS);
    let start = Instant::now();
    let (id, seen) = sessions.begin(login("hare"), None, start);
    assert_eq!(seen.expires_in, BOUNDS.lifetime);
    for at in (0..500).step_by(50) {
        let now = start + SECOND * at;
        let seen = sessions.find(&id, now).expect("it is used");
        assert_eq!(seen.expires_in, BOUNDS.lifetime - SECOND * at);
        sessions.used(&id, now);
    }
    assert!(sessions.find(&id, start + SECOND * 499).is_some());
    assert!(sessions.find(&id, start + SECOND * 500).is_none());
    assert!(sessions.kept.lock().is_empty());
}

#[test]
fn a_session_that_nobody_uses_ends_and_looking_is_no_use() {
    let sessions = Sessions::within(BOUNDS);
    let start = Instant::now();
    let (id, _) = sessions.begin(login("hare"), None, start);
    assert!(sessions.find(&id, start + SECOND * 59).is_some());
    assert!(sessions.find(&id, start + SECOND * 60).is_none());
    let (id, _) = sessions.begin(login("hare"), None, start);
    sessions.used(&id, start + SECOND * 59);
    assert!(sessions.find(&id, start + SECOND * 100).is_some());
}

#[test]
fn a_session_ends_with_the_rights_of_its_user() {
    let sessions = Sessions::within(BOUNDS);
    let (now, wall) = (Instant::now(), SystemTime::now());
    let (id, seen) = sessions.begin(login_until("hare", Some(wall + SECOND * 100)), None, now);
    assert!(seen.expires_in <= SECOND * 100);
    assert!(sessions.find(&id, now).is_some());
    let (id, _) = sessions.begin(login_until("hare", Some(wall)), None, now);
    assert!(sessions.find(&id, now).is_none());
}

#[test]
fn only_the_whole_token_is_the_token() {
    let sessions = Sessions::within(BOUNDS);
    let (_, seen) = sessions.begin(login("hare"), None, Instant::now());
    let token = seen.csrf_token.clone();
    assert!(seen.has_token(token.as_bytes()));
    for wrong in ["", "x", &token[1..], &format!("{token}x")] {
        assert!(!seen.has_token(wrong.as_bytes()));
    }
}

/// What is known of a session that may be there.
#[derive(Clone, Debug)]
struct Expected {
    id: String,
    user: String,
    began: u32,
    used: u32,
}

impl Expected {
    fn lasts(&self, now: u32) -> bool {
        let (began, used) = (SECOND * (now - self.began), SECOND * (now - self.used));
        began < BOUNDS.lifetime && used < BOUNDS.idle
    }
}

/// Begins a session in the model as the rules say.
fn begin(model: &mut Vec<Expected>, new: Expected) {
    let now = new.began;
    model.retain(|one| one.lasts(now));
    let end = |model: &mut Vec<Expected>, user: Option<&str>, most: usize| {
        let is_one = |one: &&Expected| user.is_none_or(|user| one.user == user);
        if model.iter().filter(is_one).count() >= most {
            let idle = model.iter().filter(is_one).min_by_key(|one| one.used);
            let id = idle.expect("one").id.clone();
            model.retain(|one| one.id != id);
        }
    };
    end(model, Some(&new.user), BOUNDS.of_a_user);
    end(model, None, BOUNDS.all);
    model.push(new);
}

#[test]
fn whatever_happens_the_sessions_are_those_of_the_model() {
    let seed = rand::rng().random::<u64>();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..50 {
        let (sessions, start) = (Sessions::within(BOUNDS), Instant::now());
        let (mut model, mut ended) = (Vec::<Expected>::new(), Vec::<Expected>::new());
        let mut now = 0;
        for _ in 0..300 {
            // No two things happen at the same time, so that it is clear which has been idle for longer.
            now += random.random_range(1..8);
            let at = start + SECOND * now;
            let picked = match model.len() {
                0 => None,
                len => Some(random.random_range(0..len)),
            };
            match (random.random_range(0..10), picked) {
                (0..5, _) => {
                    let user = format!("user {}", random.random_range(0..6));
                    let (id, _) = sessions.begin(login(&user), None, at);
                    let before = model.clone();
                    let (began, used) = (now, now);
                    begin(
                        &mut model,
                        Expected {
                            id,
                            user,
                            began,
                            used,
                        },
                    );
                    let is_there = |one: &Expected| model.iter().any(|now| now.id == one.id);
                    ended.extend(before.into_iter().filter(|one| !is_there(one)));
                }
                (5, Some(picked)) => {
                    let one = model.remove(picked);
                    sessions.end(&one.id);
                    ended.push(one);
                }
                (_, Some(picked)) => {
                    let one = &mut model[picked];
                    if one.lasts(now) {
                        sessions.used(&one.id, at);
                        one.used = now;
                    }
                }
                (_, None) => {}
            }
            for one in &model {
                let seen = sessions.find(&one.id, at);
                assert_eq!(
                    seen.is_some(),
                    one.lasts(now),
                    "seed {seed}: {one:?} at {now}"
                );
                let user = seen.map(|seen| seen.login.identity.name.as_str().to_owned());
                assert!(user.is_none_or(|user| user == one.user), "seed {seed}");
            }
            for one in &ended {
                assert!(
                    sessions.find(&one.id, at).is_none(),
                    "seed {seed}: {one:?} at {now}"
                );
            }
            let count = sessions.kept.lock().len();
            assert!(count <= BOUNDS.all, "seed {seed}: {count}");
        }
    }
}
