//! Users that operators delete, change and recreate while they are logged in.

use lapin::options::BasicConsumeOptions;
use lapin::types::FieldTable;
use leveret_tests::raw::{Raw, closing_properties, login};
use leveret_tests::{Client, TestBroker, eventually, next, run};

const DELETED: &str = "CONNECTION_FORCED - user 'hare' is deleted";

/// Adds hare/secret, who may do everything on `/`.
async fn add_hare(broker: &TestBroker) {
    broker.ctl(&["add_user", "hare", "secret"]).await;
    let everything = ["set_permissions", "-p", "/", "hare", ".*", ".*", ".*"];
    broker.ctl(&everything).await;
}

async fn world() -> Option<TestBroker> {
    let broker = TestBroker::start_with_ctl().await?;
    broker.try_ctl(&["delete_user", "hare"]).await;
    add_hare(&broker).await;
    Some(broker)
}

async fn hare(broker: &TestBroker) -> lapin::Result<Client> {
    Client::login(broker, "hare", "secret", "%2f").await
}

/// Waits until nobody is logged in as hare.
async fn hares_are_gone(broker: &TestBroker) {
    eventually("nobody is logged in as hare", async || {
        let users = broker.ctl(&["list_connections", "-q", "user"]).await;
        (!users.lines().any(|user| user == "hare")).then_some(())
    })
    .await;
}

#[test]
fn a_deleted_user_reads_and_writes_no_more_also_when_added_again() {
    run(async {
        let Some(broker) = world().await else { return };
        let mut raw = Raw::connect_as(&broker, "hare", "secret").await;
        raw.open_channel(1).await;
        let queue = raw.declare(1, "q").await;
        raw.consume(1, &queue, "t").await;
        broker.ctl(&["delete_user", "hare"]).await;
        add_hare(&broker).await;
        assert_eq!(raw.closed().await, (320, DELETED.to_owned()));
        hares_are_gone(&broker).await;
        hare(&broker)
            .await
            .expect("the new one logs in")
            .close()
            .await;
        broker.ctl(&["delete_user", "hare"]).await;
    });
}

#[test]
fn a_login_that_is_under_way_does_not_outlive_the_user() {
    run(async {
        let Some(broker) = world().await else { return };
        if broker.pid().is_none() {
            // RabbitMQ identifies a user by name, even if it was recreated.
            return;
        }
        let mut raw = Raw::dial(&broker).await;
        raw.start().await;
        raw.bytes(&login("hare", "secret", &closing_properties()))
            .await;
        raw.method_on(0).await;
        broker.ctl(&["delete_user", "hare"]).await;
        add_hare(&broker).await;
        // Closed with or without a reason: what must not arrive is open-ok.
        raw.tune_and_open(Default::default()).await;
        raw.closed_or_ended().await;
        broker.ctl(&["delete_user", "hare"]).await;
    });
}

#[test]
fn no_login_of_a_flood_survives_the_deletion() {
    run(async {
        let Some(broker) = world().await else { return };
        let broker = std::sync::Arc::new(broker);
        let flood: Vec<_> = (0..4)
            .map(|_| {
                let broker = broker.clone();
                tokio::spawn(async move {
                    let mut kept: Vec<Client> = Vec::new();
                    loop {
                        kept.extend(hare(&broker).await.ok());
                        kept.retain(|client| client.connection.status().connected());
                        kept.truncate(20);
                    }
                })
            })
            .collect();
        for _ in 0..10 {
            eventually("somebody is logged in", async || {
                let users = broker.ctl(&["list_connections", "-q", "user"]).await;
                users.lines().any(|user| user == "hare").then_some(())
            })
            .await;
            broker.ctl(&["delete_user", "hare"]).await;
            hares_are_gone(&broker).await;
            add_hare(&broker).await;
        }
        flood.iter().for_each(tokio::task::JoinHandle::abort);
    });
}

#[test]
fn all_connections_of_one_user_are_closed() {
    run(async {
        let Some(broker) = world().await else { return };
        let mut raw = Raw::connect_as(&broker, "hare", "secret").await;
        let guest = broker.client().await;
        let shown = broker
            .ctl(&["close_all_user_connections", "hare", "lunch break"])
            .await;
        assert_eq!(
            shown,
            "Closing connections of user hare, reason: lunch break...\n"
        );
        let reply = (320, "CONNECTION_FORCED - lunch break".to_owned());
        assert_eq!(raw.closed().await, reply);
        guest.queue("").await;
        hare(&broker)
            .await
            .expect("hare may come again")
            .close()
            .await;
        broker
            .ctl(&["close_all_user_connections", "nobody", "x"])
            .await;
        broker.ctl(&["delete_user", "hare"]).await;
    });
}

#[test]
fn another_password_and_fewer_permissions_leave_those_who_are_there() {
    run(async {
        let Some(broker) = world().await else { return };
        let client = hare(&broker).await.expect("hare logs in");
        let queue = client.queue("").await;
        let options = BasicConsumeOptions::default();
        let mut consumer = client
            .basic_consume(
                queue.as_str().into(),
                "t".into(),
                options,
                FieldTable::default(),
            )
            .await
            .expect("consume-ok");
        broker.ctl(&["change_password", "hare", "other"]).await;
        broker.ctl(&["clear_permissions", "-p", "/", "hare"]).await;
        let guest = broker.client().await;
        guest.put(&queue, "still delivered").await;
        assert_eq!(next(&mut consumer).await.data, b"still delivered");
        assert!(hare(&broker).await.is_err(), "the old password");
        broker.ctl(&["delete_user", "hare"]).await;
    });
}
