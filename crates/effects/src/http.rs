//! What every HTTP conversation of this crate shares.
//!
//! Owns: the clients, what travels with every request, bounded bodies, `Retry-After`, and which answer is which class of failure.
//! Refuses to know: what is fetched or posted.

use std::time::Duration;

use nightshift_domain::{
    content::{Failure, FailureClass},
    time::Timestamp,
};
use nightshift_ports::performer::Call;
use reqwest::{
    Client, Response, StatusCode, Url,
    header::{self, HeaderMap, HeaderName, HeaderValue},
    redirect,
};

use crate::{config::EffectsError, text::excerpt};

/// Redirects that a fetch follows; a chain longer than this is a loop in practice.
const REDIRECTS_MAX: usize = 5;
/// A host that does not answer within this is down; the time-out of the call bounds the rest.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// What is kept of an error page, in characters.
const EXCERPT_CHARS: usize = 200;
/// The longest wait another side may ask for; more is an error on its side.
pub(crate) const RETRY_AFTER_MS_MAX: u64 = 24 * 3600 * 1000;

/// HTTP clients: one that follows redirects and one that does not, each with and without the environment's proxy.
#[derive(Clone)]
pub(crate) struct Clients {
    fetch: [Client; 2],
    post: [Client; 2],
    loopback_no_proxy: bool,
}

impl Clients {
    pub(crate) fn new(user_agent: &str, loopback_no_proxy: bool) -> Result<Self, EffectsError> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(EffectsError::NoCryptoProvider);
        }
        let build = |proxied: bool, redirects: redirect::Policy| {
            let builder = Client::builder()
                .user_agent(user_agent)
                .connect_timeout(CONNECT_TIMEOUT)
                // A kept connection may be half dead after a night; work here is rare enough to connect anew.
                .pool_max_idle_per_host(0)
                .redirect(redirects);
            let builder = if proxied { builder } else { builder.no_proxy() };
            builder.build().map_err(|error| EffectsError::Client { why: chain(&error) })
        };
        let follow = || redirect::Policy::limited(REDIRECTS_MAX);
        Ok(Self {
            fetch: [build(true, follow())?, build(false, follow())?],
            post: [build(true, redirect::Policy::none())?, build(false, redirect::Policy::none())?],
            loopback_no_proxy,
        })
    }

    /// For reading: follows a few redirects.
    pub(crate) fn fetch(&self, url: &Url) -> &Client {
        &self.fetch[self.index(url)]
    }

    /// For writing: a redirect is an answer like any other, since a POST must not wander.
    pub(crate) fn post(&self, url: &Url) -> &Client {
        &self.post[self.index(url)]
    }

    fn index(&self, url: &Url) -> usize {
        usize::from(self.loopback_no_proxy && is_loopback(url))
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Reads an `http` or `https` address.
pub(crate) fn web_address(url: &str) -> Result<Url, Failure> {
    let parsed = Url::parse(url).map_err(|error| {
        permanent(format!("{url} is not an address: {error}; it must start with http:// or https://"))
    })?;
    if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none() {
        return Err(permanent(format!("{url}: only http:// and https:// addresses can be reached")));
    }
    Ok(parsed)
}

/// The address without user, password, query and fragment: what may stand in a message.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

/// A failure of class `class` without a status code.
pub(crate) fn failure(class: FailureClass, message: String) -> Failure {
    Failure { class, message, status_code: None, retry_after_ms: None }
}

/// A failure that will not go away by itself.
pub(crate) fn permanent(message: String) -> Failure {
    failure(FailureClass::Permanent, message)
}

/// No answer within the time given.
pub(crate) fn timed_out(whom: &str, timeout_ms: u64) -> Failure {
    failure(FailureClass::Timeout, format!("{whom} did not answer within {timeout_ms} ms"))
}

/// A request that got no answer at all, or one that broke off.
pub(crate) fn no_answer(whom: &str, error: reqwest::Error) -> Failure {
    let class = if error.is_redirect() || error.is_builder() {
        FailureClass::Permanent
    } else if error.is_timeout() {
        FailureClass::Timeout
    } else {
        FailureClass::Transient
    };
    let hint = if error.is_redirect() {
        format!("; after {REDIRECTS_MAX} redirects it was given up: use the final address")
    } else {
        String::new()
    };
    // The address stands in `whom` already, without the query that may hold a key.
    failure(class, format!("{whom}: {}{hint}", chain(&error.without_url())))
}

/// The same of a request that may have done something. It was not sent where nobody listens; otherwise the other side may
/// have done what it was asked, and a step that must not be done twice is not tried again.
pub(crate) fn broke_off(whom: &str, error: reqwest::Error) -> Failure {
    let reached = !error.is_connect();
    let mut failure = no_answer(whom, error);
    if reached && failure.class == FailureClass::Transient {
        failure.class = FailureClass::Lost;
        failure.message.push_str("; it is not known whether it was done");
    }
    failure
}

/// An error and its causes in one line; a cause that repeats what was said is left out.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}

/// The work, or the failure that it took too long.
pub(crate) async fn within<T>(
    limit_ms: u64,
    whom: &str,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(Duration::from_millis(limit_ms), work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(timed_out(whom, limit_ms)),
    }
}

/// The headers by which the other side knows the run, the step, the attempt and its lease, and sees a repetition.
pub(crate) fn carried(call: &Call) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut carry = |name: &'static str, value: &str| {
        // A step's id may hold what a header cannot: then the other side does without.
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    carry("x-idempotency-key", &call.idempotency_key);
    carry("x-attempt", &call.attempt.to_string());
    carry("x-fencing-token", &call.fencing_token);
    carry("x-workflow-run-id", &call.run.to_string());
    carry("x-step-id", &call.step);
    if let Some(parent) = &call.traceparent {
        carry("traceparent", parent);
    }
    headers
}

