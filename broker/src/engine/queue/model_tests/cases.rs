//! Cases that were once wrong, or that one wants to see by name.

use super::fixtures::{Delays, Kind, Limit, Rules};
use super::world::World;
use super::{Consume, Step, paged_world};
use crate::engine::queue::Return;

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

fn quorum_queue(dead_letters: bool) -> World {
    let limit = Limit {
        messages: 10,
        bytes: u64::MAX >> 1,
        refuses: true,
    };
    World::new(Rules {
        limit: Some(limit),
        quorum: Some(3),
        single_active: !dead_letters,
        dead_letters,
        at_least_once: dead_letters,
        ..Rules::default()
    })
}

#[test]
fn a_consumer_that_made_room_with_a_full_mailbox_is_active_again_when_it_is_the_only_one() {
    let mut world = quorum_queue(false);
    let large = Step::Publish {
        queue: 0,
        count: 5,
        kind: Kind {
            large: true,
            ..Kind::default()
        },
    };
    let better = Consume {
        queue: 1,
        channel: 1,
        prefetch: 0,
        no_ack: false,
        priority: 1,
        exclusive: false,
    };
    // Both consumers of peer 0; the second finds the mailbox full.
    for step in [consume(0, 0), large, consume_from(1, 2, 0), publish(1, 1)] {
        world.run(step);
    }
    world.run(Step::Consume(better));
    world.run(Step::CloseChannel { channel: 1 });
    for peer in [1, 0, 0] {
        world.run(Step::Take { peer });
    }
    assert_eq!(world.channels[2].unacked.len(), 1);
    world.finish();
}

#[test]
fn an_active_consumer_is_chosen_before_a_page_comes_back_and_shows_its_mailbox_full() {
    let directory = tempfile::tempdir().unwrap();
    let rules = Rules {
        quorum: Some(0),
        single_active: true,
        ..Rules::default()
    };
    let mut world = paged_world(rules, directory.path());
    let publish_sized = |queue, count, large| Step::Publish {
        queue,
        count,
        kind: Kind {
            large,
            ..Kind::default()
        },
    };
    let better = |channel, prefetch| {
        Step::Consume(Consume {
            queue: 1,
            channel,
            prefetch,
            no_ack: false,
            priority: 1,
            exclusive: false,
        })
    };
    // The first is active and has its one message; the third fills the mailbox of the other peer.
    for step in [
        better(0, 1),
        consume_from(0, 1, 0),
        consume_from(1, 0, 0),
        publish_sized(0, 4, true),
        better(1, 0),
        publish_sized(1, 1, false),
        publish_sized(1, 2, true),
    ] {
        world.run(step);
    }
    world.cancel(0);
    world.serve_next(0);
    assert_eq!(world.models[1].single, Some(3));
    world.finish();
}

#[test]
fn letters_that_wait_to_be_sent_again_are_not_put_off_by_others() {
    let mut world = quorum_queue(true);
    let rejected = |world: &mut World| {
        world.run(publish(1, 1));
        world.run(Step::Take { peer: 0 });
        let held = world.channels[0].unacked.drain(..).collect();
        world.settle(held, true);
    };
    world.run(consume_from(1, 0, 0));
    world.run(Step::Way { open: false });
    rejected(&mut world);
    world.run(Step::Wait { milliseconds: 900 });
    rejected(&mut world);
    assert_eq!(world.models[1].kept.len(), 2);
    world.run(Step::Way { open: true });
    world.run(Step::Wait { milliseconds: 100 });
    assert_eq!((world.sent, world.models[1].kept.len()), (2, 0));
    world.finish();
}

fn policy(queue: usize, limit: Option<(u64, bool)>) -> Step {
    let limit = limit.map(|(messages, refuses)| Limit {
        messages,
        bytes: u64::MAX >> 1,
        refuses,
    });
    Step::Policy {
        queue,
        limit,
        delays: None,
    }
}

#[test]
fn letters_that_are_kept_and_those_behind_them_are_sent_when_their_queue_may_lose_them() {
    let rules = Rules {
        quorum: Some(0),
        dead_letters: true,
        at_least_once: true,
        ..Rules::default()
    };
    let mut world = World::new(rules);
    let full = Some((0, true));
    let rejected = |world: &mut World| {
        world.run(publish(1, 1));
        world.run(Step::Take { peer: 0 });
        let held = world.channels[0].unacked.drain(..).collect();
        world.settle(held, true);
    };
    world.run(consume_from(1, 0, 0));
    world.run(policy(1, Some((9, true))));
    world.run(policy(0, full));
    rejected(&mut world);
    assert_eq!(world.models[1].kept.len(), 1);
    world.run(policy(0, None));
    world.run(policy(1, None));
    assert_eq!((world.sent, world.models[1].kept.len()), (1, 0));
    rejected(&mut world);
    assert_eq!(world.sent, 2);
    assert_eq!(world.models[0].ready.len(), 2);
    world.finish();
}

#[test]
fn a_policy_trims_once_and_not_what_waits_for_a_retry() {
    let delays = Some(Delays {
        kind: "all",
        min: 40,
        max: 40,
    });
    // Queue 0: the other one goes with its last consumer.
    let mut world = World::new(Rules::default());
    world.run(Step::Policy {
        queue: 0,
        limit: None,
        delays,
    });
    for step in [consume(0, 0), publish(0, 2), Step::Take { peer: 0 }] {
        world.run(step);
    }
    world.cancel(0);
    let held = world.channels[0].unacked.drain(..).collect();
    world.requeue(held, Return::Failed);
    assert_eq!(world.models[0].waiting.len(), 2);
    world.run(policy(0, Some((0, true))));
    world.run(Step::Wait { milliseconds: 40 });
    assert_eq!(world.queues[0].counts().ready, 2, "they stay");
    world.finish();
}
