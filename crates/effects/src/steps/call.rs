//! A call of an HTTP endpoint.
//!
//! Owns: the request with its headers, who gets the service token, redirects, and answers that did not change.
//! Refuses to know: what an answer means, whether the call is repeated.
//!
//! Invariant: a secret that the document names goes to the address of the call and to no other place.
//! Invariant: the service token goes to addresses below the base address and nowhere else, whatever a redirect says.

use std::collections::BTreeMap;

use nightshift_domain::{
    content::{Digest, Failure},
    json::{Json, fingerprint},
    run::{CacheHit, Outcome, next_secret},
};
use nightshift_ports::{
    performer::Call,
    step_cache::{Entry, StepCache},
};
use reqwest::{
    Method, Response, StatusCode, Url,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};
use serde_json::json;

use super::{
    Steps,
    address::{same_place, target},
    answer::{self, Answer, Asked, no_answer},
    vault::Vault,
};
use crate::{
    http::{self, carried, permanent, shown},
    secrets::resolve,
};

/// A longer chain of redirects is a loop in practice.
const REDIRECTS_MAX: usize = 5;
/// How long an answer is kept for the question whether it changed.
const UNCHANGED_MS_MAX: i64 = 7 * 24 * 3600 * 1000;
/// Methods that a step may use.
const METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
/// Headers that belong to the connection, not to the definition.
const OURS: [HeaderName; 8] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::EXPECT,
];

/// A call as the definition asks for it, its templates filled.
pub(super) struct Wanted<'a> {
    pub url: &'a str,
    pub method: &'a str,
    pub headers: &'a BTreeMap<String, String>,
    pub body: Option<&'a Json>,
}

/// A request that can be sent more than once.
struct Request {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Option<String>,
}

/// An answer of an earlier call, which may still hold.
struct Earlier {
    key: String,
    fingerprint: Digest,
    kept: Option<Entry>,
}

pub(super) async fn perform(steps: &Steps, wanted: &Wanted<'_>, call: &Call) -> Result<Outcome, Failure> {
    let mut request = request(steps, wanted, call)?;
    let whom = format!("{} {}", request.method, shown(&request.url));
    let limit = call.timeout_ms;
    http::within(limit, &whom, async {
        let mut logs = Vec::new();
        let earlier = earlier(&request, steps.cache.as_ref(), call, &mut logs).await;
        if let Some(etag) = earlier.as_ref().and_then(|earlier| earlier.kept.as_ref()?.etag.as_deref()) {
            let etag =
                HeaderValue::from_str(etag).map_err(|_| permanent("an ETag was kept that is none".to_owned()))?;
            request.headers.insert(header::IF_NONE_MATCH, etag);
        }
        let token = token(steps, &request)?;
        // Not before: what is asked for is compared and kept without them.
        let url = request.url.clone();
        let mut secrets = Vault::new(&steps.config.secrets, url.host_str());
        fill(&mut request.headers, wanted.headers, &mut secrets)?;
        secrets.also(token.clone());
        let response = send(steps, request, token.as_deref(), &whom).await?;
        if response.status() == StatusCode::NOT_MODIFIED
            && let Some((kept, earlier)) = earlier.as_ref().and_then(|earlier| Some((earlier.kept.as_ref()?, earlier)))
        {
            return Ok(unchanged(steps, kept, earlier, call).await);
        }
        let asked = Asked { whom: &whom, now: call.now, bytes_max: steps.config.answer_bytes_max, secrets: &secrets };
        let answer = answer::read(response, &asked).await?;
        if let Some(earlier) = earlier {
            remember(steps.cache.as_ref(), &earlier, &answer, call, &mut logs).await;
        }
        Ok(outcome(answer, logs))
    })
    .await
    .map_err(no_answer)
}

