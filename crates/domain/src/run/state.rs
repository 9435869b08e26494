//! What is remembered of a run.
//!
//! Owns: the shape, and how a step or an instance of one is found by its id.
//! Refuses to know: which event changes what.
//!
//! Invariant: the number of an attempt, the round of a question and the number of a reset never come again for one id.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    Action, Answer, Approval, ApprovalId, Asked, Created, End, Lease, Outcome, Round, StepOutput, StepPlan, Waits,
    places,
};
use crate::{
    content::Failure,
    ids::RunId,
    json::{Json, merge},
    time::Timestamp,
};

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
    /// It was stopped before it began, and never will.
    Barred {
        /// Why.
        reason: String,
    },
}

impl State {
    /// The run, once it exists.
    #[must_use]
    pub const fn run(&self) -> Option<&Run> {
        match self {
            Self::Unborn | Self::Barred { .. } => None,
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
    /// Steps that are done once for each element of a list, by the step's id.
    pub fans: BTreeMap<String, Fan>,
    /// Why nothing more is started, when so.
    pub paused: Option<Asked>,
    /// Ids of the events that its waits had, by type, the oldest first; so many at most as a topic keeps.
    pub heard: BTreeMap<String, Vec<String>>,
    /// Questions that were decided, and how.
    pub decided: BTreeMap<ApprovalId, Answer>,
    /// Questions that nobody has to answer, and that nobody has.
    pub advisory: BTreeMap<ApprovalId, Advisory>,
    /// How often it was opened again after it was over.
    pub reopened: u32,
    /// How often it went on after a pause.
    pub resumed: u32,
    /// How many events its stream has, when it owes messages; they are named by it.
    #[serde(default)]
    pub events: u64,
    /// Messages that have no end yet: the version of the event that each tells of, and its part.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub owing: BTreeSet<(u64, u32)>,
    /// Messages that nobody took and that are sent no more, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given_up: Vec<GivenUp>,
    /// Messages that were sent anew: version and part, and the version of the event that said so.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub resent: BTreeSet<(u64, u32, u64)>,
}

/// A message that nobody took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUp {
    /// Which event of the run's stream it tells of.
    pub version: u64,
    /// Which of the messages about that event it is.
    pub part: u32,
    /// Its name.
    pub event: String,
    /// How often it was sent.
    pub attempts: u32,
    /// Why it was not taken at last.
    pub failure: Failure,
    /// When it was given up.
    pub at: Timestamp,
}

/// A question that nobody has to answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Advisory {
    /// The step it is about.
    pub step: String,
    /// What is asked.
    pub approval: Box<Approval>,
}

/// The instances of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fan {
    /// The elements.
    pub items: Arc<Vec<Json>>,
    /// How far the instance of each is.
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
    /// Attempts before the step was last reset; they count for nothing but the numbers of later ones.
    pub former_attempts: u32,
    /// The highest number that an attempt had so far.
    pub attempts: u32,
    /// How often it was reset.
    pub resets: u32,
    /// The request that its attempts make: names its idempotency key.
    pub round: Round,
    /// How many questions were asked about it.
    pub asked: u32,
    /// Laid over its input.
    pub modifications: Option<Json>,
    /// It may not go before.
    pub not_before: Option<Timestamp>,
    /// Which time that the run went on after a pause it was that it began to wait for its instant; 0: before any.
    pub woken: u32,
    /// It has one attempt, whatever its policy allows.
    #[serde(default)]
    pub once: bool,
    /// Who gave it up after its death, and why.
    #[serde(default)]
    pub discarded: Option<Asked>,
}

impl Step {
    /// A step nothing happened to.
    #[must_use]
    pub const fn fresh() -> Self {
        Self {
            status: StepStatus::Pending {},
            failed_attempts: 0,
            lost_attempts: 0,
            former_attempts: 0,
            attempts: 0,
            resets: 0,
            round: Round::FIRST,
            asked: 0,
            modifications: None,
            not_before: None,
            woken: 0,
            once: false,
            discarded: None,
        }
    }

