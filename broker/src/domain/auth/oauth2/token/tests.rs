//! Tokens that are taken, and all the others.

use super::super::test_keys::{self, SECRET};
use super::*;
use crate::domain::auth::Access;
use jsonwebtoken::{EncodingKey, encode};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::LazyLock;

const NOW: i64 = 1_700_000_000;

/// RSA under `rsa`, P-256 under `p256`, P-384 under `p384`, Ed25519 under `ed`, a secret under `secret`.
static KEYS: LazyLock<KeySet> = LazyLock::new(|| {
    let mut keys = KeySet::default();
    for (id, pem) in [
        ("rsa", test_keys::RSA_PUBLIC),
        ("p256", test_keys::P256_PUBLIC),
        ("p384", test_keys::P384_PUBLIC),
        ("ed", test_keys::ED25519_PUBLIC),
    ] {
        keys.add_file(Some(id), pem).unwrap();
    }
    let secret = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(SECRET)}).to_string();
    keys.add_file(Some("secret"), &secret).unwrap();
    keys
});

/// Without a symmetric key.
static PUBLIC_KEYS: LazyLock<KeySet> = LazyLock::new(|| {
    let mut keys = KeySet::default();
    keys.add_file(Some("rsa"), test_keys::RSA_PUBLIC).unwrap();
    keys
});

fn claims() -> Value {
    json!({"sub": "walker", "aud": "rabbitmq", "exp": NOW + 600, "scope": "rabbitmq.read:*/*"})
}

fn with(mut value: Value, more: Value) -> Value {
    value
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    value
}

fn signing_key(id: &str) -> EncodingKey {
    match id {
        "rsa" => EncodingKey::from_rsa_pem(test_keys::RSA_PRIVATE.as_bytes()).unwrap(),
        "p256" => EncodingKey::from_ec_pem(test_keys::P256_PRIVATE.as_bytes()).unwrap(),
        "p384" => EncodingKey::from_ec_pem(test_keys::P384_PRIVATE.as_bytes()).unwrap(),
        "ed" => EncodingKey::from_ed_pem(test_keys::ED25519_PRIVATE.as_bytes()).unwrap(),
        _ => EncodingKey::from_secret(SECRET.as_bytes()).unwrap(),
    }
}

fn signed(id: &str, algorithm: Algorithm, claims: &Value) -> String {
    let mut header = jsonwebtoken::Header::new(algorithm);
    header.kid = Some(id.to_owned());
    encode(&header, claims, &signing_key(id)).unwrap()
}

fn judge(token: &str) -> Result<Token, TokenRefused> {
    verify(token, &KEYS, None, &Rules::for_tests(), NOW)
}

/// Returns a token with this header and payload, and a signature for another one.
fn raw(header: &str, payload: &str, signature: &str) -> String {
    let encode = |part: &str| URL_SAFE_NO_PAD.encode(part);
    format!("{}.{}.{signature}", encode(header), encode(payload))
}

#[test]
fn every_type_of_key_verifies_its_signatures() {
    for (id, algorithm) in [
        ("rsa", Algorithm::RS256),
        ("rsa", Algorithm::RS384),
        ("rsa", Algorithm::RS512),
        ("rsa", Algorithm::PS256),
        ("rsa", Algorithm::PS512),
        ("p256", Algorithm::ES256),
        ("p384", Algorithm::ES384),
        ("ed", Algorithm::EdDSA),
        ("secret", Algorithm::HS256),
        ("secret", Algorithm::HS512),
    ] {
        let token = judge(&signed(id, algorithm, &claims())).unwrap();
        assert_eq!((&*token.user, token.expires), ("walker", Some(NOW + 600)));
        assert!(token.scopes.permit("/", Access::Read, "q"));
    }
}

