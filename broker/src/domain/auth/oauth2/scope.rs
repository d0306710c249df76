//! What the scopes of a token permit: `read:VHOST/NAME`, `write:VHOST/NAME/ROUTING-KEY`, `tag:administrator`.
//!
//! The forms are RabbitMQ's (OAuth 2 guide, "Scope-to-Permission Translation"; `rabbit_oauth2_scope`).

use super::claims::Claims;
use super::wildcard::{Wildcard, literal};
use crate::domain::auth::Access;
use std::borrow::Cow;

/// The scopes with this prefix are tags.
const TAG: &str = "tag:";
/// The variable that stands for the virtual host of the operation.
const VHOST: &str = "vhost";

/// The permission that one scope grants.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Grant {
    access: Access,
    vhost: Wildcard,
    name: Wildcard,
    /// Without one the scope permits nothing on the topics of an exchange, as in RabbitMQ.
    routing_key: Option<Wildcard>,
}

impl Grant {
    /// Reads a scope without its prefix. Returns `None` for what is no permission: it is ignored.
    fn parse(scope: &str) -> Option<Self> {
        let (access, rest) = scope.split_once(':')?;
        let access = [Access::Configure, Access::Write, Access::Read]
            .into_iter()
            .find(|one| one.as_str() == access)?;
        let mut parts = rest.split('/');
        let grant = Grant {
            access,
            vhost: Wildcard::parse(parts.next()?)?,
            name: Wildcard::parse(parts.next()?)?,
            routing_key: match parts.next() {
                Some(pattern) => Some(Wildcard::parse(pattern)?),
                None => None,
            },
        };
        parts.next().is_none().then_some(grant)
    }

    fn is_in(&self, vhost: &str) -> bool {
        self.vhost.matches(vhost.as_bytes())
    }
}

/// A scope that says something else in every virtual host.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Template {
    /// What stands between the variables.
    texts: Vec<String>,
}

impl Template {
    /// Replaces the variables by the token's claims, which stand for themselves, except `{vhost}`. Returns `None` if the
    /// braces do not match: such a scope is ignored.
    fn of(scope: &str, claims: &Claims) -> Option<Self> {
        let (mut texts, mut text) = (Vec::new(), String::new());
        let mut rest = scope;
        while let Some((before, after)) = rest.split_once('{') {
            text.push_str(before);
            let end = after.find(['{', '.', '*', '}']).unwrap_or(after.len());
            let (name, closing) = after.split_at(end);
            match (name, claims.text(name)) {
                (VHOST, _) => texts.push(std::mem::take(&mut text)),
                (_, Some(value)) => text.push_str(&literal(value)),
                (_, None) => text.push_str(name),
            }
            rest = match closing {
                "" => "",
                closing => closing.strip_prefix('}')?,
            };
        }
        text.push_str(rest);
        texts.push(text);
        Some(Template { texts })
    }

    /// Returns the permission, if it is the same in all virtual hosts; `Err` with the template otherwise.
    fn fixed(mut self) -> Result<Option<Grant>, Template> {
        match self.texts.len() {
            1 => Ok(self.texts.pop().as_deref().and_then(Grant::parse)),
            _ => Err(self),
        }
    }

    fn grant_in(&self, vhost: &str) -> Option<Grant> {
        Grant::parse(&self.texts.join(&literal(vhost)))
    }
}

/// Everything that the scopes of a token permit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scopes {
    grants: Vec<Grant>,
    templates: Vec<Template>,
    tags: Vec<String>,
}

