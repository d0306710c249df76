//! Connections: negotiation, logins, closing.

use amq_protocol::frame::AMQPFrame;
use amq_protocol::protocol::{AMQPClass, basic, channel, connection};
use lapin::types::AMQPValue;
use leveret_tests::raw::{Raw, Tune, login, table};
use leveret_tests::{Client, TestBroker, expect_reply, run};

#[test]
fn the_broker_introduces_itself_as_rabbitmq_does() {
    run(async {
        let broker = TestBroker::start().await;
        let mut raw = Raw::dial(&broker).await;
        let start = raw.start().await;
        assert_eq!((start.version_major, start.version_minor), (0, 9));
        let mechanisms = String::from_utf8(start.mechanisms.as_bytes().to_vec()).unwrap();
        assert!(
            mechanisms.split(' ').any(|mechanism| mechanism == "PLAIN"),
            "{mechanisms}"
        );
        assert_eq!(start.locales.as_bytes(), b"en_US");
        let properties = start.server_properties.inner();
        let all = [
            "product",
            "version",
            "platform",
            "copyright",
            "information",
            "cluster_name",
        ];
        for name in all {
            assert!(
                matches!(properties.get(name), Some(AMQPValue::LongString(_))),
                "{name}: {properties:?}"
            );
        }
        let Some(AMQPValue::FieldTable(capabilities)) = properties.get("capabilities") else {
            panic!("no capabilities in {properties:?}");
        };
        for name in [
            "publisher_confirms",
            "exchange_exchange_bindings",
            "basic.nack",
            "consumer_cancel_notify",
            "connection.blocked",
            "consumer_priorities",
            "authentication_failure_close",
            "per_consumer_qos",
            "direct_reply_to",
        ] {
            assert_eq!(
                capabilities.inner().get(name),
                Some(&AMQPValue::Boolean(true)),
                "{name}"
            );
        }
    });
}

#[test]
fn the_broker_proposes_rabbitmqs_limits() {
    run(async {
        let broker = TestBroker::start().await;
        let mut raw = Raw::dial(&broker).await;
        raw.start().await;
        raw.bytes(&login("guest", "guest", &table(&[]))).await;
        let AMQPClass::Connection(connection::AMQPMethod::Tune(tune)) = raw.method_on(0).await
        else {
            panic!("expected connection.tune");
        };
        assert_eq!(
            (tune.channel_max, tune.frame_max, tune.heartbeat),
            (2047, 131_072, 60)
        );
    });
}

#[test]
fn a_wrong_password_or_user_is_refused_with_a_reason() {
    run(async {
        let broker = TestBroker::start().await;
        for (user, password) in [("guest", "wrong"), ("nobody", "guest")] {
            let mut raw = Raw::dial(&broker).await;
            raw.start().await;
            raw.bytes(&login(
                user,
                password,
                &leveret_tests::raw::closing_properties(),
            ))
            .await;
            let text = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. \
                        For details see the broker logfile.";
            assert_eq!(raw.closed().await, (403, text.to_owned()));
        }
    });
}

#[test]
fn a_client_that_does_not_ask_for_the_reason_is_just_closed() {
    run(async {
        let broker = TestBroker::start().await;
        let mut raw = Raw::dial(&broker).await;
        raw.start().await;
        raw.bytes(&login("guest", "wrong", &table(&[]))).await;
        assert_eq!(raw.ended().await, b"");
    });
}

#[test]
fn an_unknown_vhost_is_refused() {
    run(async {
        let broker = TestBroker::start().await;
        let refused = Client::login(&broker, "guest", "guest", "nowhere").await;
        expect_reply(refused, 530, "NOT_ALLOWED - vhost nowhere not found");
    });
}

#[test]
fn another_mechanism_is_refused() {
    run(async {
        let broker = TestBroker::start().await;
        let mut raw = Raw::dial(&broker).await;
        raw.start().await;
        let start_ok = connection::StartOk {
            mechanism: "MAGIC".into(),
            locale: "en_US".into(),
            ..connection::StartOk::default()
        };
        raw.send(
            0,
            AMQPClass::Connection(connection::AMQPMethod::StartOk(start_ok)),
        )
        .await;
        assert_eq!(raw.ended().await, b"");
    });
}

#[test]
fn amqplain_logs_in_as_plain_does() {
    run(async {
        let broker = TestBroker::start().await;
        let client = Client::login(&broker, "guest", "guest", "%2f?auth_mechanism=amqplain").await;
        client.expect("guest logs in").close().await;
        let refused = Client::login(&broker, "guest", "x", "%2f?auth_mechanism=amqplain").await;
        let text = "ACCESS_REFUSED - Login was refused using authentication mechanism AMQPLAIN. \
                    For details see the broker logfile.";
        expect_reply(refused, 403, text);
    });
}