#[test]
fn hostile_tokens_are_refused() {
    let good = signed("rsa", Algorithm::RS256, &claims());
    let signature = good.rsplit('.').next().unwrap();
    let body = claims().to_string();
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"None","kid":"rsa"}"#,
        r#"{"alg":"nOnE","kid":"rsa"}"#,
        r#"{"alg":"","kid":"rsa"}"#,
        r#"{"alg":"RS1","kid":"rsa"}"#,
        r#"{"alg":"ES512","kid":"p256"}"#,
    ] {
        for signature in ["", signature] {
            let refused = judge(&raw(header, &body, signature));
            assert!(
                matches!(refused, Err(TokenRefused::Algorithm(_))),
                "{header}: {refused:?}"
            );
        }
    }
    for header in [
        "",
        "{}",
        "[]",
        "null",
        "7",
        "{",
        r#"{"alg":null}"#,
        r#"{"alg":["RS256"]}"#,
        r#"{"kid":"rsa"}"#,
        r#"{"alg":"RS256","kid":7}"#,
        r#"{"alg":"RS256","kid":["rsa"]}"#,
        r#"{"alg":"RS256","kid":{"a":1}}"#,
        r#"{"alg":"RS256","alg":"none","kid":"rsa"}"#,
    ] {
        assert_eq!(
            judge(&raw(header, &body, signature)),
            Err(TokenRefused::Malformed),
            "{header}"
        );
    }
    let unknown = |id: Option<&str>| Err(TokenRefused::UnknownKey(id.map(str::to_owned)));
    assert_eq!(
        judge(&raw(r#"{"alg":"RS256"}"#, &body, signature)),
        unknown(None)
    );
    for id in ["", "RSA", "../../etc/passwd", "rsa\0"] {
        let header = json!({"alg": "RS256", "kid": id}).to_string();
        assert_eq!(judge(&raw(&header, &body, signature)), unknown(Some(id)));
    }
    // The header cannot bring a key of its own.
    let own = with(
        json!({"alg": "RS256", "kid": "x"}),
        json!({"jwk": test_keys::rsa_jwk("x")}),
    );
    assert_eq!(
        judge(&raw(&own.to_string(), &body, signature)),
        unknown(Some("x"))
    );
    for critical in [
        json!({"crit": ["exp"]}),
        json!({"b64": false, "crit": ["b64"]}),
    ] {
        let header = with(json!({"alg": "RS256", "kid": "rsa"}), critical);
        assert!(judge(&raw(&header.to_string(), &body, signature)).is_err());
    }
}

#[test]
fn a_public_key_is_no_secret() {
    let header = |id: &str| json!({"alg": "HS256", "kid": id}).to_string();
    for text in [test_keys::RSA_PUBLIC, test_keys::RSA_PUBLIC.trim()] {
        let mut header_with_id = jsonwebtoken::Header::new(Algorithm::HS256);
        header_with_id.kid = Some("rsa".to_owned());
        let secret = EncodingKey::from_secret(text.as_bytes()).unwrap();
        let forged = encode(&header_with_id, &claims(), &secret).unwrap();
        assert_eq!(
            judge(&forged),
            Err(TokenRefused::OtherKeyType("HS256".to_owned()))
        );
        let public = verify(&forged, &PUBLIC_KEYS, None, &Rules::for_tests(), NOW);
        assert_eq!(public, Err(TokenRefused::OtherKeyType("HS256".to_owned())));
    }
    let body = claims().to_string();
    for id in ["rsa", "p256", "p384", "ed"] {
        let refused = judge(&raw(&header(id), &body, ""));
        assert_eq!(
            refused,
            Err(TokenRefused::OtherKeyType("HS256".to_owned())),
            "{id}"
        );
    }
    // And one type of key is not another.
    for (id, alg) in [
        ("p256", "ES384"),
        ("p384", "ES256"),
        ("rsa", "ES256"),
        ("ed", "RS256"),
        ("secret", "RS256"),
    ] {
        let header = json!({"alg": alg, "kid": id}).to_string();
        assert_eq!(
            judge(&raw(&header, &body, "")),
            Err(TokenRefused::OtherKeyType(alg.to_owned()))
        );
    }
}

#[test]
fn claims_are_checked_after_the_signature() {
    let judge = |more: Value| judge(&signed("p256", Algorithm::ES256, &with(claims(), more)));
    assert!(matches!(
        judge(json!({"exp": NOW})),
        Err(TokenRefused::Expired { .. })
    ));
    assert!(matches!(
        judge(json!({"nbf": NOW + 3600})),
        Err(TokenRefused::NotYetValid { .. })
    ));
    assert_eq!(
        judge(json!({"exp": "soon"})),
        Err(TokenRefused::InvalidExpiry)
    );
    assert_eq!(
        judge(json!({"exp": {"a": [1]}})),
        Err(TokenRefused::InvalidExpiry)
    );
    assert!(matches!(
        judge(json!({"aud": "other"})),
        Err(TokenRefused::OtherAudience(_))
    ));
    assert_eq!(judge(json!({"sub": ""})), Err(TokenRefused::InvalidUser));
    // Whoever has no key does not learn which claims would do.
    let body = with(claims(), json!({"exp": 0})).to_string();
    let forged = raw(
        r#"{"alg":"ES256","kid":"p256"}"#,
        &body,
        &URL_SAFE_NO_PAD.encode([7; 64]),
    );
    assert_eq!(super::tests::judge(&forged), Err(TokenRefused::Signature));
    for payload in [json!([]), json!(null), json!("claims"), json!(7)] {
        let token = signed("p256", Algorithm::ES256, &payload);
        assert_eq!(
            super::tests::judge(&token),
            Err(TokenRefused::Malformed),
            "{payload}"
        );
    }
}

#[test]
fn huge_and_deeply_nested_tokens_are_refused() {
    let huge = signed(
        "secret",
        Algorithm::HS256,
        &with(claims(), json!({"x": "x".repeat(TOKEN_MAX)})),
    );
    assert_eq!(judge(&huge), Err(TokenRefused::TooLong(TOKEN_MAX)));
    let nested = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    for (header, payload) in [
        (nested.as_str(), "{}"),
        (r#"{"alg":"HS256","kid":"secret"}"#, nested.as_str()),
        (
            r#"{"alg":"HS256","kid":"secret","x":{"x":{"x":[{}]}}}"#,
            nested.as_str(),
        ),
    ] {
        assert!(judge(&raw(header, payload, "")).is_err());
    }
    // Signed by somebody with the key, and still no claims.
    let message = raw(r#"{"alg":"HS256","kid":"secret"}"#, &nested, "");
    let message = message.trim_end_matches('.');
    let signature =
        jsonwebtoken::crypto::sign(message.as_bytes(), &signing_key("secret"), Algorithm::HS256);
    let token = format!("{message}.{}", signature.unwrap());
    assert_eq!(judge(&token), Err(TokenRefused::Malformed));
}

#[test]
fn the_algorithms_can_be_limited() {
    let rules = Rules {
        algorithms: vec![Algorithm::ES256],
        ..Rules::for_tests()
    };
    let judge = |token: &str| verify(token, &KEYS, None, &rules, NOW).map(|token| token.user);
    assert_eq!(
        judge(&signed("p256", Algorithm::ES256, &claims())).as_deref(),
        Ok("walker")
    );
    let refused = judge(&signed("rsa", Algorithm::RS256, &claims()));
    assert_eq!(refused, Err(TokenRefused::Algorithm("RS256".to_owned())));
}

#[test]
fn a_token_without_a_key_id_gets_the_default_key() {
    let header = jsonwebtoken::Header::new(Algorithm::ES256);
    let token = encode(&header, &claims(), &signing_key("p256")).unwrap();
    let judge = |keys: &KeySet, default| verify(&token, keys, default, &Rules::for_tests(), NOW);
    assert_eq!(judge(&KEYS, None), Err(TokenRefused::UnknownKey(None)));
    assert!(judge(&KEYS, Some("p256")).is_ok());
    assert!(judge(&KEYS, Some("rsa")).is_err());
    let mut keys = KeySet::default();
    keys.add_file(None, test_keys::P256_PUBLIC).unwrap();
    assert!(
        judge(&keys, None).is_ok(),
        "a key without an id is for such tokens"
    );
}

#[test]
fn a_refusal_says_nothing_of_the_token_that_could_be_used() {
    let token = signed(
        "rsa",
        Algorithm::RS256,
        &with(claims(), json!({"aud": "other"})),
    );
    let signature = token.rsplit('.').next().unwrap();
    for broken in [
        token.clone(),
        format!("{token}x"),
        token.replace('.', ""),
        signature.to_owned(),
    ] {
        let error = judge(&broken).unwrap_err().to_string();
        assert!(
            token.split('.').all(|part| !error.contains(part)),
            "{error}"
        );
    }
}

static VALID: LazyLock<Vec<String>> = LazyLock::new(|| {
    [
        ("p256", Algorithm::ES256),
        ("ed", Algorithm::EdDSA),
        ("secret", Algorithm::HS256),
    ]
    .map(|(id, algorithm)| signed(id, algorithm, &claims()))
    .to_vec()
});

proptest! {
    #[test]
    fn no_bytes_cause_a_panic(token in ".{0,80}", parts in proptest::collection::vec("[A-Za-z0-9_-]{0,30}", 0..5)) {
        prop_assert!(judge(&token).is_err());
        prop_assert!(judge(&parts.join(".")).is_err());
    }

    #[test]
    fn a_changed_token_is_never_taken(
        which in 0..3_usize,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), 0..3_u8, "[A-Za-z0-9_.=-]"), 1..4),
    ) {
        let valid = &VALID[which];
        let mut token: Vec<u8> = valid.clone().into_bytes();
        for (at, change, byte) in &changes {
            let at = at.index(token.len());
            let byte = byte.as_bytes()[0];
            match change {
                0 => token[at] = byte,
                1 => token.insert(at, byte),
                _ => { token.remove(at); }
            }
        }
        let token = String::from_utf8(token).unwrap();
        prop_assert_eq!(judge(&token).is_ok(), token == *valid, "{}", token);
    }

    #[test]
    fn claims_of_any_shape_are_judged_without_a_panic(
        exp in json_value(), aud in json_value(), scope in json_value(), sub in json_value(),
    ) {
        let claims = json!({"exp": exp, "aud": aud, "scope": scope, "sub": sub});
        let token = signed("secret", Algorithm::HS256, &claims);
        if let Ok(token) = judge(&token) {
            prop_assert!(token.expires.is_some_and(|at| at > NOW));
            prop_assert!(claims["aud"].to_string().contains("rabbitmq"));
        }
    }
}

/// Returns JSON of a few levels, with words and times that matter here among its leaves.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(json!(NOW + 5)),
        Just(json!("rabbitmq")),
        Just(json!("rabbitmq.read:*/* rabbitmq.tag:administrator")),
        ".{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map("(rabbitmq|scope|a)", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}
