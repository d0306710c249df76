//! Clients of the admin socket that send arbitrary lines: every line is answered, and so is the next.

use super::server::serve_client;
use super::wire;
use crate::config::Config;
use crate::domain::broker::{Broker, DEFAULT_VHOST};
use crate::domain::policy::{PolicyKind, WrittenPolicy};
use crate::domain::vhost::spec::VhostSpec;
use crate::engine::queue::Effects;
use crate::manage::AdminContext;
use crate::manage::columns::{Column, ConnectionColumn, QueueColumn};
use crate::manage::request::{ErrorKind, Request, Response};
use crate::net::tls::Tls;
use crate::plumbing::log::Log;
use crate::plumbing::slots::ConnectionSlots;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::watch;

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => select(&["guest", "a", "/", "", ".*", "(", "^$", "a{1000}{1000}", "\n"][..]).prop_map(str::to_owned),
        1 => any::<String>(),
        1 => (0usize..600).prop_map(|len| "w".repeat(len)),
    ]
}

/// A request about policies; some definitions are well formed.
fn policy_request() -> impl Strategy<Value = Request> {
    let kind = || select(&[PolicyKind::User, PolicyKind::Operator][..]);
    let definitions = [
        r#"{"max-length":1}"#,
        r#"{"alternate-exchange":"a"}"#,
        r#"{"delivery-limit":18446744073709551615,"message-ttl":1e9}"#,
        "[]",
        "{}",
    ];
    let definition = prop_oneof![select(definitions.to_vec()).prop_map(str::to_owned), word()];
    let apply_to = select(&["all", "queues", "streams", "nope"][..]).prop_map(str::to_owned);
    let written = (word(), word(), definition, any::<i64>(), apply_to).prop_map(
        |(name, pattern, definition, priority, apply_to)| WrittenPolicy {
            name,
            pattern,
            definition,
            priority,
            apply_to,
        },
    );
    prop_oneof![
        2 => (kind(), word(), written).prop_map(|(kind, vhost, policy)| Request::SetPolicy {
            kind,
            vhost,
            policy: Box::new(policy),
        }),
        1 => (kind(), word(), word())
            .prop_map(|(kind, vhost, name)| Request::ClearPolicy { kind, vhost, name }),
        1 => (kind(), word()).prop_map(|(kind, vhost)| Request::ListPolicies { kind, vhost }),
    ]
}

fn topic_permission_request() -> impl Strategy<Value = Request> {
    prop_oneof![
        (word(), word(), word(), word(), word()).prop_map(
            |(vhost, user, exchange, write, read)| Request::SetTopicPermissions {
                vhost,
                user,
                exchange,
                write,
                read,
            }
        ),
        (word(), word(), prop::option::of(word())).prop_map(|(vhost, user, exchange)| {
            Request::ClearTopicPermissions {
                vhost,
                user,
                exchange,
            }
        }),
        word().prop_map(|vhost| Request::ListTopicPermissions { vhost }),
        word().prop_map(|user| Request::ListUserTopicPermissions { user }),
    ]
}

fn vhost_request() -> impl Strategy<Value = Request> {
    let words = || prop::collection::vec(word(), 0..3);
    let kind = || {
        let known = select(&["quorum", "classic", "stream"][..]).prop_map(str::to_owned);
        prop::option::of(prop_oneof![known, word()])
    };
    prop_oneof![
        (word(), word(), words(), kind()).prop_map(
            |(vhost, description, tags, default_queue_type)| Request::AddVhost {
                vhost,
                description,
                tags,
                default_queue_type,
            }
        ),
        (
            word(),
            prop::option::of(word()),
            prop::option::of(words()),
            kind()
        )
            .prop_map(|(vhost, description, tags, default_queue_type)| {
                Request::UpdateVhost {
                    vhost,
                    description,
                    tags,
                    default_queue_type,
                    protected_from_deletion: None,
                }
            }),
        (word(), any::<bool>()).prop_map(|(vhost, enabled)| Request::SetTracing { vhost, enabled }),
        word().prop_map(|vhost| Request::RestartVhost { vhost }),
        word().prop_map(|vhost| Request::ListParameters { vhost }),
        (word(), word(), word()).prop_map(|(vhost, component, name)| Request::SetParameter {
            vhost,
            component,
            value: name.as_str().into(),
            name,
        }),
        (word(), word()).prop_map(|(name, value)| Request::SetGlobalParameter {
            name,
            value: value.into(),
        }),
    ]
}

