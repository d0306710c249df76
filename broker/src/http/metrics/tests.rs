use super::text::Format;
use super::*;
use crate::config::{Config, Limits};
use crate::domain::broker::Broker;
use crate::domain::vhost::spec::VhostSpec;
use crate::engine::interfaces::ConnectionId;
use crate::engine::queue::QueueSpec;
use crate::manage::AdminContext;
use crate::net::tls::Tls;
use crate::plumbing::log::Log;
use proptest::prelude::*;
use std::collections::BTreeSet;
use tokio::sync::watch;

/// Returns a broker with these queues in these virtual hosts.
fn broker(names: &BTreeSet<(String, String)>) -> AdminContext {
    let broker = Broker::new(Limits::default(), Vec::new(), None);
    for (vhost, queue) in names {
        let mut fx = broker.effects(None);
        broker.add_vhost(VhostSpec::named(vhost), &mut fx);
        let spec = QueueSpec {
            name: queue.as_str().into(),
            durable: false,
            auto_delete: false,
            exclusive_to: None,
            arguments: Default::default(),
        };
        let new_id = || broker.next_queue_id();
        let vhost = broker.vhost(vhost).unwrap();
        let declared = vhost.declare_queue(spec, Some(ConnectionId(1)), new_id, &mut fx);
        declared.unwrap();
    }
    AdminContext {
        broker: Arc::new(broker),
        data_dir: std::env::temp_dir(),
        settings: Arc::default(),
        config: Arc::new(Config::with_data_dir(std::env::temp_dir())),
        listeners: Arc::default(),
        tls: Tls::default(),
        log: Log::default(),
        stop: Arc::new(watch::channel(false).0),
    }
}

/// Returns the text of a scrape, and the size of its largest chunk.
fn text(context: &AdminContext, endpoint: Endpoint, format: Format) -> (String, usize) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let (mut text, mut largest) = (String::new(), 0);
    let mut scrape = runtime
        .unwrap()
        .block_on(Scraper::new(context.clone()).scrape(endpoint));
    let mut encoder = Encoder::new(format);
    while scrape.write_some(&mut encoder) {
        largest = largest.max(encoder.len());
        text.push_str(&encoder.take());
    }
    encoder.finish();
    text.push_str(&encoder.take());
    (text, largest)
}

/// Reads the labels of a line, undoing the escapes; `None` if it is malformed.
fn labels(line: &str) -> Option<Vec<(String, String)>> {
    let mut rest = &line[line.find(['{', ' '])?..];
    let mut labels = Vec::new();
    while let Some(inner) = rest.strip_prefix(['{', ',']) {
        let (label, after) = inner.split_once("=\"")?;
        let (mut value, mut characters) = (String::new(), after.char_indices());
        let end = loop {
            match characters.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(match characters.next()?.1 {
                    'n' => '\n',
                    same @ ('\\' | '"') => same,
                    _ => return None,
                }),
                (_, other) => value.push(other),
            }
        };
        labels.push((label.to_owned(), value));
        rest = &after[end + 1..];
    }
    let value = rest.strip_prefix('}').unwrap_or(rest).strip_prefix(' ')?;
    value.parse::<f64>().ok()?;
    Some(labels)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_name_comes_out_as_it_went_in(
        names in prop::collection::btree_set(("[^\0]{1,12}", "([\"\\\\\n\r{}=, #]|[^\0]){1,20}"), 1..5),
        open in any::<bool>(),
    ) {
        let context = broker(&names);
        let format = if open { Format::OpenMetrics } else { Format::Classic };
        let (text, _) = text(&context, Endpoint::PerObject, format);
        let (mut found, mut described) = (BTreeSet::new(), BTreeSet::new());
        for line in text.split('\n').filter(|line| !line.is_empty()) {
            if let Some(described_by) = line.strip_prefix("# TYPE ") {
                prop_assert!(described.insert(described_by.to_owned()), "twice: {}", line);
            }
            if line.starts_with("# ") {
                continue;
            }
            let labels = labels(line);
            prop_assert!(labels.is_some(), "malformed: {:?}", line);
            if line.starts_with("rabbitmq_queue_messages_ready{") {
                let labels: Vec<String> = labels.unwrap().into_iter().map(|(_, value)| value).collect();
                found.insert((labels[0].clone(), labels[1].clone()));
            }
        }
        prop_assert_eq!(found, names);
    }

    #[test]
    fn any_query_is_answered(query in prop::collection::vec(("(family|vhost|queue|x)", ".{0,20}"), 0..5)) {
        if let Ok(selection) = selection(query) {
            let names = BTreeSet::from([("/".to_owned(), "q".to_owned())]);
            text(&broker(&names), Endpoint::Detailed(selection), Format::Classic);
        }
    }
}

