//! `leveretctl shovel` between two brokers.

mod endings;
mod refusals;

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use lapin::BasicProperties;
use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldArray, FieldTable};
use leveret_tests::{CtlOutput, Process, TestBroker, binaries, run, run_within};
use std::time::Duration;

use crate::perf::terminator::{ALL, Authority, terminate};

/// Two brokers, and a queue on both.
struct World {
    source: TestBroker,
    destination: TestBroker,
}

impl World {
    async fn start() -> Option<Self> {
        let world = World {
            source: TestBroker::start_own().await?,
            destination: TestBroker::start_own().await?,
        };
        world.source.client().await.durable_queue("q").await;
        world.destination.client().await.durable_queue("q").await;
        Some(world)
    }

    /// The command that moves to and from these brokers.
    fn command(&self, arguments: &[&str]) -> Command {
        let uri = |broker: &TestBroker| format!("amqp://guest:guest@{}", broker.address());
        let mut command = Command::new(&binaries().leveretctl);
        command
            .arg("shovel")
            .args([uri(&self.source), uri(&self.destination)])
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    /// Moves, and returns what was printed.
    async fn shovel(&self, arguments: &[&str]) -> CtlOutput {
        output(self.command(arguments)).await
    }

    fn begin(&self, arguments: &[&str]) -> Process {
        Process::start("the shovel", &mut self.command(arguments))
    }

    /// Puts persistent messages with the bodies `0`, `1`, … into the source's queue.
    async fn fill(&self, messages: u32) {
        let channel = self.source.client().await.open_confirming().await;
        let mut confirms = Vec::new();
        for n in 0..messages {
            let options = lapin::options::BasicPublishOptions::default();
            let properties = BasicProperties::default().with_delivery_mode(2);
            let body = n.to_string();
            let sent =
                channel.basic_publish("".into(), "q".into(), options, body.as_bytes(), properties);
            confirms.push(sent.await.expect("published"));
        }
        for confirm in confirms {
            confirm.await.expect("confirmed");
        }
    }
}

/// Runs a command to its end.
async fn output(command: Command) -> CtlOutput {
    let mut command = tokio::process::Command::from(command);
    command.kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(60), command.output());
    let output = output.await.expect("it ends").expect("leveretctl runs");
    CtlOutput {
        status: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Asserts that a move has ended like this, with this in its last line.
fn ended(output: &CtlOutput, status: i32, mention: &str) {
    assert_eq!(output.status, Some(status), "{output:?}");
    let errors: Vec<&str> = output
        .stderr
        .lines()
        .filter(|line| line.starts_with("Error"))
        .collect();
    let said = match status {
        0 => output.stdout.lines().last().unwrap_or_default(),
        _ => {
            assert_eq!(errors.len(), 1, "one line: {output:?}");
            errors[0]
        }
    };
    assert!(said.contains(mention), "{mention:?}: {output:?}");
    assert!(
        !output.stderr.contains("guest:guest"),
        "a password: {output:?}"
    );
}

fn all_types() -> FieldTable {
    let mut inner = FieldTable::default();
    inner.insert("deep".into(), AMQPValue::Boolean(false));
    let mut headers = FieldTable::default();
    for (name, value) in [
        ("bool", AMQPValue::Boolean(true)),
        ("byte", AMQPValue::ShortShortInt(-3)),
        ("short", AMQPValue::ShortInt(-300)),
        ("int", AMQPValue::LongInt(-70_000)),
        ("long", AMQPValue::LongLongInt(i64::MIN)),
        ("float", AMQPValue::Float(1.5)),
        ("double", AMQPValue::Double(-2.25)),
        ("text", AMQPValue::LongString("é\u{0}".into())),
        ("time", AMQPValue::Timestamp(1)),
        ("void", AMQPValue::Void),
        ("bytes", AMQPValue::ByteArray(vec![0, 255].into())),
        ("table", AMQPValue::FieldTable(inner)),
        (
            "array",
            AMQPValue::FieldArray(FieldArray::from(vec![AMQPValue::LongInt(1)])),
        ),
        ("x-death", AMQPValue::FieldArray(FieldArray::default())),
    ] {
        headers.insert(name.into(), value);
    }
    headers
}

/// Messages with properties and bodies of many kinds, each with its routing key.
fn odd_messages() -> Vec<(String, BasicProperties, Vec<u8>)> {
    let full = BasicProperties::default()
        .with_content_type("text/plain".into())
        .with_content_encoding("gzip".into())
        .with_headers(all_types())
        .with_delivery_mode(2)
        .with_priority(200)
        .with_correlation_id("c".into())
        .with_reply_to("r".into())
        .with_expiration("3600000".into())
        .with_message_id("m".into())
        .with_timestamp(u64::MAX)
        .with_type("t".into())
        .with_user_id("guest".into())
        .with_app_id("a".into())
        .with_cluster_id("cl".into());
    let mut copies = FieldTable::default();
    let keys = vec![AMQPValue::LongString("copy".into())];
    copies.insert("CC".into(), AMQPValue::FieldArray(FieldArray::from(keys)));
    let body = |len: usize| (0..len).map(|at| (at % 251) as u8).collect::<Vec<u8>>();
    let plain = BasicProperties::default;
    let mut messages = vec![
        ("a.b.c".to_owned(), full, b"full".to_vec()),
        (String::new(), plain(), Vec::new()),
        ("k".repeat(255), plain().with_delivery_mode(1), body(1)),
        ("é".to_owned(), plain().with_delivery_mode(9), body(131_064)),
        ("cc".to_owned(), plain().with_headers(copies), body(131_065)),
        ("large".to_owned(), plain(), body(15 << 20)),
    ];
    let many = (0..3000).map(|n| {
        (
            format!("n.{n}"),
            plain().with_priority((n % 256) as u8),
            body(n),
        )
    });
    messages.extend(many);
    messages
}

#[test]
fn messages_arrive_as_they_were() {
    run_within(Duration::from_secs(120), async {
        let Some(world) = World::start().await else {
            return;
        };
        let (source, destination) = (
            world.source.client().await,
            world.destination.client().await,
        );
        for client in [&source, &destination] {
            client.queue("copy").await;
            client.exchange("x", lapin::ExchangeKind::Fanout).await;
            client.bind("q", "x", "").await;
        }
        let channel = source.open_confirming().await;
        let messages = odd_messages();
        for (key, properties, body) in &messages {
            channel.publish("x", key, body, properties.clone()).await;
        }
        let output = world.shovel(&["--queue", "q"]).await;
        ended(&output, 0, &format!("q: {} messages moved", messages.len()));
        for (key, properties, body) in &messages {
            let moved = destination.take("q").await.expect("a message");
            assert_eq!(moved.routing_key.as_str(), key);
            assert_eq!(&moved.properties, properties, "{key}");
            assert!(moved.data == *body, "{key}: another body");
        }
        assert_eq!(destination.counts("q").await, (0, 0));
        assert_eq!(destination.counts("copy").await.0, 0, "CC copies once only");
        let exchanges = world
            .destination
            .ctl(&["-q", "list_exchanges", "name"])
            .await;
        assert!(!exchanges.contains("shovel"), "{exchanges}");
        let output = world.shovel(&["--queue", "q", "--formatter", "json"]).await;
        ended(&output, 0, r#""messages":0"#);
    });
}

#[test]
fn queues_of_every_type_are_moved_to_queues_with_other_names() {
    run(async {
        let Some(world) = World::start().await else {
            return;
        };
        let (source, destination) = (
            world.source.client().await,
            world.destination.client().await,
        );
        for (argument, value) in [
            ("x-queue-type", AMQPValue::LongString("quorum".into())),
            ("x-max-priority", AMQPValue::LongInt(5)),
            ("x-single-active-consumer", AMQPValue::Boolean(true)),
        ] {
            let mut arguments = FieldTable::default();
            arguments.insert(argument.into(), value);
            let options = QueueDeclareOptions {
                durable: true,
                ..QueueDeclareOptions::default()
            };
            for (client, name) in [
                (&source, argument.to_owned()),
                (&destination, format!("new.{argument}")),
            ] {
                let declared =
                    client.queue_declare(name.as_str().into(), options, arguments.clone());
                declared.await.expect("declare-ok");
            }
            let channel = source.open_confirming().await;
            for n in 0..50 {
                channel.put_persistent(argument, n.to_string()).await;
            }
            let to = format!("new.{argument}");
            let output = world
                .shovel(&[
                    "--queue",
                    argument,
                    "--destination-queue",
                    &to,
                    "--prefetch",
                    "7",
                ])
                .await;
            ended(&output, 0, "50 messages moved");
            let wanted: Vec<String> = (0..50).map(|n| n.to_string()).collect();
            assert_eq!(destination.drain(&to).await, wanted);
        }
    });
}

#[test]
fn names_come_from_standard_input_and_uris_from_the_environment() {
    run(async {
        let Some(world) = World::start().await else {
            return;
        };
        world.fill(10).await;
        let mut command = Command::new(&binaries().leveretctl);
        for (variable, broker) in [
            ("SOURCE", &world.source),
            ("DESTINATION", &world.destination),
        ] {
            let uri = format!("amqp://guest:guest@{}", broker.address());
            command.env(format!("LEVERET_SHOVEL_{variable}"), uri);
        }
        command
            .args(["shovel", "-", "-", "--queue", "-"])
            .stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("leveretctl runs");
        let mut input = child.stdin.take().expect("a pipe");
        std::io::Write::write_all(&mut input, b"q\n\n").expect("written");
        drop(input);
        let output = tokio::task::spawn_blocking(|| child.wait_with_output()).await;
        let output = output.expect("no panic").expect("it ends");
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(stdout.starts_with("q: 10 messages moved"), "{output:?}");
    });
}

#[test]
fn messages_move_over_tls() {
    run(async {
        let Some(world) = World::start().await else {
            return;
        };
        world.fill(2000).await;
        let authority = Authority::new("An authority");
        let cacert = authority.file("ca.pem");
        let from = terminate(authority.server(ALL, None), world.source.address()).await;
        let to = terminate(authority.server(ALL, None), world.destination.address()).await;
        let uri = |address: &str, parameter: &str| format!("amqps://{address}?{parameter}");
        let mut command = Command::new(&binaries().leveretctl);
        command.args(["shovel", "--queue", "q"]);
        command.arg(uri(&from, &format!("cacertfile={cacert}")));
        command.arg(uri(&to, "verify=verify_none"));
        let mut unknown = Command::new(&binaries().leveretctl);
        unknown.args(["shovel", "--queue", "q", &uri(&from, "verify=verify_peer")]);
        unknown.arg(uri(&to, "verify=verify_none"));
        let refused = output(unknown).await;
        ended(&refused, 69, "");
        assert!(!refused.stderr.contains("--cacert"), "{refused:?}");
        let output = output(command).await;
        ended(&output, 0, "2000 messages moved");
        assert!(
            output
                .stderr
                .contains("certificate of the destination is not checked"),
            "{output:?}"
        );
    });
}

/// Asserts that the destination has each of so many messages, those that it has twice with the mark.
async fn complete(destination: &TestBroker, messages: u32) {
    let client = destination.client().await;
    let mut found: BTreeMap<String, u32> = BTreeMap::new();
    while let Some(message) = client.take("q").await {
        let body = String::from_utf8_lossy(&message.data).into_owned();
        let headers = message.properties.headers().clone().unwrap_or_default();
        let is_marked =
            headers.inner().get("x-shovel-redelivered") == Some(&AMQPValue::Boolean(true));
        let times = found.entry(body.clone()).or_default();
        *times += 1;
        assert!(
            *times == 1 || is_marked,
            "{body} is there {times} times, without a mark"
        );
    }
    let missing: Vec<u32> = (0..messages)
        .filter(|n| !found.contains_key(&n.to_string()))
        .collect();
    assert!(missing.is_empty(), "lost: {missing:?}");
    assert_eq!(found.len(), messages as usize);
}
