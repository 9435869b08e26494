//! The run: one execution of a plan, its steps and their attempts.
//!
//! Owns: which step may go, which attempt counts, when it is tried again, when the run is over.
//! Refuses to know: how a step is done, who holds a slot of the queue, what the outcome means to whoever asked.
//!
//! Invariant: a result is applied only under the token of the attempt that is open.
//! Invariant: a run that is over has no step queued or running.

mod decide;
mod memory;
mod owed;
mod plan;
mod retry;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

pub use decide::{RunDecider, idempotency_key};
pub use plan::{Action, CrashPolicy, GatherSource, Jitter, Plan, RetryPolicy, Shape, StepOutput, StepPlan};

use crate::{
    content::{Failure, FailureClass},
    ids::{RunId, StreamId, UserId},
    time::Timestamp,
};

/// Fencing token of a lease: the shard's epoch and a nonce; the shard is the run's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Token {
    /// Epoch of the shard under which the lease was granted.
    pub epoch: i64,
    /// Drawn for this grant.
    pub nonce: u64,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:016x}", self.epoch, self.nonce)
    }
}

/// A place in the queue, offered to a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Proof of the grant.
    pub token: Token,
    /// When it runs out unless renewed.
    pub until: Timestamp,
    /// Who does the work.
    pub worker: String,
}

/// What can be asked of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Begin.
    Create(Box<Created>),
    /// The queue has a place for this step.
    Grant {
        /// The step.
        step: String,
        /// The attempt that waits.
        attempt: u32,
        /// The place.
        lease: Lease,
    },
    /// An attempt ended.
    Finish {
        /// The step.
        step: String,
        /// The attempt.
        attempt: u32,
        /// The lease it ran under.
        token: Token,
        /// What came of it.
        result: Result<StepOutput, Failure>,
        /// A place for a step that becomes ready by this.
        #[serde(default)]
        offer: Option<Lease>,
    },
    /// A lease ran out, or its holder is known to be gone.
    Expire {
        /// The step.
        step: String,
        /// The attempt.
        attempt: u32,
        /// The lease.
        token: Token,
        /// How it is known.
        reason: String,
    },
    /// The wait before another attempt is over.
    RetryDue {
        /// The step.
        step: String,
        /// The attempt that may go now.
        attempt: u32,
    },
    /// Stop.
    Cancel {
        /// Why, for people.
        reason: String,
    },
}

/// The first fact of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Created {
    /// What is to be done.
    pub plan: Arc<Plan>,
    /// What the run is for.
    pub subject: Subject,
    /// Whose run it is.
    pub user: UserId,
    /// Lower goes first.
    pub priority: i16,
    /// Who is told when it is over.
    pub reply_to: Option<StreamId>,
    /// The run at the top of the tree; names the trace.
    pub root: RunId,
    /// The run that caused this one.
    pub parent: Option<RunId>,
    /// The due instant or the request that caused it.
    pub nominal: Timestamp,
}

/// What a run is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Subject {
    /// The deliverable.
    pub deliverable: crate::ids::DeliverableId,
    /// Number of its version, from 1.
    pub version_number: u32,
    /// Title, for people.
    pub title: String,
}

/// What can happen to a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// It exists.
    Created(Box<Created>),
    /// A step waits for a place.
    StepQueued {
        /// The step.
        step: String,
        /// The attempt that waits, from 1.
        attempt: u32,
    },
    /// An attempt began.
    AttemptStarted {
        /// The step.
        step: String,
        /// The attempt.
        attempt: u32,
        /// Its lease.
        lease: Lease,
    },
    /// An attempt did it; the step is complete.
    AttemptSucceeded {
        /// The step.
        step: String,
        /// The attempt.
        attempt: u32,
        /// What it made.
        output: Arc<StepOutput>,
    },
    /// An attempt failed.
    AttemptFailed {
        /// The step.
        step: String,
        /// The attempt.
        attempt: u32,
        /// Why.
        failure: Failure,
        /// When the next one may go; none when there is none.
        retry_at: Option<Timestamp>,
        /// It costs no attempt of the retry policy, as when the other side asked to come back later.
        free: bool,
    },
    /// An attempt was lost with its lease.
    LeaseExpired {
        /// The step.
        step: String,
        /// The attempt.
        attempt: u32,
        /// How it is known.
        reason: String,
        /// The step is tried again.
        requeued: bool,
    },
    /// A result came under a token that is not the open one; kept for audit, never applied.
    StaleResult {
        /// The step.
        step: String,
        /// The attempt it claimed.
        attempt: u32,
        /// The token it came under.
        token: Token,
        /// Whether it claimed success.
        succeeded: bool,
    },
    /// The last attempt failed: the step is dead.
    StepDied {
        /// The step.
        step: String,
        /// Why.
        failure: Failure,
    },
    /// A step will not be done.
    StepSkipped {
        /// The step.
        step: String,
        /// Why.
        reason: String,
    },
    /// All steps are complete.
    Completed {},
    /// A step that was needed is dead.
    Failed {
        /// The step.
        step: String,
        /// Why.
        failure: Failure,
    },
    /// It was stopped.
    Cancelled {
        /// Why.
        reason: String,
    },
}

