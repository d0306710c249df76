//! The claims of a token whose signature has been verified: for whom it is, until when, and which scopes it carries.

use super::refused::TokenRefused;
use super::rich;
use super::rules::Rules;
use super::scope::Scopes;
use serde_json::{Map, Value};

/// As many scopes are read (RabbitMQ: `MAX_SCOPE_COUNT`).
const SCOPES_MAX: usize = 2048;
/// Seconds by which another machine's clock may be ahead: a token may say that it is valid from then on.
const CLOCK_SKEW: i64 = 60;
/// The longest name that AMQP's short strings hold, in bytes.
const NAME_MAX: usize = 255;
/// The user of a token without any name (RabbitMQ: `username_from`).
const UNKNOWN: &str = "unknown";
/// Where authorization servers with User-Managed Access put scopes, such as Keycloak.
const REQUESTING_PARTY_SCOPES: &str = "authorization.permissions.scopes";

/// The claims of a token.
#[derive(Clone, Debug)]
pub(super) struct Claims(Map<String, Value>);

impl Claims {
    /// Returns the claims, if the value is an object.
    pub(super) fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Object(claims) => Some(Claims(claims)),
            _ => None,
        }
    }

    /// Returns a claim that is text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// Checks that the token is for this broker: its audience names the resource server (a list, or words).
    ///
    /// # Errors
    /// When it does not.
    pub(super) fn check_audience(&self, rules: &Rules) -> Result<(), TokenRefused> {
        if !rules.verify_aud {
            return Ok(());
        }
        let id = rules.resource_server_id.as_str();
        let found = match self.0.get("aud") {
            None => return Err(TokenRefused::NoAudience),
            Some(Value::String(audience)) => words(audience).any(|word| word == id),
            Some(Value::Array(audiences)) => audiences.iter().any(|one| one.as_str() == Some(id)),
            Some(_) => false,
        };
        match found {
            true => Ok(()),
            false => Err(TokenRefused::OtherAudience(id.to_owned())),
        }
    }

    /// Checks that the configured issuer made the token.
    ///
    /// # Errors
    /// When another one did.
    pub(super) fn check_issuer(&self, rules: &Rules) -> Result<(), TokenRefused> {
        let same = |issuer: &str| {
            let given = self.text("iss").unwrap_or_default();
            given.trim_end_matches('/') == issuer.trim_end_matches('/')
        };
        match &rules.issuer {
            Some(issuer) if !same(issuer) => Err(TokenRefused::OtherIssuer(issuer.clone())),
            _ => Ok(()),
        }
    }

    /// Returns when the token expires, in seconds since 1970; `None` for never.
    ///
    /// # Errors
    /// When it has expired or is not valid yet, or does not say when it expires and has to.
    pub(super) fn expiry(&self, rules: &Rules, now: i64) -> Result<Option<i64>, TokenRefused> {
        if let Some(from) = self.0.get("nbf") {
            let from = seconds(from).ok_or(TokenRefused::InvalidNotBefore)?;
            if from > now.saturating_add(CLOCK_SKEW) {
                return Err(TokenRefused::NotYetValid { from, now });
            }
        }
        let Some(expiry) = self.0.get("exp") else {
            return match rules.require_exp {
                true => Err(TokenRefused::NoExpiry),
                false => Ok(None),
            };
        };
        let at = seconds(expiry).ok_or(TokenRefused::InvalidExpiry)?;
        match at <= now {
            true => Err(TokenRefused::Expired { at, now }),
            false => Ok(Some(at)),
        }
    }

    /// Returns the name of the user: the first of the preferred claims that is text.
    ///
    /// # Errors
    /// When it is no name that a user can have.
    pub(super) fn user(&self, rules: &Rules) -> Result<String, TokenRefused> {
        let preferred = rules.preferred_username_claims.iter().map(String::as_str);
        let mut claims = preferred.chain(["sub", "client_id"]);
        let name = claims.find_map(|claim| self.text(claim)).unwrap_or(UNKNOWN);
        match name.is_empty() || name.len() > NAME_MAX {
            true => Err(TokenRefused::InvalidUser),
            false => Ok(name.to_owned()),
        }
    }

    /// Returns what the scopes permit, wherever the token carries them.
    ///
    /// # Errors
    /// When there are too many.
    pub(super) fn scopes(&self, rules: &Rules) -> Result<Scopes, TokenRefused> {
        let id = rules.resource_server_id.as_str();
        let mut all = Vec::new();
        if let Some(scope) = self.0.get("scope") {
            add_scopes(scope, id, &mut all);
        }
        let additional = rules.additional_scopes_key.iter().map(String::as_str);
        for path in additional.chain([REQUESTING_PARTY_SCOPES]) {
            let path: Vec<&str> = path.split('.').filter(|key| !key.is_empty()).collect();
            if let Some((first, rest)) = path.split_first()
                && let Some(value) = self.0.get(*first)
            {
                add_at(value, rest, id, &mut all);
            }
        }
        for at in 0..all.len() {
            let aliases = rules.scope_aliases.iter();
            let meant = aliases.filter(|(alias, _)| *alias == all[at]);
            let meant: Vec<_> = meant.flat_map(|(_, scopes)| words(scopes)).collect();
            all.extend(meant.into_iter().map(str::to_owned));
        }
        if let Some(details) = self.0.get("authorization_details") {
            rich::add_scopes(details, rules, &mut all);
        }
        all.sort_unstable();
        all.dedup();
        let prefix = rules.scope_prefix.as_str();
        let prefixed = all.iter().filter_map(|scope| scope.strip_prefix(prefix));
        let ours: Vec<&str> = prefixed.collect();
        match ours.len() > SCOPES_MAX {
            true => Err(TokenRefused::TooManyScopes),
            false => Ok(Scopes::read(ours, self)),
        }
    }
}

