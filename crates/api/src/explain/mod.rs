//! Why a thing stands where it stands: what holds it, since when, and what will move it.
//!
//! Owns: the words for each state of runs, steps, questions, deliverables, schedules and definitions, from states and the
//! queue. The HTTP interface and the command line give the same answer.
//! Refuses to know: where states come from ([`Facts`]), who may see them.
//!
//! Invariant: no state is without an answer. Each match over states names every one, so a new one does not compile here.

mod orders;
mod queued;
mod routes;
mod runs;
#[cfg(test)]
mod tests;
mod triggers;

use nightshift_actors::queue::{QueueView, limits::Limits};
use nightshift_domain::{
    decider::Decider,
    definition::DefinitionDecider,
    deliverable::DeliverableDecider,
    ids::{DefinitionId, DeliverableId, RunId, ScheduleId, StreamId},
    queue,
    run::{ApprovalId, RunDecider},
    schedule::ScheduleDecider,
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use routes::ROUTES;

/// Why something stands where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// What is explained, e.g. `run 0198…`.
    pub subject: String,
    /// How far it is, in a word.
    pub status: String,
    /// What holds it, in the order in which it will be released; never empty.
    pub gates: Vec<Gate>,
}

/// One thing that holds something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Gate {
    /// The step it holds; none: the thing as a whole.
    pub step_id: Option<String>,
    /// What kind of thing holds it.
    pub gate: Kind,
    /// In words.
    pub what: String,
    /// Who has what it waits for, when that is somebody.
    pub holder: Option<String>,
    /// Place among those that wait, from 1.
    pub position: Option<usize>,
    /// Since when.
    pub since: Option<String>,
    /// For how many milliseconds.
    pub for_ms: Option<i64>,
    /// What releases it.
    pub released_by: String,
    /// The request that releases it, when one does.
    pub request: Option<String>,
}

/// What kind of thing holds something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Somebody paused it.
    Paused,
    /// A person is asked.
    Approval,
    /// It waits for its turn.
    Queue,
    /// A limit holds it back.
    Limit,
    /// It is being done.
    Attempt,
    /// It failed and is tried again.
    Retry,
    /// It waits for an instant, an event or another run.
    Wait,
    /// It waits for other steps, or for a place in its run.
    Dependencies,
    /// Its parts are being done.
    Parts,
    /// Its last attempt failed, and nobody tries again by itself.
    Dead,
    /// The clock brings it on.
    Clock,
    /// It waits for what starts it.
    Trigger,
    /// It is over.
    Over,
    /// No process runs on the store.
    Unattended,
    /// Nothing holds it: it moves at this moment.
    Nothing,
}

impl Gate {
    fn new(gate: Kind, what: impl Into<String>, released_by: impl Into<String>) -> Self {
        Self {
            step_id: None,
            gate,
            what: what.into(),
            holder: None,
            position: None,
            since: None,
            for_ms: None,
            released_by: released_by.into(),
            request: None,
        }
    }

    /// No process runs on the store.
    #[must_use]
    pub fn nobody_runs() -> Self {
        let released = "`nightshift serve`, or `nightshift tick` for one pass";
        Self::new(Kind::Unattended, "nothing runs on this store at the moment", released)
    }

    fn of_step(mut self, step: &str) -> Self {
        self.step_id = Some(step.to_owned());
        self
    }

    fn since(mut self, since: Timestamp, now: Timestamp) -> Self {
        self.since = Some(since.to_string());
        self.for_ms = Some(now.micros_since(since).max(0) / 1_000);
        self
    }

    fn held_by(mut self, holder: impl Into<String>) -> Self {
        self.holder = Some(holder.into());
        self
    }

    fn asked_by(mut self, request: impl Into<String>) -> Self {
        self.request = Some(request.into());
        self
    }
}

/// What can be explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A run.
    Run(RunId),
    /// A step of a run, as it stands in the queue or not.
    Job(RunId, String),
    /// A question to people.
    Approval(RunId, ApprovalId),
    /// A standing order.
    Deliverable(DeliverableId),
    /// A trigger in time.
    Schedule(ScheduleId),
    /// A workflow definition: owner, name, id.
    Definition(String, String, DefinitionId),
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Run(id) => write!(f, "run {id}"),
            Self::Job(run, step) => write!(f, "job {run}/{step}"),
            Self::Approval(_, id) => write!(f, "approval {id}"),
            Self::Deliverable(id) => write!(f, "deliverable {id}"),
            Self::Schedule(id) => write!(f, "schedule {id}"),
            Self::Definition(owner, name, _) => write!(f, "definition {owner}/{name}"),
        }
    }
}

impl Subject {
    /// The address under which a daemon explains it.
    #[must_use]
    pub fn path(&self) -> String {
        match self {
            Self::Run(id) => format!("/api/orchestrations/{id}/explain"),
            Self::Job(run, step) => format!("/api/jobs/{run}/{}/explain", escaped(step)),
            Self::Approval(_, id) => format!("/api/orchestrations/approvals/{id}/explain"),
            Self::Deliverable(id) => format!("/api/deliverables/{id}/explain"),
            Self::Schedule(id) => format!("/api/schedules/{id}/explain"),
            Self::Definition(owner, name, _) => {
                format!("/api/workflows/{}/{}/explain", escaped(owner), escaped(name))
            }
        }
    }
}

/// A part of a path: whatever is no plain letter is escaped.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Where states come from: the actors of a running system, or the log.
pub trait Facts: Sync {
    /// Why there are none.
    type Error: Send;

    /// What is remembered of a stream; of one that nothing happened to, its beginning.
    fn state<D: Decider>(&self, stream: StreamId) -> impl Future<Output = Result<D::State, Self::Error>> + Send;
}

/// What holds for all that is explained at one instant.
pub struct Moment<'a> {
    /// Now.
    pub now: Timestamp,
    /// Who waits and who runs; none where nobody runs the queue.
    pub queue: Option<&'a QueueView>,
    /// What people set of the queue.
    pub set: &'a queue::State,
    /// Limits in force.
    pub limits: &'a Limits,
}

/// Explains.
///
/// # Errors
/// The facts could not be had.
pub async fn explain<F: Facts>(facts: &F, subject: &Subject, at: &Moment<'_>) -> Result<Explanation, F::Error> {
    let (status, mut gates) = match subject {
        Subject::Run(id) => runs::run(*id, &facts.state::<RunDecider>(id.stream()).await?, at),
        Subject::Job(id, step) => runs::job(*id, step, &facts.state::<RunDecider>(id.stream()).await?, at),
        Subject::Approval(run, id) => runs::approval(*run, *id, &facts.state::<RunDecider>(run.stream()).await?, at),
        Subject::Deliverable(id) => {
            let state = facts.state::<DeliverableDecider>(id.stream()).await?;
            orders::deliverable(facts, *id, &state, at).await?
        }
        Subject::Schedule(id) => {
            let state = facts.state::<ScheduleDecider>(id.stream()).await?;
            triggers::schedule(facts, *id, &state, at).await?
        }
        Subject::Definition(owner, name, id) => {
            let state = facts.state::<DefinitionDecider>(id.stream()).await?;
            triggers::definition(facts, (owner, name), &state, at).await?
        }
    };
    if gates.is_empty() {
        gates.push(Gate::new(Kind::Nothing, "nothing holds it: it moves at this moment", "the next event; look again"));
    }
    Ok(Explanation { subject: subject.to_string(), status, gates })
}