#[test]
fn the_cluster_is_known_by_its_name_and_its_id() {
    let context = broker(&BTreeSet::new());
    let mut fx = context.broker.effects(None);
    let set = context
        .broker
        .set_global_parameter("cluster_name", "burrow".into(), &mut fx);
    set.unwrap();
    context.broker.seed_cluster_id(&mut fx);
    let id = context.broker.global_parameters.cluster_id();
    assert!(id.starts_with("rabbitmq-cluster-id-"), "{id}");
    let (text, _) = text(&context, Endpoint::Aggregated, Format::Classic);
    let line = text
        .lines()
        .find(|line| line.starts_with("rabbitmq_identity_info{"));
    let found = labels(line.unwrap()).unwrap();
    for (label, value) in [
        ("rabbitmq_cluster", "burrow"),
        ("rabbitmq_cluster_permanent_id", &id),
    ] {
        assert!(
            found.contains(&(label.to_owned(), value.to_owned())),
            "{found:?}"
        );
    }
}

#[test]
fn many_queues_are_written_a_little_at_a_time() {
    let names = (0..2000)
        .map(|n| ("/".to_owned(), format!("queue-{n}")))
        .collect();
    let (text, largest) = text(&broker(&names), Endpoint::PerObject, Format::Classic);
    assert!(text.len() > 1 << 20, "{}", text.len());
    assert!(largest < CHUNK, "{largest}");
}

#[test]
fn a_selection_names_families_and_filters() {
    let names = [("/", "a"), ("/", "b"), ("v", "a")];
    let names = names.map(|(vhost, queue)| (vhost.to_owned(), queue.to_owned()));
    let context = broker(&names.into_iter().collect());
    let lines = |query: &[(&str, &str)]| {
        let query = query
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let selection = selection(query.collect()).unwrap();
        let (text, _) = text(&context, Endpoint::Detailed(selection), Format::Classic);
        let lines = text
            .lines()
            .filter(|line| line.starts_with("rabbitmq_detailed_queue_messages{"));
        lines.count()
    };
    let family = ("family", "queue_coarse_metrics");
    assert_eq!(lines(&[]), 0);
    assert_eq!(lines(&[family]), 3);
    assert_eq!(lines(&[family, ("vhost", "/")]), 2);
    assert_eq!(lines(&[family, ("vhost", "none")]), 0);
    assert_eq!(lines(&[family, ("queue", "^A")]), 0);
    assert_eq!(lines(&[family, ("queue", "^a"), ("vhost", "v")]), 1);
    assert_eq!(
        lines(&[("family", "queue_consumer_count"), ("family", "no_such")]),
        0
    );
    for refused in [
        vec![("queue", "a"), ("queue", "b")],
        vec![("queue", "(")],
        vec![("queue", "a".repeat(2001).leak() as &str)],
    ] {
        let query = refused
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        assert!(selection(query.collect()).is_err(), "{refused:?}");
    }
}

#[test]
fn attempts_are_shown_by_source_and_heads_by_their_time() {
    use crate::domain::auth::LoginProtocol;
    use crate::engine::message::MessageBuilder;
    let context = broker(&BTreeSet::from([("/".to_owned(), "q".to_owned())]));
    let attempts = &context.broker.login_attempts;
    let address = [127, 0, 0, 1].into();
    attempts.count(LoginProtocol::Http, address, "hare", true);
    attempts.count(LoginProtocol::Http, address, "hare", false);
    // The flag of a timestamp, and 1,700,000,000 seconds.
    let properties = [&[0, 0x40][..], &1_700_000_000_u64.to_be_bytes()].concat();
    let message = MessageBuilder::new(b"", b"", &properties, false, 0).finish(false);
    let queue = context.broker.vhost("/").unwrap().queue("q").unwrap();
    let mut fx = context.broker.effects(None);
    queue.publish([(Arc::new(message), None)], false, &mut fx);
    let (text, _) = text(&context, Endpoint::PerObject, Format::Classic);
    let source = r#"remote_address="127.0.0.1",username="hare",protocol="#;
    let lines = |name: &str| -> Vec<&str> {
        let lines = text.lines();
        lines.filter(|line| line.starts_with(name)).collect()
    };
    for (name, count) in [("", 2), ("_succeeded", 1), ("_failed", 1)] {
        let found = lines(&format!("rabbitmq_auth_attempts_detailed{name}_total{{"));
        assert!(found.len() == 1 && found[0].contains(source), "{found:?}");
        assert!(found[0].ends_with(&format!(" {count}")), "{found:?}");
    }
    let found = lines("rabbitmq_queue_head_message_timestamp{");
    assert!(
        found.len() == 1 && found[0].ends_with(" 1700000000"),
        "{found:?}"
    );
}
