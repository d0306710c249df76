//! Brings a broker back to what it is born with, over its HTTP API, as guest.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::client::Client;
use super::script::Request;

const GUEST: Option<&str> = Some("guest:guest");
/// How long closed connections may be listed.
const PATIENCE: Duration = Duration::from_secs(15);

/// Lists whose elements are deleted, with the keys that make up an element's path.
const LISTS: [(&str, &[&str]); 10] = [
    ("/api/vhosts", &["name"]),
    ("/api/users", &["name"]),
    ("/api/queues/%2F", &["name"]),
    ("/api/exchanges/%2F", &["name"]),
    ("/api/policies", &["vhost", "name"]),
    ("/api/operator-policies", &["vhost", "name"]),
    ("/api/parameters", &["component", "vhost", "name"]),
    ("/api/global-parameters", &["name"]),
    ("/api/topic-permissions", &["vhost", "user"]),
    ("/api/permissions", &["vhost", "user"]),
];

fn encode(segment: &str) -> String {
    let encode = |byte: u8| match byte {
        byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    segment.bytes().map(encode).collect()
}

/// Returns whether an element belongs to a broker that nothing was done to.
fn is_inborn(list: &str, path: &[String]) -> bool {
    let last = path.last().map_or("", String::as_str);
    match list {
        "/api/vhosts" => last == "/",
        "/api/users" => last == "guest",
        "/api/exchanges/%2F" => last.is_empty() || last.starts_with("amq."),
        "/api/global-parameters" => ["internal_cluster_id", "cluster_tags"].contains(&last),
        "/api/permissions" => path == ["/", "guest"],
        _ => false,
    }
}

fn request(method: &str, path: &str, body: Option<&str>) -> Request {
    Request {
        method: method.to_owned(),
        path: path.to_owned(),
        body: body.map(str::to_owned),
        ..Request::default()
    }
}

fn list(client: &Client, path: &str) -> Result<Vec<Value>, String> {
    let reply = client.ask(GUEST, &request("GET", path, None))?;
    Ok(reply.body.json().as_array().cloned().unwrap_or_default())
}

/// Deletes all that was declared. What the broker's API cannot list or delete yet stays, and shows in what is compared.
///
/// # Errors
/// When nothing answers.
pub(super) fn clean(client: &Client) -> Result<(), String> {
    let permissions = r#"{"configure":".*","write":".*","read":".*"}"#;
    client.ask(
        GUEST,
        &request("PUT", "/api/permissions/%2F/guest", Some(permissions)),
    )?;
    for (path, keys) in LISTS {
        for element in list(client, path)? {
            let segment = |key: &&str| element[*key].as_str().map(str::to_owned);
            let Some(segments) = keys.iter().map(segment).collect::<Option<Vec<_>>>() else {
                continue;
            };
            if is_inborn(path, &segments) {
                continue;
            }
            let mut target = path.to_owned();
            for segment in segments {
                target = format!("{target}/{}", encode(&segment));
            }
            client.ask(GUEST, &request("DELETE", &target, None))?;
        }
    }
    for limits in ["/api/vhost-limits", "/api/user-limits"] {
        for element in list(client, limits)? {
            let owner = element["vhost"].as_str().or(element["user"].as_str());
            let names = element["value"].as_object();
            for name in names.into_iter().flat_map(|names| names.keys()) {
                let target = format!("{limits}/{}/{name}", encode(owner.unwrap_or_default()));
                client.ask(GUEST, &request("DELETE", &target, None))?;
            }
        }
    }
    let deadline = Instant::now() + PATIENCE;
    for path in [
        "/api/connections",
        "/api/channels",
        "/api/queues",
        "/api/consumers",
    ] {
        while !list(client, path)?.is_empty() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    Ok(())
}
