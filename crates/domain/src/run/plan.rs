//! Plans as data: steps, what each does, what a failure and a crash in the middle mean.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    flow::{Checkpoint, Flow},
    places::Places,
    report::Reports,
};
use crate::{
    content::{Brief, Destination, Digest, Draft, Notice, Receipt, SourceSnapshot, SourceSpec, Text},
    ids::{SourceId, VersionId},
    json::Json,
    time::Timestamp,
};

/// A graph of steps. Pinned in the run's first event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Name and version of the definition, e.g. `deliverable.produce@1`.
    pub definition: String,
    /// The steps, in an order in which they could be done one by one.
    pub steps: Vec<StepPlan>,
    /// How many steps and instances may hold a place at once: those that workers or other runs do.
    pub max_parallel: u16,
    /// What the run gives back when it is complete, as a template; none: the outputs of its steps by id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Json>,
    /// Who outside is told how its runs go, in front of whoever is configured.
    #[serde(default, skip_serializing_if = "Reports::is_none")]
    pub reports: Reports,
}

impl Plan {
    /// Places of the steps that may see what a step makes: those that depend on it, directly or not, and all of the parts
    /// behind its own, which see how that part ended. None when there is no such step.
    #[must_use]
    pub fn behind(&self, id: &str) -> Vec<usize> {
        let Some(part) = self.steps.iter().find(|step| step.id == id).map(|step| step.flow.part) else {
            return Vec::new();
        };
        let (mut known, mut found) = (BTreeSet::from([id]), Vec::new());
        for (at, step) in self.steps.iter().enumerate() {
            if step.flow.part > part || step.depends_on.iter().any(|id| known.contains(id.as_str())) {
                known.insert(&step.id);
                found.push(at);
            }
        }
        found
    }
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
    /// When and how often it goes, and what happens around it.
    #[serde(default, skip_serializing_if = "Flow::is_plain")]
    pub flow: Flow,
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
    /// Call an HTTP endpoint. Texts and values below are templates.
    Call {
        /// Absolute address, or a path below the configured base address.
        url: String,
        /// `GET`, `POST`, ...
        method: String,
        /// Headers beside those that every call carries.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// JSON body; none: `{}` for methods that carry one.
        body: Option<Json>,
    },
    /// Ask a registered agent.
    Agent {
        /// Its slug.
        agent: String,
        /// `CONVERSE`, `PLAN`, `BUILD` or `ORCHESTRATION`.
        mode: String,
        /// `userMessage`, `context`, `payload` and what else the agent reads; a template.
        input: Json,
    },
    /// Run a program in a process group of its own, with a clean environment, JSON in and out.
    Process {
        /// Program and arguments; templates.
        command: Vec<String>,
        /// What it reads from its standard input, as JSON; a template.
        input: Json,
        /// Its environment beside `PATH`; values are templates.
        #[serde(default)]
        env: BTreeMap<String, String>,
        /// Bytes of output that are read before it is stopped.
        output_bytes_max: u64,
        /// Bytes of memory it may have; none: as many as there are.
        memory_bytes_max: Option<u64>,
    },
    /// Ask a language model.
    Llm {
        /// What it is told to be; a template.
        system: Option<String>,
        /// What it is asked; a template.
        prompt: String,
        /// Which model; none: the configured one.
        model: Option<String>,
        /// Most tokens of the answer.
        max_tokens: Option<u32>,
        /// The answer must be JSON and is parsed.
        json: bool,
    },
    /// Wait so long.
    Sleep {
        /// Milliseconds.
        ms: u64,
    },
    /// Wait for an event that somebody publishes.
    WaitForEvent {
        /// Its type.
        event: String,
        /// Only one with this correlation; a template.
        correlation: Option<String>,
        /// The step fails after so many milliseconds; none: it waits for ever.
        timeout_ms: Option<u64>,
    },
    /// Wait for a person's decision.
    Approval {
        /// Question, options, who, until when.
        checkpoint: Box<Checkpoint>,
        /// What is to be approved; a template.
        payload: Json,
    },
    /// Start a run of another definition and wait for it.
    Orchestration {
        /// Owner of the definition.
        owner: String,
        /// Its name.
        name: String,
        /// Its version; none: the active one.
        version: Option<String>,
        /// Parameters; a template.
        parameters: Json,
    },
    /// Nothing but a value for later steps.
    Set {
        /// The value; a template.
        value: Json,
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
            Self::Call { .. } => "call",
            Self::Agent { .. } => "agent",
            Self::Process { .. } => "process",
            Self::Llm { .. } => "llm",
            Self::Sleep { .. } => "sleep",
            Self::WaitForEvent { .. } => "wait_for_event",
            Self::Approval { .. } => "approval",
            Self::Orchestration { .. } => "orchestration",
            Self::Set { .. } => "set",
        }
    }

    /// Whether a worker does it, under a lease. The others are done by the run itself, or waited for.
    #[must_use]
    pub const fn needs_a_worker(&self) -> bool {
        !matches!(
            self,
            Self::Sleep { .. }
                | Self::WaitForEvent { .. }
                | Self::Approval { .. }
                | Self::Orchestration { .. }
                | Self::Set { .. }
        )
    }

    /// Whether it holds one of the run's `max_parallel` places while it is done: by a worker, or by another run. Waits
    /// for instants, events and people hold none.
    #[must_use]
    pub const fn takes_a_place(&self) -> bool {
        self.needs_a_worker() || matches!(self, Self::Orchestration { .. })
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
    /// By the steps of workflows.
    Value(Outcome),
}

