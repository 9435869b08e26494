//! Requests that their clients name: one key is one request.
//!
//! Owns: the fingerprint of a request, and that a key which named another request is refused.
//! Refuses to know: what requests ask for.
//!
//! A repetition is known by its key and is not done again. So another request under the same key would be answered as if
//! it had been done; its fingerprint, which is kept with the command, tells it apart, also after a restart.

use std::{fmt, sync::Arc};

use axum::{
    body::Body,
    extract::{FromRequest as _, Request},
};
use nightshift_actors::envelope::{Done, NotDone};
use nightshift_domain::{
    codec,
    decider::RecordedCtx,
    ids::{CommandId, ShardId},
    json::fingerprint,
};
use nightshift_ports::blobs::digest_of;
use serde_json::json;

use crate::{
    Shared,
    envelope::{ApiError, Code},
    extract::{Raw, idempotency_key, pairs_of},
};

/// What a request asks for, in 128 bits: its query without `wait`, and its body. JSON counts by what it says, not by how
/// it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(u128);

impl Fingerprint {
    pub(crate) fn of(query: &str, body: &[u8]) -> Self {
        let mut pairs = pairs_of(query);
        pairs.retain(|(name, _)| name != "wait");
        pairs.sort();
        let body = if body.is_empty() { b"{}" } else { body };
        let said = serde_json::from_slice(body).unwrap_or_else(|_| json!({"bytes": digest_of(body)}));
        let digest = fingerprint(&json!([pairs, said]));
        Self(digest.0.get(..32).and_then(|start| u128::from_str_radix(start, 16).ok()).unwrap_or_default())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Takes the fingerprint of a request that has a key. Others pass as they are.
///
/// # Errors
/// The body is too large, or breaks off.
pub async fn noted(request: Request, shared: &Arc<Shared>) -> Result<Request, ApiError> {
    if idempotency_key(request.headers())?.is_none() {
        return Ok(request);
    }
    let (mut parts, body) = request.into_parts();
    let Raw(bytes) = Raw::from_request(Request::from_parts(parts.clone(), body), shared).await?;
    parts.extensions.insert(Fingerprint::of(parts.uri.query().unwrap_or_default(), &bytes));
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

impl Shared {
    /// Refuses an order whose key named another request before. `id` is its command, `shards` where that may be kept.
    ///
    /// # Errors
    /// 422, with both fingerprints; the store did not answer.
    pub(crate) async fn same_request(
        &self,
        (id, request): (CommandId, Option<Fingerprint>),
        shards: &[ShardId],
        taken: &Result<Done, NotDone>,
    ) -> Result<(), ApiError> {
        let Some(given) = request.map(|request| request.to_string()) else { return Ok(()) };
        // A rejection does not say whether it is that of then.
        if !matches!(taken, Ok(Done { repeated: true, .. }) | Err(NotDone::Rejected { .. })) {
            return Ok(());
        }
        let (mut done, mut refused) = (None, Vec::new());
        for shard in shards {
            let Some(kept) = self.system.context().log.command(*shard, id).await? else { continue };
            let ctx = codec::from_bytes::<RecordedCtx>("context", &kept.record.ctx);
            // Commands of former versions do not tell.
            match ctx.ok().and_then(|ctx| ctx.request) {
                Some(request) if kept.record.accepted => done = Some(request),
                request => refused.extend(request),
            }
        }
        // What was done is what the key names. Without it, it names all that another stream may have refused under it.
        let named = done.as_ref().or_else(|| refused.iter().find(|kept| **kept == given).or(refused.first()));
        match named.filter(|kept| **kept != given) {
            Some(kept) => Err(another(kept, &given)),
            None => Ok(()),
        }
    }
}

fn another(kept: &str, given: &str) -> ApiError {
    let message = format!(
        "this Idempotency-Key named another request to this address before: that one has the fingerprint {kept}, this one \
         {given}; nothing was done; send this one with a key of its own"
    );
    ApiError::new(Code::Unprocessable, message).with(json!({"kept": kept, "given": given}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_of_what_is_asked_and_not_of_how_it_is_written() {
        let of = |query: &str, body: &str| Fingerprint::of(query, body.as_bytes());
        let one = of("activate=false&wait=position", r#"{"a": 1, "b": [2]}"#);
        assert_eq!(one, of("wait=no&activate=false", "{\"b\":[2],\n\"a\":1}"));
        assert_eq!(of("", ""), of("", "{}"));
        for (query, body) in [
            ("activate=true", r#"{"a": 1, "b": [2]}"#),
            ("", r#"{"a": 1, "b": [2]}"#),
            ("activate=false", r#"{"a": 1, "b": [3]}"#),
            ("activate=false", "a: 1"),
            ("activate=false", "a: 2"),
        ] {
            assert_ne!(one, of(query, body), "{query} {body}");
        }
        assert_ne!(of("", "a: 1"), of("", "a: 2"));
        assert_eq!(one.to_string().len(), 32);
    }
}
