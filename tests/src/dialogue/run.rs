//! Playing and recording many cases at a time.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use rand::Rng;

use super::player::Player;
use super::script::{Case, Script};
use super::target::Target;

/// Cases that are played at a time: most of their time is waiting.
const AT_A_TIME: usize = 16;
/// Letters in what makes the names of a case its own.
const SUFFIX: usize = 5;

fn suffix() -> String {
    let mut random = rand::rng();
    let letters = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let letter = |_| char::from(letters[random.random_range(0..letters.len())]);
    (0..SUFFIX).map(letter).collect()
}

/// Runs `each` over all cases whose place or title contains `filter`, many at a time.
fn for_each_case(scripts: &[Script], filter: &str, each: impl Fn(&Script, &Case) + Sync) {
    let cases: Vec<(&Script, &Case)> = scripts
        .iter()
        .flat_map(|script| script.cases.iter().map(move |case| (script, case)))
        .filter(|(_, case)| case.place.contains(filter) || case.title.contains(filter))
        .collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|threads| {
        for _ in 0..AT_A_TIME {
            threads.spawn(|| {
                while let Some((script, case)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    each(script, case);
                }
            });
        }
    });
}

/// Plays all cases whose place or title contains `filter`; returns what was not as expected.
pub fn play(scripts: &[Script], target: &Target, filter: &str) -> Vec<String> {
    let failures = Mutex::new(Vec::new());
    for_each_case(scripts, filter, |_, case| {
        let mut player = Player::new(target, suffix());
        let played = player.play(case);
        let cleaned = match target.is_rabbitmq() {
            true => player.clean_up(),
            false => Ok(()),
        };
        if let Err(error) = played.and(cleaned) {
            let failure = format!("{} {}\n    {error}", case.place, case.title);
            failures.lock().push(failure);
        }
    });
    let mut failures = failures.into_inner();
    failures.sort();
    failures
}

/// Records all cases whose place or title contains `filter` from a RabbitMQ into their files;
/// returns what could not be.
///
/// # Panics
/// When the target is not a RabbitMQ: expectations are never taken from Leveret itself.
pub fn record(scripts: &[Script], target: &Target, filter: &str) -> Vec<String> {
    assert!(
        target.is_rabbitmq(),
        "expectations are recorded from a RabbitMQ, not from {}",
        target.product
    );
    let failures = Mutex::new(Vec::new());
    let recorded = Mutex::new(Vec::new());
    for_each_case(scripts, filter, |script, case| {
        let mut player = Player::new(target, suffix());
        let said = player.record(case);
        match said.and_then(|said| player.clean_up().map(|()| said)) {
            Ok(said) => recorded.lock().push((script.path.clone(), said)),
            Err(error) => {
                let failure = format!("{} {}\n    {error}", case.place, case.title);
                failures.lock().push(failure);
            }
        }
    });
    let recorded = recorded.into_inner();
    for script in scripts {
        let said: Vec<_> = recorded
            .iter()
            .filter(|(path, _)| *path == script.path)
            .flat_map(|(_, said)| said.clone())
            .collect();
        if !said.is_empty()
            && let Err(error) = script.rewrite(&target.product, &said)
        {
            failures
                .lock()
                .push(format!("{}: {error}", script.path.display()));
        }
    }
    failures.into_inner()
}
