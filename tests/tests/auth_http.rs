//! An HTTP service that decides on logins and permissions.

use lapin::ExchangeKind;
use lapin::options::QueueDeclareOptions;
use leveret_tests::web_service::{ServiceRequest, WebService};
use leveret_tests::{
    Client, TestBroker, eventually, eventually_within, expect_reply, run, try_publish,
};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Starts a broker that asks a service with these further options, and the broker's own users afterwards.
async fn broker(base: &str, options: &[&str]) -> Option<TestBroker> {
    let paths = ["user", "vhost", "resource", "topic"];
    let paths = paths.map(|path| format!("--auth-http-{path}-path={base}/auth/{path}"));
    let mut all: Vec<&str> = paths.iter().map(String::as_str).collect();
    all.push("--auth-backends=http,internal");
    all.extend(options);
    TestBroker::start_own_with(&all).await
}

/// Answers that walker/secret, an administrator, may do everything but publish with keys that begin with `b`, or touch
/// queues called `other`.
fn decide(request: &ServiceRequest) -> (u16, String) {
    let has = |part: &str| request.form.split('&').any(|field| field == part);
    let allowed = match request.path.as_str() {
        "/auth/user" if has("username=walker") && has("password=secret") => {
            return (200, "allow administrator".to_owned());
        }
        "/auth/vhost" => has("username=walker") && has("vhost=%2F"),
        "/auth/resource" => !has("name=other"),
        "/auth/topic" => !request.form.contains("routing_key=b"),
        _ => false,
    };
    (200, if allowed { "allow" } else { "deny" }.to_owned())
}

async fn walker(broker: &TestBroker) -> lapin::Result<Client> {
    Client::login(broker, "walker", "secret", "%2f").await
}

#[test]
fn the_service_is_asked_in_rabbitmqs_words() {
    run(async {
        for method in ["get", "post"] {
            let service = WebService::start(decide);
            let option = format!("--auth-http-http-method={method}");
            let Some(broker) = broker(&service.url(""), &[&option]).await else {
                return;
            };
            let client = walker(&broker).await.expect("walker may log in");
            let channel = client.open_confirming().await;
            channel.exchange("t", ExchangeKind::Topic).await;
            let queue = channel.queue("q").await;
            channel.bind(&queue, "t", "a.*").await;
            try_publish(&channel, "t", "a.b")
                .await
                .expect("a.b is permitted");
            assert!(channel.take("q").await.is_some());
            let asked: Vec<String> = service
                .requests()
                .into_iter()
                .map(|request| {
                    assert_eq!(request.method, method.to_uppercase());
                    format!("{} {}", request.path, request.form)
                })
                .collect();
            assert_eq!(
                asked,
                [
                    "/auth/user username=walker&password=secret",
                    "/auth/vhost username=walker&vhost=%2F&ip=127.0.0.1&tags=administrator",
                    "/auth/resource username=walker&vhost=%2F&resource=exchange&name=t&permission=configure&tags=administrator",
                    "/auth/resource username=walker&vhost=%2F&resource=queue&name=q&permission=configure&tags=administrator",
                    "/auth/resource username=walker&vhost=%2F&resource=queue&name=q&permission=write&tags=administrator",
                    "/auth/resource username=walker&vhost=%2F&resource=exchange&name=t&permission=read&tags=administrator",
                    "/auth/topic username=walker&vhost=%2F&resource=topic&name=t&permission=read&tags=administrator\
                 &routing_key=a.*&variable_map.username=walker&variable_map.vhost=%2F",
                    "/auth/resource username=walker&vhost=%2F&resource=exchange&name=t&permission=write&tags=administrator",
                    "/auth/topic username=walker&vhost=%2F&resource=topic&name=t&permission=write&tags=administrator\
                 &routing_key=a.b&variable_map.username=walker&variable_map.vhost=%2F",
                    "/auth/resource username=walker&vhost=%2F&resource=queue&name=q&permission=read&tags=administrator",
                ],
                "{asked:#?}"
            );
            client.close().await;
        }
    });
}

#[test]
fn refusals_are_those_of_own_users() {
    run(async {
        let service = WebService::start(decide);
        let Some(mut broker) = broker(&service.url(""), &[]).await else {
            return;
        };
        let wrong = Client::login(&broker, "walker", "wrong-password", "%2f").await;
        let error = wrong.map(|_| ()).unwrap_err().to_string();
        assert!(
            error.contains("Login was refused using authentication mechanism PLAIN"),
            "{error}"
        );
        broker.ctl(&["add_vhost", "v"]).await;
        let elsewhere = Client::login(&broker, "walker", "secret", "v")
            .await
            .map(|_| ());
        expect_reply(
            elsewhere,
            530,
            "NOT_ALLOWED - access to vhost 'v' refused for user 'walker'",
        );
        let client = walker(&broker).await.expect("walker may log in");
        let channel = client.open().await;
        let declared = channel.queue_declare(
            "other".into(),
            QueueDeclareOptions::default(),
            Default::default(),
        );
        let refused = "ACCESS_REFUSED - configure access to queue 'other' in vhost '/' refused for user 'walker'";
        expect_reply(declared.await, 403, refused);
        let channel = client.open_confirming().await;
        channel.exchange("t", ExchangeKind::Topic).await;
        let sent = try_publish(&channel, "t", "b.a").await;
        let refused = "ACCESS_REFUSED - write access to topic 'b.a' in exchange 't' in vhost '/' refused for user 'walker'";
        expect_reply(sent.map(|_| ()), 403, refused);
        let log = broker.process().lines().join("\n");
        assert!(
            !log.contains("wrong-password") && !log.contains("secret"),
            "{log}"
        );
    });
}

