//! The metrics for Prometheus: who may read them, their formats, and that RabbitMQ's dashboards find what they show.

use leveret_tests::tls::Ca;
use leveret_tests::tools::needed;
use leveret_tests::{Client, TestBroker};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What the expressions of RabbitMQ's dashboards select: a line for each dashboard, metric and label, with the label's
/// value if the dashboard names it. Made from the dashboards of RabbitMQ 4.
const DASHBOARDS: &str = include_str!("metrics/dashboards.txt");
const CLASSIC: &str = "text/plain";
const OPEN: &str = "application/openmetrics-text;version=1.0.0";

struct Answer {
    status: u16,
    head: String,
    body: String,
}

/// Gets a path with HTTP 1.0, so that the body ends with the connection.
async fn get(address: &str, path: &str, user: Option<&str>, accept: &str) -> Answer {
    let mut socket = TcpStream::connect(address).await.expect("a listener");
    let login = user.map(|login| format!("Authorization: Basic {login}\r\n"));
    let request = format!(
        "GET {path} HTTP/1.0\r\nAccept: {accept}\r\n{}\r\n",
        login.unwrap_or_default()
    );
    socket.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    socket
        .read_to_string(&mut answer)
        .await
        .expect("an answer in UTF-8");
    let (head, body) = answer.split_once("\r\n\r\n").expect("headers");
    let status = head.split(' ').nth(1).expect("a status");
    Answer {
        status: status.parse().expect("a number"),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

/// guest:guest
const GUEST: &str = "Z3Vlc3Q6Z3Vlc3Q=";

async fn scrape(broker: &TestBroker, path: &str, accept: &str) -> String {
    let answer = get(broker.management(), path, Some(GUEST), accept).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.body
}

/// The samples of a metric: their labels and values.
type Samples = BTreeMap<String, Vec<(BTreeMap<String, String>, f64)>>;

/// Parses either format, strictly enough to notice a line that is not one.
fn parse(text: &str) -> Samples {
    let mut samples = Samples::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let end = line.find(['{', ' ']).expect("a name");
        let (name, mut rest) = line.split_at(end);
        let mut labels = BTreeMap::new();
        while let Some(inner) = rest.strip_prefix(['{', ',']) {
            let (label, after) = inner.split_once("=\"").expect("a label");
            let mut value = String::new();
            let mut characters = after.char_indices();
            let end = loop {
                match characters.next().expect("the end of a label value") {
                    (at, '"') => break at,
                    (_, '\\') => match characters.next().expect("an escaped character").1 {
                        'n' => value.push('\n'),
                        other => value.push(other),
                    },
                    (_, other) => value.push(other),
                }
            };
            labels.insert(label.to_owned(), value);
            rest = &after[end + 1..];
        }
        let value = rest.trim_start_matches('}').trim();
        let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
        samples
            .entry(name.to_owned())
            .or_default()
            .push((labels, value));
    }
    samples
}

async fn with_traffic(client: &Client) {
    let queue = client.queue("hare").await;
    for _ in 0..3 {
        client.put(&queue, "hello").await;
    }
}

#[tokio::test]
async fn dashboards_of_rabbitmq_find_their_metrics() {
    let Some(broker) = TestBroker::start_own().await else {
        return;
    };
    let client = broker.client().await;
    with_traffic(&client).await;
    for path in ["/metrics", "/metrics/per-object"] {
        for accept in [CLASSIC, OPEN] {
            let found = parse(&scrape(&broker, path, accept).await);
            let missing: BTreeSet<&str> = DASHBOARDS
                .lines()
                .filter(|line| {
                    let mut words = line.splitn(3, ' ');
                    let (dashboard, metric) = (words.next().unwrap(), words.next().unwrap());
                    // The stream protocol has its own errors, and nothing listens for it: streams work over
                    // AMQP 0-9-1, so that only the names of the labels are the dashboard's.
                    if metric.starts_with("rabbitmq_global_stream_error_") {
                        return false;
                    }
                    let (label, value) = match words.next() {
                        None => (None, None),
                        Some(label) => match label.split_once('=') {
                            None => (Some(label), None),
                            Some((label, _)) if dashboard == "RabbitMQ-Stream" => {
                                (Some(label), None)
                            }
                            Some((label, value)) => (Some(label), Some(value)),
                        },
                    };
                    !found.get(metric).is_some_and(|samples| {
                        samples.iter().any(|(labels, _)| {
                            label.is_none_or(|label| {
                                let there = labels.get(label);
                                there.is_some_and(|there| value.is_none_or(|value| there == value))
                            })
                        })
                    })
                })
                .collect();
            assert!(missing.is_empty(), "{path} {accept}: {missing:#?}");
        }
    }
}

#[tokio::test]
async fn metrics_count_what_happens() {
    let Some(broker) = TestBroker::start_own().await else {
        return;
    };
    let client = broker.client().await;
    with_traffic(&client).await;
    let found = parse(&scrape(&broker, "/metrics", CLASSIC).await);
    let value = |name: &str| found[name].iter().map(|(_, value)| value).sum::<f64>();
    for (name, expected) in [
        ("rabbitmq_queue_messages_ready", 3.0),
        ("rabbitmq_global_messages_received_total", 3.0),
        ("rabbitmq_global_messages_routed_total", 3.0),
        ("rabbitmq_global_publishers", 1.0),
        ("rabbitmq_message_size_bytes_count", 3.0),
        ("rabbitmq_message_size_bytes_sum", 15.0),
        ("rabbitmq_queues", 1.0),
        ("rabbitmq_queues_declared_total", 1.0),
        ("rabbitmq_connections", 1.0),
        ("rabbitmq_channels", 1.0),
        ("rabbitmq_connections_opened_total", 1.0),
        ("rabbitmq_alarms_memory_used_watermark", 0.0),
    ] {
        assert_eq!(value(name), expected, "{name}");
    }
    let logins = &found["rabbitmq_auth_attempts_succeeded_total"];
    assert!(logins.iter().all(|(_, count)| *count >= 1.0), "{logins:?}");
    let path =
        "/metrics/detailed?family=queue_coarse_metrics&family=exchange_names&vhost=%2F&queue=%5Eh";
    let found = parse(&scrape(&broker, path, CLASSIC).await);
    let (labels, ready) = &found["rabbitmq_detailed_queue_messages_ready"][0];
    assert_eq!((labels["queue"].as_str(), *ready), ("hare", 3.0));
    assert!(found.contains_key("rabbitmq_cluster_exchange_name"));
    assert!(!found.contains_key("rabbitmq_detailed_queue_consumers"));
    for none in ["&vhost=other", "&queue=%5Eno"] {
        let path = format!("/metrics/detailed?family=queue_coarse_metrics{none}");
        let found = parse(&scrape(&broker, &path, CLASSIC).await);
        assert!(
            !found.contains_key("rabbitmq_detailed_queue_messages_ready"),
            "{none}"
        );
    }
}

#[tokio::test]
async fn only_monitors_read_metrics_where_users_log_in() {
    let Some(broker) = TestBroker::start_own_with(&["--prometheus-port", "0"]).await else {
        return;
    };
    for (verb, words) in [
        ("add_user", vec!["m", "p"]),
        ("set_user_tags", vec!["m", "management"]),
    ] {
        broker.ctl(&[&[verb][..], &words].concat()).await;
    }
    let management = broker.management();
    for path in [
        "/metrics",
        "/metrics/per-object",
        "/metrics/detailed",
        "/metrics/memory-breakdown",
    ] {
        // m:p, guest:wrong
        for user in [None, Some("bTpw"), Some("Z3Vlc3Q6d3Jvbmc=")] {
            let answer = get(management, path, user, CLASSIC).await;
            assert_eq!(answer.status, 401, "{path} {user:?}");
        }
        let answer = get(broker.prometheus(), path, None, CLASSIC).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.body.contains("rabbitmq_identity_info"), "{path}");
    }
    let api = get(broker.prometheus(), "/api/queues", Some(GUEST), CLASSIC).await;
    assert_eq!(api.status, 404);
}

