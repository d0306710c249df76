//! Permissions to configure, write and read.

use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, ExchangeDeclareOptions, QueueBindOptions,
    QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, ExchangeKind};
use leveret_tests::{Client, TestBroker, expect_reply, headers, run};

/// Starts a broker with a user who has these permissions, and connects as that user.
async fn world(permissions: [&str; 3]) -> Option<(TestBroker, Client)> {
    let broker = TestBroker::start_with_ctl().await?;
    broker.try_ctl(&["delete_user", "u"]).await;
    broker.ctl(&["add_user", "u", "secret"]).await;
    let [configure, write, read] = permissions;
    broker
        .ctl(&["set_permissions", "-p", "/", "u", configure, write, read])
        .await;
    let client = Client::login(&broker, "u", "secret", "%2f")
        .await
        .expect("u logs in");
    Some((broker, client))
}

/// Expects 403. RabbitMQ 4 and Leveret name the access, RabbitMQ 3 does not.
fn expect_refusal<T: std::fmt::Debug>(
    broker: &TestBroker,
    result: lapin::Result<T>,
    access: &str,
    name: &str,
) {
    let access = if broker.pid().is_some() {
        format!("{access} ")
    } else {
        String::new()
    };
    let text =
        format!("ACCESS_REFUSED - {access}access to {name} in vhost '/' refused for user 'u'");
    expect_reply(result, 403, &text);
}

#[test]
fn without_configure_nothing_is_declared_or_deleted() {
    run(async {
        let Some((broker, client)) = world(["^mine-", ".*", ".*"]).await else {
            return;
        };
        client.queue("mine-q").await;
        let options = QueueDeclareOptions::default();
        let channel = client.open().await;
        let declared = channel
            .queue_declare("q".into(), options, FieldTable::default())
            .await;
        expect_refusal(&broker, declared, "configure", "queue 'q'");
        let channel = client.open().await;
        let options = ExchangeDeclareOptions::default();
        let declared = channel
            .exchange_declare(
                "x".into(),
                ExchangeKind::Fanout,
                options,
                FieldTable::default(),
            )
            .await;
        expect_refusal(&broker, declared, "configure", "exchange 'x'");
        broker.client().await.queue("q").await;
        let channel = client.open().await;
        let deleted = channel
            .queue_delete("q".into(), QueueDeleteOptions::default())
            .await;
        expect_refusal(&broker, deleted, "configure", "queue 'q'");
        // Passive declaration needs no permission.
        let passive = QueueDeclareOptions::default().passive();
        let channel = client.open().await;
        channel
            .queue_declare("q".into(), passive, FieldTable::default())
            .await
            .unwrap();
    });
}

#[test]
fn without_write_nothing_is_published_or_bound() {
    run(async {
        let Some((broker, client)) = world([".*", "^(w|amq\\.gen.*)$", ".*"]).await else {
            return;
        };
        client.queue("q").await;
        let channel = client.open_confirming().await;
        let publish = channel.basic_publish(
            "amq.fanout".into(),
            "".into(),
            Default::default(),
            b"x",
            BasicProperties::default(),
        );
        let refused = publish.await.unwrap().await;
        expect_refusal(&broker, refused, "write", "exchange 'amq.fanout'");
        let channel = client.open_confirming().await;
        let publish = channel.basic_publish(
            "".into(),
            "q".into(),
            Default::default(),
            b"x",
            BasicProperties::default(),
        );
        let refused = publish.await.unwrap().await;
        expect_refusal(&broker, refused, "write", "exchange 'amq.default'");
        let channel = client.open().await;
        let options = QueueBindOptions::default();
        let bound = channel
            .queue_bind(
                "q".into(),
                "amq.fanout".into(),
                "".into(),
                options,
                FieldTable::default(),
            )
            .await;
        expect_refusal(&broker, bound, "write", "queue 'q'");
    });
}

