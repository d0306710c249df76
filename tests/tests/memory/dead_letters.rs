//! Dead letters that go to many queues at once.

use super::{is_alarmed, watch};
use lapin::ExchangeKind;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use leveret_tests::{TestBroker, eventually_within, run_within};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// The memory watermark, and how much may be above it.
const MARK: u64 = 60_000_000;
const SLACK: u64 = (64 << 20) + MARK * 15 / 100;
/// Queues that each dead letter goes to.
const QUEUES: usize = 5;
const MESSAGES: u64 = 3000;
const BODY: usize = 100_000;

#[test]
fn a_backlog_that_expires_into_many_queues_stays_within_the_mark() {
    run_within(Duration::from_secs(180), async {
        let mark = MARK.to_string();
        let options = [
            "--vm-memory-high-watermark",
            &mark,
            "--queue-memory",
            "4MiB",
        ];
        let Some(broker) = TestBroker::start_own_with(&options).await else {
            return;
        };
        let client = broker.client().await;
        let channel = client.open_confirming().await;
        let fanout = channel.exchange_declare(
            "dead".into(),
            ExchangeKind::Fanout,
            ExchangeDeclareOptions::default(),
            FieldTable::default(),
        );
        fanout.await.expect("declare-ok");
        let declare = async |name: &str, arguments| {
            let options = QueueDeclareOptions::default();
            let declared = channel.queue_declare(name.into(), options, arguments);
            declared.await.expect("declare-ok");
        };
        for number in 0..QUEUES {
            let name = format!("dead-{number}");
            declare(&name, FieldTable::default()).await;
            let bound = channel.queue_bind(
                name.as_str().into(),
                "dead".into(),
                "".into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            );
            bound.await.expect("bind-ok");
        }
        let mut arguments = FieldTable::default();
        arguments.insert("x-message-ttl".into(), AMQPValue::LongInt(10_000));
        let exchange = AMQPValue::LongString("dead".into());
        arguments.insert("x-dead-letter-exchange".into(), exchange);
        declare("source", arguments).await;

        let (most, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let pid = broker.pid().expect("its own");
        let watching = tokio::spawn(watch(pid, most.clone(), stop.clone()));
        let body = vec![b'x'; BODY];
        for _ in 0..MESSAGES / 50 {
            let mut confirms = Vec::new();
            for _ in 0..50 {
                let published = channel.basic_publish(
                    "".into(),
                    "source".into(),
                    Default::default(),
                    &body,
                    Default::default(),
                );
                confirms.push(published.await.expect("published"));
            }
            for confirm in confirms {
                assert!(confirm.await.expect("confirmed").is_ack());
            }
        }
        eventually_within(Duration::from_secs(120), "all have died", async || {
            let dead = client.counts("dead-0").await.0;
            (u64::from(dead) == MESSAGES).then_some(())
        })
        .await;
        stop.store(true, Ordering::Relaxed);
        watching.await.expect("it watches");
        let most = most.load(Ordering::Relaxed);
        println!("{} MB at most", most / 1_000_000);
        assert!(most <= MARK + SLACK, "{most} bytes at a mark of {MARK}");
        assert!(!is_alarmed(&broker).await);
    });
}
