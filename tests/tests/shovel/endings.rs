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