#[tokio::test]
async fn both_formats_are_what_they_say() {
    let Some(broker) = TestBroker::start_own().await else {
        return;
    };
    let client = broker.client().await;
    client.queue("q\"\\{}=,ü").await;
    for path in [
        "/metrics",
        "/metrics/per-object",
        "/metrics/memory-breakdown",
        "/metrics/detailed?family=queue_metrics&family=node_metrics&family=vhost_status&family=exchange_bindings",
    ] {
        let open = get(broker.management(), path, Some(GUEST), OPEN).await;
        assert!(
            open.head
                .contains("content-type: application/openmetrics-text; version=1.0.0")
        );
        assert!(open.body.ends_with("\n# EOF\n"), "{path}");
        let classic = get(broker.management(), path, Some(GUEST), CLASSIC).await;
        assert!(
            classic
                .head
                .contains("content-type: text/plain; version=0.0.4")
        );
        let families = classic
            .body
            .lines()
            .filter(|line| line.starts_with("# TYPE "));
        let families: Vec<&str> = families.collect();
        let distinct: BTreeSet<&&str> = families.iter().collect();
        assert_eq!(families.len(), distinct.len(), "{path}: a family twice");
        assert_eq!(
            parse(&classic.body).into_keys().collect::<Vec<_>>(),
            parse(&open.body).into_keys().collect::<Vec<_>>(),
        );
        check_with_promtool(path, &classic.body);
    }
}

