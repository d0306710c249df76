//! What an HTTP service has answered, for a while.

use parking_lot::Mutex;
use rand::RngCore;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::time::Instant;

/// As many answers are remembered.
const ANSWERS_MAX: usize = 20_000;

/// A question without its secrets: a keyed hash, with a key that nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Question([u8; 32]);

/// Answers of any type, each until its time.
pub(super) struct Cache<T> {
    key: [u8; 32],
    answers: Mutex<Answers<T>>,
}

impl<T> std::fmt::Debug for Cache<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

/// Two generations: when the younger one is full, the older one is forgotten.
struct Answers<T> {
    young: HashMap<Question, (Instant, T)>,
    old: HashMap<Question, (Instant, T)>,
}

impl<T: Clone> Cache<T> {
    pub(super) fn new() -> Self {
        let mut key = [0; 32];
        rand::rng().fill_bytes(&mut key);
        Cache {
            key,
            answers: Mutex::new(Answers {
                young: HashMap::new(),
                old: HashMap::new(),
            }),
        }
    }

    /// Returns the question that is asked with this form at this URL.
    pub(super) fn question(&self, url: &str, form: &str) -> Question {
        let hash = Sha256::new()
            .chain_update(self.key)
            .chain_update(url)
            .chain_update([0])
            .chain_update(form);
        Question(hash.finalize().into())
    }

    /// Returns the answer, if it holds at this time.
    pub(super) fn get(&self, question: &Question, now: Instant) -> Option<T> {
        let answers = self.answers.lock();
        let found = answers
            .young
            .get(question)
            .or_else(|| answers.old.get(question));
        found
            .filter(|(until, _)| now < *until)
            .map(|(_, answer)| answer.clone())
    }

    /// Remembers an answer until a time.
    pub(super) fn put(&self, question: Question, answer: T, until: Instant) {
        let mut answers = self.answers.lock();
        if answers.young.len() >= ANSWERS_MAX / 2 {
            answers.old = std::mem::take(&mut answers.young);
        }
        answers.young.insert(question, (until, answer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn answers_hold_for_their_time_and_are_bounded_in_number() {
        let cache = Cache::new();
        let now = Instant::now();
        let until = now + Duration::from_secs(1);
        let of = |text: &str| cache.question("http://localhost/", text);
        cache.put(of("a"), 1, until);
        assert_eq!(cache.get(&of("a"), now), Some(1));
        assert_eq!(cache.get(&of("a"), until), None);
        assert_eq!(cache.get(&of("b"), now), None);
        assert_ne!(of("a"), cache.question("http://localhost/x", "a"));
        assert_ne!(
            of("a"),
            Cache::<u8>::new().question("http://localhost/", "a")
        );
        cache.put(of("a"), 2, until);
        assert_eq!(cache.get(&of("a"), now), Some(2), "the newer one counts");
        for number in 0..3 * ANSWERS_MAX {
            cache.put(of(&number.to_string()), number, until);
        }
        let answers = cache.answers.lock();
        assert!(answers.young.len() + answers.old.len() <= ANSWERS_MAX);
    }
}