/// How a run ended, as whoever asked for it is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// All steps are complete.
    Completed {
        /// What each step made.
        outputs: BTreeMap<String, Arc<StepOutput>>,
    },
    /// A step is dead.
    Failed {
        /// The step.
        step: String,
        /// Why.
        failure: Failure,
    },
    /// It was stopped.
    Cancelled {
        /// Why.
        reason: String,
    },
}

/// What is remembered of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing happened yet.
    #[default]
    Unborn,
    /// Steps are to be done.
    Open(Run),
    /// It is over.
    Over(Run, End),
}

impl State {
    /// The run, once it exists.
    #[must_use]
    pub const fn run(&self) -> Option<&Run> {
        match self {
            Self::Unborn => None,
            Self::Open(run) | Self::Over(run, _) => Some(run),
        }
    }
}

/// A run that exists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its first fact.
    pub created: Arc<Created>,
    /// When that was.
    pub created_at: Timestamp,
    /// How far each step of the plan is, in the plan's order.
    pub steps: Vec<Step>,
}

/// How far a step is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its state.
    pub status: StepStatus,
    /// Attempts that ended as the other side's failure.
    pub failed_attempts: u32,
    /// Attempts that were lost with their lease or turned away for rate; they do not count against the policy.
    pub lost_attempts: u32,
}

/// State of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// It waits for other steps or for a place in the run.
    Pending {},
    /// It waits for a place in the queue.
    Queued {
        /// The attempt that waits.
        attempt: u32,
        /// Since when.
        since: Timestamp,
    },
    /// It is being done.
    Running {
        /// The attempt.
        attempt: u32,
        /// Its lease.
        lease: Lease,
        /// Since when.
        since: Timestamp,
    },
    /// It failed and waits to be tried again.
    Waiting {
        /// The attempt that comes next.
        attempt: u32,
        /// When.
        retry_at: Timestamp,
    },
    /// It is done.
    Completed {
        /// What it made.
        output: Arc<StepOutput>,
    },
    /// Its last attempt failed.
    Dead {
        /// Why.
        failure: Failure,
    },
    /// It will not be done.
    Skipped {
        /// Why.
        reason: String,
    },
}

impl StepStatus {
    /// The word in tables.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Pending {} => "pending",
            Self::Queued { .. } => "queued",
            Self::Running { .. } => "running",
            Self::Waiting { .. } => "failed",
            Self::Completed { .. } => "completed",
            Self::Dead { .. } => "dead",
            Self::Skipped { .. } => "skipped",
        }
    }

    const fn holds_a_place(&self) -> bool {
        matches!(self, Self::Queued { .. } | Self::Running { .. } | Self::Waiting { .. })
    }
}

impl Run {
    /// The plan's step and how far it is.
    #[must_use]
    pub fn step(&self, id: &str) -> Option<(&StepPlan, &Step)> {
        self.created.plan.steps.iter().zip(&self.steps).find(|(plan, _)| plan.id == id)
    }

    fn step_mut(&mut self, id: &str) -> Option<&mut Step> {
        let at = self.created.plan.steps.iter().position(|plan| plan.id == id)?;
        self.steps.get_mut(at)
    }

    /// What the completed steps made.
    #[must_use]
    pub fn outputs(&self) -> BTreeMap<String, Arc<StepOutput>> {
        let pairs = self.created.plan.steps.iter().zip(&self.steps);
        pairs
            .filter_map(|(plan, step)| match &step.status {
                StepStatus::Completed { output } => Some((plan.id.clone(), Arc::clone(output))),
                _ => None,
            })
            .collect()
    }
}

/// Why a command is illegal here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Rejection {
    /// It exists already.
    #[error("the run exists already")]
    Exists,
    /// There is no such run.
    #[error("there is no such run")]
    Unknown,
    /// It is over.
    #[error("the run is over: {end}")]
    Over {
        /// `completed`, `failed` or `cancelled`.
        end: String,
    },
    /// The plan has no such step.
    #[error("the run has no step {step:?}")]
    NoSuchStep {
        /// As asked.
        step: String,
    },
    /// The step is in another state.
    #[error("step {step:?} is {status}, not {wanted}, at attempt {attempt}")]
    StepIs {
        /// The step.
        step: String,
        /// Its state.
        status: String,
        /// The state that was expected.
        wanted: String,
        /// The attempt that was named.
        attempt: u32,
    },
    /// The plan cannot be carried out.
    #[error("the plan is not sound: {why}")]
    Unsound {
        /// What is wrong.
        why: String,
    },
}

impl Failure {
    /// A failure of a class, with what happened.
    #[must_use]
    pub fn new(class: FailureClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), status_code: None, retry_after_ms: None }
    }
}