/// The alerts that operators start from.
const RULES: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../packaging/examples/prometheus-rules.yml"
);

#[tokio::test]
async fn the_example_of_alerts_is_valid_and_every_metric_in_it_exists() {
    let checked = Command::new("promtool")
        .args(["check", "rules", RULES])
        .output();
    if let Some(checked) = needed("promtool", checked.ok()) {
        let said = [&checked.stdout[..], &checked.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(checked.status.success(), "{said}");
        assert!(said.contains("SUCCESS"), "{said}");
    }
    // A certificate, whose expiry is among the metrics.
    let ca = Ca::default();
    ca.server("server.pem", 30);
    let file = ca.path("server.pem");
    let Some(broker) = TestBroker::start_own_with(&["--tls-certfile", &file]).await else {
        return;
    };
    let client = broker.client().await;
    with_traffic(&client).await;
    let found = parse(&scrape(&broker, "/metrics", CLASSIC).await);
    let rules = std::fs::read_to_string(RULES).expect("the rules");
    let names = rules.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let names: BTreeSet<&str> = names
        .filter(|word| word.starts_with("rabbitmq_") || word.starts_with("leveret_"))
        .collect();
    assert!(names.len() > 10, "{names:?}");
    let missing: Vec<&&str> = names
        .iter()
        .filter(|name| !found.contains_key(**name))
        .collect();
    assert!(missing.is_empty(), "not in a scrape: {missing:?}");
}

#[tokio::test]
async fn the_start_time_is_the_same_in_every_scrape() {
    let broker = TestBroker::start().await;
    let mut seen = BTreeSet::new();
    for _ in 0..5 {
        let text = scrape(&broker, "/metrics", CLASSIC).await;
        let line = text
            .lines()
            .find(|line| line.starts_with("process_start_time_seconds"));
        seen.insert(line.expect("the metric").to_owned());
    }
    assert_eq!(seen.len(), 1, "{seen:?}");
}

/// What promtool says of a name that is RabbitMQ's.
const FINDING: &str = "rabbitmq_unreachable_cluster_peers_count non-histogram and non-summary metrics should not have \
                       \"_count\" suffix";

/// Has Prometheus' own tool read the text, where it is installed.
fn check_with_promtool(path: &str, text: &str) {
    let started = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Some(mut promtool) = needed("promtool", started.ok()) else {
        return;
    };
    let mut input = promtool.stdin.take().expect("a pipe");
    input.write_all(text.as_bytes()).expect("promtool reads");
    drop(input);
    let output = promtool.wait_with_output().expect("promtool ends");
    let findings = String::from_utf8_lossy(&output.stderr).into_owned();
    let unexpected: Vec<&str> = findings.lines().filter(|line| *line != FINDING).collect();
    assert!(unexpected.is_empty(), "{path}: {unexpected:#?}");
}