/// Returns the words of a text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(' ').filter(|word| !word.is_empty())
}

/// Returns a time in whole seconds, if the claim is a number.
fn seconds(claim: &Value) -> Option<i64> {
    // A number beyond the range of integers is far in the past or the future.
    claim
        .as_i64()
        .or_else(|| claim.as_f64().map(|at| at as i64))
}

/// Adds the scopes of a claim: words, a list, or an object with either under the id of the resource server and without
/// its prefix.
fn add_scopes(claim: &Value, id: &str, all: &mut Vec<String>) {
    match claim {
        Value::String(text) => all.extend(words(text).map(str::to_owned)),
        Value::Array(list) => all.extend(list.iter().filter_map(Value::as_str).map(str::to_owned)),
        Value::Object(servers) => {
            let mut unprefixed = Vec::new();
            match servers.get(id) {
                Some(scopes @ (Value::String(_) | Value::Array(_))) => {
                    add_scopes(scopes, id, &mut unprefixed);
                }
                _ => return,
            }
            all.extend(unprefixed.iter().map(|scope| format!("{id}.{scope}")));
        }
        _ => {}
    }
}

/// Adds the scopes at a path of keys below a claim. Every element of a list is looked at.
fn add_at(claim: &Value, path: &[&str], id: &str, all: &mut Vec<String>) {
    match (path.split_first(), claim) {
        (None, claim) => add_scopes(claim, id, all),
        (Some((key, rest)), Value::Object(object)) => {
            if let Some(inner) = object.get(*key) {
                add_at(inner, rest, id, all);
            }
        }
        (Some(_), Value::Array(list)) => {
            for element in list {
                if element.is_object() {
                    add_at(element, path, id, all);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::auth::Access;
    use serde_json::json;

    const NOW: i64 = 1_700_000_000;

    fn claims(value: Value) -> Claims {
        Claims::from_value(value).unwrap()
    }

    fn rules() -> Rules {
        Rules::for_tests()
    }

    #[test]
    fn the_audience_names_the_broker_in_a_list_or_among_words() {
        let check = |aud: Value| {
            claims(json!({ "aud": aud }))
                .check_audience(&rules())
                .is_ok()
        };
        assert!(check(json!("rabbitmq")) && check(json!(["other", "rabbitmq"])));
        assert!(check(json!("other rabbitmq")));
        for wrong in [
            json!("rabbitmq2"),
            json!([]),
            json!(""),
            json!(7),
            json!(null),
            json!({"rabbitmq": true}),
            json!([["rabbitmq"]]),
            json!("Rabbitmq"),
        ] {
            assert!(!check(wrong.clone()), "{wrong}");
        }
        let none = claims(json!({}));
        assert_eq!(none.check_audience(&rules()), Err(TokenRefused::NoAudience));
        let rules = Rules {
            verify_aud: false,
            ..rules()
        };
        assert_eq!(none.check_audience(&rules), Ok(()));
    }

    #[test]
    fn a_token_is_valid_from_nbf_until_exp() {
        let expiry = |value: Value| claims(value).expiry(&rules(), NOW);
        assert_eq!(expiry(json!({"exp": NOW + 1})), Ok(Some(NOW + 1)));
        assert_eq!(expiry(json!({"exp": NOW as f64 + 1.9})), Ok(Some(NOW + 1)));
        assert_eq!(expiry(json!({"exp": 1e300})), Ok(Some(i64::MAX)));
        assert_eq!(expiry(json!({"exp": u64::MAX})), Ok(Some(i64::MAX)));
        for at in [json!(NOW), json!(0), json!(-1), json!(-1e300)] {
            assert!(
                matches!(
                    expiry(json!({ "exp": at })),
                    Err(TokenRefused::Expired { .. })
                ),
                "{at}"
            );
        }
        for wrong in [
            json!("1800000000"),
            json!(null),
            json!([NOW + 1]),
            json!({}),
            json!(true),
        ] {
            assert_eq!(
                expiry(json!({ "exp": wrong })),
                Err(TokenRefused::InvalidExpiry),
                "{wrong}"
            );
            let nbf = expiry(json!({ "exp": NOW + 1, "nbf": wrong }));
            assert_eq!(nbf, Err(TokenRefused::InvalidNotBefore), "{wrong}");
        }
        assert_eq!(expiry(json!({})), Err(TokenRefused::NoExpiry));
        let lenient = Rules {
            require_exp: false,
            ..rules()
        };
        assert_eq!(claims(json!({})).expiry(&lenient, NOW), Ok(None));
        assert!(expiry(json!({"exp": NOW + 999, "nbf": NOW + CLOCK_SKEW})).is_ok());
        let early = expiry(json!({"exp": NOW + 999, "nbf": NOW + CLOCK_SKEW + 1}));
        assert!(matches!(early, Err(TokenRefused::NotYetValid { .. })));
    }

    #[test]
    fn another_issuer_is_refused_if_one_is_configured() {
        let check = |rules: &Rules, value: Value| claims(value).check_issuer(rules).is_ok();
        assert!(check(&rules(), json!({})) && check(&rules(), json!({"iss": "anybody"})));
        let issuer = Some("https://id.example/realm/".to_owned());
        let rules = Rules { issuer, ..rules() };
        assert!(check(&rules, json!({"iss": "https://id.example/realm"})));
        for wrong in [
            json!({}),
            json!({"iss": "https://id.example"}),
            json!({"iss": ["https://id.example/realm"]}),
        ] {
            assert!(!check(&rules, wrong.clone()), "{wrong}");
        }
    }

    #[test]
    fn the_user_is_the_first_preferred_claim_that_is_text() {
        let user = |value: Value| claims(value).user(&rules());
        assert_eq!(
            user(json!({"sub": "s", "client_id": "c"})).as_deref(),
            Ok("s")
        );
        assert_eq!(
            user(json!({"sub": 7, "client_id": "c"})).as_deref(),
            Ok("c")
        );
        assert_eq!(user(json!({})).as_deref(), Ok("unknown"));
        assert_eq!(user(json!({"sub": ""})), Err(TokenRefused::InvalidUser));
        assert_eq!(
            user(json!({"sub": "x".repeat(256)})),
            Err(TokenRefused::InvalidUser)
        );
        let rules = Rules {
            preferred_username_claims: vec!["email".to_owned()],
            ..rules()
        };
        let both = claims(json!({"sub": "s", "email": "e"}));
        assert_eq!(both.user(&rules).as_deref(), Ok("e"));
        assert_eq!(claims(json!({"sub": "s"})).user(&rules).as_deref(), Ok("s"));
    }

    #[test]
    fn scopes_are_found_wherever_rabbitmq_looks() {
        let rules = Rules {
            additional_scopes_key: vec!["roles".to_owned(), "a.b".to_owned()],
            scope_aliases: vec![(
                "boss".to_owned(),
                "rabbitmq.tag:administrator rabbitmq.read:*/*".to_owned(),
            )],
            ..rules()
        };
        let read = |value: Value| claims(value).scopes(&rules).unwrap();
        let may = |value: Value| read(value).permit("/", Access::Read, "q");
        for carrying in [
            json!({"scope": "openid rabbitmq.read:*/*  other"}),
            json!({"scope": ["rabbitmq.read:*/*", 7]}),
            json!({"roles": "rabbitmq.read:*/*"}),
            json!({"roles": {"rabbitmq": ["read:*/*"], "other": []}}),
            json!({"roles": {"rabbitmq": "read:*/*"}}),
            json!({"a": {"b": ["rabbitmq.read:*/*"]}}),
            json!({"a": [7, {"b": "rabbitmq.read:*/*"}]}),
            json!({"scope": "boss"}),
            json!({"authorization": {"permissions": [{"rsname": "x"}, {"scopes": ["rabbitmq.read:*/*"]}]}}),
        ] {
            assert!(may(carrying.clone()), "{carrying}");
        }
        for useless in [
            json!({"scope": "read:*/*"}),
            json!({"scope": "rabbitmqXread:*/*"}),
            json!({"scope": 7}),
            json!({"scope": {"other": ["read:*/*"]}}),
            json!({"roles": [["rabbitmq.read:*/*"]]}),
            json!({"a": {"b": {"rabbitmq": {"rabbitmq": "read:*/*"}}}}),
            json!({"boss": "boss"}),
        ] {
            assert!(!may(useless.clone()), "{useless}");
        }
        assert_eq!(read(json!({"scope": "boss"})).tags(), ["administrator"]);
    }

    #[test]
    fn too_many_scopes_are_refused() {
        let list = |count: usize| {
            (0..count)
                .map(|at| format!("rabbitmq.read:*/{at}"))
                .collect::<Vec<_>>()
        };
        assert!(
            claims(json!({"scope": list(SCOPES_MAX)}))
                .scopes(&rules())
                .is_ok()
        );
        let refused = claims(json!({"scope": list(SCOPES_MAX + 1)})).scopes(&rules());
        assert_eq!(refused, Err(TokenRefused::TooManyScopes));
        let same = claims(json!({"scope": vec!["rabbitmq.read:*/*"; SCOPES_MAX + 1]}));
        assert!(same.scopes(&rules()).is_ok(), "duplicates do not count");
    }
}