#[test]
fn answers_are_remembered_for_a_while() {
    run(async {
        let allows = Arc::new(AtomicBool::new(true));
        let decides = allows.clone();
        let service = WebService::start(move |request| match decides.load(Ordering::SeqCst) {
            true => decide(request),
            false => (200, "deny".to_owned()),
        });
        let Some(broker) = broker(&service.url(""), &["--auth-cache-cache-ttl=2000"]).await else {
            return;
        };
        for _ in 0..5 {
            walker(&broker)
                .await
                .expect("walker may log in")
                .close()
                .await;
        }
        assert_eq!(service.requests().len(), 2, "one login, one virtual host");
        allows.store(false, Ordering::SeqCst);
        let refused = async || walker(&broker).await.is_err().then_some(());
        eventually("the answer is forgotten", refused).await;
        allows.store(true, Ordering::SeqCst);
        let allowed = async || walker(&broker).await.is_ok().then_some(());
        eventually_within(Duration::from_secs(30), "a refusal is forgotten", allowed).await;
    });
}

#[test]
fn a_publisher_loses_its_permission_when_the_answer_is_forgotten() {
    run(async {
        let allows = Arc::new(AtomicBool::new(true));
        let decides = allows.clone();
        let service = WebService::start(move |request| match decides.load(Ordering::SeqCst) {
            true => decide(request),
            false => (200, "deny".to_owned()),
        });
        let Some(broker) = broker(&service.url(""), &["--auth-cache-cache-ttl=500"]).await else {
            return;
        };
        let client = walker(&broker).await.expect("walker may log in");
        let channel = client.open_confirming().await;
        channel.queue("q").await;
        channel.put("q", "message").await;
        allows.store(false, Ordering::SeqCst);
        eventually("publishing is refused", async || {
            let sent = try_publish(&channel, "", "q").await;
            sent.is_err().then_some(())
        })
        .await;
    });
}

#[test]
fn a_service_that_is_down_refuses_logins_and_says_so() {
    run(async {
        let reserved = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = reserved.local_addr().expect("an address");
        drop(reserved);
        let Some(mut broker) = broker(&format!("http://{address}"), &[]).await else {
            return;
        };
        let begun = Instant::now();
        assert!(walker(&broker).await.is_err());
        assert!(begun.elapsed() < Duration::from_secs(9));
        let guest = Client::login(&broker, "guest", "guest", "%2f").await;
        guest.expect("the broker's own users log in").close().await;
        let undecided = "the HTTP auth backend did not decide: refused";
        let found = |line: &str| line.contains(undecided).then_some(());
        broker.process().line(undecided, found).await;
        let _service = WebService::start_at(address, decide);
        eventually_within(
            Duration::from_secs(30),
            "the service is asked again",
            async || walker(&broker).await.is_ok().then_some(()),
        )
        .await;
    });
}

#[test]
fn a_slow_service_holds_nobody_else_up() {
    run(async {
        let service = WebService::start(|request| {
            if request.path == "/auth/resource" {
                std::thread::sleep(Duration::from_secs(3));
            }
            decide(request)
        });
        let Some(broker) = broker(&service.url(""), &[]).await else {
            return;
        };
        let mut walkers = Vec::new();
        for number in 0..12 {
            let client = walker(&broker).await.expect("walker may log in");
            walkers.push(tokio::spawn(async move {
                let channel = client.open().await;
                channel.queue(&format!("q{number}")).await;
                client.close().await;
            }));
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        let begun = Instant::now();
        let guest = Client::login(&broker, "guest", "guest", "%2f")
            .await
            .expect("guest");
        let channel = guest.open_confirming().await;
        channel.queue("quick").await;
        channel.put("quick", "message").await;
        assert!(
            begun.elapsed() < Duration::from_secs(2),
            "{:?}",
            begun.elapsed()
        );
        for walker in walkers {
            walker.await.expect("every walker gets its queue");
        }
        guest.close().await;
    });
}

#[test]
fn tags_open_the_api() {
    run(async {
        let service = WebService::start(decide);
        let Some(broker) = broker(&service.url(""), &[]).await else {
            return;
        };
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(20)))
            .proxy(None)
            .build()
            .into();
        let ask = |user: &str, path: &str| {
            use base64::Engine;
            let authorization = base64::engine::general_purpose::STANDARD.encode(user);
            let url = format!("http://{}/api/{path}", broker.management());
            let answer = agent
                .get(url)
                .header("authorization", format!("Basic {authorization}"))
                .call();
            answer.expect("an answer").status().as_u16()
        };
        assert_eq!(ask("walker:secret", "users"), 200);
        assert_eq!(ask("walker:wrong", "users"), 401);
        assert_eq!(ask("guest:guest", "users"), 200);
    });
}
