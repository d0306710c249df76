//! Unix sockets.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use leveret_tests::raw::Raw;
use leveret_tests::{TestBroker, run};
use tempfile::TempDir;
use tokio::net::UnixStream;

use super::{connection, refusal};

fn mode(path: &Path) -> u32 {
    let metadata = std::fs::metadata(path).expect("a socket");
    metadata.permissions().mode() & 0o777
}

async fn dial(path: &Path) -> Raw {
    Raw::over(UnixStream::connect(path).await.expect("somebody listens"))
}

#[test]
fn a_unix_socket_has_its_mode_and_survives_a_kill() {
    run(async {
        let folder = TempDir::with_prefix("leveret-test-").expect("a directory");
        let socket = folder.path().join("amqp.sock");
        let listener = format!("127.0.0.1:0,unix:{}?mode=640", socket.display());
        let options = ["--listeners", listener.as_str()];
        let Some(mut broker) = TestBroker::start_own_with(&options).await else {
            return;
        };
        assert_eq!(mode(&socket), 0o640);
        let client = dial(&socket).await.as_guest().await;
        let shown = connection(&broker).await;
        let pid = std::process::id();
        assert_eq!(shown["peer_host"], format!("unix:pid={pid}"));
        assert_eq!(shown["host"], format!("unix:{}", socket.display()));
        assert_eq!(shown["port"], 0);
        let listed = broker
            .ctl(&["list_connections", "-q", "name", "peer_host", "protocol"])
            .await;
        assert!(
            listed.contains(&format!("unix:pid={pid}:1 -> unix:")),
            "{listed}"
        );

        // Another broker does not take it away.
        let taken = format!("unix:{}", socket.display());
        let words = refusal(&["--listeners", &taken]).await;
        assert!(words.contains("somebody listens there"), "{words}");
        drop(dial(&socket).await.as_guest().await);

        broker.kill();
        drop(client);
        assert!(socket.exists(), "a killed broker leaves it");
        broker.start_again().await;
        assert_eq!(mode(&socket), 0o640);
        drop(dial(&socket).await.as_guest().await);
        broker.stop().await;
        assert!(!socket.exists(), "a stopped one does not");
    });
}

#[test]
fn what_stands_in_the_way_is_named() {
    run(async {
        if std::env::var_os("LEVERET_TEST_ADDRESS").is_some() {
            return;
        }
        let folder = TempDir::with_prefix("leveret-test-").expect("a directory");
        let file = folder.path().join("file");
        std::fs::write(&file, "precious").expect("a file");
        let words = refusal(&["--listeners", &format!("unix:{}", file.display())]).await;
        assert!(words.contains("which is no socket"), "{words}");
        assert_eq!(std::fs::read(&file).expect("it stays"), b"precious");
        let missing = folder.path().join("missing/amqp.sock");
        let words = refusal(&["--listeners", &format!("unix:{}", missing.display())]).await;
        assert!(words.contains("its directory does not exist"), "{words}");
    });
}
