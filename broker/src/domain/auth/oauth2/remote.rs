//! Keys from a URL, fetched by a thread of its own: at the start, from time to time, and when a token names another key.

use super::keys::{KeySet, Origin};
use crate::net::web_client::{Answer, PlainHttp, WebClient, WebClientOptions, check_url};
use crate::text::shorten::shortened;
use parking_lot::{Condvar, Mutex, MutexGuard};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the server may take. A login waits for no longer, and has to end within its own ten seconds.
const TIMEOUT: Duration = Duration::from_secs(4);
/// The longest key set that is read, in bytes.
const ANSWER_MAX: u64 = 1 << 20;
/// So often keys are fetched at most, whatever tokens name.
const MIN_INTERVAL: Duration = Duration::from_secs(5);
/// So often keys are fetched at least: those that were withdrawn are forgotten then.
const MAX_INTERVAL: Duration = Duration::from_secs(600);

/// Where the keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Location {
    /// Here.
    KeySet(String),
    /// The configuration of this issuer says where (OpenID Connect Discovery, 4).
    Issuer(String),
}

impl Location {
    /// Returns the URL that an operator knows.
    pub(super) fn url(&self) -> &str {
        match self {
            Location::KeySet(url) | Location::Issuer(url) => url,
        }
    }
}

/// What the keys are fetched with.
#[derive(Clone, Debug)]
pub(super) struct RemoteOptions {
    pub(super) location: Location,
    pub(super) plain: PlainHttp,
    pub(super) cacertfile: Option<PathBuf>,
}

/// The keys of a URL.
#[derive(Debug)]
pub(super) struct Remote {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: RemoteOptions,
    client: WebClient,
    state: Mutex<State>,
    /// Something in the state has changed.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    keys: Arc<KeySet>,
    /// Changes whenever the keys do.
    version: u64,
    /// How many fetches have ended.
    ended: u64,
    /// When the last one began.
    begun: Option<Instant>,
    is_fetching: bool,
    is_wanted: bool,
    is_over: bool,
    /// Why the last fetch failed, as it was logged.
    failure: Option<String>,
}

impl Remote {
    /// Begins to fetch the keys. Until then those count that came from the same place before.
    ///
    /// # Errors
    /// When the URL or the file cannot be used. That the server does not answer is no error: it is asked again.
    pub(super) fn start(options: RemoteOptions, before: Option<&Remote>) -> Result<Self, String> {
        check_url(options.location.url(), options.plain)?;
        let client = WebClient::new(&WebClientOptions {
            timeout: TIMEOUT,
            connect_timeout: TIMEOUT,
            answer_max: ANSWER_MAX,
            cacertfile: options.cacertfile.clone(),
            client_certificate: None,
        })?;
        let before = before.filter(|before| before.shared.options.location == options.location);
        let (version, keys) = before.map(Remote::keys).unwrap_or_default();
        let shared = Arc::new(Shared {
            options,
            client,
            state: Mutex::new(State {
                version,
                keys,
                ..State::default()
            }),
            changed: Condvar::new(),
        });
        let thread = std::thread::Builder::new().name("jwks".to_owned());
        let of_thread = shared.clone();
        thread
            .spawn(move || of_thread.run())
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(Remote { shared })
    }

    /// Returns where the keys come from.
    pub(super) fn url(&self) -> &str {
        self.shared.options.location.url()
    }

    /// Returns the keys that were fetched last, with a number that changes when they do.
    pub(super) fn keys(&self) -> (u64, Arc<KeySet>) {
        let state = self.shared.state.lock();
        (state.version, state.keys.clone())
    }

    /// Returns whether waiting could bring other keys: they are being fetched, or it is time to.
    pub(super) fn may_change(&self) -> bool {
        let state = self.shared.state.lock();
        state.is_fetching || state.is_due(MIN_INTERVAL, Instant::now())
    }

    /// Has the keys fetched, unless that was only just done, and waits for the end of it.
    pub(super) fn refresh(&self) {
        let mut state = self.shared.state.lock();
        let now = Instant::now();
        if !state.is_fetching {
            if !state.is_due(MIN_INTERVAL, now) {
                return;
            }
            state.is_wanted = true;
            self.shared.changed.notify_all();
        }
        let ended = state.ended;
        // An issuer takes two requests.
        let until = now + 2 * TIMEOUT;
        while state.ended == ended {
            if self
                .shared
                .changed
                .wait_until(&mut state, until)
                .timed_out()
            {
                return;
            }
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.shared.state.lock().is_over = true;
        self.shared.changed.notify_all();
    }
}

impl State {
    fn is_due(&self, interval: Duration, now: Instant) -> bool {
        self.begun
            .is_none_or(|begun| now.saturating_duration_since(begun) >= interval)
    }

    /// Returns how long to wait for the next fetch.
    fn pause(&self) -> Duration {
        // Without keys nobody can log in.
        let interval = match self.failure {
            Some(_) => 2 * MIN_INTERVAL,
            None => MAX_INTERVAL,
        };
        let passed = self.begun.map_or(interval, |begun| begun.elapsed());
        interval.saturating_sub(passed)
    }
}

impl Shared {
    fn run(&self) {
        let mut state = self.state.lock();
        while !state.is_over {
            let pause = state.pause();
            if !state.is_wanted && !pause.is_zero() {
                self.changed.wait_for(&mut state, pause);
                continue;
            }
            state.is_wanted = false;
            state.is_fetching = true;
            state.begun = Some(Instant::now());
            let fetched = MutexGuard::unlocked(&mut state, || self.fetch());
            state.is_fetching = false;
            state.ended += 1;
            self.note(&mut state, fetched);
            self.changed.notify_all();
        }
    }

    fn note(&self, state: &mut State, fetched: Result<KeySet, String>) {
        let url = self.options.location.url();
        match fetched {
            Ok(keys) => {
                if state.version == 0 || state.failure.take().is_some() {
                    tracing::info!(url, keys = keys.len(), "fetched the keys of OAuth 2 tokens");
                }
                state.keys = Arc::new(keys);
                state.version += 1;
            }
            Err(reason) => {
                // The same again would fill the log.
                if state.failure.as_ref() != Some(&reason) {
                    let known = state.keys.len();
                    tracing::error!(
                        url,
                        %reason,
                        known,
                        "cannot fetch the keys of OAuth 2 tokens; those with other keys are refused until this succeeds"
                    );
                }
                state.failure = Some(reason);
            }
        }
    }

    fn fetch(&self) -> Result<KeySet, String> {
        let url = match &self.options.location {
            Location::KeySet(url) => url.clone(),
            Location::Issuer(issuer) => self.discover(issuer)?,
        };
        let keys = self.json(&url)?;
        KeySet::from_jwks(&keys, Origin::Web)
    }

    /// Returns the URL of the keys of an issuer.
    fn discover(&self, issuer: &str) -> Result<String, String> {
        let base = issuer.trim_end_matches('/');
        let about = self.json(&format!("{base}/.well-known/openid-configuration"))?;
        let url = about.get("jwks_uri").and_then(Value::as_str);
        let url = url.ok_or("its openid-configuration has no jwks_uri")?;
        check_url(url, self.options.plain)?;
        Ok(url.to_owned())
    }

    fn json(&self, url: &str) -> Result<Value, String> {
        match self.client.get(url)? {
            Answer { status: 200, body } => serde_json::from_str(&body)
                .map_err(|error| format!("its answer is not JSON: {error}")),
            Answer { status, .. } => Err(format!(
                "{} answered with status {status}",
                shortened(url, 256)
            )),
        }
    }
}