/// Requests about the service; most of the time it runs.
fn service_request() -> impl Strategy<Value = Request> {
    prop_oneof![
        1 => Just(Request::StopApp),
        9 => Just(Request::StartApp),
        2 => Just(Request::Reset),
        1 => Just(Request::SuspendListeners),
        1 => Just(Request::ResumeListeners),
        1 => Just(Request::Drain),
        1 => Just(Request::IsRunning),
        1 => Just(Request::ListGlobalParameters),
        1 => (word(), word()).prop_map(|(vhost, queue)| Request::SyncQueue { vhost, queue }),
        1 => word().prop_map(|user| Request::ClearPassword { user }),
    ]
}

/// Any request except to stop the broker, and to import a file: that one takes what follows for the file.
fn request() -> impl Strategy<Value = Request> {
    let queue_columns = prop::collection::vec(select(QueueColumn::ALL), 0..5);
    let connection_columns = prop::collection::vec(select(ConnectionColumn::ALL), 0..5);
    let words = || prop::collection::vec(word(), 0..3);
    prop_oneof![
        (word(), queue_columns).prop_map(|(vhost, columns)| Request::ListQueues { vhost, columns }),
        connection_columns.prop_map(|columns| Request::ListConnections { columns }),
        word().prop_map(|vhost| Request::ListPermissions { vhost }),
        word().prop_map(|user| Request::ListUserPermissions { user }),
        topic_permission_request(),
        Just(Request::Status),
        Just(Request::MemoryBreakdown),
        Just(Request::ReloadTls),
        Just(Request::ListCertificates),
        Just(Request::ListCipherSuites),
        Just(Request::ListTlsVersions),
        any::<bool>().prop_map(|by_source| Request::ListLoginAttempts { by_source }),
        (word(), word()).prop_map(|(vhost, queue)| Request::QueueKind { vhost, queue }),
        Just(Request::ListUsers),
        (word(), word()).prop_map(|(user, password)| Request::AddUser { user, password }),
        word().prop_map(|user| Request::DeleteUser { user }),
        (word(), word()).prop_map(|(user, password)| Request::ChangePassword { user, password }),
        (word(), word()).prop_map(|(user, password)| Request::AuthenticateUser { user, password }),
        (word(), words()).prop_map(|(user, tags)| Request::SetUserTags { user, tags }),
        (word(), word(), word(), word(), word()).prop_map(
            |(vhost, user, configure, write, read)| {
                Request::SetPermissions {
                    vhost,
                    user,
                    configure,
                    write,
                    read,
                }
            }
        ),
        (word(), word()).prop_map(|(vhost, user)| Request::ClearPermissions { vhost, user }),
        vhost_request(),
        service_request(),
        word().prop_map(|vhost| Request::DeleteVhost { vhost }),
        word().prop_map(|word| Request::Backup {
            directory: word.into()
        }),
        (word(), word()).prop_map(|(vhost, queue)| Request::PurgeQueue { vhost, queue }),
        (word(), word(), any::<(bool, bool)>()).prop_map(
            |(vhost, queue, (if_empty, if_unused))| {
                Request::DeleteQueue {
                    vhost,
                    queue,
                    if_empty,
                    if_unused,
                }
            }
        ),
        policy_request(),
        any::<bool>()
            .prop_map(|compatible_hashes| Request::ExportDefinitions { compatible_hashes }),
        (word(), word())
            .prop_map(|(user, reason)| Request::CloseAllUserConnections { user, reason }),
        (prop::option::of(word()), any::<Option<u64>>(), word()).prop_map(
            |(vhost, limit, reason)| Request::CloseAllConnections {
                vhost,
                limit,
                delay_ms: 0,
                reason
            }
        ),
    ]
}

