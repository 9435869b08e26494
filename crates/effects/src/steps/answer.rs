//! What an answer to a step means.
//!
//! Owns: the bound of its size, and the class of each answer: of its status, of what is no JSON, of `ok: false`.
//! Refuses to know: who was asked, and how.
//!
//! An answer is believed in this order: its status, then its `ok`. A success that says `ok: false` is a failure; a 500
//! that says `ok: true` is a failure too.

use nightshift_domain::{
    content::{Failure, FailureClass},
    json::Json,
    time::Timestamp,
};
use reqwest::{Response, StatusCode, header};

use super::vault::Vault;
use crate::{
    http::{self, permanent},
    text::{excerpt, one_line},
};

/// Status code of an attempt that got no answer.
pub(super) const NO_ANSWER: u16 = 599;
/// What is read of an answer that is no success.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;
/// What a message shows of an answer.
const EXCERPT_CHARS: usize = 200;
/// What a message shows of the reason that an answer gives.
const REASON_CHARS: usize = 500;

/// Who was asked, and under which bounds.
pub(super) struct Asked<'a> {
    /// How a message calls it.
    pub whom: &'a str,
    /// The instant of the attempt.
    pub now: Timestamp,
    /// Most bytes of an answer.
    pub bytes_max: usize,
    /// What was sent along and must not come back.
    pub secrets: &'a Vault<'a>,
}

/// An answer that is a success.
pub(super) struct Answer {
    pub status: u16,
    pub value: Json,
    pub etag: Option<String>,
    pub bytes: usize,
}

