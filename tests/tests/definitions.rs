//! Definition files: over HTTP, with leveretctl, and at start.

use leveret_tests::{Client, Process, TestBroker, broker_command, run};
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const JSON: &str = "application/json";

/// Makes a request as guest and returns the status, the headers and the body.
async fn http(
    broker: &TestBroker,
    method: &str,
    path: &str,
    kind: &str,
    body: &str,
) -> (u16, String, String) {
    // guest:guest
    let login = "Z3Vlc3Q6Z3Vlc3Q=";
    let length = body.len();
    // HTTP/1.0: the answer is not in chunks, and ends with the connection.
    let request = format!(
        "{method} {path} HTTP/1.0\r\nauthorization: Basic {login}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let mut socket = TcpStream::connect(broker.management())
        .await
        .expect("a connection");
    socket
        .write_all(request.as_bytes())
        .await
        .expect("it is read");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    (
        status.expect("a status"),
        head.to_lowercase(),
        body.to_owned(),
    )
}

async fn exported(broker: &TestBroker) -> Value {
    let (status, _, body) = http(broker, "GET", "/api/definitions", JSON, "").await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).expect("JSON")
}

async fn import(broker: &TestBroker, file: &Value) -> (u16, String) {
    let (status, _, body) = http(broker, "POST", "/api/definitions", JSON, &file.to_string()).await;
    (status, body)
}

fn names(file: &Value, list: &str) -> Vec<String> {
    let entries = file[list].as_array().cloned().unwrap_or_default();
    let name = |entry: &Value| entry["name"].as_str().unwrap_or_default().to_owned();
    entries.iter().map(name).collect()
}

fn queues(count: usize) -> Value {
    let queue = |n: usize| json!({"vhost": "/", "name": format!("q{n:05}"), "durable": true, "arguments": {}});
    let binding = |n: usize| {
        json!({
            "vhost": "/", "source": "amq.topic", "destination": format!("q{:05}", n % count), "destination_type": "queue",
            "routing_key": format!("k.{n}"), "arguments": {}
        })
    };
    json!({
        "queues": (0..count).map(queue).collect::<Vec<_>>(),
        "bindings": (0..count * 2).map(binding).collect::<Vec<_>>()
    })
}

#[test]
fn what_is_imported_over_http_is_on_disk_when_it_is_answered() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        client.durable_queue("before").await;
        assert_eq!(import(&broker, &queues(2000)).await, (204, String::new()));
        broker.kill();
        broker.start_again().await;
        let file = exported(&broker).await;
        assert_eq!(names(&file, "queues").len(), 2001);
        assert_eq!(file["bindings"].as_array().expect("a list").len(), 4000);
        // And again, while clients are connected and another import runs.
        let client = broker.client().await;
        let both = (queues(2000), queues(2000));
        let (one, other, _) = tokio::join!(
            import(&broker, &both.0),
            import(&broker, &both.1),
            client.durable_queue("meanwhile")
        );
        assert_eq!((one.0, other.0), (204, 204), "{one:?} {other:?}");
        assert_eq!(names(&exported(&broker).await, "queues").len(), 2002);
    });
}

#[test]
fn a_large_file_is_imported_as_a_whole() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let mut file = queues(1000);
        let binding = |n: usize| {
            json!({
                "vhost": "/", "source": "amq.topic", "destination": format!("q{:05}", n / 10),
                "destination_type": "queue", "routing_key": format!("k.{n}"), "arguments": {}
            })
        };
        file["bindings"] = (0..10_000).map(binding).collect();
        for _ in 0..2 {
            assert_eq!(import(&broker, &file).await, (204, String::new()));
            let exported = exported(&broker).await;
            assert_eq!(names(&exported, "queues").len(), 1000);
            let bindings = exported["bindings"].as_array().expect("a list");
            assert_eq!(bindings.len(), 10_000);
        }
        let (status, _, overview) = http(&broker, "GET", "/api/overview", JSON, "").await;
        assert_eq!(status, 200);
        let overview: Value = serde_json::from_str(&overview).expect("JSON");
        assert_eq!(overview["object_totals"]["queues"], 1000);
    });
}

