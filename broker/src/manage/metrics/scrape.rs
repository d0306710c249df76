//! A scrape: the metrics of an endpoint, written a little at a time, so that it takes no memory however many objects
//! there are.

use super::description::{Labels, Metric, Sink};
use super::families::Endpoint;
use super::objects::{self, ChannelFigures, QueueFigures};
use super::selected::{
    ChannelOf, ExchangeOf, Selected, WithLabels, channel_labels, channels, connection_labels,
    exchange_labels, info_labels, queue_labels, source_labels, target_labels,
    typed_exchange_labels,
};
use super::totals::Totals;
use super::{global, leveret, node};
use crate::domain::auth::{AttemptCounts, AttemptSource};
use crate::domain::broker::Broker;
use crate::domain::connections::ConnectionInfo;
use crate::domain::vhost::Vhost;
use crate::engine::queue::Queue;
use crate::engine::statistics::Traffic;
use crate::manage::AdminContext;
use crate::manage::objects::memory::Memory;
use crate::plumbing::ledger::Kind as Held;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// For how long sums are reused: scraping more often costs nothing more.
const CACHED_FOR: Duration = Duration::from_secs(1);
/// The objects that are read at a time.
const ROWS: usize = 64;
const PREFIX: &str = "rabbitmq_";
const DETAILED_PREFIX: &str = "rabbitmq_detailed_";
const CLUSTER_PREFIX: &str = "rabbitmq_cluster_";
const OWN_PREFIX: &str = "leveret_";

/// The last sums, and when they were made.
type Cached = (Instant, Arc<Totals>);

/// Reads the metrics of a broker.
#[derive(Clone)]
pub struct Scraper {
    context: AdminContext,
    cached: Arc<Mutex<Option<Cached>>>,
}

impl Scraper {
    /// Returns one for this broker.
    pub fn new(context: AdminContext) -> Self {
        Scraper {
            context,
            cached: Arc::default(),
        }
    }

    /// Begins a scrape.
    pub async fn scrape(&self, endpoint: Endpoint) -> Scrape {
        let totals = self.totals().await;
        let mut scrape = Scrape::default();
        let broker = &self.context.broker;
        match &endpoint {
            Endpoint::Aggregated => {
                scrape.add_node_families(broker, &totals, PREFIX, |_| true);
                scrape.add_sums(&totals);
                scrape.add_whole(&self.context, &totals);
            }
            Endpoint::PerObject => {
                scrape.add_node_families(broker, &totals, PREFIX, |_| true);
                let objects = Selected::of(broker, None);
                scrape.add_attempts(broker, PREFIX);
                scrape.add_families(&objects, broker, PREFIX).await;
                scrape.add_whole(&self.context, &totals);
            }
            Endpoint::Detailed(selection) => {
                let wants = |family: &str| selection.families.contains(family);
                scrape.add_node_families(broker, &totals, DETAILED_PREFIX, wants);
                if wants("auth_attempt_detailed_metrics") {
                    scrape.add_attempts(broker, DETAILED_PREFIX);
                }
                let objects = Selected::of(broker, Some(selection));
                scrape.add_families(&objects, broker, DETAILED_PREFIX).await;
                scrape.add_cluster_families(&objects);
            }
            Endpoint::MemoryBreakdown => {
                scrape.add(PREFIX, node::MEMORY, &[], Memory::of(broker));
            }
        }
        let label = endpoint.label();
        let broker = broker.clone();
        scrape.add_once(move |sink| node::write_identity(sink, &broker, label));
        scrape
    }

    /// Returns the sums, at most a second old.
    async fn totals(&self) -> Arc<Totals> {
        // Whoever comes while they are being made waits for them.
        let mut cached = self.cached.lock().await;
        match &*cached {
            Some((at, totals)) if at.elapsed() < CACHED_FOR => totals.clone(),
            _ => {
                let context = self.context.clone();
                let sum_up = move || Totals::of(&context.broker, &context.data_dir);
                let totals = match tokio::task::spawn_blocking(sum_up).await {
                    Ok(totals) => Arc::new(totals),
                    Err(panic) => std::panic::resume_unwind(panic.into_panic()),
                };
                *cached = Some((Instant::now(), totals.clone()));
                totals
            }
        }
    }
}

