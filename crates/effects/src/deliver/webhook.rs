//! A signed POST as in Standard Webhooks.
//!
//! Owns: the body, the signature, and what counts as accepted.
//! Refuses to know: who listens.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use nightshift_domain::{
    content::{Failure, Receipt},
    time::Timestamp,
};
use nightshift_ports::performer::{Call, Outgoing};
use reqwest::{Response, header};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    http::{self, Clients, permanent},
    secrets::resolve,
    text::{excerpt, one_line},
};

/// What is read of an answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
const DETAIL_CHARS_MAX: usize = 200;
/// The event's name in the body.
const TYPE: &str = "deliverable_version.delivered";

/// Where to and signed with what.
pub(super) struct Hook<'a> {
    pub url: &'a str,
    pub secret: Option<&'a str>,
}

/// What is posted, and what travels with it.
pub(super) struct Posting<'a> {
    /// Stable over attempts.
    pub id: &'a str,
    pub attempt: u32,
    pub fencing_token: Option<&'a str>,
    pub traceparent: Option<&'a str>,
    /// The instant of the attempt.
    pub now: Timestamp,
    pub body: String,
}

/// Posts a document.
pub(super) async fn deliver(
    clients: &Clients,
    hook: &Hook<'_>,
    document: &Outgoing,
    call: &Call,
) -> Result<Receipt, Failure> {
    let posting = Posting {
        id: &call.idempotency_key,
        attempt: call.attempt,
        fencing_token: Some(&call.fencing_token),
        traceparent: call.traceparent.as_deref(),
        now: call.now,
        body: body(document, call),
    };
    post(clients, hook, posting).await
}

/// Posts anything.
pub(super) async fn post(clients: &Clients, hook: &Hook<'_>, posting: Posting<'_>) -> Result<Receipt, Failure> {
    let url = http::web_address(hook.url)?;
    let whom = http::shown(&url);
    let timestamp = posting.now.micros().div_euclid(1_000_000);
    let mut request = clients
        .post(&url)
        .post(url.clone())
        .header(header::CONTENT_TYPE, "application/json")
        .header("webhook-id", posting.id)
        .header("webhook-timestamp", timestamp)
        .header("x-idempotency-key", posting.id)
        .header("x-attempt", posting.attempt);
    if let Some(token) = posting.fencing_token {
        request = request.header("x-fencing-token", token);
    }
    if let Some(reference) = hook.secret {
        let secret = resolve(reference).map_err(|error| permanent(format!("secret of the webhook {whom}: {error}")))?;
        let key = key_of(&secret).ok_or_else(|| {
            permanent(format!("secret of the webhook {whom}, {reference}: what follows whsec_ is not base64"))
        })?;
        request = request.header("webhook-signature", sign(&key, posting.id, timestamp, &posting.body));
    }
    if let Some(parent) = posting.traceparent {
        request = request.header("traceparent", parent);
    }
    let response = request.body(posting.body).send().await.map_err(|error| http::broke_off(&whom, error))?;
    accepted(response, &whom, (posting.id, posting.now)).await
}

/// The body depends on the document and the instant of the attempt only.
fn body(document: &Outgoing, call: &Call) -> String {
    json!({
        "type": TYPE,
        "timestamp": call.now.to_string(),
        "data": {
            "version_id": document.version_id.to_string(),
            "version_number": document.version_number,
            "title": document.title,
            "format": "markdown",
            "content": document.markdown,
            "digest": format!("sha256:{}", document.digest),
            "staged_at": document.staged_at.to_string(),
        }
    })
    .to_string()
}

/// Key bytes of a secret: `whsec_` announces base64, anything else is taken as it is.
fn key_of(secret: &str) -> Option<Vec<u8>> {
    match secret.strip_prefix("whsec_") {
        Some(encoded) => STANDARD.decode(encoded).ok(),
        None => Some(secret.as_bytes().to_vec()),
    }
}

fn sign(key: &[u8], id: &str, timestamp: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

async fn accepted(mut response: Response, whom: &str, (id, now): (&str, Timestamp)) -> Result<Receipt, Failure> {
    let status = response.status();
    let wait = http::retry_after_ms(&response, now);
    let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    // A success whose body breaks off is a success: the other side took it.
    let (answer, _) = http::bounded_body(&mut response, ANSWER_BYTES_MAX).await.unwrap_or_default();
    if !status.is_success() {
        let mut failure = http::refused(whom, status, wait, &answer);
        if let Some(location) = location.filter(|_| status.is_redirection()) {
            failure.message.push_str(&format!("; a POST does not follow redirects, set the address to {location}"));
        }
        return Err(failure);
    }
    let parsed: Option<Value> = serde_json::from_slice(&answer).ok();
    if let Some(answer) = parsed.as_ref().filter(|answer| answer["ok"] == Value::Bool(false)) {
        let said =
            ["error", "message", "detail"].iter().find_map(|key| answer[*key].as_str()).unwrap_or("no reason given");
        let mut failure = permanent(format!(
            "{whom} answered {status} but its body says ok: false: {}",
            excerpt(said, DETAIL_CHARS_MAX)
        ));
        failure.status_code = Some(status.as_u16());
        return Err(failure);
    }
    let id = parsed.as_ref().and_then(|answer| answer["id"].as_str()).unwrap_or(id);
    let said = one_line(&String::from_utf8_lossy(&answer));
    let detail = excerpt(format!("{status} {said}").trim(), DETAIL_CHARS_MAX);
    Ok(Receipt { external_id: excerpt(id, DETAIL_CHARS_MAX), external_url: None, detail: Some(detail) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with Python's hmac module.
    #[test]
    fn signature_is_pinned() {
        let key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        assert_eq!(sign(&key, "msg_1", 1_614_265_330, "{\"test\": 2432232314}"), PINNED);
        assert_eq!(key_of("plain"), Some(b"plain".to_vec()));
        assert_eq!(key_of("whsec_***"), None);
    }
    const PINNED: &str = "v1,9o7UeFkn1GjVbcY4emAJruJCYqgH2EIf8u/slvVRBZI=";
}
