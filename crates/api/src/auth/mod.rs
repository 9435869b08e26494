//! Who asks.
//!
//! Owns: the ways of proof (the daemon's control token, JWT bearer tokens, API keys) and what a caller is afterwards.
//! Refuses to know: HTTP clients (key sets are fetched by a trait object that is given), configuration files, routes.
//!
//! Without configuration (`Auth::default`) the control token is the only proof, and only from this machine: nothing can
//! be reached from outside by accident. With it, tokens and keys are taken from anywhere, and the control token still
//! from this machine only.

pub mod api_key;
pub mod jwt;
pub mod keys;
pub mod roles;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
};

use async_trait::async_trait;
use axum::http::{HeaderMap, header};
use nightshift_domain::{ids::UserId, time::Timestamp};
use nightshift_ports::clock::Clock;
use tokio::sync::Mutex;

pub use api_key::{ApiKey, ApiKeys, Rate};
pub use jwt::{Claims, Rules, TokenFault};
pub use keys::{Algorithm, Key, KeyError, Origin};
pub use roles::{Group, Role};

use crate::envelope::{ApiError, Code};

/// The most bytes of a user's name: it ends in keys of tables.
pub const USER_BYTES_MAX: usize = 255;

/// Headers that carry an API key, beside `Authorization: Bearer ns_...`.
pub const KEY_HEADERS: [&str; 2] = ["x-agent-api-key", "x-api-key"];

/// How callers prove who they are.
#[derive(Default)]
pub struct Auth {
    /// Bearer tokens; none: they are not taken.
    pub tokens: Option<Tokens>,
    /// API keys.
    pub keys: Option<ApiKeys>,
    /// `/metrics` is shown to everybody. Without it, and with tokens or keys configured, any role may look.
    pub open_metrics: bool,
}

impl Auth {
    /// Tokens or keys are taken: the interface is meant for others than this machine.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        self.tokens.is_some() || self.keys.as_ref().is_some_and(|keys| !keys.is_empty())
    }
}

/// How tokens are judged.
pub struct Tokens {
    /// What is asked of them.
    pub rules: Rules,
    fixed: Vec<Key>,
    fetched: Option<Arc<Fetched>>,
}

/// Gets the text of a key set from where it is published. Time-outs and sizes are its business.
#[async_trait]
pub trait KeySource: Send + Sync {
    /// The text now.
    ///
    /// # Errors
    /// It cannot be had, and why.
    async fn fetch(&self) -> Result<String, String>;
}

/// A published set of keys takes so long to be stale, in milliseconds.
const KEYS_FRESH_MS: i64 = 600_000;
/// It is left alone for so long after it was asked for, whatever tokens come, in milliseconds.
const KEYS_ASK_MS_MIN: i64 = 10_000;

impl Tokens {
    /// Tokens that these keys sign.
    #[must_use]
    pub const fn of_keys(rules: Rules, keys: Vec<Key>) -> Self {
        Self { rules, fixed: keys, fetched: None }
    }

    /// Also those that the keys of a published set sign.
    #[must_use]
    pub fn and_published(mut self, source: Arc<dyn KeySource>) -> Self {
        self.fetched = Some(Arc::new(Fetched { source, held: RwLock::default(), turn: Arc::default() }));
        self
    }

    /// Judges a token by the keys at hand. Only a token that these cannot judge waits for the published set: stale keys go on
    /// while they are fetched again.
    ///
    /// # Errors
    /// 401 when the token is not good, 503 when the keys cannot be had.
    pub async fn verify(&self, token: &str, clock: &Arc<dyn Clock>) -> Result<Claims, ApiError> {
        let now = clock.now();
        let of_fixed = jwt::verify(token, &self.fixed, &self.rules, now);
        let (Err(TokenFault::NoKey { .. }), Some(published)) = (&of_fixed, &self.fetched) else {
            return of_fixed.map_err(|fault| unauthorized(&fault));
        };
        if let Some((keys, fetched_at)) = published.held() {
            let stale = now.micros_since(fetched_at) > KEYS_FRESH_MS * 1_000;
            let judged = jwt::verify(token, &*keys, &self.rules, now);
            if stale {
                published.ask(clock);
            }
            match judged {
                // The set may have a key for it by now.
                Err(TokenFault::NoKey { .. }) => {}
                Err(TokenFault::Signature) if stale => {}
                judged => return judged.map_err(|fault| unauthorized(&fault)),
            }
        }
        published.ask(clock);
        published.answered().await;
        let Some((keys, _)) = published.held() else {
            let message = "the keys that verify tokens cannot be had at the moment; the log says why";
            return Err(ApiError::new(Code::Unavailable, message).retry_after(10));
        };
        jwt::verify(token, &*keys, &self.rules, now).map_err(|fault| unauthorized(&fault))
    }
}