/// Class of an answer that is not a success.
pub(crate) fn class_of(status: StatusCode) -> FailureClass {
    match status.as_u16() {
        429 => FailureClass::RateLimited,
        408 | 425 | 500..=599 => FailureClass::Transient,
        _ => FailureClass::Permanent,
    }
}

/// An answer that is not a success, with what its body says.
pub(crate) fn refused(whom: &str, status: StatusCode, retry_after_ms: Option<u64>, body: &[u8]) -> Failure {
    let said = excerpt(&crate::text::one_line(&String::from_utf8_lossy(body)), EXCERPT_CHARS);
    let wait = retry_after_ms.map_or(String::new(), |ms| format!("; it asks to wait {} s", ms.div_ceil(1000)));
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    Failure {
        class: class_of(status),
        message: format!("{whom} answered {status}{wait}{said}"),
        status_code: Some(status.as_u16()),
        retry_after_ms,
    }
}

/// `Retry-After` in milliseconds: seconds, or an HTTP date measured from `now`.
pub(crate) fn retry_after_ms(response: &Response, now: Timestamp) -> Option<u64> {
    wait_ms(response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim(), now)
}

/// As [`retry_after_ms`], from the text of the header.
pub(crate) fn wait_ms(value: &str, now: Timestamp) -> Option<u64> {
    let ms = match value.parse::<u64>() {
        Ok(seconds) => seconds.saturating_mul(1000),
        Err(_) => {
            let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
            u64::try_from(at.as_microsecond().saturating_sub(now.micros()) / 1000).unwrap_or(0)
        }
    };
    Some(ms.min(RETRY_AFTER_MS_MAX))
}

/// A body of at most `max` bytes, and whether there was more.
pub(crate) async fn bounded_body(response: &mut Response, max: usize) -> Result<(Vec<u8>, bool), reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = max - body.len();
        if chunk.len() > room {
            body.extend_from_slice(&chunk[..room]);
            return Ok((body, true));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((body, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for bad in ["", "feed", "file:///etc/passwd", "ftp://x/y", "javascript:1"] {
            assert_eq!(web_address(bad).unwrap_err().class, FailureClass::Permanent, "{bad}");
        }
        let url = web_address("https://u:p@example.com/feed?key=s#x").unwrap();
        assert_eq!(shown(&url), "https://example.com/feed");
        for (url, loopback) in [
            ("http://127.0.0.1:1/", true),
            ("http://[::1]/", true),
            ("http://LOCALHOST/", true),
            ("http://10.0.0.1/", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), loopback, "{url}");
        }
    }

    #[test]
    fn classes_of_answers() {
        for (status, class) in [
            (429, FailureClass::RateLimited),
            (408, FailureClass::Transient),
            (500, FailureClass::Transient),
            (503, FailureClass::Transient),
            (301, FailureClass::Permanent),
            (400, FailureClass::Permanent),
            (404, FailureClass::Permanent),
            (410, FailureClass::Permanent),
        ] {
            assert_eq!(class_of(StatusCode::from_u16(status).unwrap()), class, "{status}");
        }
    }
}
