//! Cases that were once wrong, or that one wants to see by name.

use super::fixtures::{Kind, Rules};
use super::world::World;
use super::{Consume, Step};

fn consume(channel: usize, prefetch: u32) -> Step {
    consume_from(0, channel, prefetch)
}

fn consume_from(queue: usize, channel: usize, prefetch: u32) -> Step {
    Step::Consume(Consume {
        queue,
        channel,
        prefetch,
        no_ack: false,
        priority: 0,
        exclusive: false,
    })
}

fn publish(queue: usize, count: usize) -> Step {
    Step::Publish {
        queue,
        count,
        kind: Kind {
            persistent: true,
            ..Kind::default()
        },
    }
}

fn run(steps: impl IntoIterator<Item = Step>) -> World {
    let mut world = World::new(Rules::default());
    for step in steps {
        world.run(step);
    }
    world
}

#[test]
fn a_consumer_whose_mailbox_has_closed_still_counts_until_it_is_cancelled() {
    // The second queue is an auto-delete one: it has to go with the end of the connection.
    let ending = Step::End {
        peer: 0,
        at_once: true,
    };
    run([consume_from(1, 0, 0), publish(1, 1), ending]).finish();
}

#[test]
fn equal_consumers_get_equal_shares() {
    let mut world = run([consume(0, 0), consume(1, 0), consume(2, 0), publish(0, 4)]);
    world.run(publish(0, 3));
    world.run(publish(0, 5));
    let shares: Vec<u32> = world
        .consumers
        .iter()
        .map(|consumer| consumer.used)
        .collect();
    assert_eq!(shares, [4, 4, 4]);
}

#[test]
fn a_refusal_by_one_limit_takes_nothing_from_the_other() {
    // Channel 0 may have two; its first consumer one, which it has. The second gets the other.
    let limit = Step::Limit {
        channel: 0,
        limit: 2,
    };
    let world = run([
        limit,
        consume_from(0, 0, 1),
        publish(0, 3),
        consume_from(1, 0, 1),
        publish(1, 1),
    ]);
    assert_eq!(world.channels[0].credit.used(), 2);
    assert_eq!(world.consumers[0].used, 1);
    assert_eq!(world.consumers[1].used, 1);
}

#[test]
fn a_full_mailbox_stops_deliveries_and_an_empty_one_resumes_them() {
    let large = Step::Publish {
        queue: 0,
        count: 9,
        kind: Kind {
            large: true,
            ..Kind::default()
        },
    };
    let mut world = run([consume(0, 0), large]);
    let waiting = |world: &World| world.peers[0].mailbox.peek(|mail| mail.len());
    assert_eq!(waiting(&world), 4, "no more than the mark");
    world.run(Step::Take { peer: 0 });
    assert_eq!(world.channels[0].unacked.len(), 9);
    world.finish();
}
