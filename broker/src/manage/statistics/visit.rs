//! Bringing the sums of virtual hosts up to date, by visiting the queues that have moved.

use crate::domain::broker::Broker;
use crate::domain::vhost::Vhost;
use crate::engine::queue::Queue;
use crate::engine::statistics::Moved;
use leveret_protocol::{QueueName, VhostName};
use std::sync::Arc;

/// Visits all queues that have moved since the last visit, whoever made it: after that, the sums of their virtual hosts
/// are those of this moment. It takes as long as many have moved, and does not depend on how many there are. What was
/// visited waits for the next sample.
pub fn visit(broker: &Broker) {
    let statistics = &broker.statistics;
    // Whoever comes second finds nothing to visit, and must not read sums before the first is done.
    let _visiting = statistics.visiting();
    let (mut visited, mut unsettled) = (Vec::new(), Vec::new());
    for moved in statistics.take_moved() {
        if let Moved::Queue(vhost, name) = &moved {
            let Some((vhost, queue)) = find(broker, vhost, name) else {
                continue;
            };
            queue.tracked.unmark();
            // Read before the counts, so that no change after them is missed.
            let stays = queue.is_unsettled();
            vhost.statistics.queues.visit(&queue);
            if stays && queue.tracked.mark() {
                unsettled.push(moved.clone());
            }
            if !queue.tracked.visit() {
                continue;
            }
        }
        visited.push(moved);
    }
    if !visited.is_empty() {
        statistics.visited(visited);
    }
    unsettled
        .into_iter()
        .for_each(|queue| statistics.has_moved(queue));
}

/// Returns a queue and its virtual host; `None` if it was deleted.
pub(super) fn find(
    broker: &Broker,
    vhost: &VhostName,
    name: &QueueName,
) -> Option<(Arc<Vhost>, Arc<Queue>)> {
    let vhost = broker.vhost(vhost.as_str())?;
    let queue = vhost.queue(name.as_str())?;
    Some((vhost, queue))
}
