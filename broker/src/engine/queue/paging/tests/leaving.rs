//! What leaves memory: requeued messages, heads of queues that are left alone.

use super::*;

#[test]
fn what_comes_back_from_dead_workers_leaves_memory_again() {
    for (kind, persistent) in [
        (Kind::Plain, false),
        (Kind::Plain, true),
        (Kind::Quorum, true),
    ] {
        let mut bench = Bench::new(kind);
        (0..1000).for_each(|_| bench.publish(persistent, 1000, 0));
        (0..1000).for_each(|_| bench.get(false));
        for (entry, known) in std::mem::take(&mut bench.unacked) {
            bench.ready.insert((known.line, known.position), known);
            bench
                .queue
                .requeue([(entry, Return::Unseen)], &mut bench.fx);
            bench.work();
        }
        // A page at the head, and what does not fill one.
        assert!(bench.pager.memory() < 6 * 4096, "{}", bench.pager.memory());
        assert!(bench.pager.spilled() > 900_000);
        bench.end();
    }
}

#[test]
fn a_queue_that_is_left_alone_gives_up_its_head_as_well() {
    for persistent in [false, true] {
        // Short, but not very short.
        let mut bench = Bench::with_budget(Kind::Plain, false, 4000);
        (0..6).for_each(|_| bench.publish(persistent, 1000, 0));
        assert!(bench.pager.is_short() && !bench.pager.is_very_short());
        let queue = bench.queue.clone();
        assert!(
            queue.clone().page_out_idle(false, &mut bench.fx),
            "it was used a moment ago"
        );
        assert!(bench.pager.memory() > 4000);
        queue.page_out_idle(false, &mut bench.fx);
        bench.work();
        assert_eq!(bench.pager.memory(), 0);
        assert_eq!(bench.pager.spilled() > 6000, !persistent);
        bench.end();
    }
}

#[test]
fn thousands_of_small_queues_keep_no_more_than_the_budget() {
    let mut bench = Bench::new(Kind::Plain);
    let spec = |n: usize| QueueSpec {
        name: format!("q{n}").as_str().into(),
        durable: false,
        auto_delete: false,
        exclusive_to: None,
        arguments: FieldTable::default(),
    };
    let queue = |n| {
        let id = QueueId(100 + n as u64);
        Arc::new(Queue::new(id, "/".into(), spec(n), Position(0)))
    };
    let queues: Vec<_> = (0..1000).map(queue).collect();
    let message = || {
        let mut builder = MessageBuilder::new(b"", b"key", &[0, 0], false, 5000);
        builder.push(&[7; 5000]).unwrap();
        Arc::new(builder.finish(true))
    };
    for queue in &queues {
        queue.publish([(message(), None)], false, &mut bench.fx);
        bench.fx.perform();
    }
    assert!(bench.pager.memory() > 5_000_000);
    // Those that were used are spared, until memory is very short, as it is.
    bench.pager.clone().sweep(&mut bench.fx);
    bench.work();
    let budget = bench.pager.limits().budget;
    assert!(bench.pager.memory() <= budget, "{}", bench.pager.memory());
    for queue in &queues {
        let (entry, left) = queue.get(true, &mut bench.fx).unwrap();
        assert_eq!((entry.message.body().len(), left), (5000, 0));
    }
    bench.end();
}
