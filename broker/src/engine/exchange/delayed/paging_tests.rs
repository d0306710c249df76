//! Delayed messages that wait on disk come as if they had not.

use super::tests::World;
use crate::engine::queue::paging::{Holder, Limits};
use crate::engine::queue::{Effects, Environment};
use crate::plumbing::paging::Pager;
use leveret_storage::Spill;
use proptest::prelude::*;
use std::sync::Arc;

#[derive(Clone, Debug)]
enum Step {
    Hold {
        delay: u64,
        size: usize,
        persistent: bool,
        copy: bool,
        count: usize,
    },
    Pass(u64),
    PageOutIdle {
        everything: bool,
    },
    Work {
        oldest: bool,
        count: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let hold = (
        0u64..500,
        0usize..3000,
        any::<bool>(),
        any::<bool>(),
        1usize..20,
    )
        .prop_map(|(delay, size, persistent, copy, count)| Step::Hold {
            delay,
            size,
            persistent,
            copy,
            count,
        });
    prop_oneof![
        6 => hold,
        3 => (0u64..200).prop_map(Step::Pass),
        2 => any::<bool>().prop_map(|everything| Step::PageOutIdle { everything }),
        4 => (any::<bool>(), 1usize..4).prop_map(|(oldest, count)| Step::Work { oldest, count }),
    ]
}

struct Bench {
    world: World,
    pager: Arc<Pager>,
    /// When they are due, in which order they came, and whether they go to the second queue as well.
    waiting: Vec<(u64, u64, bool)>,
    came: u64,
    elapsed: u64,
    _directory: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let spill = Spill::open(directory.path()).unwrap();
        let limits = Limits {
            budget: 0,
            page: 4096,
        };
        let pager = Arc::new(Pager::by_hand(limits, None, spill));
        let mut world = World::new("direct", 2);
        world.bind(0, "k");
        world.bind(1, "copy");
        let environment = Environment {
            pager: Some(pager.clone()),
            ..Environment::default()
        };
        world.fx = Effects::on(environment, None);
        Bench {
            world,
            pager,
            waiting: Vec::new(),
            came: 0,
            elapsed: 0,
            _directory: directory,
        }
    }

    fn hold(&mut self, delay: u64, size: usize, persistent: bool, copy: bool) {
        let more: &[&str] = if copy { &["copy"] } else { &[] };
        let body = format!("{}:{}", self.came, "x".repeat(size));
        self.world.hold_with(delay, &body, persistent, "k", more);
        self.world.fx.perform();
        self.waiting.push((self.elapsed + delay, self.came, copy));
        self.came += 1;
    }

    fn work(&mut self) {
        self.world.fx.perform();
        while self.pager.clone().perform_one_job(true, &mut self.world.fx) {
            self.world.fx.perform();
        }
    }

    /// Time goes by; what is due, and nothing else, is in the queues then, in order.
    fn pass(&mut self, time: u64) {
        self.elapsed += time;
        self.world.pass(time);
        loop {
            self.work();
            let next = self.world.delays().next();
            if next.is_none_or(|due| due > self.world.now) {
                break;
            }
            self.world.pass(0);
        }
        self.waiting.sort_unstable();
        let due = self.waiting.partition_point(|(at, ..)| *at <= self.elapsed);
        let due: Vec<_> = self.waiting.drain(..due).collect();
        let first: Vec<u64> = due.iter().map(|(_, id, _)| *id).collect();
        let copies = due.iter().filter(|(.., copy)| *copy);
        let second: Vec<u64> = copies.map(|(_, id, _)| *id).collect();
        for (queue, expected) in [(0, first), (1, second)] {
            let found = self.world.drain(queue);
            let id = |body: &String| body.split(':').next()?.parse::<u64>().ok();
            let found: Vec<u64> = found.iter().filter_map(id).collect();
            assert_eq!(found, expected);
        }
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Hold {
                delay,
                size,
                persistent,
                copy,
                count,
            } => (0..count).for_each(|_| self.hold(delay, size, persistent, copy)),
            Step::Pass(time) => self.pass(time),
            Step::PageOutIdle { everything } => {
                self.world
                    .delays()
                    .page_out_idle(everything, &mut self.world.fx);
                self.world.fx.perform();
            }
            Step::Work { oldest, count } => {
                for _ in 0..count {
                    self.pager
                        .clone()
                        .perform_one_job(oldest, &mut self.world.fx);
                    self.world.fx.perform();
                }
            }
        }
        assert_eq!(self.world.delays().len(), self.waiting.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn delayed_messages_come_as_if_they_had_not_been_on_disk(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut bench = Bench::new();
        for step in &steps {
            bench.run(step);
        }
        bench.pass(1000);
        assert!(bench.world.delays().is_empty());
        bench.work();
        assert_eq!((bench.pager.memory(), bench.pager.spilled()), (0, 0));
    }
}

#[test]
fn what_is_due_in_an_hour_is_not_in_memory() {
    for persistent in [false, true] {
        let mut bench = Bench::new();
        for n in 0..1000 {
            bench.hold(3_600_000 + n % 7, 1000, persistent, false);
            bench.work();
        }
        // What is due first, and what does not fill a page.
        assert!(bench.pager.memory() < 4 * 4096, "{}", bench.pager.memory());
        assert!(bench.pager.spilled() > 900_000);
        bench.pass(3_600_010);
    }
}
