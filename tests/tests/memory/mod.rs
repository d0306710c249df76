//! The memory limits of docs/operate/limits.md: clients that use as much memory as they can, in every possible way, and
//! honest ones beside them.
//!
//! A run takes 20 seconds; `LEVERET_MEMORY_SECONDS` makes it longer, `LEVERET_TEST_SEED` repeats one (as far as
//! time does), and `LEVERET_MEMORY_WAYS` has all hostile clients do only what it names (`Deaf,Stream`).

mod dead_letters;
mod holders;
mod honest;
mod hostile;

use honest::Honest;
use hostile::Hostile;
use leveret_tests::{TestBroker, eventually_within, resident_bytes, run_within};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The memory watermark.
const MARK: u64 = 200_000_000;
/// By how much resident memory may exceed it, according to docs/operate/limits.md.
const SLACK: u64 = (64 << 20) + MARK * 15 / 100;
/// The pause between two measurements.
const LOOK: Duration = Duration::from_millis(20);
/// How long an alarm caused by one client, or a confirm, may take.
const ALARM_ENDS: Duration = Duration::from_secs(10);
/// The number of hostile clients at a time.
const HOSTILE: usize = 8;

async fn start() -> Option<TestBroker> {
    let mark = MARK.to_string();
    let options = [
        "--vm-memory-high-watermark",
        &mark,
        "--queue-memory",
        "16MiB",
    ];
    TestBroker::start_own_with(&options).await
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

/// Monitors resident memory and returns the highest value.
async fn watch(pid: u32, most: Arc<AtomicU64>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        most.fetch_max(resident_bytes(pid), Ordering::Relaxed);
        tokio::time::sleep(LOOK).await;
    }
}

async fn is_alarmed(broker: &TestBroker) -> bool {
    broker.try_ctl(&["check_alarms", "-s"]).await.status != Some(0)
}

#[test]
fn memory_stays_near_the_watermark_whatever_clients_do() {
    let seed = setting("LEVERET_TEST_SEED").unwrap_or_else(rand::random);
    let time = Duration::from_secs(setting("LEVERET_MEMORY_SECONDS").unwrap_or(20));
    println!(
        "LEVERET_TEST_SEED={seed} LEVERET_MEMORY_SECONDS={}",
        time.as_secs()
    );
    run_within(time + Duration::from_secs(120), async move {
        let Some(broker) = start().await else { return };
        let broker = Arc::new(broker);
        let (most, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let pid = broker.pid().expect("its own");
        let watching = tokio::spawn(watch(pid, most.clone(), stop.clone()));
        let honest = Honest::start(&broker, stop.clone()).await;
        let end = Instant::now() + time;
        let mut random = StdRng::seed_from_u64(seed);
        let hostile: Vec<_> = (0..HOSTILE)
            .map(|_| tokio::spawn(Hostile::new(&broker, random.random()).until(end)))
            .collect();
        for one in hostile {
            one.await.expect("it leaves");
        }
        // Only honest clients are left.
        eventually_within(Duration::from_secs(5), "no alarm", async || {
            (!is_alarmed(&broker).await).then_some(())
        })
        .await;
        stop.store(true, Ordering::Relaxed);
        watching.await.expect("it watches");
        let honest = honest.ended().await;
        let most = most.load(Ordering::Relaxed);
        println!("{} MB at most; {honest:?}", most / 1_000_000);
        assert!(
            most <= MARK + SLACK,
            "{most} bytes at a mark of {MARK}: seed {seed}"
        );
        assert_eq!(honest.blocked, honest.unblocked, "seed {seed}");
        assert!(honest.confirmed > 100, "{honest:?}: seed {seed}");
        assert!(honest.longest < ALARM_ENDS, "{honest:?}: seed {seed}");
        assert!(
            honest.longest_untold < Duration::from_secs(5),
            "who waits is told: {honest:?}: seed {seed}"
        );
    });
}
