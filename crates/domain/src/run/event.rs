//! What can happen to a run.
//!
//! Owns: the words. Refuses to know: what is remembered of each, and what it makes the run owe.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Answer, Approval, ApprovalId, Asked, Created, Lease, Migrated, Places, Report, StepOutput, Token};
use crate::{
    content::Failure,
    ids::{RunId, StreamId},
    json::Json,
    time::Timestamp,
};

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
    /// An attempt began: of a step that waited for a place, or of one that found a place when its turn came.
    AttemptStarted {
        /// The step.
        step: String,
        /// The attempt.
        attempt: u32,
        /// Its lease.
        lease: Lease,
        /// Token buckets that gave a token for it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        buckets: Vec<String>,
    },
    /// An attempt did it; the step is complete, unless people are asked behind it.
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
    Completed {
        /// What it gives back, when its plan says so: the plan's `output` with its templates filled in. Null may be that
        /// too, so whether it says so is asked of the plan.
        #[serde(default, skip_serializing_if = "Json::is_null")]
        output: Json,
        /// What in it is kept outside of the events, and stands there as what says where.
        #[serde(default, skip_serializing_if = "Places::is_empty")]
        inside: Places,
    },
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
    /// A step is to be done once for each element of a list. Its instances are `step[0]`, `step[1]`, ...
    FannedOut {
        /// The step.
        step: String,
        /// The elements.
        items: Arc<Vec<Json>>,
    },
    /// A step waits for something other than a worker.
    StepParked {
        /// The step.
        step: String,
        /// The attempt that waits.
        attempt: u32,
        /// For what.
        on: Box<Waits>,
    },
    /// A step is complete though no attempt of a worker made its output.
    StepCompleted {
        /// The step.
        step: String,
        /// What later steps see.
        output: Arc<StepOutput>,
        /// How it came to be.
        how: How,
    },
    /// A person is asked.
    ApprovalRequested {
        /// The step it is about.
        step: String,
        /// What is asked.
        approval: Box<Approval>,
    },
    /// A person, or the deadline, decided.
    ApprovalDecided {
        /// The step it is about.
        step: String,
        /// What was decided.
        answer: Box<Answer>,
    },
    /// Nobody answered in time: somebody else is asked.
    ApprovalEscalated {
        /// The step it is about.
        step: String,
        /// Which question.
        approval: ApprovalId,
        /// Who is asked now.
        to: String,
    },
    /// A step is to be done again: its output is forgotten, and its attempts count no more. So is a single instance.
    StepReset {
        /// The step.
        step: String,
        /// Laid over its input from now on.
        modifications: Option<Json>,
        /// It may go at this instant.
        not_before: Option<Timestamp>,
        /// Who asked, and why.
        by: Asked,
        /// For one attempt, whatever its policy allows.
        #[serde(default, skip_serializing_if = "is_false")]
        once: bool,
    },
    /// A dead step was given up by a person. It stays dead, and only a rerun brings it back.
    StepDiscarded {
        /// The step.
        step: String,
        /// Who, and why.
        by: Asked,
    },
    /// A run that was over goes on.
    Reopened {
        /// Who asked, and why.
        by: Asked,
    },
    /// Nothing more is started until it is resumed.
    Paused {
        /// Who asked, and why.
        by: Asked,
    },
    /// It goes on.
    Resumed {
        /// Who asked, and why.
        by: Asked,
    },
    /// It goes on under another version of its definition.
    Migrated(Box<Migrated>),
    /// A webhook took a message about this run.
    Reported {
        /// Which event of this stream it tells of.
        version: u64,
        /// Which of the messages about that event it is.
        part: u32,
        /// Its name.
        event: String,
        /// How often it was sent.
        attempts: u32,
    },
    /// No webhook took a message about this run, and it is sent no more.
    ReportGivenUp {
        /// Which event of this stream it tells of.
        version: u64,
        /// Which of the messages about that event it is.
        part: u32,
        /// Its name.
        event: String,
        /// How often it was sent.
        attempts: u32,
        /// Why it was not taken at last.
        failure: Failure,
    },
    /// A message that was given up is sent anew.
    ReportResent {
        /// What is sent, as it was.
        report: Box<Report>,
        /// Who asked, and why.
        by: Asked,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks it like that")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// What a step waits for that no worker does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Waits {
    /// An instant.
    Until {
        /// When.
        at: Timestamp,
    },
    /// An event.
    Event {
        /// Its type.
        event: String,
        /// The topic that tells of it.
        topic: StreamId,
        /// Only one with this correlation.
        correlation: Option<String>,
        /// When the step fails.
        deadline: Option<Timestamp>,
        /// Events that were published since then count: the run's creation, or this instant when the step is done anew.
        since: Timestamp,
    },
    /// The end of another run.
    Child {
        /// The definition that is asked to start it.
        definition: StreamId,
        /// The run that will be started: its id derives from this run, the step and the attempt.
        run: RunId,
        /// The version that is asked for.
        version: Option<String>,
        /// Its parameters.
        parameters: Json,
    },
}

/// How a step was completed without a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Its value was set.
    Set {},
    /// Its wait is over.
    Slept {},
    /// The event came.
    EventArrived {
        /// Its id; empty when it was not noted.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        id: String,
    },
    /// It was approved.
    Approved {},
    /// The other run is over.
    ChildEnded {
        /// The run.
        run: RunId,
    },
    /// All its instances are complete.
    FannedIn {},
    /// Somebody gave an output in its place.
    Replaced {
        /// Who, and why.
        by: Asked,
    },
}

/// How a run ended, as whoever asked for it is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// All steps are complete.
    Completed {
        /// What each step made by id, or what the plan says the run gives back. A definition is not told.
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

impl End {
    /// The word in tables.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Completed { .. } => "completed",
            Self::Failed { .. } => "failed",
            Self::Cancelled { .. } => "cancelled",
        }
    }
}
