//! The border to the outside world: looking at sources, composing, delivering, telling people.
//!
//! Owns: the traits that real performers implement and the facts that travel with each call.
//! Refuses to know: retries, leases, what an outcome means. Those are decided in `domain`.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use nightshift_domain::{
    content::{
        Cursor, Destination, Digest, Draft, Failure, Material, Notice, Observation, Receipt, SourceFailure, SourceSpec,
    },
    ids::{RunId, VersionId},
    run::{Action, Outcome, Report},
    time::Timestamp,
};

use crate::{blobs::Blobs, step_cache::Slot};

/// What travels with every call to the outside.
#[derive(Debug, Clone)]
pub struct Call {
    /// The run; sent as `X-Workflow-Run-Id`.
    pub run: RunId,
    /// The step in it; sent as `X-Step-Id`.
    pub step: String,
    /// Stable over attempts; sent as `X-Idempotency-Key` or its like.
    pub idempotency_key: String,
    /// Number of this attempt, from 1; sent as `X-Attempt`.
    pub attempt: u32,
    /// Fencing token of the lease, `shard.epoch.nonce`; sent as `X-Fencing-Token`.
    pub fencing_token: String,
    /// The attempt is given up after this many milliseconds.
    pub timeout_ms: u64,
    /// W3C trace context of the attempt's span; sent as `traceparent`.
    pub traceparent: Option<String>,
    /// The instant the attempt started, by the clock port.
    pub now: Timestamp,
    /// Where what the step makes is kept, and may be taken from instead; none: it is made anew each time.
    pub cache: Option<Slot>,
}

/// One look at a source.
#[derive(Debug, Clone)]
pub struct Look {
    /// What to look at.
    pub spec: SourceSpec,
    /// Where the former look stopped; empty at the first.
    pub cursor: Cursor,
    /// Digests of the items that are known. Only items that differ from these come back.
    pub known: Arc<BTreeMap<String, Digest>>,
    /// The instant of the look, by the clock port.
    pub now: Timestamp,
    /// Given up after this many milliseconds.
    pub timeout_ms: u64,
}

/// Reads sources. Must be repeatable: a crash in the middle means that the look is taken again.
#[async_trait]
pub trait SourceReader: Send + Sync {
    /// Looks once. Parts that cannot be read are omissions inside the observation; an error means nothing could be read.
    /// Texts over the inline limit are put into the content store before this returns.
    ///
    /// # Errors
    /// The source as a whole could not be read.
    async fn observe(&self, look: Look) -> Result<Observation, SourceFailure>;
}

/// Makes documents.
#[async_trait]
pub trait Composing: Send + Sync {
    /// Makes a document of the material. A text over the inline limit is put into the content store first.
    ///
    /// # Errors
    /// A classified failure; the decider says whether it is tried again.
    async fn compose(&self, material: &Material, call: &Call) -> Result<Draft, Failure>;
}

/// A document on its way out.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Which version.
    pub version_id: VersionId,
    /// Its number, from 1.
    pub version_number: u32,
    /// Title of the deliverable.
    pub title: String,
    /// Markdown.
    pub markdown: String,
    /// SHA-256 of the Markdown.
    pub digest: Digest,
    /// When the version was staged.
    pub staged_at: Timestamp,
}

/// Brings documents and notices to people and systems. At least once; the key lets the other side see a repetition.
#[async_trait]
pub trait Delivering: Send + Sync {
    /// Delivers a version.
    ///
    /// # Errors
    /// A classified failure; the decider says whether it is tried again.
    async fn deliver(&self, destination: &Destination, document: &Outgoing, call: &Call) -> Result<Receipt, Failure>;

    /// Tells people about a version by mail.
    ///
    /// # Errors
    /// As [`Delivering::deliver`]. When no mail server is configured the failure is permanent and says so.
    async fn notify(&self, to: &[String], notice: &Notice, call: &Call) -> Result<Receipt, Failure>;

    /// Posts a message of a run to its webhook, once.
    ///
    /// # Errors
    /// As [`Delivering::deliver`].
    async fn report(&self, report: &Report, sending: &Sending) -> Result<(), Failure>;
}

/// What travels with a message of a run.
#[derive(Debug, Clone)]
pub struct Sending {
    /// The run.
    pub run: RunId,
    /// Identity of the message, the same for each attempt; sent as `webhook-id`.
    pub id: String,
    /// Number of this attempt, from 1; sent as `X-Attempt`.
    pub attempt: u32,
    /// It is given up after this many milliseconds.
    pub timeout_ms: u64,
    /// The instant of the attempt, by the clock port.
    pub now: Timestamp,
}

/// Does the steps of workflows that reach out: `call`, `agent`, `process`, `llm`. At least once; the key lets the other
/// side see a repetition.
#[async_trait]
pub trait Acting: Send + Sync {
    /// Does one step. Its templates are filled already. Dropping the future stops the work, a program with all of its
    /// process group.
    ///
    /// # Errors
    /// A classified failure; the decider says whether it is tried again. Its message has at most 2 KiB.
    async fn act(&self, action: &Action, call: &Call) -> Result<Outcome, Failure>;
}

/// The performers a running system needs. Replay has no way to build one that reaches the outside.
#[derive(Clone)]
pub struct Performers {
    /// Reads sources.
    pub sources: Arc<dyn SourceReader>,
    /// Makes documents.
    pub composing: Arc<dyn Composing>,
    /// Delivers and notifies.
    pub delivering: Arc<dyn Delivering>,
    /// Does the steps of workflows.
    pub acting: Arc<dyn Acting>,
    /// Where large texts are.
    pub blobs: Arc<dyn Blobs>,
}