/// Salted hashes of the password `hare`.
const HASHES: [(&str, &str); 2] = [
    (
        "rabbit_password_hashing_sha512",
        "AQIDBPxZ9dINRo0L8lDHLIDfxryl4lOwNg3eD+E4WwlrP7lVWWCnnpj9cw+JDeI0lEkqlk4WYZLIvfkDcxQPgJr+JE8=",
    ),
    (
        "rabbit_password_hashing_md5",
        "AQIDBC9sNtMpq0jYPGKq/P87dGY=",
    ),
];

#[test]
fn users_with_imported_hashes_log_in() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let file = json!({
            "users": HASHES.map(|(algorithm, hash)| json!({
                "name": algorithm, "password_hash": hash, "hashing_algorithm": algorithm, "tags": []
            })),
            "permissions": HASHES.map(|(algorithm, _)| json!({
                "user": algorithm, "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"
            }))
        });
        assert_eq!(import(&broker, &file).await, (204, String::new()));
        for (user, _) in HASHES {
            let client = Client::login(&broker, user, "hare", "%2f").await;
            client.expect("the password").queue("").await;
            assert!(Client::login(&broker, user, "hound", "%2f").await.is_err());
        }
    });
}

#[test]
fn wrong_files_are_refused_and_wrong_entries_named() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let before = exported(&broker).await;
        for (path, body, status, reason) in [
            ("/api/definitions", "not json", 400, "failed_to_parse_json"),
            ("/api/definitions", "[]", 400, "failed_to_parse_json"),
            (
                "/api/definitions",
                r#"{"queues":{}}"#,
                400,
                "queues is not a list of objects",
            ),
            (
                "/api/definitions",
                r#"{"queues":[{"name":"q"}]}"#,
                400,
                "one virtual host",
            ),
            ("/api/definitions/nowhere", "{}", 404, "vhost_not_found"),
            (
                "/api/definitions",
                r#"{"queues":[{"name":"q","vhost":"nowhere"}]}"#,
                400,
                "create virtual host",
            ),
        ] {
            let (got, _, answer) = http(&broker, "POST", path, JSON, body).await;
            assert_eq!(got, status, "{path} {body}: {answer}");
            assert!(answer.contains(reason), "{path} {body}: {answer}");
        }
        assert_eq!(exported(&broker).await, before);
        let mixed = json!({
            "queues": [{"vhost": "/", "name": "q", "arguments": {"x-max-length": -1}}, {"vhost": "/", "name": "r"}],
            "parameters": [{"vhost": "/", "component": "shovel", "name": "s", "value": {}}]
        });
        let (status, answer) = import(&broker, &mixed).await;
        assert_eq!(status, 400);
        assert!(answer.contains("queue 'q' in vhost '/'"), "{answer}");
        assert_eq!(names(&exported(&broker).await, "queues"), ["r"]);
        let unsupported = json!({ "parameters": mixed["parameters"] });
        assert_eq!(import(&broker, &unsupported).await, (204, String::new()));
        let (status, _, _) = http(&broker, "PUT", "/api/definitions", JSON, "{}").await;
        assert_eq!(status, 405);
    });
}

#[test]
fn a_browser_downloads_and_uploads_a_file() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let path = "/api/definitions?download=rabbit.json";
        let (status, head, _) = http(&broker, "GET", path, JSON, "").await;
        assert_eq!(status, 200);
        assert!(
            head.contains("content-disposition: attachment; filename=rabbit.json"),
            "{head}"
        );
        let (status, _, _) =
            http(&broker, "GET", "/api/definitions?download=a%22b", JSON, "").await;
        assert_eq!(status, 400);
        let field = |name: &str, rest: &str, value: &str| {
            format!(
                "--edge\r\ncontent-disposition: form-data; name=\"{name}\"{rest}\r\n\r\n{value}\r\n"
            )
        };
        let file = json!({"queues": [{"name": "uploaded"}]}).to_string();
        let file = field("file", "; filename=\"d.json\"", &file);
        let kind = "multipart/form-data; boundary=edge";
        let form = format!(
            "{}{file}--edge--\r\n",
            field("redirect", "", "../#/import-succeeded")
        );
        let (status, head, body) = http(&broker, "POST", "/api/definitions/%2F", kind, &form).await;
        assert_eq!(status, 303, "{body}");
        assert!(head.contains("location: ../#/import-succeeded"), "{head}");
        let form = format!("{file}--edge--\r\n");
        let (status, _, body) = http(&broker, "POST", "/api/definitions/%2F", kind, &form).await;
        assert_eq!(status, 204, "{body}");
        let (status, _, body) = http(
            &broker,
            "POST",
            "/api/definitions",
            kind,
            "--edge\r\nnonsense",
        )
        .await;
        assert_eq!(status, 400, "{body}");
        assert_eq!(names(&exported(&broker).await, "queues"), ["uploaded"]);
    });
}