    /// The number of the attempt that comes next.
    #[must_use]
    pub const fn next_attempt(&self) -> u32 {
        match self.status {
            StepStatus::Waiting { attempt, .. } => attempt,
            _ => self.former_attempts + self.failed_attempts + self.lost_attempts + 1,
        }
    }

    /// The number that a wake-up names: the attempt that waits, or the one behind the highest there was.
    pub(super) const fn awaited(&self) -> u32 {
        match self.status {
            StepStatus::Waiting { attempt, .. } => attempt,
            _ => self.attempts + 1,
        }
    }

    /// When it may go, if it waits for an instant before its next attempt.
    pub(super) const fn goes_at(&self) -> Option<Timestamp> {
        match self.status {
            StepStatus::Waiting { retry_at, .. } => Some(retry_at),
            StepStatus::Pending {} => self.not_before,
            _ => None,
        }
    }

    /// An attempt of this number is under way.
    pub(super) fn attempted(&mut self, attempt: u32) {
        self.attempts = self.attempts.max(attempt);
        self.not_before = None;
    }

    /// It is to be done again: nothing of what it made is left, and numbers go on where they were. `some_done`: some of
    /// its instances had been done.
    pub(super) fn reset(&mut self, modifications: Option<&Json>, not_before: Option<Timestamp>, some_done: bool) {
        let held = matches!(self.status, StepStatus::Completed { .. } | StepStatus::Asking { output: Some(_), .. });
        let held = held || some_done;
        if held || modifications.is_some() {
            self.round.pass();
        }
        self.resets += 1;
        self.former_attempts = self.attempts;
        (self.failed_attempts, self.lost_attempts) = (0, 0);
        if let Some(changes) = modifications {
            merge(self.modifications.get_or_insert(Json::Null), changes);
        }
        (self.not_before, self.woken) = (not_before, 0);
        (self.once, self.discarded) = (false, None);
        self.status = StepStatus::Pending {};
    }
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
    /// It waits for something other than a worker.
    Parked {
        /// The attempt that waits.
        attempt: u32,
        /// For what.
        on: Box<Waits>,
        /// Since when.
        since: Timestamp,
    },
    /// A person is asked, before it is done (a step that is an approval) or behind it (a checkpoint).
    Asking {
        /// What is asked.
        approval: Box<Approval>,
        /// What it made, for a checkpoint.
        output: Option<Arc<StepOutput>>,
        /// Since when.
        since: Timestamp,
    },
    /// Its instances are done.
    Fanned {},
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
            Self::Parked { .. } | Self::Fanned {} => "running",
            Self::Asking { .. } => "checkpoint",
        }
    }

    /// Whether it has come to an end, be it good or bad.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        matches!(self, Self::Completed { .. } | Self::Skipped { .. } | Self::Dead { .. })
    }

    /// Whether nothing of it goes on outside of the run, so that it can be given up at once: not an attempt, not a child.
    pub(super) fn is_idle(&self) -> bool {
        match self {
            Self::Pending {} | Self::Queued { .. } | Self::Waiting { .. } | Self::Asking { .. } => true,
            Self::Parked { on, .. } => !matches!(**on, Waits::Child { .. }),
            Self::Running { .. } | Self::Fanned {} => false,
            Self::Completed { .. } | Self::Skipped { .. } | Self::Dead { .. } => false,
        }
    }

    /// Whether it holds one of the places of the run, if `action` takes one.
    pub(super) fn holds_a_place(&self, action: &Action) -> bool {
        match self {
            Self::Queued { .. } | Self::Running { .. } | Self::Waiting { .. } | Self::Parked { .. } => {
                action.takes_a_place()
            }
            _ => false,
        }
    }
}

/// Where a step is, or one of its instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Which step of the plan.
    pub at: usize,
    /// Which instance of it.
    pub nth: Option<usize>,
}

/// The id of the `nth` instance of a step that is done for each element of a list, from 0.
#[must_use]
pub fn instance_id(step: &str, nth: usize) -> String {
    format!("{step}[{nth}]")
}