/// What a step of a workflow made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The value that later steps see. Null when it is kept elsewhere.
    pub value: Json,
    /// Where the value is when it is too large for an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Kept>,
    /// What in the value is kept elsewhere, and stands there as what says where: the results of other runs, what was
    /// approved.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inside: Places,
    /// The value is the list of what the instances of the step made, so many, and is with them: it is too large for one
    /// event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<u32>,
    /// The step's `output_mapping` was applied by whoever reports the value, who had it whole. A value that is kept
    /// elsewhere was always mapped before; any other is mapped by the run.
    #[serde(default, skip_serializing_if = "is_false")]
    pub mapped: bool,
    /// Status code of the other side, when it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u16>,
    /// It was not done again: the value is the kept one of an earlier step with the same input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached: Option<CacheHit>,
    /// The end of what was written beside the value (standard error, streamed lines), at most 4 KiB.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<String>,
    /// Further facts: `model`, `prompt_tokens`, `etag`, `exit_code`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
}

impl Outcome {
    /// A value and nothing beside it.
    #[must_use]
    pub fn of(value: Json) -> Self {
        let (kept, listed, mapped, status_code, cached) = (None, None, false, None, None);
        let (inside, logs, facts) = (Places::new(), Vec::new(), BTreeMap::new());
        Self { value, kept, inside, listed, mapped, status_code, cached, logs, facts }
    }

    /// A value that is kept elsewhere.
    #[must_use]
    pub fn kept(kept: Kept) -> Self {
        Self { kept: Some(kept), mapped: true, ..Self::of(Json::Null) }
    }

    /// A value with places in it that are kept elsewhere.
    #[must_use]
    pub fn with(value: Json, mut inside: Places) -> Self {
        match inside.remove("") {
            Some(all) => Self::kept(all),
            None => Self { inside, ..Self::of(value) },
        }
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// A value in the content store, as JSON text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// SHA-256 of the text.
    pub digest: Digest,
    /// Length of the text in bytes.
    pub bytes: u64,
}

impl Kept {
    /// What stands for the value where it cannot be brought: `{"kept": {"digest", "bytes"}}`.
    #[must_use]
    pub fn reference(&self) -> Json {
        serde_json::json!({"kept": {"digest": self.digest.0, "bytes": self.bytes}})
    }
}

/// Where a value that was not made again comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheHit {
    /// SHA-256 of the canonical input.
    pub fingerprint: Digest,
    /// When the value was kept.
    pub stored_at: Timestamp,
    /// The run that made it.
    pub run: crate::ids::RunId,
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
