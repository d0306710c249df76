use super::*;
use crate::config::Limits;
use crate::domain::vhost::Vhost;
use crate::domain::vhost::spec::VhostSpec;
use crate::engine::message::MessageBuilder;
use crate::engine::queue::{Queue, QueueSpec};
use crate::manage::statistics::{Range, Rounding, Series};
use crate::net::Ends;
use std::net::SocketAddr;

fn broker() -> (Arc<Broker>, Arc<Vhost>) {
    let broker = Arc::new(Broker::new(Limits::default(), Vec::new(), None));
    broker.add_vhost(VhostSpec::named("/"), &mut broker.effects(None));
    let vhost = broker.vhost("/").unwrap();
    (broker, vhost)
}

fn declare(broker: &Broker, vhost: &Vhost, name: &str) -> Arc<Queue> {
    let spec = QueueSpec {
        name: name.into(),
        durable: false,
        auto_delete: false,
        exclusive_to: None,
        arguments: Default::default(),
    };
    let new_id = || broker.next_queue_id();
    let mut fx = broker.effects(None);
    let declared = vhost.declare_queue(spec, None, new_id, &mut fx);
    declared.unwrap().0
}

fn publish(broker: &Broker, queue: &Arc<Queue>, count: usize) {
    let message = || Arc::new(MessageBuilder::new(b"", b"", &[0, 0], false, 0).finish(false));
    let messages = (0..count).map(|_| (message(), None));
    queue.publish(messages, false, &mut broker.effects(None));
}

fn lengths(vhost: &Vhost) -> [u64; 3] {
    vhost.statistics.sums().lengths()
}

fn rate(broker: &Broker, tracked: &Tracked, columns: &'static Columns, name: &str) -> f64 {
    let series = Series::of(&broker.statistics, tracked, columns, None);
    series.details(name).unwrap().rate
}

#[tokio::test]
async fn a_queue_is_visited_when_it_has_moved_and_only_then() {
    let (broker, vhost) = broker();
    let mut sampler = Sampler::default();
    let queues: Vec<_> = (0..100)
        .map(|n| declare(&broker, &vhost, &format!("q{n}")))
        .collect();
    assert_eq!(broker.statistics.moved(), 100);
    sampler.sample(&broker, 5000).await;
    assert!(sampler.sampled.is_empty(), "nothing has happened to them");
    publish(&broker, &queues[7], 10);
    publish(&broker, &queues[7], 10);
    assert_eq!(broker.statistics.moved(), 1);
    sampler.sample(&broker, 10_003).await;
    let rate = |name| rate(&broker, &queues[7].tracked, &Columns::QUEUE, name);
    assert_eq!((rate("publish"), rate("messages_ready")), (4.0, 4.0));
    assert_eq!(lengths(&vhost), [20, 20, 0]);
    sampler.sample(&broker, 15_001).await;
    assert_eq!((rate("publish"), sampler.sampled.len()), (0.0, 1));
}

#[tokio::test]
async fn the_lengths_of_a_virtual_host_are_the_sum_of_those_of_its_queues() {
    let (broker, vhost) = broker();
    let (mut sampler, mut time) = (Sampler::default(), 0);
    let mut sample = async |sampler: &mut Sampler| {
        time += 5000;
        sampler.sample(&broker, time).await;
    };
    let (a, b) = (declare(&broker, &vhost, "a"), declare(&broker, &vhost, "b"));
    publish(&broker, &a, 3);
    publish(&broker, &b, 4);
    sample(&mut sampler).await;
    a.get(false, &mut broker.effects(None)).unwrap();
    b.get(true, &mut broker.effects(None)).unwrap();
    sample(&mut sampler).await;
    assert_eq!(lengths(&vhost), [6, 5, 1]);
    publish(&broker, &a, 1);
    vhost.end_queue(&a, &mut broker.effects(None));
    assert_eq!(lengths(&vhost), [3, 3, 0]);
    let again = declare(&broker, &vhost, "a");
    publish(&broker, &again, 2);
    b.purge(&mut broker.effects(None));
    sample(&mut sampler).await;
    assert_eq!(lengths(&vhost), [2, 2, 0]);
    let range = Range::of(Some("10"), Some("5"), 15_000, Rounding::Down).unwrap();
    let tracked = &broker.statistics.broker;
    let series = Series::of(&broker.statistics, tracked, &Columns::BROKER, range);
    let samples = series.details("messages").unwrap().samples.unwrap();
    let values: Vec<u64> = samples.iter().map(|sample| sample.sample).collect();
    assert_eq!(values, [2, 6, 7]);
    let churn = broker.statistics.churn.get();
    assert_eq!((churn.queue_created, churn.queue_deleted), (3, 1));
    broker.delete_vhost("/", &mut broker.effects(None)).unwrap();
    assert_eq!(broker.statistics.retired().lengths(), [0; 3]);
}

#[tokio::test]
async fn bytes_of_connections_count_for_their_virtual_host() {
    let (broker, vhost) = broker();
    let mut sampler = Sampler::default();
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    let (info, mailbox) = broker.connections.add(Ends::new(address, address));
    // Its task has ended and answers nothing.
    mailbox.close();
    let moves = |received| {
        info.received(received);
        if info.tracked.mark() {
            broker.statistics.has_moved(Moved::Connection(info.id));
        }
    };
    moves(100);
    sampler.sample(&broker, 5000).await;
    assert_eq!(vhost.statistics.sums().bytes, [0, 0], "it is in none yet");
    info.set_vhost("/".into());
    moves(400);
    sampler.sample(&broker, 10_000).await;
    info.sent(50);
    moves(500);
    sampler.sample(&broker, 15_000).await;
    assert_eq!(vhost.statistics.sums().bytes, [1000, 50]);
    let rate = |name| rate(&broker, &info.tracked, &Columns::CONNECTION, name);
    assert_eq!((rate("recv_oct"), rate("send_oct")), (100.0, 10.0));
}

#[tokio::test]
async fn samples_end_when_nothing_moves_for_as_long_as_they_are_kept() {
    let (broker, vhost) = broker();
    let mut sampler = Sampler::default();
    let queue = declare(&broker, &vhost, "q");
    for tick in 1..100 {
        publish(&broker, &queue, 1);
        sampler.sample(&broker, tick * 5000).await;
    }
    assert_eq!(sampler.sampled.len(), 1);
    sampler.sample(&broker, 2_000_000).await;
    let used = broker.statistics.memory();
    sampler.sample(&broker, 5_000_000).await;
    assert!(sampler.sampled.is_empty() && broker.statistics.memory() < used);
    publish(&broker, &queue, 5);
    sampler.sample(&broker, 5_005_000).await;
    assert_eq!(sampler.sampled.len(), 1);
    let rate = rate(&broker, &queue.tracked, &Columns::QUEUE, "publish");
    assert_eq!(rate, 1.0);
}

#[test]
fn it_waits_for_the_next_multiple_of_the_interval() {
    assert_eq!(pause(5000, 12_000), Duration::from_millis(3000));
    assert_eq!(pause(5000, 10_000), Duration::from_millis(5000));
    assert_eq!(pause(200, -1), Duration::from_millis(1));
    assert_eq!(pause(u64::MAX, 0), Duration::from_millis(i64::MAX as u64));
}
