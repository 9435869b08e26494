//! Plans as data: steps, what each does, what a failure and a crash in the middle mean.

use serde::{Deserialize, Serialize};

use crate::{
    content::{Brief, Destination, Digest, Draft, Notice, Receipt, SourceSnapshot, SourceSpec, Text},
    ids::{SourceId, VersionId},
    time::Timestamp,
};

/// A graph of steps. Pinned in the run's first event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Name and version of the definition, e.g. `deliverable.produce@1`.
    pub definition: String,
    /// The steps, in an order in which they could be done one by one.
    pub steps: Vec<StepPlan>,
    /// How many steps may hold a place at once.
    pub max_parallel: u16,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepPlan {
    /// Unique in the plan.
    pub id: String,
    /// What it does.
    pub action: Action,
    /// Steps that must be complete before.
    #[serde(default)]
    pub depends_on: Vec<String>,
    /// What a failure means.
    pub retry: RetryPolicy,
    /// An attempt is given up after this many milliseconds.
    pub timeout_ms: u64,
    /// What a crash in the middle means.
    pub crash: CrashPolicy,
    /// The run goes on without it.
    #[serde(default)]
    pub optional: bool,
}

/// What a crash in the middle of an attempt means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CrashPolicy {
    /// Doing it again does no harm.
    Retry,
    /// The other side sees a repetition by the idempotency key.
    Keyed,
    /// At most once: after a crash nobody knows, and it is not done again.
    Never,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Collect what the sources gave since the last version.
    Gather {
        /// The sources and the range of each.
        sources: Vec<GatherSource>,
        /// The part of the order that shapes the text.
        brief: Brief,
        /// Notes on earlier versions, newest first.
        feedback: Vec<String>,
    },
    /// Make the document of the material that `gather` made.
    Compose {},
    /// Look for faults in the document that `compose` made; notes them, never fails.
    Validate {},
    /// Bring a version to its destination.
    Deliver {
        /// Where.
        destination: Destination,
        /// Which version.
        version_id: VersionId,
        /// Title.
        title: String,
        /// The document.
        text: Text,
        /// When the version was staged.
        staged_at: Timestamp,
    },
    /// Tell people.
    Notify {
        /// Addresses.
        to: Vec<String>,
        /// What.
        notice: Notice,
    },
}

impl Action {
    /// The word in tables, spans and metrics.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Gather { .. } => "gather",
            Self::Compose {} => "compose",
            Self::Validate {} => "validate",
            Self::Deliver { .. } => "deliver",
            Self::Notify { .. } => "notify",
        }
    }
}

/// A source and the range of its stream that goes into a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatherSource {
    /// What it is.
    pub spec: SourceSpec,
    /// Its stream.
    pub source_id: SourceId,
    /// Versions of the stream up to this one went into the version before.
    pub from_version: u64,
    /// Versions up to this one go in now.
    pub upto_version: u64,
    /// Why it could not be looked at this time, when so.
    pub error: Option<String>,
}

/// What a step made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepOutput {
    /// By `gather`.
    Material {
        /// Where the material is in the content store.
        digest: Digest,
        /// Its size in bytes.
        bytes: u64,
        /// Items in it.
        items: u32,
        /// What each source looked like.
        snapshots: Vec<SourceSnapshot>,
    },
    /// By `compose`.
    Draft(Draft),
    /// By `validate`.
    Validated {
        /// What was noted.
        warnings: Vec<String>,
    },
    /// By `deliver` and `notify`.
    Receipt(Receipt),
}

/// When to try again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// How many attempts in all.
    pub attempts_max: u32,
    /// How delays grow.
    pub shape: Shape,
    /// Delay before the second attempt, in milliseconds.
    pub initial_ms: u64,
    /// Growth of an exponential policy, in hundredths: 200 doubles.
    pub multiplier_pct: u32,
    /// No delay is shorter.
    pub floor_ms: u64,
    /// No delay is longer.
    pub cap_ms: u64,
    /// Spread on top.
    pub jitter: Jitter,
}

/// How delays grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// `initial * multiplier^(n-1)`.
    Exponential,
    /// `initial * n`.
    Linear,
}

/// Spread on top of a delay, derived from run, step and attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Jitter {
    /// None.
    None,
    /// Up to this many milliseconds.
    UpTo(u64),
}