impl Scopes {
    /// Reads scopes whose prefix has been removed. What is neither a permission nor a tag is ignored.
    pub(super) fn read<'a>(scopes: impl IntoIterator<Item = &'a str>, claims: &Claims) -> Self {
        let mut result = Scopes::default();
        for scope in scopes {
            if let Some(tag) = scope.strip_prefix(TAG) {
                result.tags.push(tag.to_owned());
                continue;
            }
            match Template::of(scope, claims).map(Template::fixed) {
                Some(Ok(grant)) => result.grants.extend(grant),
                Some(Err(template)) => result.templates.push(template),
                None => {}
            }
        }
        result.tags.sort_unstable();
        result.tags.dedup();
        result
    }

    /// Returns the tags of the user.
    pub(super) fn tags(&self) -> &[String] {
        &self.tags
    }

    fn grants_in(&self, vhost: &str) -> impl Iterator<Item = Cow<'_, Grant>> {
        let templates = self.templates.iter();
        let expanded = templates.filter_map(move |template| template.grant_in(vhost));
        let all = self.grants.iter().map(Cow::Borrowed);
        all.chain(expanded.map(Cow::Owned))
            .filter(move |grant| grant.is_in(vhost))
    }

    /// Returns whether any permission in the virtual host is granted.
    pub(super) fn permit_vhost(&self, vhost: &str) -> bool {
        self.grants_in(vhost).next().is_some()
    }

    /// Returns whether this access to the queue or exchange with this name is granted.
    pub(super) fn permit(&self, vhost: &str, access: Access, name: &str) -> bool {
        self.grants_in(vhost)
            .any(|grant| grant.access == access && grant.name.matches(name.as_bytes()))
    }

    /// Returns whether this access to a topic exchange is granted with this routing key.
    pub(super) fn permit_topic(
        &self,
        vhost: &str,
        access: Access,
        exchange: &str,
        routing_key: &str,
    ) -> bool {
        self.grants_in(vhost).any(|grant| {
            let key = grant.routing_key.as_ref();
            grant.access == access
                && grant.name.matches(exchange.as_bytes())
                && key.is_some_and(|key| key.matches(routing_key.as_bytes()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn scopes(scopes: &[&str]) -> Scopes {
        let claims = Claims::from_value(json!({"sub": "a*b/c", "number": 7, "team": "red"}));
        Scopes::read(scopes.iter().copied(), &claims.unwrap())
    }

    #[test]
    fn a_scope_permits_its_access_to_what_its_patterns_match() {
        let scopes = scopes(&[
            "read:v*/q*",
            "write:%2F/x/a.*",
            "configure:*/*",
            "tag:monitoring",
        ]);
        assert!(scopes.permit("v1", Access::Read, "q1") && !scopes.permit("w", Access::Read, "q1"));
        assert!(
            !scopes.permit("v1", Access::Read, "r") && !scopes.permit("v1", Access::Write, "q1")
        );
        assert!(scopes.permit("/", Access::Write, "x") && !scopes.permit("/", Access::Write, "y"));
        assert!(scopes.permit("anywhere", Access::Configure, "anything"));
        assert!(scopes.permit_vhost("anywhere"));
        assert_eq!(scopes.tags(), ["monitoring"]);
    }

    #[test]
    fn topics_need_a_scope_with_a_routing_key() {
        let scopes = scopes(&["write:*/x/a.*", "write:*/*", "read:*/*"]);
        let may =
            |access, exchange: &str, key: &str| scopes.permit_topic("/", access, exchange, key);
        assert!(may(Access::Write, "x", "a.b") && !may(Access::Write, "x", "b.a"));
        assert!(!may(Access::Write, "y", "a.b") && !may(Access::Read, "x", "a.b"));
    }

    #[test]
    fn what_is_no_permission_is_ignored() {
        for ignored in [
            "",
            "read",
            "read:",
            "read:*",
            "read:a/b/c/d",
            "reads:*/*",
            "Read:*/*",
            ":*/*",
            "read:%/x",
            "openid",
            "write:*/%zz",
            "tag",
            "read:{a.b}/x",
            "read:{{vhost}}/x",
        ] {
            let scopes = scopes(&[ignored]);
            assert!(
                !scopes.permit_vhost("/") && !scopes.permit_vhost("v"),
                "{ignored}"
            );
        }
    }

    #[test]
    fn variables_stand_for_claims_and_the_virtual_host() {
        let may = |scope: &str, vhost: &str, name: &str| {
            scopes(&[scope]).permit(vhost, Access::Read, name)
        };
        assert!(may("read:{vhost}/q", "/", "q") && may("read:{vhost}/q", "v", "q"));
        assert!(may("read:v/{vhost}-*", "v", "v-1") && !may("read:v/{vhost}-*", "v", "w-1"));
        assert!(may("read:{vhost}/{team}", "v", "red") && !may("read:{vhost}/{team}", "v", "blue"));
        assert!(
            may("read:v/{sub}", "v", "a*b/c"),
            "a claim stands for itself"
        );
        assert!(!may("read:v/{sub}", "v", "axb/c"));
        assert!(may("read:v/{number}", "v", "number") && may("read:v/{none}", "v", "none"));
        assert!(may("read:v/a}b", "v", "a}b"));
        assert!(!may("read:{vhost}/q", "*", "r"));
    }

    proptest! {
        /// A model a line long: a scope is its four parts.
        #[test]
        fn scopes_permit_what_their_parts_say(
            parts in proptest::collection::vec(("(read|write|configure)", "[ab*]{1,2}", "[ab*]{1,2}"), 0..4),
            vhost in "[ab]{1,2}",
            name in "[ab]{1,2}",
        ) {
            let texts: Vec<_> = parts.iter().map(|(access, v, n)| format!("{access}:{v}/{n}")).collect();
            let texts: Vec<_> = texts.iter().map(String::as_str).collect();
            let scopes = scopes(&texts);
            let matches = |pattern: &str, subject: &str| {
                Wildcard::parse(pattern).unwrap().matches(subject.as_bytes())
            };
            for access in [Access::Read, Access::Write, Access::Configure] {
                let expected = parts.iter().any(|(granted, v, n)| {
                    granted == access.as_str() && matches(v, &vhost) && matches(n, &name)
                });
                prop_assert_eq!(scopes.permit(&vhost, access, &name), expected);
            }
            prop_assert_eq!(scopes.permit_vhost(&vhost), parts.iter().any(|(_, v, _)| matches(v, &vhost)));
        }

        #[test]
        fn no_scope_causes_a_panic(scope in r"[a-z:/{}.*%]{0,24}", vhost in ".{0,4}") {
            let scopes = scopes(&[&scope]);
            scopes.permit(&vhost, Access::Read, "q");
            scopes.permit_topic(&vhost, Access::Write, "x", "k");
        }
    }
}
