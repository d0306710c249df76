//! Delayed exchanges in simulated time.

use super::*;
use crate::engine::exchange::{
    Binding, Destination, Directory, Exchange, ExchangeKind, ExchangeSpec, Routable,
};
use crate::engine::message::MessageBuilder;
use crate::engine::queue::{Queue, QueueSpec};
use leveret_protocol::classes::BasicProperties;
use leveret_protocol::method::properties_to_vec;
use leveret_protocol::values::{AMQPValue, FieldTable};
use proptest::prelude::*;

struct NoOther;

impl Directory for NoOther {
    fn exchange(&self, _name: &str) -> Option<Arc<Exchange>> {
        None
    }
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A durable delayed exchange with durable queues, and the time.
pub(super) struct World {
    exchange: Arc<Exchange>,
    queues: Vec<Arc<Queue>>,
    pub(super) now: Instant,
    pub(super) fx: Effects,
}

impl World {
    pub(super) fn new(routed_by: &str, queues: usize) -> Self {
        let mut arguments = FieldTable::default();
        arguments.insert(
            "x-delayed-type".into(),
            AMQPValue::LongString(routed_by.into()),
        );
        let spec = ExchangeSpec {
            name: "x".into(),
            kind: ExchangeKind::DelayedMessage,
            durable: true,
            auto_delete: false,
            internal: false,
            arguments,
        };
        let delays = Delays::new(QueueId(100), &"/".into(), &spec, Clock::start());
        let queue = |id: usize| {
            let spec = QueueSpec {
                name: format!("q{id}").as_str().into(),
                durable: true,
                auto_delete: false,
                exclusive_to: None,
                arguments: FieldTable::default(),
            };
            Arc::new(Queue::new(
                QueueId(id as u64),
                "/".into(),
                spec,
                Position(0),
            ))
        };
        World {
            exchange: Arc::new(Exchange::delayed(spec, Arc::new(delays))),
            queues: (0..queues).map(queue).collect(),
            now: Instant::now(),
            fx: Effects::default(),
        }
    }

    pub(super) fn delays(&self) -> Arc<Delays> {
        self.exchange.delays().unwrap().clone()
    }

    pub(super) fn bind(&self, queue: usize, key: &str) {
        self.exchange.bind(Binding {
            destination: Destination::Queue(self.queues[queue].clone()),
            key: key.into(),
            arguments: FieldTable::default(),
        });
    }

    fn hold(&mut self, delay: u64, body: &str, persistent: bool) {
        self.hold_with(delay, body, persistent, "k", &[]);
    }

    pub(super) fn hold_with(
        &mut self,
        delay: u64,
        body: &str,
        persistent: bool,
        key: &str,
        more: &[&str],
    ) {
        let delayed = DelayedMessage {
            message: message(delay, body, persistent, key),
            more_keys: more.iter().map(|key| key.as_bytes().into()).collect(),
        };
        let postponed = Postponed {
            delayed,
            delay: ms(delay),
            token: None,
        };
        self.delays().hold([postponed], self.now, &mut self.fx);
    }

    /// Time goes by, and whatever is due is released.
    pub(super) fn pass(&mut self, time: u64) {
        self.now += ms(time);
        let delays = self.delays();
        while delays.next().is_some_and(|due| due <= self.now) {
            delays.release(&self.exchange, &NoOther, self.now, &mut self.fx);
        }
    }

