//! Tokens that nobody should take.

use super::{EVERYTHING, World, basic};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use leveret_tests::issuer::{Issuer, in_seconds};
use leveret_tests::run;
use serde_json::{Value, json};

fn claims(more: Value) -> Value {
    let mut claims =
        json!({"sub": "walker", "aud": "rabbitmq", "scope": EVERYTHING, "exp": in_seconds(600)});
    let all = claims.as_object_mut().expect("an object");
    all.extend(more.as_object().expect("an object").clone());
    claims
}

/// Returns tokens that are wrong, with what is wrong.
fn hostile(issuer: &Issuer) -> Vec<(&'static str, String)> {
    let good = issuer.sign(&claims(json!({})));
    let part = |at: usize| good.split('.').nth(at).expect("three parts").to_owned();
    let (payload, signature) = (part(1), part(2));
    let header = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let none = header(json!({"alg": "none", "kid": "key-1"}));
    let mut with_key = Header::new(Algorithm::HS256);
    with_key.kid = Some("key-1".to_owned());
    let secret = EncodingKey::from_secret(issuer.public_pem().as_bytes()).expect("a secret");
    let confused = encode(&with_key, &claims(json!({})), &secret).expect("a token");
    let mut other_key = Header::new(Algorithm::ES256);
    other_key.kid = Some("key-2".to_owned());
    let boss = claims(json!({"scope": "rabbitmq.tag:administrator"}));
    let boss = URL_SAFE_NO_PAD.encode(boss.to_string());
    let nested = "[".repeat(1000) + &"]".repeat(1000);
    vec![
        ("alg none", format!("{none}.{payload}.")),
        (
            "alg none, with a signature",
            format!("{none}.{payload}.{signature}"),
        ),
        ("HS256 with the public key", confused),
        (
            "another key under the same id",
            Issuer::new("key-1").sign(&claims(json!({}))),
        ),
        (
            "no key id",
            issuer.sign_with(&Header::new(Algorithm::ES256), &claims(json!({}))),
        ),
        (
            "unknown key id",
            issuer.sign_with(&other_key, &claims(json!({}))),
        ),
        ("other claims", format!("{}.{boss}.{signature}", part(0))),
        ("no signature", format!("{}.{payload}.", part(0))),
        ("two parts", format!("{}.{payload}", part(0))),
        ("four parts", format!("{good}.{signature}")),
        ("garbage", "eyJ.garbage.garbage".to_owned()),
        (
            "nested garbage",
            format!(
                "{}.{}.x",
                header(json!({"alg": "ES256"})),
                URL_SAFE_NO_PAD.encode(nested)
            ),
        ),
        (
            "expired",
            issuer.sign(&claims(json!({"exp": in_seconds(-1)}))),
        ),
        (
            "exp of text",
            issuer.sign(&claims(json!({"exp": "9999999999"}))),
        ),
        ("exp of nothing", issuer.sign(&claims(json!({"exp": null})))),
        (
            "exp in a list",
            issuer.sign(&claims(json!({"exp": [in_seconds(600)]}))),
        ),
        (
            "nbf in the future",
            issuer.sign(&claims(json!({"nbf": in_seconds(600)}))),
        ),
        (
            "for somebody else",
            issuer.sign(&claims(json!({"aud": "other"}))),
        ),
        ("for nobody", issuer.sign(&claims(json!({"aud": []})))),
        (
            "user without a name",
            issuer.sign(&claims(json!({"sub": ""}))),
        ),
        ("no claims", issuer.sign(&json!({}))),
        ("claims in a list", issuer.sign(&json!([claims(json!({}))]))),
        ("a padded signature", format!("{good}=")),
    ]
}

#[test]
fn hostile_tokens_log_nobody_in_and_are_not_in_the_log() {
    run(async {
        let Some(mut world) = World::with("oauth2").await else {
            return;
        };
        for (what, token) in hostile(&world.issuer) {
            let (status, _) = world.ask("GET", "whoami", &format!("Bearer {token}"));
            assert_eq!(status, 401, "{what}");
            let log = world.log();
            let parts = token.split('.').filter(|part| part.len() > 20);
            for part in parts {
                assert!(!log.contains(part), "{what} is in the log");
            }
        }
        // The others would be slowed by so many failures.
        let good = world.issuer.token(
            "walker",
            &format!("{EVERYTHING} rabbitmq.tag:management"),
            600,
        );
        let (status, _) = world.ask("GET", "whoami", &basic("walker", &good));
        assert_eq!(status, 200);
        for reason in [
            "algorithm 'none' is not accepted",
            "signature_invalid",
            "has expired at timestamp",
            "no_matching_aud_found",
        ] {
            world.logged(reason).await;
        }
    });
}

#[test]
fn hostile_tokens_are_refused_over_amqp_like_wrong_passwords() {
    run(async {
        let Some(world) = World::with("oauth2").await else {
            return;
        };
        let hostile = hostile(&world.issuer);
        for (what, token) in hostile.iter().take(4) {
            let error = world.log_in(token).await.map(|_| ()).unwrap_err();
            let refused = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN";
            assert!(error.to_string().contains(refused), "{what}: {error}");
        }
    });
}
