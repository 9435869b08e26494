//! What can be asked of a run, and why not.
//!
//! Owns: the words. Refuses to know: what follows from them.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Answer, ApprovalId, End, Migration, Plan, Report, Reports, StepDiffers, StepOutput, Subject};
use crate::{
    content::{Digest, Failure},
    definition::ParameterFault,
    ids::{RunId, StreamId, UserId},
    json::Json,
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
    /// Begin, and take a place at once.
    Begin {
        /// As in [`Command::Create`].
        created: Box<Created>,
        /// A place for the first step that can use it.
        offer: Lease,
        /// No bucket limits anything now.
        tokens_free: bool,
        /// A step that takes the offered place at once is not told to have waited for one. Commands of before there was
        /// this tell both, and are decided again as they were.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        at_once: bool,
    },
    /// The queue has a place for this step.
    Grant {
        /// The step.
        step: String,
        /// The attempt that waits.
        attempt: u32,
        /// The place.
        lease: Lease,
        /// Token buckets that gave a token for it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        buckets: Vec<String>,
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
        /// No bucket limits anything now, so the place is also for a step that has to take tokens.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        tokens_free: bool,
        /// As in [`Command::Begin`].
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        at_once: bool,
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
    /// Whoever waited for this run waits no more: stop, or never begin.
    Stop {
        /// Why, for people.
        reason: String,
    },
    /// A wait that has an end in time is over: a sleep, the deadline of an event.
    StepDue {
        /// The step.
        step: String,
        /// The attempt that waits.
        attempt: u32,
    },
    /// Nobody answered a question in time.
    AnswerDue {
        /// The step it is about.
        step: String,
        /// The question.
        approval: ApprovalId,
    },
    /// An event came that a step waits for.
    EventArrived {
        /// The step.
        step: String,
        /// The attempt that waits.
        attempt: u32,
        /// What came: `{type, payload, correlation, id, at}`.
        event: Json,
    },
    /// A run that a step waits for is over.
    ChildEnded {
        /// The step.
        step: String,
        /// The attempt that waits.
        attempt: u32,
        /// The run; none when it could not be started.
        run: Option<RunId>,
        /// How it ended.
        end: End,
    },
    /// A person's answer.
    Answer(Box<Answer>),
    /// Do a step again that is dead or skipped, or go on waiting no longer for its retry. A run that has failed is opened
    /// again, and with it every other step that kept it from going on.
    RetryStep {
        /// The step.
        step: String,
        /// Laid over its input.
        modifications: Option<Json>,
        /// Not before so many milliseconds.
        delay_ms: u64,
        /// Who asked, and why.
        by: Asked,
        /// Steps whose questions to people may be passed over by it; none: any. See [`super::passed_over`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        past: Option<Vec<String>>,
    },
    /// Take this for the output of a step and go on.
    SkipStep {
        /// The step.
        step: String,
        /// What later steps see; none or null: `{"skipped": true}`.
        output: Option<Json>,
        /// Who asked, and why.
        by: Asked,
        /// Steps whose questions to people may be passed over by it; none: any. See [`super::passed_over`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        past: Option<Vec<String>>,
    },
    /// Do something about a dead letter, and only about one: a step whose last attempt failed.
    DeadLetter {
        /// The step.
        step: String,
        /// The attempt that was its last when it was looked at. When a later one has failed since, nothing is done; when
        /// it is being done again since, a retry and a reset are content with that. None: whichever it was.
        attempt: Option<u32>,
        /// What.
        verb: DeadVerb,
        /// Who asked, and why.
        by: Asked,
    },
    /// Do this step and all that depend on it once more, and what has no output because the run ended before; outputs of
    /// the others are kept. The run must be over.
    Rerun {
        /// The step; none: all steps.
        from: Option<String>,
        /// Who asked, and why.
        by: Asked,
    },
    /// Start nothing more until resumed; what runs goes on.
    Pause {
        /// Who asked, and why.
        by: Asked,
    },
    /// Go on.
    Resume {
        /// Who asked, and why.
        by: Asked,
    },
    /// Go on under another version of the definition.
    Migrate(Box<Migration>),
    /// A message was taken by whoever it is for, or is given up.
    EndReport {
        /// Which event of this stream it tells of.
        version: u64,
        /// Which of the messages about that event it is.
        part: u32,
        /// Its name.
        event: String,
        /// How often it was sent.
        attempts: u32,
        /// Why it is given up; none: it was taken.
        failure: Option<Failure>,
    },
    /// Messages that were given up are sent anew, for as long as the first time. Those that are on their way again
    /// already are left to it.
    ResendReports {
        /// The messages, as they were.
        reports: Vec<Report>,
        /// Who asks, and why.
        by: Asked,
    },
}

/// What can be done about a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadVerb {
    /// One more attempt.
    Retry,
    /// All attempts of its policy anew.
    Reset,
    /// It is given up: it leaves the dead letters, and its run stays as it is. A rerun can bring it back.
    Discard,
}

