//! What steps of workflows made, kept for steps with the same input.
//!
//! Owns: the port, what an entry holds, and the key it is found under.
//! Refuses to know: which steps may use it, and how a step is done.
//!
//! Invariant: an entry that has expired is never given, whether or not it was removed already.
//! Invariant: entries are a convenience. Losing them costs work and changes nothing else.

use async_trait::async_trait;
use nightshift_domain::{
    content::Digest,
    ids::RunId,
    json::{Json, fingerprint},
    run::{CachePolicy, WorkflowRef},
    time::Timestamp,
};

use crate::log::StoreError;

/// Where what a step makes is kept, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// `<definition>|<organization or global>|<step>|<fingerprint>`.
    pub key: String,
    /// SHA-256 of the canonical input.
    pub fingerprint: Digest,
    /// Seconds from the start of the attempt that made it; none: for ever.
    pub ttl_s: Option<u32>,
}

impl Slot {
    /// The slot of a step of a definition, for `input`. The definition stands in it with its version; a plan that came
    /// with the request is known by the digest of its document alone, so that two of them never share an entry.
    #[must_use]
    pub fn of(
        workflow: &WorkflowRef,
        organization: Option<&str>,
        step: &str,
        input: &Json,
        policy: CachePolicy,
    ) -> Self {
        let definition = match workflow.definition {
            Some(_) => format!("name:{}:{}:{}", workflow.owner, workflow.name, workflow.version),
            None => format!("digest:{}", workflow.digest),
        };
        let fingerprint = fingerprint(input);
        let key = format!("{definition}|{}|{step}|{fingerprint}", organization.unwrap_or("global"));
        Self { key, fingerprint, ttl_s: policy.ttl_s }
    }

    /// When what an attempt of `started_at` makes is too old.
    #[must_use]
    pub fn expires_at(&self, started_at: Timestamp) -> Option<Timestamp> {
        self.ttl_s.map(|seconds| started_at.plus_ms(i64::from(seconds) * 1000))
    }
}

/// An entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// What was made.
    pub value: Json,
    /// Status code of the other side, when it has one.
    pub status_code: Option<u16>,
    /// What the other side calls this state of its answer, for `If-None-Match`.
    pub etag: Option<String>,
    /// When the attempt began that made it.
    pub stored_at: Timestamp,
    /// From this instant on it is not given any more; none: it does not expire.
    pub expires_at: Option<Timestamp>,
    /// The run that made it.
    pub run: RunId,
    /// The step that made it.
    pub step: String,
    /// How often it was taken instead of being made.
    pub hits: u64,
    /// When it was last taken.
    pub last_hit_at: Option<Timestamp>,
    /// By which run.
    pub last_hit_run: Option<RunId>,
}

/// Entries under exact keys.
#[async_trait]
pub trait StepCache: Send + Sync {
    /// The entry under `key`, unless it has expired at `now`. Counts nothing.
    ///
    /// # Errors
    /// The store did not answer.
    async fn kept(&self, key: &str, now: Timestamp) -> Result<Option<Entry>, StoreError>;

    /// Keeps an entry in place of an older one; one that was stored later stays.
    ///
    /// # Errors
    /// The store did not take it.
    async fn keep(&self, key: &str, kept: &Entry) -> Result<(), StoreError>;

    /// Counts that the entry was taken by `run`. Hits at the same moment are all counted; one of an entry that is gone
    /// is no error.
    ///
    /// # Errors
    /// The store did not take it.
    async fn count_hit(&self, key: &str, run: RunId, at: Timestamp) -> Result<(), StoreError>;

    /// Removes what has expired at `now`, then the entries that were longest neither stored nor taken, until at most
    /// `entries_max` are left. Gives how many it removed.
    ///
    /// # Errors
    /// The store did not answer.
    async fn prune(&self, now: Timestamp, entries_max: u64) -> Result<u64, StoreError>;
}

#[cfg(test)]
mod tests {
    use nightshift_domain::ids::{DefinitionId, derive};
    use serde_json::json;

    use super::*;

    fn workflow(definition: Option<&str>, version: &str, digest: &str) -> WorkflowRef {
        WorkflowRef {
            definition: definition.map(|name| DefinitionId::from_uuid(derive("definition", &[name.as_bytes()]))),
            owner: "finance-manager".into(),
            name: "kpi-tracking".into(),
            version: version.into(),
            digest: Digest(digest.into()),
        }
    }

    /// 5.12, 11: the key ignored the version, and plans that came with a request shared entries.
    #[test]
    fn keys_tell_versions_and_plans_without_a_definition_apart() {
        let slot = |workflow: &WorkflowRef, organization: Option<&str>| {
            Slot::of(workflow, organization, "fetch", &json!({"b": 1, "a": [3, 2, 1]}), CachePolicy::of_seconds(None))
                .key
        };
        let fingerprint = "3ce2bce0ad5f581d642ebf7b59c400e6f60fa4416e9fb08e3061bb0a35f6fb2b";
        let first = workflow(Some("x"), "1.0.0", "d1");
        assert_eq!(
            slot(&first, Some("acme")),
            format!("name:finance-manager:kpi-tracking:1.0.0|acme|fetch|{fingerprint}")
        );
        assert_eq!(slot(&workflow(None, "1.0.0", "d1"), None), format!("digest:d1|global|fetch|{fingerprint}"));
        let all = [
            slot(&first, None),
            slot(&first, Some("acme")),
            slot(&workflow(Some("x"), "1.0.1", "d1"), None),
            slot(&workflow(None, "1.0.0", "d1"), None),
            slot(&workflow(None, "1.0.0", "d2"), None),
        ];
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), all.len());
    }

    #[test]
    fn age_counts_from_the_start_of_the_attempt() {
        let slot = |said| Slot::of(&workflow(None, "1", "d"), None, "s", &json!(null), CachePolicy::of_seconds(said));
        let at = Timestamp::from_secs(1_000);
        assert_eq!(slot(None).expires_at(at), Some(Timestamp::from_secs(1_600)));
        assert_eq!(slot(Some(999_999.0)).expires_at(at), Some(Timestamp::from_secs(87_400)));
        assert_eq!(slot(Some(0.0)).expires_at(at), None);
    }
}
