//! `/api/hooks/{path}`: signed requests from outside that start runs.
//!
//! Owns: the signature (Standard Webhooks), and the order: verified, stored, then acted on.
//! Refuses to know: how a reference to a secret is resolved, what a run makes of the event.
//!
//! Invariant: nothing of an unsigned request is kept. A request that is answered with 2xx is stored; whoever gets
//! another answer sends it again, and it is done once, by its `webhook-id`.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use nightshift_domain::{
    definition::{self, webhook_event_type},
    ids::{CommandId, DefinitionId, UserId},
    time::Timestamp,
    topic::Published,
};
use nightshift_projections::table::Row;
use ring::hmac;
use serde_json::{Value, json};

use crate::{
    Shared,
    auth::Group,
    envelope::{self, Answered, ApiError, Code},
    extract::{Named, Raw},
    paging,
    routes::{Route, Takes},
    rows::text,
    system::done,
};

/// The routes.
pub const ROUTES: &[Route] = &[Route::post("/api/hooks/{path}", || routing::post(receive))
    .group(Group::Public)
    .about("events", "Take a webhook, signed as Standard Webhooks says (webhook-id, -timestamp, -signature).")
    .query(&[])
    .takes(Takes::Document(&["application/json"]))
    .status(202)];

/// A signature is good for so long around its instant, in seconds.
const TOLERANCE_S: i64 = 300;

/// Triggers of definitions are read again after so long, in milliseconds.
const FRESH_MS: i64 = 2_000;

/// Resolves references to secrets (`env:NAME`, `file:/path`).
#[async_trait]
pub trait Secrets: Send + Sync {
    /// The secret.
    ///
    /// # Errors
    /// It cannot be had, and why; never the secret itself.
    async fn resolve(&self, reference: &str) -> Result<Vec<u8>, String>;
}

/// No reference leads anywhere.
pub struct NoSecrets;

#[async_trait]
impl Secrets for NoSecrets {
    async fn resolve(&self, _reference: &str) -> Result<Vec<u8>, String> {
        Err("no secrets are configured".to_owned())
    }
}

/// A definition that hears of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hook {
    definition: DefinitionId,
    user: UserId,
    secret: String,
}

/// Who hears of which path, as the read models had it a moment ago.
#[derive(Clone, Default)]
pub struct Known(Arc<Mutex<Option<(Timestamp, Hooks)>>>);

type Hooks = Arc<BTreeMap<String, Vec<Hook>>>;

impl Known {
    /// Reads triggers at most once in a while: a request without a signature makes no work for the database.
    async fn hooks(&self, shared: &Shared) -> Result<Hooks, ApiError> {
        let now = shared.system.context().clock_port.now();
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, hooks)) = held
            && (0..FRESH_MS * 1_000).contains(&now.micros_since(at))
        {
            return Ok(hooks);
        }
        // Where a shard stands still, the hooks of the others go on.
        let _ = shared.system.caught_up().await;
        let table = paging::table("orchestration_definitions")?;
        let in_force = vec![("in_force", Value::Bool(true))];
        let rows = paging::all(shared.models(), table, in_force, vec![]).await?;
        let hooks = Arc::new(hooks_of(&rows));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, Arc::clone(&hooks)));
        Ok(hooks)
    }
}

fn hooks_of(definitions: &[Row]) -> BTreeMap<String, Vec<Hook>> {
    let mut hooks: BTreeMap<String, Vec<Hook>> = BTreeMap::new();
    for row in definitions {
        let Ok(definition) = text(row, "id").parse::<DefinitionId>() else { continue };
        let triggers = row.get("triggers").and_then(Value::as_array).into_iter().flatten();
        for trigger in triggers.filter_map(Value::as_object).filter(|trigger| text(trigger, "type") == "webhook") {
            let user = UserId(text(row, "created_by").to_owned());
            let secret = text(trigger, "secret").to_owned();
            hooks.entry(text(trigger, "path").to_owned()).or_default().push(Hook { definition, user, secret });
        }
    }
    hooks
}

/// What a signed request says of itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Signed<'a> {
    id: &'a str,
    timestamp: &'a str,
    signatures: Vec<Vec<u8>>,
}

/// Reads the three headers.
///
/// # Errors
/// 400: one is missing or cannot be; 401: the instant is too far away.
pub(crate) fn signed(headers: &HeaderMap, now: Timestamp) -> Result<Signed<'_>, ApiError> {
    let header = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        value.filter(|value| !value.is_empty()).ok_or_else(|| ApiError::field(name, "this header is required"))
    };
    let (id, timestamp) = (header("webhook-id")?, header("webhook-timestamp")?);
    if id.len() > 255 {
        return Err(ApiError::field("webhook-id", "at most 255 characters are expected"));
    }
    let at: i64 =
        timestamp.parse().map_err(|_| ApiError::field("webhook-timestamp", "seconds since 1970 are expected"))?;
    if (now.micros().div_euclid(1_000_000)).abs_diff(at) > TOLERANCE_S.unsigned_abs() {
        return Err(ApiError::new(Code::Unauthorized, "webhook-timestamp is more than 5 minutes away from now"));
    }
    let parts = header("webhook-signature")?.split(' ').filter_map(|part| part.strip_prefix("v1,"));
    let signatures = parts.filter_map(|part| STANDARD.decode(part).ok()).collect();
    Ok(Signed { id, timestamp, signatures })
}