#[test]
fn leveretctl_exports_and_imports() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let folder = TempDir::with_prefix("leveret-test-").expect("a temporary directory");
        let path = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
        broker.ctl(&["add_vhost", "\u{9b}v"]).await;
        let all = queues(3000).to_string();
        std::fs::write(path("many.json"), &all).expect("it is written");
        let said = broker
            .ctl(&["import_definitions", &path("many.json")])
            .await;
        assert!(
            said.starts_with("Importing definitions in JSON from a file at \""),
            "{said}"
        );
        assert!(
            said.contains("Successfully started definition import."),
            "{said}"
        );
        let said = broker.ctl(&["export_definitions", &path("out.json")]).await;
        assert!(
            said.starts_with("Exporting definitions in JSON to a file at \""),
            "{said}"
        );
        let file: Value = serde_json::from_slice(&std::fs::read(path("out.json")).expect("a file"))
            .expect("JSON");
        assert_eq!(names(&file, "queues").len(), 3000);
        let printed = broker.ctl(&["export_definitions", "-"]).await;
        assert_eq!(serde_json::from_str::<Value>(&printed).expect("JSON"), file);
        assert_eq!(
            std::fs::read_dir(folder.path()).expect("a folder").count(),
            2,
            "nothing else is left there"
        );

        let skip = [
            "import_definitions",
            &path("out.json"),
            "--skip-if-unchanged",
        ];
        broker.ctl(&skip).await;
        assert!(broker.ctl(&skip).await.contains("imported last"));
    });
}

#[test]
fn leveretctl_says_what_is_wrong_with_a_file() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let folder = TempDir::with_prefix("leveret-test-").expect("a temporary directory");
        let path = folder
            .path()
            .join("wrong.json")
            .to_str()
            .expect("text")
            .to_owned();
        for (text, status, stderr) in [
            (
                "{\"queues\":",
                65,
                "Failed to deserialise input (format: JSON)",
            ),
            ("", 65, "is zero-sized"),
            ("[]", 65, "not an object"),
            (
                r#"{"queues":[{"vhost":"x","name":"q"}]}"#,
                65,
                "not imported: queue 'q' in vhost 'x': ",
            ),
            (
                r#"{"exchanges":[{"vhost":"/","name":"x","type":"x-own"}]}"#,
                0,
                "not imported: exchange 'x'",
            ),
        ] {
            std::fs::write(&path, text).expect("it is written");
            let output = broker.try_ctl(&["import_definitions", &path]).await;
            assert_eq!(output.status, Some(status), "{text}: {output:?}");
            assert!(output.stderr.contains(stderr), "{text}: {output:?}");
        }
        for (arguments, stderr) in [
            (
                vec!["import_definitions", "/nowhere/x"],
                "File /nowhere/x does not exist",
            ),
            (
                vec!["export_definitions", "/nowhere/x"],
                "Directory /nowhere does not exist",
            ),
            (vec!["export_definitions", "/"], "Path / is a directory"),
            (
                vec!["export_definitions", "x", "--format", "erlang"],
                "not supported",
            ),
        ] {
            let output = broker.try_ctl(&arguments).await;
            assert_eq!(output.status, Some(65), "{arguments:?}: {output:?}");
            assert!(output.stderr.contains(stderr), "{arguments:?}: {output:?}");
        }
    });
}

/// Returns what a broker that does not start says last.
async fn refusal(data: &Path, definitions: &Path) -> String {
    let mut command = broker_command();
    command.args(["--port", "0", "--data-dir"]).arg(data);
    command.arg("--load-definitions").arg(definitions);
    let mut process = Process::start("leveret", &mut command);
    assert_eq!(process.ended().await.code(), Some(1));
    process
        .line("the error", |line| {
            line.strip_prefix("leveret: error: ").map(str::to_owned)
        })
        .await
}