/// Keys, and when they were fetched.
type Held = (Arc<Vec<Key>>, Timestamp);

/// A published key set.
struct Fetched {
    source: Arc<dyn KeySource>,
    /// The last set that could be had.
    held: RwLock<Option<Held>>,
    /// Held by the one task that asks; when the last one was answered, or was not.
    turn: Arc<Mutex<Option<Timestamp>>>,
}

impl Fetched {
    fn held(&self) -> Option<Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks for the set, aside, unless that is being done or was done a moment ago. Old keys go on when it cannot be had.
    fn ask(self: &Arc<Self>, clock: &Arc<dyn Clock>) {
        let Ok(mut asked_at) = Arc::clone(&self.turn).try_lock_owned() else { return };
        let since = |at| clock.now().micros_since(at);
        if asked_at.is_some_and(|at| (0..KEYS_ASK_MS_MIN * 1_000).contains(&since(at))) {
            return;
        }
        let (own, clock) = (Arc::clone(self), Arc::clone(clock));
        // Not the request's own task: a client that goes does not break it off.
        tokio::spawn(async move {
            let keys = match own.source.fetch().await {
                Ok(text) => keys::jwks(&text, Origin::Fetched).map_err(|error| error.to_string()),
                Err(why) => Err(why),
            };
            // The pause begins here: a source that does not answer is not asked again at once.
            let now = clock.now();
            *asked_at = Some(now);
            match keys {
                Ok(keys) => {
                    *own.held.write().unwrap_or_else(PoisonError::into_inner) = Some((Arc::new(keys), now));
                }
                Err(why) => tracing::warn!(why, "the keys of tokens cannot be had"),
            }
        });
    }

    /// Returns when nobody asks.
    async fn answered(&self) {
        drop(self.turn.lock().await);
    }
}

fn unauthorized(fault: &TokenFault) -> ApiError {
    ApiError::new(Code::Unauthorized, format!("the bearer token is not accepted: {fault}"))
}

/// Who asks, after proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Whose requests they are: `user_id` of rows.
    pub user: String,
    /// What it is.
    pub roles: BTreeSet<Role>,
    /// Groups of routes it is held to; none: all that the roles may.
    pub scopes: Option<BTreeSet<Group>>,
    /// Groups of people it belongs to.
    pub groups: BTreeSet<String>,
    /// By which proof, for records: `control`, `token`, `key:<name>`.
    pub via: String,
}

impl Caller {
    /// Whether it may use a group of routes.
    #[must_use]
    pub fn may(&self, group: Group) -> bool {
        roles::may(&self.roles, self.scopes.as_ref(), group)
    }

    /// Whether it sees and steers what belongs to others.
    #[must_use]
    pub fn sees_all(&self) -> bool {
        self.roles.contains(&Role::Admin) || self.roles.contains(&Role::Operator)
    }

    /// Whether it sees what belongs to this user.
    #[must_use]
    pub fn sees(&self, user: &str) -> bool {
        self.sees_all() || self.user == user
    }