/// The metrics that follow from names alone.
const QUEUE_INFO: &[Metric<()>] = super::description::metrics! { ();
    Gauge queue_info "1 for each queue, with its type" |()| 1_u64;
};
const VHOST_STATUS: &[Metric<()>] = super::description::metrics! { ();
    Gauge vhost_status "1 for each virtual host, as all of them are running" |()| 1_u64;
};
const EXCHANGE_NAME: &[Metric<()>] = super::description::metrics! { ();
    Gauge exchange_name "1 for each exchange, with its type" |()| 1_u64;
};
const EXCHANGE_BINDINGS: &[Metric<u64>] = super::description::metrics! { u64;
    Gauge exchange_bindings "Bindings of each exchange" |count| *count;
};

type Part = Box<dyn FnMut(&mut dyn Sink) -> bool + Send>;

/// What is still to be written.
#[derive(Default)]
pub struct Scrape {
    parts: VecDeque<Part>,
}

impl Scrape {
    /// Writes a little. Returns false if there was nothing left to write.
    pub fn write_some(&mut self, sink: &mut dyn Sink) -> bool {
        let Some(part) = self.parts.front_mut() else {
            return false;
        };
        if !part(sink) {
            self.parts.pop_front();
        }
        true
    }

    fn add_once(&mut self, write: impl FnOnce(&mut dyn Sink) + Send + 'static) {
        let mut write = Some(write);
        self.parts.push_back(Box::new(move |sink| {
            if let Some(write) = write.take() {
                write(sink);
            }
            false
        }));
    }

