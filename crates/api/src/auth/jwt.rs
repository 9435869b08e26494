//! Tokens: compact JWS, verified, then judged by their claims.
//!
//! Owns: the order of the checks and what each claim must be.
//! Refuses to know: where keys come from, what a role may.
//!
//! Invariant: no claim is looked at before the signature was verified.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nightshift_domain::time::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{USER_BYTES_MAX, keys::Key, roles::Role};

/// No token is longer, in bytes.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// What is asked of tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// `iss` must be this; none: any.
    pub issuer: Option<String>,
    /// `aud` must name one of these; empty: any.
    pub audience: Vec<String>,
    /// `exp` and `nbf` are read with so much tolerance, in seconds.
    pub leeway_s: u32,
    /// The claim with the roles, a word or a list; a path with dots goes into objects (`realm_access.roles`).
    pub roles_claim: String,
    /// The claim with the groups of people, for approvals that name one.
    pub groups_claim: String,
    /// Roles of a token that has no such claim.
    pub default_roles: BTreeSet<Role>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            issuer: None,
            audience: Vec::new(),
            leeway_s: 60,
            roles_claim: "roles".to_owned(),
            groups_claim: "groups".to_owned(),
            default_roles: BTreeSet::from([Role::Reader]),
        }
    }
}

/// What a good token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// `sub`: whose requests they are.
    pub subject: String,
    /// What it may.
    pub roles: BTreeSet<Role>,
    /// Groups of people.
    pub groups: BTreeSet<String>,
}

/// Why a token is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// Not three parts of base64url with JSON inside, or too long.
    #[error("the token is no compact JWS")]
    Malformed,
    /// It asks for something that is not understood.
    #[error("the token has critical header fields (`crit`) that are not understood")]
    Critical,
    /// No key fits its header.
    #[error("no key here verifies {alg} tokens with the key id {kid:?}")]
    NoKey {
        /// The algorithm it names.
        alg: String,
        /// The key it names.
        kid: Option<String>,
    },
    /// It was not signed by the key, or changed since.
    #[error("the signature does not fit")]
    Signature,
    /// A claim is missing or is not what it must be.
    #[error("claim {claim}: {why}")]
    Claim {
        /// Which.
        claim: &'static str,
        /// What is wrong.
        why: String,
    },
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

/// Judges a token at an instant.
///
/// # Errors
/// See [`TokenFault`].
pub fn verify<'a>(
    token: &str,
    keys: impl IntoIterator<Item = &'a Key>,
    rules: &Rules,
    now: Timestamp,
) -> Result<Claims, TokenFault> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenFault::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenFault::Malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(TokenFault::Malformed)?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenFault::Malformed);
    let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| TokenFault::Malformed)?;
    if header.crit.is_some() {
        return Err(TokenFault::Critical);
    }
    let signature = decode(signature)?;
    let mut fitting = keys.into_iter().filter(|key| fits(key, &header)).peekable();
    if fitting.peek().is_none() {
        return Err(TokenFault::NoKey { alg: header.alg, kid: header.kid });
    }
    if !fitting.any(|key| key.verifies(signed.as_bytes(), &signature)) {
        return Err(TokenFault::Signature);
    }
    let claims: Value = serde_json::from_slice(&decode(payload)?).map_err(|_| TokenFault::Malformed)?;
    let claims = claims.as_object().ok_or(TokenFault::Malformed)?;
    judge(claims, rules, now)
}

/// The key is for the algorithm that the token names, and is the one it names, if it names one and the key has a name.
fn fits(key: &Key, header: &Header) -> bool {
    let named = match (&header.kid, &key.id) {
        (Some(wanted), Some(id)) => wanted == id,
        _ => true,
    };
    named && key.algorithm().as_str() == header.alg
}

fn judge(claims: &Map<String, Value>, rules: &Rules, now: Timestamp) -> Result<Claims, TokenFault> {
    let fault = |claim: &'static str, why: &str| TokenFault::Claim { claim, why: why.to_owned() };
    let leeway = f64::from(rules.leeway_s);
    let now_s = now.micros() as f64 / 1e6;
    let exp = number(claims, "exp")?.ok_or_else(|| fault("exp", "it is required"))?;
    if now_s >= exp + leeway {
        return Err(fault("exp", "the token has expired"));
    }
    if number(claims, "nbf")?.is_some_and(|nbf| now_s < nbf - leeway) {
        return Err(fault("nbf", "the token is not valid yet"));
    }
    if let Some(issuer) = &rules.issuer
        && claims.get("iss").and_then(Value::as_str) != Some(issuer)
    {
        return Err(fault("iss", "it is not the issuer that is trusted here"));
    }
    if !rules.audience.is_empty() && !words(claims.get("aud")).any(|aud| rules.audience.iter().any(|own| own == aud)) {
        return Err(fault("aud", "the token is not meant for this service"));
    }
    let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default().trim();
    if subject.is_empty() {
        return Err(fault("sub", "it is required"));
    }
    if subject.len() > USER_BYTES_MAX {
        return Err(fault("sub", "it is longer than any user's name may be"));
    }
    let roles = match at(claims, &rules.roles_claim) {
        None => rules.default_roles.clone(),
        Some(claim) => words(Some(claim)).filter_map(Role::parse).collect(),
    };
    let groups = words(at(claims, &rules.groups_claim)).map(str::to_owned).collect();
    Ok(Claims { subject: subject.to_owned(), roles, groups })
}

/// A claim that must be a number where it is present: one that cannot be read is a fault, not an absence.
fn number(claims: &Map<String, Value>, name: &'static str) -> Result<Option<f64>, TokenFault> {
    match claims.get(name) {
        None => Ok(None),
        Some(claim) => match claim.as_f64().filter(|number| number.is_finite()) {
            Some(number) => Ok(Some(number)),
            None => Err(TokenFault::Claim { claim: name, why: "it is no number".to_owned() }),
        },
    }
}

/// The claim at a path with dots; a claim whose own name has dots comes first.
fn at<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(claim) = claims.get(path) {
        return Some(claim);
    }
    let mut parts = path.split('.');
    let first = claims.get(parts.next()?)?;
    parts.try_fold(first, |value, part| value.get(part))
}

/// A claim as words: a text with spaces, or a list of texts.
fn words(claim: Option<&Value>) -> impl Iterator<Item = &str> {
    let one =
        claim.and_then(Value::as_str).into_iter().flat_map(|text| text.split(' ').filter(|word| !word.is_empty()));
    one.chain(claim.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str))
}