/// Reads an answer to its end, or to its bound.
pub(super) async fn read(mut response: Response, asked: &Asked<'_>) -> Result<Answer, Failure> {
    let status = response.status();
    if !status.is_success() {
        return Err(turned_down(response, asked).await);
    }
    let etag = response.headers().get(header::ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
    if let Some(announced) = response.content_length().filter(|announced| *announced > asked.bytes_max as u64) {
        return Err(too_large(asked, status, &format!("announced {announced} bytes")));
    }
    let (body, more) =
        http::bounded_body(&mut response, asked.bytes_max).await.map_err(|error| http::broke_off(asked.whom, error))?;
    if more {
        return Err(too_large(asked, status, &format!("sent more than {} bytes", body.len())));
    }
    let text = asked.secrets.clean(String::from_utf8_lossy(&body).into_owned());
    let value = if text.trim().is_empty() { Json::Null } else { json(&text, &response, asked)? };
    ok(&value, asked.whom, Some(status.as_u16()))?;
    Ok(Answer { status: status.as_u16(), value, etag, bytes: body.len() })
}

/// Marks a failure that is no answer of the other side: it was not reached, broke off, or took too long.
pub(super) fn no_answer(failure: Failure) -> Failure {
    let is_none = matches!(failure.class, FailureClass::Transient | FailureClass::Timeout | FailureClass::Lost);
    let none = failure.status_code.is_none() && is_none;
    Failure { status_code: if none { Some(NO_ANSWER) } else { failure.status_code }, ..failure }
}

async fn turned_down(mut response: Response, asked: &Asked<'_>) -> Failure {
    let status = response.status();
    let header = http::retry_after_ms(&response, asked.now);
    let body = http::bounded_body(&mut response, REFUSAL_BYTES_MAX).await.unwrap_or_default().0;
    let text = asked.secrets.clean(String::from_utf8_lossy(&body).into_owned());
    let wait = header.or_else(|| serde_json::from_str(&text).ok().as_ref().and_then(asks_to_wait_ms));
    let mut failure = http::refused(asked.whom, status, wait, text.as_bytes());
    if status == StatusCode::SERVICE_UNAVAILABLE && header.is_some() {
        failure.class = FailureClass::RateLimited;
    }
    failure
}

fn too_large(asked: &Asked<'_>, status: StatusCode, what: &str) -> Failure {
    let message = format!("{} is too large: it {what}, and at most {} are read", asked.whom, asked.bytes_max);
    Failure { status_code: Some(status.as_u16()), ..permanent(message) }
}

fn json(text: &str, response: &Response, asked: &Asked<'_>) -> Result<Json, Failure> {
    serde_json::from_str(text).map_err(|error| {
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.map_or(String::new(), |kind| format!(", content type {}", excerpt(kind, 60)));
        bad_schema(asked.whom, &format!("no JSON ({error}{kind})"), text, Some(response.status().as_u16()))
    })
}

/// An answer that is not of the form that was agreed on.
pub(super) fn bad_schema(whom: &str, what: &str, text: &str, status_code: Option<u16>) -> Failure {
    let said = excerpt(&one_line(text), EXCERPT_CHARS);
    Failure { status_code, ..permanent(format!("BAD_SCHEMA: {whom} answered {what}: {said}")) }
}

/// Whether a value does not say `ok: false`.
///
/// # Errors
/// It does. `retryable` decides whether it is tried again; without it the code does: `TIMEOUT`, `RATE_LIMIT`, or a time
/// to wait.
pub(super) fn ok(value: &Json, whom: &str, status_code: Option<u16>) -> Result<(), Failure> {
    if value.get("ok") != Some(&Json::Bool(false)) {
        return Ok(());
    }
    let code = value.get("code").and_then(Json::as_str).unwrap_or_default();
    let wait = asks_to_wait_ms(value);
    let class = match (value.get("retryable").and_then(Json::as_bool), code) {
        (Some(false), _) => FailureClass::Permanent,
        (_, "TIMEOUT") => FailureClass::Timeout,
        (_, "RATE_LIMIT") => FailureClass::RateLimited,
        (Some(true), _) => FailureClass::Transient,
        (None, _) if wait.is_some() => FailureClass::RateLimited,
        (None, _) => FailureClass::Permanent,
    };
    let code = if code.is_empty() { String::new() } else { format!("{}: ", excerpt(code, 40)) };
    let message = format!("{whom} answered ok: false: {code}{}", reason(value));
    Err(Failure { status_code, retry_after_ms: wait, ..http::failure(class, message) })
}

/// The first reason that a value gives, for people.
pub(super) fn reason(value: &Json) -> String {
    let said = ["error", "message", "detail", "reason", "content"].iter().find_map(|name| match value.get(*name)? {
        Json::Null => None,
        Json::String(text) => Some(text.clone()),
        Json::Object(inner) => match inner.get("message") {
            Some(Json::String(text)) => Some(text.clone()),
            _ => Some(Json::Object(inner.clone()).to_string()),
        },
        other => Some(other.to_string()),
    });
    said.map_or_else(|| "it gives no reason".to_owned(), |said| excerpt(&one_line(&said), REASON_CHARS))
}

/// `retryAfter` or `retry_after` in seconds, as milliseconds.
pub(super) fn asks_to_wait_ms(value: &Json) -> Option<u64> {
    let seconds = ["retryAfter", "retry_after"].iter().find_map(|name| value.get(*name)?.as_f64())?;
    (seconds >= 0.0).then(|| ((seconds * 1000.0) as u64).min(http::RETRY_AFTER_MS_MAX))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_ok_false_means() {
        use FailureClass::{Permanent, RateLimited, Timeout, Transient};
        for (value, class, wait_ms, says) in [
            (json!({"ok": false}), Permanent, None, "it gives no reason"),
            (json!({"ok": false, "error": "quota"}), Permanent, None, "quota"),
            (json!({"ok": false, "retryable": true, "error": {"message": "later"}}), Transient, None, "later"),
            (json!({"ok": false, "retryable": true, "retryAfter": 2}), Transient, Some(2_000), "reason"),
            (json!({"ok": false, "code": "TIMEOUT"}), Timeout, None, "TIMEOUT: "),
            (json!({"ok": false, "code": "RATE_LIMIT", "retryAfter": 1.5}), RateLimited, Some(1_500), "RATE_LIMIT"),
            (json!({"ok": false, "retryAfter": 7}), RateLimited, Some(7_000), "reason"),
            (json!({"ok": false, "code": "TIMEOUT", "retryable": false}), Permanent, None, "TIMEOUT"),
            (json!({"ok": false, "code": "BAD_SCHEMA", "detail": [1]}), Permanent, None, "BAD_SCHEMA: [1]"),
            (json!({"ok": false, "code": "AGENT_ERROR", "retryAfter": -1}), Permanent, None, "AGENT_ERROR"),
            (json!({"ok": false, "retryAfter": 1e300}), RateLimited, Some(86_400_000), "reason"),
        ] {
            let failure = ok(&value, "it", Some(200)).unwrap_err();
            assert_eq!(
                (failure.class, failure.retry_after_ms, failure.status_code),
                (class, wait_ms, Some(200)),
                "{value}"
            );
            assert!(failure.message.contains(says), "{failure}");
        }
        for fine in [json!(null), json!({"ok": true}), json!([false]), json!({"data": {"ok": false}}), json!("ok")] {
            ok(&fine, "it", None).unwrap();
        }
    }
}