    /// The user it works for: itself, or another one that it names and may name.
    ///
    /// # Errors
    /// It names another and is neither admin nor operator.
    pub fn on_behalf_of(&self, named: Option<&str>) -> Result<UserId, ApiError> {
        match named {
            Some(named) if !self.sees(named) => {
                let message = format!("only admin and operator work for others: you are {:?}", self.user);
                Err(ApiError::new(Code::Forbidden, message))
            }
            Some(named) if named.is_empty() || named.len() > USER_BYTES_MAX => {
                Err(ApiError::new(Code::BadRequest, format!("a user has a name of 1 to {USER_BYTES_MAX} bytes")))
            }
            named => Ok(UserId(named.unwrap_or(&self.user).to_owned())),
        }
    }

    /// Who asked, as it stands in the log.
    #[must_use]
    pub fn actor(&self) -> String {
        format!("api:{}", self.user)
    }
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The other end.
    pub remote: IpAddr,
    /// The end here.
    pub local: Option<IpAddr>,
}

impl Peer {
    /// Whether it is this machine: loopback, or the same address at both ends.
    #[must_use]
    pub fn is_this_machine(self) -> bool {
        self.remote.to_canonical().is_loopback() || self.local == Some(self.remote)
    }
}

/// Finds out who asks.
///
/// # Errors
/// 401 without a good proof, 403 from another machine where only this one may ask, 429 when a key was used too much.
pub async fn authenticate(
    auth: &Auth,
    control: &str,
    (headers, peer): (&HeaderMap, Peer),
    clock: &Arc<dyn Clock>,
) -> Result<Caller, ApiError> {
    if !auth.is_configured() && !peer.is_this_machine() {
        return Err(ApiError::this_machine_only());
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let bearer = text(header::AUTHORIZATION.as_str()).and_then(bearer_token);
    if let Some(bearer) = bearer
        && !control.is_empty()
        && api_key::same(bearer.as_bytes(), control.as_bytes())
    {
        return control_caller(peer);
    }
    let key = bearer.filter(|token| token.starts_with(api_key::PREFIX));
    if let Some(key) = KEY_HEADERS.into_iter().find_map(text).or(key) {
        return by_key(auth.keys.as_ref(), key, clock.now());
    }
    match (bearer, &auth.tokens) {
        (Some(token), Some(tokens)) => {
            let claims = tokens.verify(token, clock).await?;
            let (roles, groups) = (claims.roles, claims.groups);
            Ok(Caller { user: claims.subject, roles, scopes: None, groups, via: "token".to_owned() })
        }
        (Some(_), None) => {
            let message = "the bearer token is not the control token of the daemon's data folder";
            Err(ApiError::new(Code::Unauthorized, message))
        }
        (None, _) => {
            let message = "send `Authorization: Bearer <token>`, or an API key in `X-Agent-Api-Key` or `X-Api-Key`";
            Err(ApiError::new(Code::Unauthorized, message))
        }
    }
}

/// The token behind `Bearer`, whose case does not matter.
fn bearer_token(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn control_caller(peer: Peer) -> Result<Caller, ApiError> {
    if !peer.is_this_machine() {
        let message = "the control token is taken from this machine only";
        return Err(ApiError::new(Code::Forbidden, message));
    }
    Ok(Caller {
        user: UserId::default().0,
        roles: BTreeSet::from([Role::Admin]),
        scopes: None,
        groups: BTreeSet::new(),
        via: "control".to_owned(),
    })
}

fn by_key(keys: Option<&ApiKeys>, key: &str, now: Timestamp) -> Result<Caller, ApiError> {
    let Some((place, known, keys)) = keys.and_then(|keys| keys.find(key).map(|(place, key)| (place, key, keys))) else {
        return Err(ApiError::new(Code::Unauthorized, "the API key is not known"));
    };
    keys.admit(place, now).map_err(|seconds| {
        let rate = format!("{} requests in {} ms", known.rate.requests, known.rate.window_ms);
        let message = format!("key {:?} has used up its {rate}", known.name);
        ApiError::new(Code::RateLimited, message).retry_after(seconds)
    })?;
    Ok(Caller {
        user: known.user.clone(),
        roles: known.roles.clone(),
        scopes: known.scopes.clone(),
        groups: known.groups.clone(),
        via: format!("key:{}", known.name),
    })
}
