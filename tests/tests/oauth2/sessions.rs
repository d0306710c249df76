//! Sessions of the management page that begin with a token in place of a password.

use super::World;
use leveret_tests::{eventually, run};

const SCOPES: &str = "rabbitmq.tag:management rabbitmq.read:*/*";

#[test]
fn a_session_ends_with_its_token() {
    run(async {
        let Some(world) = World::start().await else {
            return;
        };
        let token = world.issuer.token("walker", SCOPES, 3);
        let form = format!("username=ignored&password={token}");
        let any = [("x-csrf-token", "any")];
        let broker = &world.broker;
        let begun = broker.ask_with("POST", "/api/session", &any, &form).await;
        assert_eq!(begun.status, 200, "{begun:?}");
        assert_eq!(begun.body["name"], "walker");
        assert!(begun.body["expires_in"].as_u64() <= Some(3), "{begun:?}");
        let cookie = begun.header("set-cookie").expect("a cookie").to_owned();
        let cookie = cookie.split(';').next().expect("its name and value");
        let csrf_token = begun.body["csrf_token"].as_str().expect("a token");
        let headers = [("cookie", cookie), ("x-csrf-token", csrf_token)];
        let mut was_open = false;
        eventually("the end of the session", async || {
            let reply = broker.ask_with("GET", "/api/whoami", &headers, "").await;
            was_open |= reply.status == 200;
            (reply.status == 401).then_some(())
        })
        .await;
        assert!(was_open);
        let reply = broker.ask_with("GET", "/api/session", &headers, "").await;
        assert_eq!(reply.status, 204);
    });
}
