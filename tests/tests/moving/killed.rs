//! A move in which the shovel and the brokers are killed: run again, it loses nothing, and whatever is there twice is marked.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::page::{Terminal, blocks};
use super::world::{Contents, ORDERS, PASSWORD, login, number, take_all};
use super::{LIMIT, Move, lists_queues};
use leveret_tests::{eventually, run_within};
use rand::Rng;

/// The virtual host, name and length of the queues.
const QUEUES: [(&str, &str, u32); 2] = [("%2f", "work", 30_000), (ORDERS, "quorum", 20_000)];

async fn fill(address: &str) -> Contents {
    for (vhost, queue, count) in QUEUES {
        let client = login(address, "admin", vhost).await.expect(PASSWORD);
        number(&client, queue, count).await;
        drop(client);
    }
    Contents::new()
}

/// Kills the shovel that runs, some time after it has started. Returns whether there was one.
async fn kill_shovel(pid_file: &Path) -> bool {
    let pid = eventually("a shovel", async || {
        let pid = std::fs::read_to_string(pid_file).ok()?;
        let pid = pid.trim().to_owned();
        (!pid.is_empty()).then_some(pid)
    })
    .await;
    // All is moved in less than a second.
    let pause = rand::rng().random_range(0..250);
    tokio::time::sleep(Duration::from_millis(pause)).await;
    // It may have ended meanwhile, and another process have its number.
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim() == "leveretctl" && {
        let killed = std::process::Command::new("kill")
            .args(["-9", &pid])
            .status();
        killed.expect("kill(1) runs").success()
    }
}

/// Asserts that every number is there, and that all copies but one may be.
async fn nothing_is_lost(address: &str) {
    for (vhost, queue, count) in QUEUES {
        let client = login(address, "admin", vhost).await.expect(PASSWORD);
        let mut copies: BTreeMap<u32, Vec<bool>> = BTreeMap::new();
        for (number, is_marked) in take_all(&client, queue).await {
            copies.entry(number).or_default().push(is_marked);
        }
        let lost: Vec<u32> = (0..count).filter(|n| !copies.contains_key(n)).collect();
        assert!(lost.is_empty(), "{queue}: lost {lost:?}");
        assert_eq!(copies.len(), count as usize, "{queue}");
        let doubled = copies.values().filter(|copies| copies.len() > 1).count();
        let unmarked = |copies: &&Vec<bool>| copies.iter().filter(|marked| !**marked).count() > 1;
        let silently: Vec<_> = copies.values().filter(unmarked).collect();
        eprintln!("{queue}: {doubled} are there more than once");
        assert!(
            silently.is_empty(),
            "{queue}: {} doubled without a mark",
            silently.len()
        );
        drop(client);
    }
}

/// Runs the block once while `harm` is done.
async fn disturbed<T>(
    terminal: &mut Terminal,
    block: &str,
    harm: impl AsyncFnOnce(&Path) -> T,
) -> (i32, T) {
    let pid_file = terminal.file("pid");
    let _ = std::fs::remove_file(&pid_file);
    let (outcome, done) = tokio::join!(terminal.run(block), harm(&pid_file));
    (outcome.status, done)
}

#[test]
fn what_is_killed_on_its_way_loses_nothing_and_doubles_only_what_it_marks() {
    run_within(LIMIT, async {
        let Some(mut moved) = Move::up_to_definitions(async |address| fill(address).await).await
        else {
            return;
        };
        let [helpers, drain] = &blocks("6")[..] else {
            panic!("the helpers, and the drain")
        };
        let Move {
            old, new, terminal, ..
        } = &mut moved;
        let total = QUEUES.iter().map(|&(_, _, count)| count as usize).sum();
        lists_queues(terminal, helpers, total).await;
        let mut kills = 0;
        for _ in 0..5 {
            let (status, killed) =
                disturbed(terminal, drain, async |pid| kill_shovel(pid).await).await;
            kills += u32::from(killed);
            assert!(killed || status == 0, "it ended with {status}");
        }
        // The broker that messages are moved to.
        let (_, ()) = disturbed(terminal, drain, async |pid| {
            eventually("a shovel", async || pid.exists().then_some(())).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            new.kill();
        })
        .await;
        new.start_again().await;
        terminal.turn_to_new(new.address()).await;
        terminal.succeed(drain).await;
        eprintln!("killed {kills} shovels");
        assert!(kills > 0, "every shovel was too fast");
        nothing_is_lost(new.address()).await;

        // Back: now RabbitMQ is the one that messages are moved to.
        fill(new.address()).await;
        let back = "drain \"$NEW\" \"$OLD\" < before.txt";
        let (_, ()) = disturbed(terminal, back, async |pid| {
            eventually("a shovel", async || pid.exists().then_some(())).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            old.kill();
        })
        .await;
        old.start_again().await;
        terminal.succeed(back).await;
        nothing_is_lost(&old.address()).await;
    });
}