/// Whether one of the signatures is that of the secret. Secrets are texts `whsec_<base64>`, or taken as they are.
pub(crate) fn is_signed(secret: &[u8], signed: &Signed<'_>, body: &[u8]) -> bool {
    let trimmed = secret.trim_ascii();
    let decoded = trimmed.strip_prefix(b"whsec_").and_then(|rest| STANDARD.decode(rest).ok());
    let key = hmac::Key::new(hmac::HMAC_SHA256, decoded.as_deref().unwrap_or(trimmed));
    let content = [signed.id.as_bytes(), b".", signed.timestamp.as_bytes(), b".", body].concat();
    !trimmed.is_empty() && signed.signatures.iter().any(|tag| hmac::verify(&key, &content, tag).is_ok())
}

async fn receive(
    State(shared): State<Arc<Shared>>,
    Extension(known): Extension<Known>,
    Named(path): Named<String>,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Answered {
    let hooks = known.hooks(&shared).await?;
    let hooks = hooks.get(&path).ok_or_else(|| ApiError::not_found(format!("webhook {path:?}")))?;
    let signed = signed(&headers, shared.system.context().clock_port.now())?;
    let mut fitting = Vec::new();
    for hook in hooks {
        match shared.options.secrets.resolve(&hook.secret).await {
            Ok(secret) if is_signed(&secret, &signed, &body) => fitting.push(hook),
            Ok(_) => {}
            Err(why) => tracing::warn!(path, why, "the secret of a webhook cannot be had"),
        }
    }
    let Some(first) = fitting.first() else {
        return Err(ApiError::new(Code::Unauthorized, "the signature does not fit"));
    };
    let payload =
        serde_json::from_slice(&body).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&body).into_owned()));
    let event_type = webhook_event_type(&path);
    let event =
        Published { id: signed.id.to_owned(), user: first.user.clone(), correlation: None, intent_id: None, payload };
    let actor = format!("webhook:{path}");
    let told = event.clone();
    let stored = shared.publish(&event_type, event, &actor).await?;
    let at = shared.system.context().clock_port.now();
    for hook in fitting {
        let event = Published { user: hook.user.clone(), ..told.clone() }.told(&event_type, at);
        // Sent again after a failure in between, it is the same command.
        let id = CommandId::of_client(&hook.definition.to_string(), &actor, signed.id);
        let command = definition::Command::EventArrived { event };
        shared.system.submit(shared.stream(hook.definition.stream())?, command, (id, &actor)).await?;
    }
    Ok(done(&stored, envelope::said(StatusCode::ACCEPTED, json!({"id": signed.id, "type": event_type}))))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    /// The example of the Standard Webhooks specification.
    const SECRET: &[u8] = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const AT: Timestamp = Timestamp::from_secs(1_614_265_330);

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    fn example() -> Vec<(&'static str, &'static str)> {
        vec![
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        ]
    }

    #[test]
    fn the_example_of_the_specification_is_verified() {
        let headers = headers(&example());
        let given = signed(&headers, AT).unwrap();
        assert!(is_signed(SECRET, &given, BODY));
        assert!(!is_signed(SECRET, &given, b"{}"));
        assert!(!is_signed(b"whsec_AAAA", &given, BODY) && !is_signed(b"", &given, BODY));
        let other = Signed { id: "msg_2", ..signed(&headers, AT).unwrap() };
        assert!(!is_signed(SECRET, &other, BODY));
    }

    #[test]
    fn several_signatures_may_come_and_instants_are_near() {
        let mut pairs = example();
        let several = "v1a,AAAA v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        pairs[2].1 = several;
        let of_several = headers(&pairs);
        assert!(is_signed(SECRET, &signed(&of_several, AT).unwrap(), BODY));
        for (ms, refused) in [(300_000, false), (300_999, false), (301_000, true), (-300_000, false), (-301_000, true)]
        {
            let judged = signed(&of_several, AT.plus_ms(ms)).err().map(|error| error.code);
            assert_eq!(judged, refused.then_some(Code::Unauthorized), "{ms} ms later");
        }
        for missing in 0..3 {
            let mut pairs = example();
            pairs.remove(missing);
            assert_eq!(signed(&headers(&pairs), AT).unwrap_err().code, Code::BadRequest);
        }
    }

    #[test]
    fn hooks_are_found_in_the_triggers_of_definitions() {
        let id = DefinitionId::of("ada", "w", 4);
        let row = json!({
            "id": id, "created_by": "ada",
            "triggers": [
                {"type": "event", "types": ["a"], "parameters": null},
                {"type": "webhook", "path": "paid", "secret": "env:PAID", "parameters": null},
                {"type": "something new"},
            ],
        });
        let hooks = hooks_of(&[row.as_object().unwrap().clone()]);
        let expected = Hook { definition: id, user: UserId("ada".to_owned()), secret: "env:PAID".to_owned() };
        assert_eq!(hooks, BTreeMap::from([("paid".to_owned(), vec![expected])]));
    }
}