fn request(steps: &Steps, wanted: &Wanted<'_>, call: &Call) -> Result<Request, Failure> {
    let url = target(wanted.url, steps.base.as_ref())?;
    let method = METHODS.into_iter().find(|method| method.as_str().eq_ignore_ascii_case(wanted.method.trim()));
    let method = method.ok_or_else(|| {
        let allowed = METHODS.map(|method| method.to_string()).join(", ");
        permanent(format!("{} is no method of a call; it is one of {allowed}", wanted.method))
    })?;
    let body = match wanted.body {
        Some(body) => Some(body.to_string()),
        None if [Method::POST, Method::PUT, Method::PATCH].contains(&method) => Some("{}".to_owned()),
        None => None,
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    if body.is_some() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    headers.extend(carried(call));
    for (name, value) in wanted.headers {
        let (name, value) = header_of(name, value)?;
        headers.insert(name, value);
    }
    Ok(Request { method, url, headers, body })
}

fn header_of(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Failure> {
    let wrong = |what: &str| permanent(format!("the header {} cannot be sent: {what}", name.escape_debug()));
    let named: HeaderName = name.parse().map_err(|_| wrong("its name is none of HTTP"))?;
    if OURS.contains(&named) {
        return Err(wrong("it belongs to the connection"));
    }
    // The value is not shown: it may be a key.
    let value = HeaderValue::from_str(value).map_err(|_| wrong("its value holds a line break or another control"))?;
    Ok((named, value))
}

/// Puts secrets in the place of the references to them.
fn fill(headers: &mut HeaderMap, wanted: &BTreeMap<String, String>, secrets: &mut Vault<'_>) -> Result<(), Failure> {
    for (name, value) in wanted.iter().filter(|(_, value)| next_secret(value).is_some()) {
        let value = secrets.fill(value, &format!("the header {}", name.escape_debug()))?;
        let (name, mut value) = header_of(name, &value)?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(())
}

/// The service token, when the request goes below the base address and does not bring a header of its own.
fn token(steps: &Steps, request: &Request) -> Result<Option<String>, Failure> {
    let ours = steps.base.as_ref().is_some_and(|base| base.holds(&request.url));
    match &steps.config.service_token {
        Some(reference) if ours && !request.headers.contains_key(header::AUTHORIZATION) => {
            resolve(reference).map(Some).map_err(|error| permanent(format!("steps.service_token: {error}")))
        }
        _ => Ok(None),
    }
}

/// Sends it, and follows redirects that stay at the same place.
async fn send(steps: &Steps, mut request: Request, token: Option<&str>, whom: &str) -> Result<Response, Failure> {
    for _ in 0..=REDIRECTS_MAX {
        let client = steps.clients.post(&request.url);
        let mut sending = client.request(request.method.clone(), request.url.clone()).headers(request.headers.clone());
        if let Some(body) = &request.body {
            sending = sending.body(body.clone());
        }
        if let Some(token) = token.filter(|_| steps.base.as_ref().is_some_and(|base| base.holds(&request.url))) {
            sending = sending.bearer_auth(token);
        }
        let response = sending.send().await.map_err(|error| http::broke_off(whom, error))?;
        match next_place(&response, &request, whom)? {
            Some(url) => request.url = url,
            None => return Ok(response),
        }
    }
    Err(permanent(format!("{whom}: after {REDIRECTS_MAX} redirects it was given up; use the final address")))
}

/// Where a redirect leads; none when the answer is none.
///
/// # Errors
/// It leads to another place, or would change what is sent.
fn next_place(response: &Response, request: &Request, whom: &str) -> Result<Option<Url>, Failure> {
    let status = response.status();
    let location = response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
    let (Some(location), true) = (location, matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)) else {
        return Ok(None);
    };
    let refuse = |why: &str| Failure { status_code: Some(status.as_u16()), ..permanent(format!("{whom} {why}")) };
    let Ok(next) = request.url.join(location) else {
        return Err(refuse("answered with a redirect to what is no address"));
    };
    if !same_place(&request.url, &next) {
        let why =
            format!("redirects to another place, {}, where a call does not follow: use that address", shown(&next));
        return Err(refuse(&why));
    }
    let keeps_method = matches!(status.as_u16(), 307 | 308);
    if !keeps_method && ![Method::GET, Method::HEAD].contains(&request.method) {
        let why = format!("answered {status} to {}: only a GET follows it, use that address", shown(&next));
        return Err(refuse(&why));
    }
    Ok(Some(next))
}

/// What is kept of an earlier GET of the same address with the same headers. A definition that asks for itself whether
/// something changed is left alone.
async fn earlier(request: &Request, cache: &dyn StepCache, call: &Call, logs: &mut Vec<String>) -> Option<Earlier> {
    let asks = [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE, header::RANGE];
    if request.method != Method::GET || asks.iter().any(|name| request.headers.contains_key(name)) {
        return None;
    }
    let differing = carried(call);
    let headers: BTreeMap<&str, String> = request
        .headers
        .iter()
        .filter(|(name, _)| !differing.contains_key(*name))
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let fingerprint = fingerprint(&json!({"url": request.url.as_str(), "headers": headers, "body": request.body}));
    let key = format!("etag|{fingerprint}");
    let kept = cache.kept(&key, call.now).await.unwrap_or_else(|error| {
        logs.push(format!("the kept answer was not read: {error}"));
        None
    });
    Some(Earlier { key, fingerprint, kept })
}

async fn unchanged(steps: &Steps, kept: &Entry, earlier: &Earlier, call: &Call) -> Outcome {
    let counted = steps.cache.count_hit(&earlier.key, call.run, call.now).await;
    let hit = CacheHit { fingerprint: earlier.fingerprint.clone(), stored_at: kept.stored_at, run: kept.run };
    Outcome {
        status_code: Some(StatusCode::NOT_MODIFIED.as_u16()),
        cached: Some(hit),
        logs: counted.err().map(|error| format!("the hit was not counted: {error}")).into_iter().collect(),
        facts: kept.etag.iter().map(|etag| ("etag".to_owned(), etag.clone())).collect(),
        ..Outcome::of(kept.value.clone())
    }
}

async fn remember(cache: &dyn StepCache, earlier: &Earlier, answer: &Answer, call: &Call, logs: &mut Vec<String>) {
    let Some(etag) = &answer.etag else { return };
    let kept = Entry {
        value: answer.value.clone(),
        status_code: Some(answer.status),
        etag: Some(etag.clone()),
        stored_at: call.now,
        expires_at: Some(call.now.plus_ms(UNCHANGED_MS_MAX)),
        run: call.run,
        step: call.step.clone(),
        hits: 0,
        last_hit_at: None,
        last_hit_run: None,
    };
    if let Err(error) = cache.keep(&earlier.key, &kept).await {
        logs.push(format!("the answer was not kept: {error}"));
    }
}

fn outcome(answer: Answer, logs: Vec<String>) -> Outcome {
    let mut facts: BTreeMap<String, String> = [("bytes".to_owned(), answer.bytes.to_string())].into();
    facts.extend(answer.etag.map(|etag| ("etag".to_owned(), etag)));
    Outcome { status_code: Some(answer.status), logs, facts, ..Outcome::of(answer.value) }
}