#[test]
fn a_first_start_that_fails_is_none_and_a_broker_without_users_says_so() {
    run(async {
        let folder = TempDir::with_prefix("leveret-test-").expect("a temporary directory");
        let file = folder.path().join("file.json");
        let data = TempDir::with_prefix("leveret-test-").expect("a temporary directory");
        let wrong = json!({"vhosts": [{"name": "/"}], "users": [{"name": "app"}]});
        std::fs::write(&file, wrong.to_string()).expect("it is written");
        let said = refusal(data.path(), &file).await;
        for part in [
            "nothing was imported",
            "add \"tags\": []",
            "import_definitions",
        ] {
            assert!(said.contains(part), "{said}");
        }
        // The next start is the first: it makes the default user.
        let mut broker = TestBroker::start_in(data, &[], Vec::new()).await;
        assert_eq!(names(&exported(&broker).await, "users"), ["guest"]);
        broker.ctl(&["delete_user", "guest"]).await;
        broker.restart().await;
        let warning = |line: &str| {
            (line.contains("WARN") && line.contains("there is no user")).then(|| line.to_owned())
        };
        let said = broker.process().line("a warning", warning).await;
        for part in ["leveretctl add_user NAME PASSWORD", "set_permissions"] {
            assert!(said.contains(part), "{said}");
        }
    });
}

#[test]
fn definitions_are_loaded_at_start() {
    run(async {
        let folder = TempDir::with_prefix("leveret-test-").expect("a temporary directory");
        let write = |name: &str, file: &str| {
            std::fs::write(folder.path().join(name), file).expect("it is written");
        };
        let data = TempDir::with_prefix("leveret-test-").expect("a temporary directory");
        write("1.json", "not json");
        let said = refusal(data.path(), folder.path()).await;
        assert!(
            said.contains("1.json is not a definition file: not_json"),
            "{said}"
        );
        let said = refusal(data.path(), &folder.path().join("nowhere.json")).await;
        assert!(said.contains("cannot read the definitions in"), "{said}");
        let said = refusal(data.path(), Path::new("/dev/zero")).await;
        assert!(said.ends_with("it is not a regular file"), "{said}");
        let users = json!({
            "users": [{"name": "guest", "password": "guest", "tags": "administrator"}],
            "vhosts": [{"name": "/"}, {"name": "v"}],
            "permissions": [{"user": "guest", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}]
        });
        write("1.json", &users.to_string());
        write(
            "2.json",
            &json!({"queues": [{"vhost": "v", "name": "q"}, {"vhost": "w", "name": "q"}]})
                .to_string(),
        );
        let said = refusal(data.path(), folder.path()).await;
        assert!(
            said.contains("2.json: 1 invalid definition") && said.contains("vhost 'w'"),
            "{said}"
        );
        write(
            "2.json",
            &json!({"queues": [{"vhost": "v", "name": "q"}]}).to_string(),
        );
        write("3.txt", "not json");

        let path = folder.path().to_str().expect("text");
        let options = [
            "--load-definitions",
            path,
            "--definitions-skip-if-unchanged",
            "true",
        ];
        let fresh = TempDir::with_prefix("leveret-test-").expect("a temporary directory");
        let mut broker = TestBroker::start_in(fresh, &options, Vec::new()).await;
        let file = exported(&broker).await;
        assert_eq!(names(&file, "users"), ["guest"], "{file}");
        assert_eq!(
            file["vhosts"][0]["metadata"]["description"], "",
            "not the default one"
        );
        assert_eq!(names(&file, "queues"), ["q"]);
        broker.ctl(&["delete_vhost", "v"]).await;
        broker.restart().await;
        assert_eq!(
            names(&exported(&broker).await, "vhosts"),
            ["/"],
            "the same definitions are not loaded again"
        );
        write("2.json", &json!({"vhosts": [{"name": "w"}]}).to_string());
        broker.restart().await;
        assert_eq!(names(&exported(&broker).await, "vhosts"), ["/", "v", "w"]);
    });
}