    /// Adds metrics that are read from one thing.
    fn add<R: Send + 'static>(
        &mut self,
        prefix: &'static str,
        metrics: &'static [Metric<R>],
        labels: Labels<'static>,
        row: R,
    ) {
        self.add_rows(prefix, metrics, vec![(labels.to_vec(), row)]);
    }

    /// Adds metrics of a few things.
    fn add_rows<R: Send + 'static>(
        &mut self,
        prefix: &'static str,
        metrics: &'static [Metric<R>],
        rows: Vec<(Vec<(&'static str, &'static str)>, R)>,
    ) {
        self.add_once(move |sink| {
            for metric in metrics {
                let name = format!("{prefix}{}", metric.name);
                let mut begun = false;
                for (labels, row) in &rows {
                    if let Some(value) = (metric.value)(row) {
                        if !std::mem::replace(&mut begun, true) {
                            sink.begin(&name, metric.kind, metric.help);
                        }
                        sink.value(&name, "", labels, value);
                    }
                }
            }
        });
    }

    /// Adds metrics of many objects, each of which is read when its value is written.
    fn add_objects<I: Send + Sync + 'static, R: 'static>(
        &mut self,
        prefix: &'static str,
        metrics: &'static [Metric<R>],
        objects: &Arc<Vec<I>>,
        labels: fn(&I, WithLabels<'_>),
        read: impl Fn(&I) -> R + Clone + Send + 'static,
    ) {
        for metric in metrics {
            let (objects, read) = (objects.clone(), read.clone());
            let name = format!("{prefix}{}", metric.name);
            let (mut next, mut begun) = (0, false);
            self.parts.push_back(Box::new(move |sink| {
                let end = objects.len().min(next + ROWS);
                for object in &objects[next..end] {
                    let Some(value) = (metric.value)(&read(object)) else {
                        continue;
                    };
                    if !std::mem::replace(&mut begun, true) {
                        sink.begin(&name, metric.kind, metric.help);
                    }
                    labels(object, &mut |labels| sink.value(&name, "", labels, value));
                }
                next = end;
                next < objects.len()
            }));
        }
    }

    fn add_node_families(
        &mut self,
        broker: &Broker,
        totals: &Arc<Totals>,
        prefix: &'static str,
        wants: impl Fn(&str) -> bool,
    ) {
        if wants("connection_churn_metrics") {
            self.add(prefix, node::CHURN, &[], broker.statistics.churn.get());
        }
        if wants("node_coarse_metrics") {
            self.add_shared(prefix, node::NODE_COARSE, totals);
        }
        if wants("node_metrics") {
            self.add(prefix, node::NODE, &[], node::Bounds::of(broker, totals));
        }
        if wants("node_persister_metrics") {
            self.add_shared(prefix, node::PERSISTER, totals);
        }
        if wants("auth_attempt_metrics") {
            let logins = node::logins(broker).into_iter();
            let rows = logins.map(|(protocol, row)| (vec![("protocol", protocol.as_str())], row));
            self.add_rows(prefix, node::AUTH, rows.collect());
        }
    }

    /// Adds the attempts to log in by source. The aggregated endpoint has their sums.
    fn add_attempts(&mut self, broker: &Broker, prefix: &'static str) {
        let sources = Arc::new(broker.login_attempts.by_source());
        let read = |(_, counts): &(AttemptSource, AttemptCounts)| (counts.succeeded, counts.failed);
        self.add_objects(prefix, node::AUTH_DETAILED, &sources, source_labels, read);
    }

    fn add_shared(
        &mut self,
        prefix: &'static str,
        metrics: &'static [Metric<Totals>],
        totals: &Arc<Totals>,
    ) {
        let all = Arc::new(vec![totals.clone()]);
        for metric in metrics {
            let all = all.clone();
            let name = format!("{prefix}{}", metric.name);
            self.add_once(move |sink| {
                if let Some(value) = (metric.value)(&all[0]) {
                    sink.begin(&name, metric.kind, metric.help);
                    sink.value(&name, "", &[], value);
                }
            });
        }
    }

    /// Adds the sums of the objects' metrics. What is counted is the sum over all that there ever were, so that it never
    /// decreases.
    fn add_sums(&mut self, totals: &Totals) {
        let traffic: Traffic = totals.sums.traffic;
        let all = traffic.all();
        self.add(PREFIX, objects::QUEUE_COARSE, &[], totals.queue);
        self.add(PREFIX, objects::QUEUE, &[], totals.queue);
        self.add(PREFIX, objects::QUEUE_DELIVERY, &[], all);
        self.add(PREFIX, objects::ALL_PUBLISHED, &[], all);
        self.add(PREFIX, objects::ALL_ROUTED, &[], all);
        self.add(PREFIX, objects::ALL_EXCHANGES, &[], traffic.published);
        self.add(PREFIX, objects::CHANNEL, &[], totals.channel);
        self.add(PREFIX, objects::CHANNEL_PUBLISHED, &[], traffic.published);
        self.add(PREFIX, objects::CHANNEL_DELIVERED, &[], all);
        self.add(PREFIX, objects::CONNECTION_COARSE, &[], totals.connection);
        self.add(PREFIX, objects::CONNECTION, &[], totals.connection);
        let pending = totals.held[Held::Output as usize];
        self.add(PREFIX, objects::CONNECTION_PENDING, &[], pending);
    }

    /// Adds what is about the broker as a whole.
    fn add_whole(&mut self, context: &AdminContext, totals: &Arc<Totals>) {
        let broker = &context.broker;
        self.add(OWN_PREFIX, leveret::LOG, &[], context.log.clone());
        let tls = context.tls.clone();
        self.add_once(move |sink| leveret::write_certificates(sink, &tls));
        self.add_shared(PREFIX, node::TOTALS, totals);
        self.add(PREFIX, node::DYNAMIC, &[], node::Bounds::of(broker, totals));
        self.add("", node::PROCESS, &[], node::Bounds::of(broker, totals));
        let counts = global::ByProtocol {
            traffic: totals.sums.traffic,
            publishers: broker
                .statistics
                .publishers
                .load(std::sync::atomic::Ordering::Relaxed),
            consumers: totals.queue.contents.consumers,
        };
        let (broker, totals) = (broker.clone(), totals.clone());
        let pages = leveret::Pages::of(&broker);
        self.add(OWN_PREFIX, leveret::PAGING, &[], (totals.clone(), pages));
        if let Some(store) = totals.store.clone() {
            self.add(OWN_PREFIX, leveret::STORE, &[], store.clone());
            self.add_once(move |sink| leveret::write_latency(sink, &store));
        }
        self.add_once(move |sink| {
            global::write(sink, &broker, &counts);
            global::write_sizes(sink, &broker);
            leveret::write_held(sink, &totals);
        });
    }

    /// Adds the families of objects that are selected.
    async fn add_families(
        &mut self,
        selected: &Selected<'_>,
        broker: &Broker,
        prefix: &'static str,
    ) {
        self.add_queues(selected, broker, prefix);
        if selected.wants(&["exchange_metrics"]) {
            let exchanges = Arc::new(selected.exchanges());
            self.add_objects(
                prefix,
                objects::EXCHANGE,
                &exchanges,
                exchange_labels,
                |(vhost, exchange)| match exchange {
                    Some(exchange) => exchange.counts.get(),
                    None => vhost.statistics.default_exchange.get(),
                },
            );
        }
        let coarse = selected.wants(&["connection_coarse_metrics"]);
        if coarse || selected.wants(&["connection_metrics"]) {
            let connections = Arc::new(broker.connections.list());
            let read = |info: &Arc<ConnectionInfo>| info.traffic();
            let tables = [
                (coarse, objects::CONNECTION_COARSE),
                (selected.wants(&["connection_metrics"]), objects::CONNECTION),
            ];
            for (_, table) in tables.into_iter().filter(|(wanted, _)| *wanted) {
                self.add_objects(prefix, table, &connections, connection_labels, read);
            }
            if selected.wants(&["connection_metrics"]) {
                self.add_objects(
                    prefix,
                    objects::CONNECTION_PENDING,
                    &connections,
                    connection_labels,
                    |info| info.holdings.of(Held::Output),
                );
            }
        }
        let families = [
            "channel_metrics",
            "channel_exchange_metrics",
            "channel_queue_metrics",
        ];
        if selected.wants(&families) {
            let channels = Arc::new(channels(broker).await);
            if selected.wants(&families[..1]) {
                let read = |(_, channel): &ChannelOf| ChannelFigures::of(channel);
                self.add_objects(prefix, objects::CHANNEL, &channels, channel_labels, read);
            }
            let read = |(_, channel): &ChannelOf| channel.stats;
            for (family, table) in families[1..]
                .iter()
                .zip([objects::CHANNEL_PUBLISHED, objects::CHANNEL_DELIVERED])
            {
                if selected.wants(&[family]) {
                    self.add_objects(prefix, table, &channels, channel_labels, read);
                }
            }
        }
    }

    fn add_queues(&mut self, selected: &Selected<'_>, broker: &Broker, prefix: &'static str) {
        let (coarse, all) = (["queue_coarse_metrics"], ["queue_metrics"]);
        let described = [
            "queue_coarse_metrics",
            "queue_consumer_count",
            "queue_metrics",
        ];
        let counted = ["queue_delivery_metrics", "channel_queue_exchange_metrics"];
        if !selected.wants(&described) && !selected.wants(&counted) {
            return;
        }
        let queues = Arc::new(selected.queues());
        let clock = broker.clock;
        let figures = move |queue: &Arc<Queue>| QueueFigures::of(queue, clock.time(Instant::now()));
        if selected.wants(&coarse) {
            self.add_objects(
                prefix,
                objects::QUEUE_COARSE,
                &queues,
                queue_labels,
                figures,
            );
        }
        if selected.wants(&all) {
            self.add_objects(prefix, objects::QUEUE, &queues, queue_labels, figures);
        } else if selected.wants(&["queue_consumer_count"]) {
            self.add_objects(
                prefix,
                objects::QUEUE_CONSUMERS,
                &queues,
                queue_labels,
                figures,
            );
        }
        let stats = |queue: &Arc<Queue>| queue.stats();
        if selected.wants(&counted[..1]) {
            self.add_objects(
                prefix,
                objects::QUEUE_DELIVERY,
                &queues,
                queue_labels,
                stats,
            );
        }
        if selected.wants(&counted[1..]) {
            self.add_objects(
                prefix,
                objects::QUEUE_PUBLISHED,
                &queues,
                target_labels,
                stats,
            );
        }
        if selected.wants(&described) {
            self.add_objects(prefix, QUEUE_INFO, &queues, info_labels, |_| ());
        }
    }

    fn add_cluster_families(&mut self, selected: &Selected<'_>) {
        if selected.wants(&["vhost_status"]) {
            let vhosts = Arc::new(selected.vhosts.clone());
            let labels = |vhost: &Arc<Vhost>, then: WithLabels<'_>| {
                then(&[("vhost", vhost.name().as_str())]);
            };
            self.add_objects(CLUSTER_PREFIX, VHOST_STATUS, &vhosts, labels, |_| ());
        }
        // As in RabbitMQ without the default exchange, and without those that clients cannot publish to.
        let mut exchanges = selected.exchanges();
        exchanges.retain(|(_, exchange)| exchange.as_ref().is_some_and(|e| !e.spec.internal));
        let exchanges = Arc::new(exchanges);
        if selected.wants(&["exchange_bindings"]) {
            let read = |(_, exchange): &ExchangeOf| {
                exchange
                    .as_ref()
                    .map_or(0, |exchange| exchange.bindings().len() as u64)
            };
            self.add_objects(
                CLUSTER_PREFIX,
                EXCHANGE_BINDINGS,
                &exchanges,
                typed_exchange_labels,
                read,
            );
        }
        if selected.wants(&["exchange_names"]) {
            self.add_objects(
                CLUSTER_PREFIX,
                EXCHANGE_NAME,
                &exchanges,
                typed_exchange_labels,
                |_| (),
            );
        }
    }
}