#[test]
fn a_secret_may_be_renewed() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let renewed = client
            .connection
            .update_secret("new".into(), "expired".into());
        renewed.await.expect("update-secret-ok");
        client.queue("").await;
    });
}

#[test]
fn close_is_answered_with_close_ok() {
    run(async {
        let broker = TestBroker::start().await;
        let mut raw = Raw::connect(&broker).await;
        raw.open_channel(1).await;
        let close = connection::Close {
            reply_code: 200,
            reply_text: "Goodbye".into(),
            class_id: 0,
            method_id: 0,
        };
        raw.send(
            0,
            AMQPClass::Connection(connection::AMQPMethod::Close(close)),
        )
        .await;
        let method = raw.method_on(0).await;
        let AMQPClass::Connection(connection::AMQPMethod::CloseOk(_)) = method else {
            panic!("expected connection.close-ok, got {method:?}");
        };
    });
}

#[test]
fn both_sides_may_close_the_connection_at_once() {
    run(async {
        let broker = TestBroker::start().await;
        let mut raw = Raw::connect(&broker).await;
        // An error that makes the broker close, with our own close right behind it.
        let wrong = basic_qos_on_a_closed_channel();
        raw.send(5, wrong).await;
        let close = connection::Close::default();
        raw.send(
            0,
            AMQPClass::Connection(connection::AMQPMethod::Close(close)),
        )
        .await;
        let mut closes = 0;
        loop {
            match raw.frame().await {
                Some(AMQPFrame::Method(
                    0,
                    AMQPClass::Connection(connection::AMQPMethod::Close(close)),
                )) => {
                    assert_eq!(close.reply_code, 504);
                    closes += 1;
                    let ok = connection::CloseOk {};
                    raw.send(
                        0,
                        AMQPClass::Connection(connection::AMQPMethod::CloseOk(ok)),
                    )
                    .await;
                }
                Some(AMQPFrame::Method(
                    0,
                    AMQPClass::Connection(connection::AMQPMethod::CloseOk(_)),
                )) => {}
                Some(other) => panic!("expected close or close-ok, got {other:?}"),
                None => break,
            }
        }
        assert_eq!(closes, 1);
    });
}

fn basic_qos_on_a_closed_channel() -> AMQPClass {
    AMQPClass::Basic(basic::AMQPMethod::Qos(basic::Qos {
        prefetch_count: 1,
        global: false,
    }))
}

#[test]
fn a_channel_too_many_closes_the_connection() {
    run(async {
        let broker = TestBroker::start().await;
        let mut raw = Raw::connect_with(
            &broker,
            Tune {
                channel_max: 5,
                ..Tune::default()
            },
        )
        .await;
        for id in 1..=5 {
            raw.open_channel(id).await;
        }
        raw.send(
            6,
            AMQPClass::Channel(channel::AMQPMethod::Open(channel::Open {})),
        )
        .await;
        let text = "NOT_ALLOWED - number of channels opened (5) has reached the negotiated \
                    channel_max (5)";
        assert_eq!(raw.closed().await, (530, text.to_owned()));
    });
}

#[test]
fn a_channel_may_have_any_number() {
    run(async {
        let broker = TestBroker::start().await;
        let mut raw = Raw::connect(&broker).await;
        for id in [u16::MAX, 1, 30_000] {
            raw.open_channel(id).await;
            raw.declare(id, &format!("q{id}")).await;
        }
    });
}

#[test]
fn limits_beyond_the_proposed_ones_do_not_open() {
    run(async {
        let broker = TestBroker::start().await;
        for tune in [
            Tune {
                frame_max: 131_073,
                ..Tune::default()
            },
            Tune {
                frame_max: 0,
                ..Tune::default()
            },
            Tune {
                frame_max: 4095,
                ..Tune::default()
            },
            Tune {
                channel_max: 2048,
                ..Tune::default()
            },
            Tune {
                channel_max: 0,
                ..Tune::default()
            },
        ] {
            let mut raw = Raw::dial(&broker).await;
            raw.start().await;
            raw.bytes(&login("guest", "guest", &table(&[]))).await;
            raw.method_on(0).await;
            raw.tune_and_open(tune).await;
            // RabbitMQ waits and drops the socket; a reply that says why is no worse.
            match raw.frame().await {
                None => {}
                Some(AMQPFrame::Method(
                    0,
                    AMQPClass::Connection(connection::AMQPMethod::Close(close)),
                )) => assert_eq!(close.reply_code, 530, "{tune:?}"),
                Some(other) => panic!("{tune:?}: {other:?}"),
            }
        }
    });
}
