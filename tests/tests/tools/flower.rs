//! Celery's Flower, whose page on the broker comes from the HTTP API.

use std::path::Path;

use leveret_tests::python::Celery;
use leveret_tests::{TestBroker, eventually, run};
use regex::Regex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Gets a page with HTTP 1.0, so that it ends with the connection.
async fn page(socket: &Path, path: &str) -> Option<String> {
    let mut stream = UnixStream::connect(socket).await.ok()?;
    let request = format!("GET {path} HTTP/1.0\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer)
}

/// The cells of the row of this queue: its name, messages, unacknowledged and ready ones, consumers.
fn row(page: &str, queue: &str) -> Option<Vec<String>> {
    let row = Regex::new(&format!(r#"(?s)<tr id="{queue}">(.*?)</tr>"#)).expect("a pattern");
    let cell = Regex::new(r"(?s)<td[^>]*>(.*?)</td>").expect("a pattern");
    let row = row.captures(page)?.get(1)?.as_str();
    let cells = cell.captures_iter(row).map(|found| found[1].to_owned());
    Some(cells.take(5).collect())
}

#[test]
fn flower_shows_queues() {
    Celery::prepare_flower();
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        let queue = client.durable_queue("late").await;
        for _ in 0..3 {
            client.put_persistent(&queue, "hello").await;
        }
        let _unacknowledged = client.get(&queue).await;
        let notes = tempfile::tempdir().expect("a folder");
        let celery = Celery::with_flower_at(&broker, notes.path());
        let socket = notes.path().join("flower");
        let _flower = celery.flower(&broker, &socket).await;
        eventually("Flower shows the messages of the queue", async || {
            let page = page(&socket, "/broker").await?;
            (row(&page, "late")? == ["late", "3", "1", "2", "0"]).then_some(())
        })
        .await;
    });
}