/// A request's line, perhaps with a few bytes changed; never one that stops the broker.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let changes = prop_oneof![
        1 => Just(Vec::new()),
        1 => prop::collection::vec((any::<Index>(), any::<u8>()), 1..4),
    ];
    let sound = request().prop_map(|request| wire::encode_request(&request).unwrap().into_bytes());
    let changed = (sound, changes, any::<Index>(), prop::bool::weighted(0.1)).prop_map(
        |(mut line, changes, end, cut)| {
            for (at, byte) in changes {
                let at = at.index(line.len());
                line[at] = byte;
            }
            if cut {
                line.truncate(end.index(line.len()));
            }
            line
        },
    );
    let nested = (1usize..3000).prop_map(|depth| "[{\"a\":".repeat(depth).into_bytes());
    prop_oneof![
        8 => changed,
        1 => prop::collection::vec(any::<u8>(), 0..60),
        1 => nested,
    ]
    .prop_map(|mut line| {
        line.retain(|byte| *byte != b'\n');
        line
    })
    .prop_filter("nobody stops the broker", |line| {
        wire::decode_request(line) != Ok(Request::Stop)
    })
}

fn context() -> AdminContext {
    let config = Config::with_data_dir("/nowhere".into());
    let broker = Broker::new((&config).into(), Vec::new(), None);
    broker.add_vhost(VhostSpec::named(DEFAULT_VHOST), &mut Effects::default());
    AdminContext {
        broker: Arc::new(broker),
        settings: Arc::default(),
        data_dir: config.data_dir.clone(),
        config: Arc::new(config),
        listeners: Arc::default(),
        tls: Tls::default(),
        log: Log::default(),
        stop: Arc::new(watch::channel(false).0),
    }
}

/// Sends the lines one after the other, reads each response to its end, and checks that a ping is
/// still answered.
async fn converse(lines: Vec<Vec<u8>>) {
    let (server, client) = UnixStream::pair().unwrap();
    let slot = ConnectionSlots::new(1).take(&server).await;
    let serving = tokio::spawn(async move { serve_client(server, context(), &slot).await });
    let (read, mut write) = client.into_split();
    let mut answers = BufReader::new(read).lines();
    let ping = wire::encode_request(&Request::Ping).unwrap().into_bytes();
    let last = lines.len();
    for (at, line) in lines.into_iter().chain([ping]).enumerate() {
        write.write_all(&line).await.unwrap();
        write.write_all(b"\n").await.unwrap();
        loop {
            let answer = answers
                .next_line()
                .await
                .unwrap()
                .expect("the server stays");
            let answer: Response = serde_json::from_str(&answer).unwrap();
            let failed = matches!(
                &answer,
                Response::Error {
                    kind: ErrorKind::Software,
                    ..
                }
            );
            assert!(!failed, "{answer:?}");
            match answer {
                Response::Rows(_) | Response::Chunk(_) => {}
                end if at == last => {
                    assert_eq!(end, Response::Ok);
                    break;
                }
                _ => break,
            }
        }
    }
    drop((answers, write));
    serving.await.unwrap().unwrap();
}

proptest! {
    #[test]
    fn a_line_is_a_request_or_refused(line in line()) {
        match wire::decode_request(&line) {
            Ok(request) => {
                let again = wire::encode_request(&request).unwrap();
                prop_assert_eq!(wire::decode_request(again.as_bytes()), Ok(request));
            }
            Err(refusal) => {
                let is_refusal = matches!(*refusal, Response::Error { .. });
                prop_assert!(is_refusal);
            }
        }
    }

    #[test]
    fn every_line_is_answered(lines in prop::collection::vec(line(), 1..20)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let conversation = tokio::time::timeout(Duration::from_secs(30), converse(lines));
            conversation.await.expect("an answer");
        });
    }
}
