//! Tokens for streams: an `EventSource` of a browser cannot send headers, so its proof stands in the address.
//!
//! Owns: what is signed, how long it is good, and where it is taken: one run's event stream and WebSocket.
//! Refuses to know: how whoever asks for a token proves who they are.
//!
//! Invariant: a token is good for one run, one user and looking, until its end. Nothing logs it: logs have paths only.
//! It ends with the daemon when no `links_secret` is configured: then the key is made of the control token.

use std::collections::BTreeSet;

use axum::http::Uri;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nightshift_domain::time::Timestamp;
use ring::hmac;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Shared,
    auth::{Caller, Group, Role},
    envelope::{ApiError, Code},
};

/// The parameter of the address.
pub const PARAM: &str = "token";
/// How long a token is good, in seconds. A stream that is open stays open; one that breaks off asks for another token.
const GOOD_S: i64 = 300;

/// What a token says.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Says(u8, Uuid, String, bool, i64);

/// The form of what is said.
const FORM: u8 = 1;

/// A token.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamToken {
    /// Good for `?token=` of this run's event stream and WebSocket, and for nothing else.
    token: String,
    /// Its end, in seconds since 1970.
    expires: i64,
}

fn key(shared: &Shared) -> Result<hmac::Key, ApiError> {
    let of = |root: &hmac::Key| {
        let derived = hmac::sign(root, b"nightshift stream token 1");
        hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref())
    };
    match &shared.options.links {
        Some(links) => Ok(of(links.key())),
        None if shared.token.is_empty() => Err(ApiError::not_found("no key for tokens of streams".to_owned())),
        None => Ok(of(&hmac::Key::new(hmac::HMAC_SHA256, shared.token.as_bytes()))),
    }
}

/// A token for a run that the caller may see.
///
/// # Errors
/// There is no key.
pub fn make(shared: &Shared, caller: &Caller, run: Uuid, now: Timestamp) -> Result<StreamToken, ApiError> {
    let (token, expires) = signed(&key(shared)?, caller, run, now)?;
    Ok(StreamToken { token, expires })
}

/// A token under a key, and its end.
pub(crate) fn signed(key: &hmac::Key, caller: &Caller, run: Uuid, now: Timestamp) -> Result<(String, i64), ApiError> {
    let expires = now.micros().div_euclid(1_000_000) + GOOD_S;
    let says = Says(FORM, run, caller.user.clone(), caller.sees_all(), expires);
    let said = serde_json::to_vec(&says).map_err(|error| ApiError::new(Code::Internal, error.to_string()))?;
    let tag = hmac::sign(key, &said);
    let token = format!("{}.{}", URL_SAFE_NO_PAD.encode(&said), URL_SAFE_NO_PAD.encode(tag.as_ref()));
    Ok((token, expires))
}

/// The token in an address; none when there is none.
pub fn in_address(uri: &Uri) -> Option<&str> {
    let pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(name, _)| *name == PARAM).map(|(_, token)| token).next()
}

/// Who asks with a token of this address' run: a reader of it, and nothing more.
///
/// # Errors
/// 401: it was not made here, is of another run, or is past its end. The token is not repeated.
pub fn caller(shared: &Shared, asked: (&str, &str), now: Timestamp) -> Result<Caller, ApiError> {
    read(&key(shared)?, asked, now)
}

/// As [`caller`], under a key.
pub(crate) fn read(key: &hmac::Key, (path, token): (&str, &str), now: Timestamp) -> Result<Caller, ApiError> {
    let refused = |why: &str| ApiError::new(Code::Unauthorized, format!("the token of the stream {why}"));
    let forged = || refused("was not made here, or was changed");
    let (said, tag) = token.split_once('.').ok_or_else(forged)?;
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| forged());
    let (said, tag) = (decode(said)?, decode(tag)?);
    hmac::verify(key, &said, &tag).map_err(|_| forged())?;
    let Says(form, run, user, sees_all, expires) = serde_json::from_slice(&said).map_err(|_| forged())?;
    let asked = path.split('/').find_map(|part| part.parse::<Uuid>().ok());
    if form != FORM || asked != Some(run) {
        return Err(refused("is of another run"));
    }
    if now >= Timestamp::from_secs(expires) {
        return Err(refused("is past its end; ask for another"));
    }
    let roles = BTreeSet::from([if sees_all { Role::Operator } else { Role::Reader }]);
    let scopes = Some(BTreeSet::from([Group::Read]));
    Ok(Caller { user, roles, scopes, groups: BTreeSet::new(), via: "stream-token".to_owned() })
}