#[test]
fn without_read_nothing_is_consumed_got_or_purged() {
    run(async {
        let Some((broker, client)) = world([".*", ".*", "^r$"]).await else {
            return;
        };
        client.queue("q").await;
        let channel = client.open().await;
        let got = channel
            .basic_get("q".into(), BasicGetOptions::default())
            .await;
        expect_refusal(&broker, got, "read", "queue 'q'");
        let channel = client.open().await;
        let options = BasicConsumeOptions::default();
        let consumed = channel
            .basic_consume("q".into(), "c".into(), options, FieldTable::default())
            .await;
        expect_refusal(&broker, consumed, "read", "queue 'q'");
        let channel = client.open().await;
        let purged = channel
            .queue_purge("q".into(), QueuePurgeOptions::default())
            .await;
        expect_refusal(&broker, purged, "read", "queue 'q'");
        let channel = client.open().await;
        let options = QueueBindOptions::default();
        let bound = channel
            .queue_bind(
                "q".into(),
                "amq.fanout".into(),
                "".into(),
                options,
                FieldTable::default(),
            )
            .await;
        expect_refusal(&broker, bound, "read", "exchange 'amq.fanout'");
    });
}

#[test]
fn users_and_permissions_survive_a_restart() {
    run(async {
        if TestBroker::start_own().await.is_none() {
            return;
        }
        let Some((mut broker, _client)) = world(["^mine-", ".*", ".*"]).await else {
            return;
        };
        broker.kill();
        broker.start_again().await;
        let client = Client::login(&broker, "u", "secret", "%2f")
            .await
            .expect("u logs in");
        client.queue("mine-q").await;
        let options = QueueDeclareOptions::default();
        let declared = client
            .queue_declare("q".into(), options, FieldTable::default())
            .await;
        expect_refusal(&broker, declared, "configure", "queue 'q'");
    });
}

#[test]
fn an_alternate_exchange_takes_read_on_the_exchange_and_write_on_the_alternate() {
    run(async {
        for (write, read, refused) in [
            ("^rest$", "^x$", None),
            ("^rest$", "^$", Some(("read", "exchange 'x'"))),
            ("^$", "^x$", Some(("write", "exchange 'rest'"))),
        ] {
            let Some((broker, client)) = world(["^x$", write, read]).await else {
                return;
            };
            let arguments = headers(&[("alternate-exchange", "rest")]);
            let options = ExchangeDeclareOptions::default();
            let declared = client
                .exchange_declare("x".into(), ExchangeKind::Direct, options, arguments)
                .await;
            match refused {
                None => declared.unwrap(),
                Some((access, name)) => expect_refusal(&broker, declared, access, name),
            }
        }
    });
}

#[test]
fn topic_permissions_are_set_listed_cleared_and_survive_a_restart() {
    run(async {
        if TestBroker::start_own().await.is_none() {
            return;
        }
        let Some((mut broker, _client)) = world([".*", ".*", ".*"]).await else {
            return;
        };
        let set = [
            "set_topic_permissions",
            "u",
            "amq.topic",
            "^{username}$",
            "^r",
        ];
        broker.ctl(&set).await;
        broker.kill();
        broker.start_again().await;
        let listed = broker.ctl(&["list_topic_permissions", "-q"]).await;
        assert_eq!(
            listed,
            "user\texchange\twrite\tread\nu\tamq.topic\t^{username}$\t^r\n"
        );
        let list = ["list_user_topic_permissions", "u", "-q"];
        assert_eq!(broker.ctl(&list).await, "/\tamq.topic\t^{username}$\t^r\n");
        let client = Client::login(&broker, "u", "secret", "%2f")
            .await
            .expect("u logs in");
        for (key, refused) in [("u", false), ("v", true), ("u", false)] {
            let channel = client.open_confirming().await;
            let publish = channel.basic_publish(
                "amq.topic".into(),
                key.into(),
                Default::default(),
                b"x",
                BasicProperties::default(),
            );
            let published = publish.await.unwrap().await;
            if refused {
                let name = "topic 'v' in exchange 'amq.topic'";
                expect_refusal(&broker, published, "write", name);
            } else {
                published.unwrap();
            }
        }
        broker.ctl(&["clear_topic_permissions", "u", "x"]).await;
        assert!(!broker.ctl(&list).await.is_empty());
        broker.ctl(&["clear_topic_permissions", "u"]).await;
        assert_eq!(broker.ctl(&list).await, "");
    });
}
