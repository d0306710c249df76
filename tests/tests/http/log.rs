//! The log over HTTP: the last lines, those that have come since, and who may read it.

use leveret_tests::{TestBroker, WebReply, eventually, run};
use serde_json::Value;

async fn log(broker: &TestBroker, query: &str) -> WebReply {
    broker
        .ask("GET", &format!("/api/log{query}"), Value::Null)
        .await
}

fn lines(reply: &WebReply) -> Vec<String> {
    assert_eq!(reply.status, 200, "{reply:?}");
    let lines = reply.body["lines"].as_array().expect("a list").iter();
    let text = |line: &Value| line.as_str().expect("text").to_owned();
    lines.map(text).collect()
}

fn next(reply: &WebReply) -> String {
    reply.body["next"].as_str().expect("a cursor").to_owned()
}

#[test]
fn every_line_comes_once_whole_and_in_order() {
    run(async {
        // Without a log file.
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let first = log(&broker, "").await;
        let mut seen = lines(&first);
        assert!(seen.iter().any(|line| line.contains("ready")), "{seen:?}");
        assert_eq!(first.body["missed"], 0);
        let before = seen.len();
        let mut after = next(&first);
        for number in 0..20 {
            let path = format!("/api/queues/%2F/log-{number}");
            let made = broker.ask_text("PUT", &path, "{}").await;
            assert_eq!(made.status, 201);
            if number % 3 == 0 {
                let some = log(&broker, &format!("?after={after}")).await;
                assert_eq!(some.body["missed"], 0);
                seen.extend(lines(&some));
                after = next(&some);
            }
        }
        eventually("the last line", async || {
            let some = log(&broker, &format!("?after={after}")).await;
            seen.extend(lines(&some));
            after = next(&some);
            let is_last = |line: &String| line.contains("log-19");
            seen.iter().any(is_last).then_some(())
        })
        .await;
        let declared = seen[before..].iter().filter_map(|line| {
            let (_, number) = line.split_once("log-")?;
            let end = number.find(|c: char| !c.is_ascii_digit());
            number[..end.unwrap_or(number.len())].parse::<u32>().ok()
        });
        let declared: Vec<u32> = declared.collect();
        assert_eq!(declared, (0..20).collect::<Vec<_>>(), "{seen:#?}");
        assert!(seen.iter().all(|line| !line.contains('\n')));
        let last = log(&broker, "?lines=2").await;
        assert_eq!(lines(&last), seen[seen.len() - 2..]);
        assert_eq!(next(&last), after);
        assert!(lines(&log(&broker, &format!("?after={after}")).await).is_empty());
    });
}

#[test]
fn whoever_comes_too_late_learns_how_many_lines_are_missing() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let after = next(&log(&broker, "?lines=1").await);
        // Some 1.5 MB of lines.
        let name = "x".repeat(240);
        for number in 0..1800 {
            let path = format!("/api/global-parameters/{name}{number}");
            let body = r#"{"value": 1}"#;
            assert_eq!(broker.ask_text("PUT", &path, body).await.status, 201);
            assert_eq!(broker.ask("DELETE", &path, Value::Null).await.status, 204);
        }
        let late = log(&broker, &format!("?after={after}")).await;
        let missed = late.body["missed"].as_u64().expect("a number");
        let count = lines(&late).len() as u64;
        assert!(count <= 1000, "{count}");
        let (_, from) = after.split_once('-').expect("a number");
        let then = next(&late);
        let (_, to) = then.split_once('-').expect("a number");
        let number = |text: &str| text.parse::<u64>().expect("a number");
        assert_eq!(number(to), number(from) + missed + count);
        let most = log(&broker, "?lines=1000").await;
        let bytes: usize = lines(&most).iter().map(|line| line.len() + 1).sum();
        assert!(bytes <= 256 << 10, "{bytes}");
        assert!(bytes > 200 << 10, "{bytes}: there are so many");
        assert!(missed > 0, "{late:?}");
    });
}

#[test]
fn the_cursor_of_an_earlier_process_begins_with_the_lines_that_are_there() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let after = next(&log(&broker, "").await);
        broker.restart().await;
        let again = log(&broker, &format!("?after={after}")).await;
        assert!(lines(&again).iter().any(|line| line.contains("ready")));
    });
}

#[test]
fn the_log_is_for_administrators_and_nonsense_is_refused() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let user = r#"{"password": "hare", "tags": "monitoring,policymaker,management"}"#;
        assert_eq!(
            broker.ask_text("PUT", "/api/users/hare", user).await.status,
            201
        );
        // hare:hare
        let hare = [("authorization", "Basic aGFyZTpoYXJl")];
        let refused = broker.ask_with("GET", "/api/log", &hare, "").await;
        assert_eq!(refused.outcome(), (401, "Not administrator user".into()));
        assert_eq!(
            broker.ask_with("GET", "/api/log", &[], "").await.status,
            401
        );
        for (query, reason) in [
            ("?lines=0", "lines must be 1 to 1000"),
            ("?lines=1001", "lines must be 1 to 1000"),
            ("?lines=many", "lines must be 1 to 1000"),
            ("?after=7", "after is not the next of an answer"),
            ("?after=", "after is not the next of an answer"),
        ] {
            let refused = log(&broker, query).await;
            assert_eq!(refused.outcome(), (400, reason.into()), "{query}");
        }
        let cursor = next(&log(&broker, "").await);
        let (process, _) = cursor.split_once('-').expect("two parts");
        let refused = log(&broker, &format!("?after={process}-999999999")).await;
        assert_eq!(refused.status, 400);
    });
}
