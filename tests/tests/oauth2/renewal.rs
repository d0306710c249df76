//! Tokens that expire, and connection.update-secret.

use super::{EVERYTHING, World};
use amq_protocol::protocol::{AMQPClass, basic, connection};
use leveret_tests::raw::Raw;
use leveret_tests::run;
use std::time::Duration;

async fn update(raw: &mut Raw, token: &str) {
    let update = connection::UpdateSecret {
        new_secret: token.into(),
        reason: "it expires".into(),
    };
    let update = connection::AMQPMethod::UpdateSecret(update);
    raw.send(0, AMQPClass::Connection(update)).await;
}

async fn updated(raw: &mut Raw) {
    let AMQPClass::Connection(connection::AMQPMethod::UpdateSecretOk(_)) = raw.method_on(0).await
    else {
        panic!("expected connection.update-secret-ok");
    };
}

#[test]
fn a_connection_ends_with_its_token() {
    run(async {
        let Some(mut world) = World::start().await else {
            return;
        };
        let token = world.issuer.token("walker", EVERYTHING, 2);
        let mut raw = Raw::connect_as(&world.broker, "walker", &token).await;
        let expired = (320, "CONNECTION_FORCED - credential expired".to_owned());
        assert_eq!(raw.closed().await, expired);
        world.logged("credential has expired").await;
    });
}

#[test]
fn a_new_token_keeps_the_connection_open_with_its_own_rights() {
    run(async {
        let Some(world) = World::start().await else {
            return;
        };
        let token = world.issuer.token("walker", EVERYTHING, 3);
        let mut raw = Raw::connect_as(&world.broker, "walker", &token).await;
        raw.open_channel(1).await;
        raw.declare(1, "kept").await;
        raw.declare(1, "lost").await;
        raw.consume(1, "kept", "kept").await;
        raw.consume(1, "lost", "lost").await;
        raw.publish_method(1, "kept").await;
        raw.empty_content(1).await;
        let AMQPClass::Basic(basic::AMQPMethod::Deliver(_)) = raw.method_on(1).await else {
            panic!("expected a delivery");
        };
        raw.content().await;
        let narrow = "rabbitmq.read:*/kept rabbitmq.write:*/nothing";
        update(&mut raw, &world.issuer.token("walker", narrow, 600)).await;
        let AMQPClass::Basic(basic::AMQPMethod::Cancel(cancel)) = raw.method_on(1).await else {
            panic!("expected basic.cancel");
        };
        assert_eq!(cancel.consumer_tag.as_str(), "lost");
        updated(&mut raw).await;
        // Longer than the first token.
        tokio::time::sleep(Duration::from_secs(4)).await;
        raw.publish_method(1, "kept").await;
        let refused = "ACCESS_REFUSED - write access to exchange 'amq.default' in vhost '/' refused for user 'walker'";
        assert_eq!(raw.channel_closed(1).await, (403, refused.to_owned()));
    });
}

#[test]
fn a_wrong_new_token_ends_the_connection() {
    run(async {
        let Some(world) = World::start().await else {
            return;
        };
        let refused = (
            530,
            "NOT_ALLOWED - New secret was refused by one of the backends".to_owned(),
        );
        for wrong in [
            world.issuer.token("hare", EVERYTHING, 600),
            world.issuer.token("walker", EVERYTHING, -1),
            "nonsense".to_owned(),
        ] {
            let token = world.issuer.token("walker", EVERYTHING, 600);
            let mut raw = Raw::connect_as(&world.broker, "", &token).await;
            update(&mut raw, &wrong).await;
            assert_eq!(raw.closed().await, refused);
        }
        let token = world.issuer.token("walker", EVERYTHING, 600);
        let mut raw = Raw::connect_as(&world.broker, "", &token).await;
        update(
            &mut raw,
            &world.issuer.token("walker", "rabbitmq.read:other/*", 600),
        )
        .await;
        let refused = "NOT_ALLOWED - access to vhost '/' refused for user 'walker'";
        assert_eq!(raw.closed().await, (530, refused.to_owned()));
    });
}
