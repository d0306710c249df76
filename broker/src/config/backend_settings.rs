//! The settings of the backends that are asked about logins, in a file of their own: OAuth 2 and the HTTP service.

/// Declares the settings that it is given, and behind them those of the backends; see
/// [`declare_settings`](super::table::declare_settings). Their names are RabbitMQ's, with `_` for its dots.
macro_rules! with_backends {
    ($($before:tt)*) => {
        declare_settings! {
            $($before)*

            /// Name of this broker at the OAuth 2 server: the audience of its tokens, and what its scopes begin
            /// with [default: none]
            #[arg(long, value_name = "NAME", help_heading = "OAuth 2")]
            auth_oauth2_resource_server_id: String,
            /// The name of this broker at the OAuth 2 server.
            Option<String> = None;

            /// Type of this broker's resources in rich authorization requests [default: none]
            #[arg(long, value_name = "TYPE", help_heading = "OAuth 2")]
            auth_oauth2_resource_server_type: String,
            /// The type of this broker's resources in rich authorization requests.
            Option<String> = None;

            /// Issuer that tokens must have; without --auth-oauth2-jwks-url, also the URL below which
            /// /.well-known/openid-configuration says where its keys are [default: none]
            #[arg(long, value_name = "URL", help_heading = "OAuth 2")]
            auth_oauth2_issuer: String,
            /// The issuer that tokens must have, if any.
            Option<String> = None;

            /// URL of the JSON Web Key Set that tokens are verified with [default: none]
            #[arg(long, value_name = "URL", help_heading = "OAuth 2")]
            auth_oauth2_jwks_url: String,
            /// The URL of the keys of tokens.
            Option<String> = None;

            /// Files with keys of tokens: ID=FILE with one key in PEM, or FILE with a JSON Web Key Set,
            /// separated by commas [default: none]
            #[arg(long, value_name = "KEYS", help_heading = "OAuth 2")]
            auth_oauth2_signing_keys: SigningKeys,
            /// Files with keys of tokens.
            Vec<SigningKey> = Vec::new();

            /// Id of the key for tokens that name none [default: none]
            #[arg(long, value_name = "ID", help_heading = "OAuth 2")]
            auth_oauth2_default_key: String,
            /// The id of the key for tokens that name none.
            Option<String> = None;

            /// Algorithms that tokens may be signed with, separated by commas, or none for all that fit their key
            /// [default: none]
            #[arg(long, value_name = "ALGORITHMS", help_heading = "OAuth 2")]
            auth_oauth2_algorithms: TokenAlgorithms,
            /// The algorithms that tokens may be signed with; empty for all that fit their key.
            Vec<String> = Vec::new();

            /// File with the certificates of the authorities that are trusted with the OAuth 2 server, in place
            /// of the system's [default: none]
            #[arg(long, value_name = "PATH", help_heading = "OAuth 2")]
            auth_oauth2_https_cacertfile: PathBuf,
            /// The authorities that are trusted with the OAuth 2 server; `None` for the system's.
            Option<PathBuf> = None;

            /// Fetch keys over http from other machines, too, although anybody between could replace them: true
            /// or false [default: false]
            #[arg(long, value_name = "BOOL", help_heading = "OAuth 2")]
            auth_oauth2_allow_http: bool,
            /// Whether keys are fetched without TLS from other machines.
            bool = false;

            /// Refuse tokens whose audience is not this broker: true or false [default: true]
            #[arg(long, value_name = "BOOL", help_heading = "OAuth 2")]
            auth_oauth2_verify_aud: bool,
            /// Whether tokens for others are refused.
            bool = true;

            /// Refuse tokens that never expire: true or false [default: true]
            #[arg(long, value_name = "BOOL", help_heading = "OAuth 2")]
            auth_oauth2_require_exp: bool,
            /// Whether tokens that never expire are refused.
            bool = true;

            /// What the scopes for this broker begin with [default: the resource server id and a dot]
            #[arg(long, value_name = "PREFIX", help_heading = "OAuth 2")]
            auth_oauth2_scope_prefix: String,
            /// What the scopes for this broker begin with; `None` for its name and a dot.
            Option<String> = None;

            /// Scopes that others stand for, as ALIAS=SCOPE SCOPE, separated by commas [default: none]
            #[arg(long, value_name = "ALIASES", help_heading = "OAuth 2")]
            auth_oauth2_scope_aliases: ScopeAliases,
            /// The scopes that others stand for, as words.
            Vec<(String, String)> = Vec::new();

            /// Claims with further scopes, separated by spaces; a.b is in a [default: none]
            #[arg(long, value_name = "CLAIMS", help_heading = "OAuth 2")]
            auth_oauth2_additional_scopes_key: String,
            /// The claims with further scopes, as words.
            Option<String> = None;

            /// Claims with the user's name, separated by commas, to be used before sub and client_id [default:
            /// none]
            #[arg(long, value_name = "CLAIMS", help_heading = "OAuth 2")]
            auth_oauth2_preferred_username_claims: Words,
            /// The claims with the user's name, before `sub` and `client_id`.
            Vec<String> = Vec::new();

            /// How the HTTP service is asked about logins: get or post [default: get]
            #[arg(long, value_name = "METHOD", help_heading = "HTTP auth backend", hide_possible_values = true)]
            auth_http_http_method: HttpMethod,
            /// How the HTTP service is asked.
            HttpMethod = HttpMethod::Get;

            /// URL that is asked whether a user may log in [default: http://localhost:8000/auth/user]
            #[arg(long, value_name = "URL", help_heading = "HTTP auth backend")]
            auth_http_user_path: String,
            /// The URL that is asked whether a user may log in.
            String = "http://localhost:8000/auth/user".to_owned();

            /// URL that is asked whether a user may use a virtual host [default: http://localhost:8000/auth/vhost]
            #[arg(long, value_name = "URL", help_heading = "HTTP auth backend")]
            auth_http_vhost_path: String,
            /// The URL that is asked whether a user may use a virtual host.
            String = "http://localhost:8000/auth/vhost".to_owned();

            /// URL that is asked whether a user may use a queue or an exchange [default:
            /// http://localhost:8000/auth/resource]
            #[arg(long, value_name = "URL", help_heading = "HTTP auth backend")]
            auth_http_resource_path: String,
            /// The URL that is asked whether a user may use a queue or an exchange.
            String = "http://localhost:8000/auth/resource".to_owned();

            /// URL that is asked whether a user may use a routing key of a topic exchange [default:
            /// http://localhost:8000/auth/topic]
            #[arg(long, value_name = "URL", help_heading = "HTTP auth backend")]
            auth_http_topic_path: String,
            /// The URL that is asked whether a user may use a routing key of a topic exchange.
            String = "http://localhost:8000/auth/topic".to_owned();

            /// Milliseconds that the HTTP service may take for an answer [default: 15000]
            #[arg(long, value_name = "MILLISECONDS", help_heading = "HTTP auth backend")]
            auth_http_request_timeout: Interval,
            /// How long the HTTP service may take for an answer.
            Duration = DEFAULT_AUTH_HTTP_TIMEOUT;

            /// Milliseconds that connecting to the HTTP service may take [default: 15000]
            #[arg(long, value_name = "MILLISECONDS", help_heading = "HTTP auth backend")]
            auth_http_connection_timeout: Interval,
            /// How long connecting to the HTTP service may take.
            Duration = DEFAULT_AUTH_HTTP_TIMEOUT;

            /// File with the certificates of the authorities that are trusted with the HTTP service, in place of
            /// the system's [default: none]
            #[arg(long, value_name = "PATH", help_heading = "HTTP auth backend")]
            auth_http_ssl_options_cacertfile: PathBuf,
            /// The authorities that are trusted with the HTTP service; `None` for the system's.
            Option<PathBuf> = None;

            /// File with the certificate that is shown to the HTTP service [default: none]
            #[arg(long, value_name = "PATH", help_heading = "HTTP auth backend")]
            auth_http_ssl_options_certfile: PathBuf,
            /// The certificate that is shown to the HTTP service.
            Option<PathBuf> = None;

            /// File with its key [default: none]
            #[arg(long, value_name = "PATH", help_heading = "HTTP auth backend")]
            auth_http_ssl_options_keyfile: PathBuf,
            /// Its key.
            Option<PathBuf> = None;

            /// Milliseconds for which the answers of the HTTP service hold [default: 15000]
            #[arg(long, value_name = "MILLISECONDS", help_heading = "HTTP auth backend")]
            auth_cache_cache_ttl: Interval,
            /// How long the answers of the HTTP service hold.
            Duration = DEFAULT_AUTH_CACHE_TTL;

            /// Let refusals hold as long, and not for a second at most: true or false [default: false]
            #[arg(long, value_name = "BOOL", help_heading = "HTTP auth backend")]
            auth_cache_cache_refusals: bool,
            /// Whether refusals hold as long as permissions.
            bool = false;
        }
    };
}

pub(super) use with_backends;
