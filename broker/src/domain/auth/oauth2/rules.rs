//! What is demanded of a token, beyond a signature.

use crate::config::Config;
use jsonwebtoken::Algorithm;

/// The rules that the settings of the operator make.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// The name of this broker among the services of the authorization server.
    pub(super) resource_server_id: String,
    /// What kind of resource this is in the details of a rich authorization request.
    pub(super) resource_server_type: Option<String>,
    /// Who has to have made the token.
    pub(super) issuer: Option<String>,
    /// The token has to be for this broker.
    pub(super) verify_aud: bool,
    /// The token has to expire.
    pub(super) require_exp: bool,
    /// What the scopes for this broker begin with.
    pub(super) scope_prefix: String,
    /// The scopes that another one stands for, as words.
    pub(super) scope_aliases: Vec<(String, String)>,
    /// Where there are more scopes: paths of claims.
    pub(super) additional_scopes_key: Vec<String>,
    /// The claims that name the user, before `sub` and `client_id`.
    pub(super) preferred_username_claims: Vec<String>,
    /// The algorithms of signatures; empty for all that fit the key.
    pub(super) algorithms: Vec<Algorithm>,
}

impl Rules {
    /// Returns the rules that the settings make.
    ///
    /// # Errors
    /// Which setting is missing.
    pub(super) fn of(config: &Config) -> Result<Self, String> {
        let id = config.auth_oauth2_resource_server_id.clone();
        let id = id.filter(|id| !id.is_empty()).ok_or(
            "auth_oauth2_resource_server_id: the backend oauth2 needs the name of this broker",
        )?;
        let prefix = config.auth_oauth2_scope_prefix.clone();
        let additional = config.auth_oauth2_additional_scopes_key.as_deref();
        let algorithms = config.auth_oauth2_algorithms.iter();
        Ok(Rules {
            scope_prefix: prefix.unwrap_or_else(|| format!("{id}.")),
            resource_server_id: id,
            resource_server_type: config.auth_oauth2_resource_server_type.clone(),
            issuer: config.auth_oauth2_issuer.clone(),
            verify_aud: config.auth_oauth2_verify_aud,
            require_exp: config.auth_oauth2_require_exp,
            scope_aliases: config.auth_oauth2_scope_aliases.clone(),
            additional_scopes_key: additional
                .unwrap_or_default()
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
            preferred_username_claims: config.auth_oauth2_preferred_username_claims.clone(),
            algorithms: algorithms
                .map(|name| {
                    name.parse()
                        .map_err(|_| format!("unknown algorithm {name}"))
                })
                .collect::<Result<_, _>>()?,
        })
    }

    /// Returns the rules of a broker with the name `rabbitmq` and no other settings.
    #[cfg(test)]
    pub(super) fn for_tests() -> Self {
        let config = Config {
            auth_oauth2_resource_server_id: Some("rabbitmq".to_owned()),
            ..Config::with_data_dir(std::env::temp_dir())
        };
        Self::of(&config).unwrap()
    }
}
