//! Moves that are ended before they are done: nothing is lost.

use std::time::Duration;

use leveret_tests::{eventually, run_within};

use super::{World, complete, ended};

const MESSAGES: u32 = 20_000;

/// Waits until the destination has this many messages.
async fn arrived(world: &World, messages: u32) {
    let client = world.destination.client().await;
    client.counts_become_at_least("q", messages).await;
}

#[test]
fn a_shovel_that_is_killed_again_and_again_goes_on() {
    run_within(Duration::from_secs(180), async {
        let Some(world) = World::start().await else {
            return;
        };
        world.fill(MESSAGES).await;
        for part in 1..5 {
            let mut shovel = world.begin(&["--queue", "q", "--prefetch", "100"]);
            arrived(&world, MESSAGES / 5 * part).await;
            shovel.kill();
        }
        let source = world.source.client().await;
        eventually("the source notices", async || {
            (source.counts("q").await.1 == 0).then_some(())
        })
        .await;
        let output = world.shovel(&["--queue", "q"]).await;
        ended(&output, 0, "messages moved");
        assert_eq!(source.counts("q").await.0, 0);
        complete(&world.destination, MESSAGES).await;
    });
}

#[test]
fn either_broker_may_be_killed() {
    run_within(Duration::from_secs(180), async {
        for kills_source in [true, false] {
            let Some(mut world) = World::start().await else {
                return;
            };
            world.fill(MESSAGES).await;
            let mut shovel = world.begin(&["--queue", "q", "--prefetch", "100"]);
            arrived(&world, MESSAGES / 4).await;
            let broker = match kills_source {
                true => &mut world.source,
                false => &mut world.destination,
            };
            broker.kill();
            let status = shovel.ended().await;
            assert_eq!(status.code(), Some(75), "{}", shovel.tail());
            broker.start_again().await;
            let output = world.shovel(&["--queue", "q"]).await;
            ended(&output, 0, "messages moved");
            complete(&world.destination, MESSAGES).await;
        }
    });
}

#[test]
fn sigterm_ends_a_move_with_every_message_on_one_side() {
    run_within(Duration::from_secs(120), async {
        let Some(world) = World::start().await else {
            return;
        };
        world.fill(MESSAGES).await;
        let (source, destination) = (
            world.source.client().await,
            world.destination.client().await,
        );
        let mut shovel = world.begin(&["--queue", "q", "--prefetch", "50"]);
        arrived(&world, 1000).await;
        shovel.signal("TERM");
        assert_eq!(shovel.ended().await.code(), Some(143), "{}", shovel.tail());
        let (there, here) = (source.counts("q").await.0, destination.counts("q").await.0);
        assert_eq!(there + here, MESSAGES);
        assert!(there > 0, "it was stopped");
        // With --follow it is the only end.
        let mut shovel = world.begin(&["--queue", "q", "--follow"]);
        arrived(&world, MESSAGES).await;
        world.fill(10).await;
        arrived(&world, MESSAGES + 10).await;
        shovel.signal("TERM");
        assert_eq!(shovel.ended().await.code(), Some(0), "{}", shovel.tail());
        let first = destination.take("q").await.expect("a message");
        assert_eq!(first.data, b"0");
    });
}

fn signal(world: &World, signal: &str) {
    let pid = world.destination.pid().expect("a process").to_string();
    let status = std::process::Command::new("kill")
        .args(["-s", signal, &pid])
        .status();
    assert!(status.expect("kill(1) runs").success());
}

#[test]
fn a_destination_that_accepts_nothing_does_not_delay_the_end() {
    run_within(Duration::from_secs(120), async {
        for is_blocked in [true, false] {
            let Some(world) = World::start().await else {
                return;
            };
            world.fill(100).await;
            let mut shovel = world.begin(&["--queue", "q", "--follow"]);
            arrived(&world, 100).await;
            match is_blocked {
                true => {
                    let alarm = ["set_vm_memory_high_watermark", "absolute", "1"];
                    world.destination.ctl(&alarm).await;
                }
                false => signal(&world, "STOP"),
            }
            world.fill(5000).await;
            // Time to publish some that are not confirmed.
            tokio::time::sleep(Duration::from_secs(2)).await;
            let started = std::time::Instant::now();
            shovel.signal("INT");
            assert_eq!(shovel.ended().await.code(), Some(0), "{}", shovel.tail());
            let took = started.elapsed();
            assert!(took < Duration::from_secs(9), "{took:?}");
            if !is_blocked {
                signal(&world, "CONT");
            }
            let source = world.source.client().await;
            source.counts_become_at_least("q", 4000).await;
        }
    });
}

#[test]
fn a_closed_terminal_ends_it() {
    run_within(Duration::from_secs(60), async {
        let Some(world) = World::start().await else {
            return;
        };
        world.fill(10).await;
        let mut shovel = world.begin(&["--queue", "q", "--follow"]);
        arrived(&world, 10).await;
        shovel.signal("HUP");
        assert_eq!(shovel.ended().await.code(), Some(0), "{}", shovel.tail());
    });
}