impl DeadVerb {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Retry, Self::Reset, Self::Discard];

    /// The word for people and in tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Reset => "reset",
            Self::Discard => "discard",
        }
    }

    /// Reads [`DeadVerb::as_str`] back.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.as_str() == text)
    }
}

/// Who asked for something, and why.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Asked {
    /// A user, or `cli`.
    pub by: String,
    /// For people.
    #[serde(default)]
    pub note: String,
}

impl Asked {
    /// The note behind a colon; nothing when there is none.
    #[must_use]
    pub fn said(&self) -> String {
        if self.note.is_empty() { String::new() } else { format!(": {}", self.note) }
    }
}

/// The first fact of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Created {
    /// The run itself. Whoever asks for it need not say; it is filled in when a run of a workflow begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<RunId>,
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
    /// Checked parameters with their defaults; null when the plan takes none.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub parameters: Json,
    /// What caused it, for conditions and templates: `{type, ...}`.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub trigger: Json,
    /// The step of another run that waits for this one, and its attempt; told at `reply_to`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_step: Option<(String, u32)>,
    /// Definitions of the runs above this one, from the top of the tree down, `owner/name`. Its own is not among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<String>,
    /// Which messages it owes to webhooks. Filled in when a run of a workflow begins.
    #[serde(default, skip_serializing_if = "Reports::is_none")]
    pub reports: Reports,
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
    /// No such message was given up.
    #[error("no message {version}.{part} of the run was given up")]
    NoSuchReport {
        /// Which event of the stream it tells of.
        version: u64,
        /// Which of the messages about that event it is.
        part: u32,
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
    /// No such question is open.
    #[error("there is no open approval {approval}")]
    NoSuchApproval {
        /// As asked.
        approval: ApprovalId,
    },
    /// It was decided before.
    #[error("approval {approval} was decided already: {action} by {by}")]
    Decided {
        /// Which.
        approval: ApprovalId,
        /// What was decided.
        action: String,
        /// By whom.
        by: String,
    },
    /// What was to be approved is not what was looked at.
    #[error("approval {approval} is about {current}, not about {seen}: look again")]
    AnotherPayload {
        /// Which.
        approval: ApprovalId,
        /// Digest of what is to be approved.
        current: Digest,
        /// The digest that came with the answer.
        seen: Digest,
    },
    /// The question does not allow this answer.
    #[error("approval {approval} does not allow {what}; allowed: {allowed}")]
    NotAnOption {
        /// Which.
        approval: ApprovalId,
        /// What was answered.
        what: String,
        /// What could be.
        allowed: String,
    },
    /// The step may not be skipped.
    #[error("step {step:?} may not be skipped (allow_skip is false)")]
    NoSkip {
        /// The step.
        step: String,
    },
    /// It would pass over a question to people that its sender may not answer.
    #[error("that would pass over the question of step {asks:?}, which has to be answered by who may answer it")]
    PassesOver {
        /// The step it is about.
        step: String,
        /// The step that asks.
        asks: String,
    },
    /// The step was given up by a person.
    #[error("step {step:?} was discarded by {}{}; only a rerun brings it back", .by.by, .by.said())]
    Discarded {
        /// The step.
        step: String,
        /// Who, and why.
        by: Asked,
    },
    /// The run goes on; it has to end, or to be cancelled, before.
    #[error("the run is not over")]
    NotOver,
    /// It is a run of something else.
    #[error("the run is of {is}, and {asked} is no version of that")]
    AnotherDefinition {
        /// The definition of the run, with its version.
        is: String,
        /// As asked.
        asked: String,
    },
    /// What it was given is not what runs of the version are given.
    #[error("{}", listed(faults))]
    Parameters {
        /// Every fault.
        faults: Vec<ParameterFault>,
    },
    /// More goes at once than that version allows.
    #[error("the run cannot go on as {to}: {held} places are held, and it has {places}")]
    Places {
        /// The version, `owner/name@version`.
        to: String,
        /// How many are held now.
        held: usize,
        /// How many there would be.
        places: u16,
    },
    /// What has happened so far would not have happened under that version.
    #[error("the run cannot go on as {to}: {}", listed(differs))]
    CannotMigrate {
        /// The version, `owner/name@version`.
        to: String,
        /// Every step that keeps it from that.
        differs: Vec<StepDiffers>,
    },
}

fn listed(all: &[impl fmt::Display]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