    pub(super) fn drain(&mut self, queue: usize) -> Vec<String> {
        let mut bodies = Vec::new();
        while let Some((entry, _)) = self.queues[queue].get(true, &mut self.fx) {
            bodies.push(String::from_utf8_lossy(entry.message.body()).into_owned());
        }
        bodies
    }
}

fn message(delay: u64, body: &str, persistent: bool, key: &str) -> SharedMessage {
    let mut headers = FieldTable::default();
    headers.insert("x-delay".into(), AMQPValue::LongLongInt(delay as i64));
    let properties = properties_to_vec(&BasicProperties::default().with_headers(headers));
    let mut builder = MessageBuilder::new(
        b"x",
        key.as_bytes(),
        &properties,
        persistent,
        body.len() as u64,
    );
    builder.push(body.as_bytes()).unwrap();
    Arc::new(builder.finish(false))
}

#[test]
fn messages_come_when_they_are_due_and_not_before() {
    let mut world = World::new("direct", 1);
    world.bind(0, "k");
    for (delay, body) in [(300, "c"), (100, "a"), (200, "b"), (100, "a2")] {
        world.hold(delay, body, true);
    }
    let due = world.delays().next().unwrap();
    // Broker time counts in microseconds.
    assert!(world.now + ms(100) - due < Duration::from_micros(2));
    world.pass(99);
    assert_eq!(world.drain(0), [""; 0]);
    world.pass(1);
    assert_eq!(world.drain(0), ["a", "a2"]);
    world.pass(500);
    assert_eq!(world.drain(0), ["b", "c"]);
    assert!(world.delays().is_empty());
    assert_eq!(world.delays().next(), None);
}

#[test]
fn the_bindings_of_that_moment_count() {
    let mut world = World::new("topic", 2);
    world.bind(0, "#");
    world.hold(100, "m", false);
    world.exchange.clear();
    world.bind(1, "k.#");
    world.pass(100);
    assert_eq!(world.drain(0), [""; 0]);
    assert_eq!(world.drain(1), ["m"]);
}

#[test]
fn further_routing_keys_are_remembered() {
    let mut world = World::new("direct", 2);
    world.bind(0, "cc");
    world.bind(1, "bcc");
    world.hold_with(100, "m", true, "none", &["cc", "bcc"]);
    world.pass(100);
    assert_eq!(
        (world.drain(0), world.drain(1)),
        (vec!["m".to_owned()], vec!["m".to_owned()])
    );
}

#[test]
fn what_has_waited_is_not_delayed_again() {
    let mut world = World::new("fanout", 1);
    world.bind(0, "");
    world.hold(100, "m", false);
    world.pass(100);
    let (entry, _) = world.queues[0].get(true, &mut world.fx).unwrap();
    let routable = Routable {
        routing_keys: &[entry.message.routing_key()],
        properties: entry.message.properties(),
    };
    assert_eq!(routable.delay(), None);
    assert_eq!(entry.message.body(), b"m");
}

/// What is recorded for the store, one word each.
fn recorded(fx: &mut Effects) -> Vec<String> {
    let words = fx.ops().iter().map(|op| match op {
        Op::Publish {
            queue, position, ..
        } => format!("publish {}@{}", queue.0, position.0),
        Op::Ack { queue, first, last } => format!("ack {}@{}-{}", queue.0, first.0, last.0),
        Op::DeleteQueue { queue } => format!("delete {}", queue.0),
        Op::Notify { .. } => "notify".to_owned(),
        _ => "else".to_owned(),
    });
    let words = words.collect();
    fx.forget_ops();
    words
}

#[test]
fn a_stored_message_is_recorded_in_its_queues_and_then_out_of_its_exchange() {
    let mut world = World::new("fanout", 2);
    world.bind(0, "");
    world.bind(1, "");
    world.hold(100, "light", false);
    world.hold(100, "heavy", true);
    world.hold(100, "heavy", true);
    assert_eq!(recorded(&mut world.fx), ["publish 100@1", "publish 100@2"]);
    world.pass(100);
    assert_eq!(
        recorded(&mut world.fx),
        [
            "publish 0@1",
            "publish 0@2",
            "publish 1@1",
            "publish 1@2",
            "ack 100@1-2"
        ]
    );
    // Nothing is bound: gone all the same.
    world.exchange.clear();
    world.hold(100, "heavy", true);
    world.pass(100);
    assert_eq!(recorded(&mut world.fx), ["publish 100@3", "ack 100@3-3"]);
}

#[test]
fn a_deleted_exchange_drops_its_messages_and_what_still_comes() {
    let mut world = World::new("direct", 1);
    world.bind(0, "k");
    world.hold(100, "m", true);
    recorded(&mut world.fx);
    world.delays().end(&mut world.fx);
    assert_eq!(recorded(&mut world.fx), ["delete 100"]);
    let late = Postponed {
        delayed: DelayedMessage {
            message: message(100, "late", true, "k"),
            more_keys: Box::default(),
        },
        delay: ms(100),
        token: Some(Token(std::num::NonZeroU64::MIN)),
    };
    let now = world.now;
    world.delays().hold([late], now, &mut world.fx);
    assert_eq!(
        recorded(&mut world.fx),
        ["notify"],
        "its publisher must not wait"
    );
    world.pass(1000);
    assert_eq!(world.drain(0), [""; 0]);
}

#[test]
fn what_took_its_place_before_the_exchange_was_deleted_leaves_the_store_again() {
    let mut world = World::new("direct", 1);
    let now = world.now;
    let postponed = Postponed {
        delayed: DelayedMessage {
            message: message(100, "m", true, "k"),
            more_keys: Box::default(),
        },
        delay: ms(100),
        token: None,
    };
    let placed = world.delays().place([postponed], now, &mut world.fx);
    assert!(
        world.delays().is_empty(),
        "not before its record is submitted"
    );
    world.delays().end(&mut world.fx);
    world.delays().keep(placed, &mut world.fx);
    assert!(world.delays().is_empty());
    assert_eq!(
        recorded(&mut world.fx),
        ["publish 100@0", "delete 100", "ack 100@0-0"]
    );
}

#[test]
fn a_burst_is_released_in_slices() {
    let mut world = World::new("direct", 1);
    world.bind(0, "k");
    for n in 0..SLICE * 3 + 1 {
        world.hold(100, &n.to_string(), false);
    }
    world.now += ms(100);
    let delays = world.delays();
    delays.release(&world.exchange, &NoOther, world.now, &mut world.fx);
    assert_eq!(delays.len(), SLICE * 2 + 1);
    assert!(delays.next().unwrap() <= world.now, "there is more to do");
    world.pass(0);
    let expected: Vec<String> = (0..SLICE * 3 + 1).map(|n| n.to_string()).collect();
    assert_eq!(world.drain(0), expected);
    // Large messages count by their bytes.
    let large = "x".repeat(SLICE_BYTES as usize);
    for _ in 0..3 {
        world.hold(100, &large, false);
    }
    world.now += ms(100);
    delays.release(&world.exchange, &NoOther, world.now, &mut world.fx);
    assert_eq!(delays.len(), 2);
}

#[test]
fn what_is_restored_comes_in_the_order_in_which_it_was_due() {
    use leveret_storage::Storable;
    let mut world = World::new("direct", 1);
    world.bind(0, "k");
    let delays = world.delays();
    // Overdue since long, overdue since yesterday, due in a minute.
    let start = delays.clock.time(world.now);
    let before = |time: u64| {
        delays
            .clock
            .time_of_wall_millis(delays.clock.wall_millis(start) - time)
    };
    for (position, due) in [
        (7, before(86_400_000)),
        (8, start + ms(60_000)),
        (3, before(1_000_000_000_000)),
    ] {
        let delayed = DelayedMessage {
            message: message(1, &position.to_string(), true, "k"),
            more_keys: Box::default(),
        };
        let mut bytes = Vec::new();
        Stored::new(due, delayed, delays.clock).encode(&mut bytes);
        let fx = &mut world.fx;
        delays
            .restore(Position(position), bytes.into(), fx)
            .unwrap();
    }
    world.pass(1);
    assert_eq!(world.drain(0), ["3", "7"]);
    world.pass(61_000);
    assert_eq!(world.drain(0), ["8"]);
    recorded(&mut world.fx);
    world.hold(1, "new", true);
    assert_eq!(
        recorded(&mut world.fx),
        ["publish 100@9"],
        "no position twice"
    );
}

#[derive(Clone, Debug)]
enum Step {
    Hold { delay: u64, persistent: bool },
    Pass(u64),
}

proptest! {
    #[test]
    fn order_is_by_due_time_and_then_by_arrival(
        steps in prop::collection::vec(
            prop_oneof![
                4 => (1u64..50, any::<bool>())
                    .prop_map(|(delay, persistent)| Step::Hold { delay, persistent }),
                1 => (0u64..30).prop_map(Step::Pass),
            ],
            1..80,
        )
    ) {
        let mut world = World::new("direct", 1);
        world.bind(0, "k");
        let (mut now, mut next) = (0, 0);
        let mut waiting: Vec<(u64, u64)> = Vec::new();
        for step in steps.into_iter().chain([Step::Pass(50)]) {
            match step {
                Step::Hold { delay, persistent } => {
                    world.hold(delay, &next.to_string(), persistent);
                    waiting.push((now + delay, next));
                    next += 1;
                }
                Step::Pass(time) => {
                    now += time;
                    world.pass(time);
                    waiting.sort_unstable();
                    let due = waiting.partition_point(|(due, _)| *due <= now);
                    let expected: Vec<String> =
                        waiting.drain(..due).map(|(_, id)| id.to_string()).collect();
                    prop_assert_eq!(world.drain(0), expected);
                }
            }
        }
        prop_assert!(world.delays().is_empty());
    }
}
