//! The same with the power: the broker dies, and with it what it had written and not synced.
//!
//! The broker runs over the layer of `tests/power`; after each `kill -9` its data directory becomes one of those that a
//! power cut at that moment may leave.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use leveret_tests::power::{Disk, Mercy, Trace, programs};
use leveret_tests::{TestBroker, binaries, run_within};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;

use super::fates::Fates;
use super::{declare, load, setting, verify, within};

/// Rounds unless `LEVERET_CRASH_ROUNDS` says otherwise.
const ROUNDS: u32 = 8;

#[test]
fn no_confirmed_message_is_lost_with_the_power() {
    if std::env::var_os("LEVERET_TEST_ADDRESS").is_some() {
        eprintln!("skipped: this test needs a broker of its own");
        return;
    }
    programs();
    binaries();
    let rounds = setting("LEVERET_CRASH_ROUNDS").unwrap_or(ROUNDS);
    run_within(Duration::from_secs(60 + 10 * u64::from(rounds)), async {
        let seed = setting("LEVERET_TEST_SEED").unwrap_or_else(|| rand::rng().random());
        eprintln!("LEVERET_TEST_SEED={seed} LEVERET_CRASH_ROUNDS={rounds}");
        let mut rng = StdRng::seed_from_u64(seed);
        let traces = TempDir::with_prefix("leveret-traces-").expect("a temporary directory");
        let trace = |round: u32| traces.path().join(round.to_string());
        let data = TempDir::with_prefix("leveret-test-").expect("a temporary directory");
        let path = data.path().to_owned();
        let mut disk = Disk::of(&path);
        let environment = programs().tracing(&path, &trace(0));
        let mut broker = TestBroker::start_in(data, &[], environment).await;
        let fates = Arc::new(Fates::default());
        declare(&broker).await;
        for round in 0..rounds {
            let start = load::start(&broker, &fates, &mut rng);
            let load = within("the start of the load", start).await;
            let moment = Duration::from_micros(rng.random_range(1_000..300_000));
            // Not a wait for anything: the cut comes at a random moment.
            tokio::time::sleep(moment).await;
            broker.kill();
            within("the load notices that the broker is gone", load.ended()).await;
            let mercy = Mercy::random(&mut rng);
            Trace::open(&trace(round), &path).for_each(|event| disk.apply(&event));
            for entry in fs::read_dir(&path).expect("the data directory") {
                let entry = entry.expect("an entry").path();
                let gone = if entry.is_dir() {
                    fs::remove_dir_all(&entry)
                } else {
                    fs::remove_file(&entry)
                };
                gone.expect("removed");
            }
            disk.cut(&path, mercy, &mut rng);
            disk = Disk::of(&path);
            fs::remove_file(trace(round)).expect("removed");
            broker.set_environment(programs().tracing(&path, &trace(round + 1)));
            broker.start_again().await;
            let check = verify::verify(&broker, &fates, &mut rng);
            let found = within("the check after the restart", check).await;
            eprintln!("round {round}: cut after {moment:?}, {mercy:?}, {found}");
        }
        fates.assert_load();
    });
}