/// The step of an instance's id, and which instance it is.
#[must_use]
pub fn instance_of(id: &str) -> Option<(&str, usize)> {
    let (step, nth) = id.strip_suffix(']')?.rsplit_once('[')?;
    let nth = nth.parse().ok()?;
    (instance_id(step, nth) == id).then_some((step, nth))
}

impl Run {
    pub(super) fn place(&self, id: &str) -> Option<Place> {
        let of = |id: &str| self.created.plan.steps.iter().position(|plan| plan.id == id);
        if let Some(at) = of(id) {
            return Some(Place { at, nth: None });
        }
        let (step, nth) = instance_of(id)?;
        let at = of(step)?;
        self.fans.get(step).is_some_and(|fan| nth < fan.steps.len()).then_some(Place { at, nth: Some(nth) })
    }

    pub(super) fn at(&self, place: Place) -> Option<(&StepPlan, &Step)> {
        let plan = self.created.plan.steps.get(place.at)?;
        let step = match place.nth {
            Some(nth) => self.fans.get(&plan.id)?.steps.get(nth)?,
            None => self.steps.get(place.at)?,
        };
        Some((plan, step))
    }

    /// The plan's step and how far it is. `id[3]` is the instance of `id` for the fourth element of its list; the plan's
    /// step is that of `id`.
    #[must_use]
    pub fn step(&self, id: &str) -> Option<(&StepPlan, &Step)> {
        self.at(self.place(id)?)
    }

    pub(super) fn step_mut(&mut self, id: &str) -> Option<&mut Step> {
        let place = self.place(id)?;
        match place.nth {
            Some(nth) => self.fans.get_mut(instance_of(id)?.0)?.steps.get_mut(nth),
            None => self.steps.get_mut(place.at),
        }
    }

    /// Each step of the plan and how far it is, without instances.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&StepPlan, &Step)> {
        self.created.plan.steps.iter().zip(&self.steps)
    }

    /// The id, the plan's step and the state of every step and of every instance, the instances before the step.
    pub fn all(&self) -> impl Iterator<Item = (String, &StepPlan, &Step)> {
        self.pairs().flat_map(|(plan, step)| {
            let instances = self.fans.get(&plan.id).map_or(&[][..], |fan| &fan.steps);
            let instances = instances.iter().enumerate();
            let instances = instances.map(move |(nth, instance)| (instance_id(&plan.id, nth), plan, instance));
            instances.chain([(plan.id.clone(), plan, step)])
        })
    }

    /// How many of its places are held, by steps and by instances.
    pub(super) fn places_held(&self) -> usize {
        let of = |plan: &StepPlan, step: &Step| usize::from(step.status.holds_a_place(&plan.action));
        let instances = |plan: &StepPlan| match self.fans.get(&plan.id) {
            Some(fan) => fan.steps.iter().map(|step| of(plan, step)).sum(),
            None => 0,
        };
        self.pairs().map(|(plan, step)| of(plan, step) + instances(plan)).sum()
    }

    /// What is sent to the other side with every attempt of a step, so that it can see a repetition.
    #[must_use]
    pub fn idempotency_key(&self, run: RunId, step: &str) -> Option<String> {
        let (_, found) = self.step(step)?;
        Some(super::idempotency_key_of(run, step, found.round.number))
    }

    /// What the completed steps made. A list says where the values of its instances are that are kept elsewhere.
    #[must_use]
    pub fn outputs(&self) -> BTreeMap<String, Arc<StepOutput>> {
        self.pairs()
            .filter_map(|(plan, step)| match &step.status {
                StepStatus::Completed { output } => Some((plan.id.clone(), self.with_places(&plan.id, output))),
                _ => None,
            })
            .collect()
    }

    fn with_places(&self, id: &str, output: &Arc<StepOutput>) -> Arc<StepOutput> {
        let inside = if self.fans.contains_key(id) { places::of_step(self, id) } else { places::Places::new() };
        match &**output {
            StepOutput::Value(outcome) if !inside.is_empty() && outcome.kept.is_none() => {
                Arc::new(StepOutput::Value(Outcome { inside, ..outcome.clone() }))
            }
            _ => Arc::clone(output),
        }
    }
}
