//! No file descriptors left.

use leveret_tests::{Process, broker_command, ready_address, run};
use std::process::Command;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const HEADER: &[u8] = b"AMQP\0\0\x09\x01";
/// How many sockets the broker accepts with this limit on files: see docs/operate/limits.md.
const FILES: usize = 220;
const SOCKETS: usize = 108;

/// Returns whether the broker answers a new connection.
async fn answers(socket: &mut TcpStream) -> bool {
    let mut octet = [0; 1];
    let read = tokio::time::timeout(Duration::from_millis(1000), socket.read(&mut octet));
    matches!(read.await, Ok(Ok(1)))
}

/// Returns where the log line that says the broker is ready has the HTTP API.
fn management_address(line: &str) -> Option<String> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    line["fields"]["management"].as_str().map(str::to_owned)
}

/// Returns the status that a load balancer gets.
async fn ready(management: &str) -> u16 {
    let mut socket = TcpStream::connect(management).await.expect("a connection");
    let request = b"GET /api/health/checks/ready-to-serve-clients HTTP/1.0\r\n\r\n";
    socket.write_all(request).await.expect("sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("an answer");
    let status = answer.split(' ').nth(1).and_then(|text| text.parse().ok());
    status.expect("a status")
}

#[test]
fn who_comes_when_there_is_no_place_waits_and_the_broker_keeps_files_for_itself() {
    run(async {
        let data = tempfile::tempdir().expect("a temporary directory");
        let plain = broker_command();
        let mut command = Command::new("sh");
        // The soft limit is lower: the broker raises it to the hard limit.
        let limits = format!("ulimit -Sn 40; ulimit -Hn {FILES}; exec \"$0\" \"$@\"");
        command.args(["-c", &limits]).arg(plain.get_program());
        command.args(["--bind", "127.0.0.1", "--port", "0", "--log-format", "json"]);
        command.arg("--data-dir").arg(data.path());
        let mut broker = Process::start("leveret", &mut command);
        let address = broker.line("the ready line", ready_address).await;
        let management = broker.line("the ready line", management_address).await;
        assert_eq!(ready(&management).await, 200);
        let mut all = Vec::new();
        for _ in 0..SOCKETS {
            let mut socket = TcpStream::connect(&address).await.expect("it listens");
            socket.write_all(HEADER).await.expect("sent");
            assert!(answers(&mut socket).await, "{} sockets", all.len());
            all.push(socket);
        }
        let mut late = TcpStream::connect(&address)
            .await
            .expect("the system takes it");
        late.write_all(HEADER).await.expect("sent");
        assert!(!answers(&mut late).await);
        assert_eq!(ready(&management).await, 503);
        drop(all);
        let served = tokio::time::timeout(Duration::from_secs(20), late.read_u8());
        assert_eq!(served.await.expect("a place").expect("connection.start"), 1);
    });
}
