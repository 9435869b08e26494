//! Another version of the definition for a run that goes on.
//!
//! Owns: whether what has happened so far could have happened under another plan as well. Refuses to know: where versions
//! are kept, and which of them may be used.
//!
//! A run may go on under another plan when nothing that was used of the old one is different in the new one:
//!
//! | how far a step is | what has to be equal |
//! |---|---|
//! | untouched | nothing; it may be gone, and there may be new ones |
//! | begun: its condition was asked | `when`, the list, the part; it may depend only on what was settled before it began |
//! | it waits for a place in the queue | also what it does, its queue and its concurrency key |
//! | it was attempted, it waits, it has an output | also what it does |
//! | it has an output | also the mapping of it, and the question behind it |
//! | it was asked about | also the question |
//! | attempts of it failed | also when it is tried again, its time limit, and what a crash means |
//! | it is dead | also whether the run needs it |
//!
//! An attempt that runs has to end before. No step may be new in a part of the run that is over.

use std::{collections::BTreeSet, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    Asked, Created, Event, Part, Plan, Rejection, Run, State, Step, StepPlan, StepStatus, WorkflowRef, decide::sound,
    go_on::go_on, instance_id, tale::Tale,
};
use crate::{
    decider::Ctx,
    definition::{Document, Parameter, migrated_parameters},
    ids::DefinitionId,
    json::Json,
};

/// The version under which a run is to go on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Migration {
    /// Which one; of the same definition as the run's.
    pub workflow: WorkflowRef,
    /// Its graph.
    pub plan: Arc<Plan>,
    /// What its runs are given.
    pub parameters: Vec<Parameter>,
    /// Who asked, and why.
    pub by: Asked,
}

impl Migration {
    /// To a version as it was registered.
    #[must_use]
    pub fn to(definition: DefinitionId, document: &Document, by: Asked) -> Self {
        let workflow = WorkflowRef {
            definition: Some(definition),
            owner: document.owner.clone(),
            name: document.name.clone(),
            version: document.version.clone(),
            digest: document.digest().clone(),
        };
        Self { workflow, plan: Arc::clone(&document.plan), parameters: document.parameters.clone(), by }
    }
}

/// A run goes on under another version of its definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Migrated {
    /// The version before.
    pub from: String,
    /// The version from now on, pinned.
    pub workflow: WorkflowRef,
    /// Its graph.
    pub plan: Arc<Plan>,
    /// Parameters as before, with defaults of new ones, without those that are gone.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub parameters: Json,
    /// Steps that had not begun and are not in the new graph.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<String>,
    /// Who asked, and why.
    pub by: Asked,
}

/// A step that keeps a run from going on under another plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepDiffers {
    /// The step, or an instance of one.
    pub step: String,
    /// Why.
    pub why: Differs,
}

impl fmt::Display for StepDiffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {:?} {}", self.step, self.why)
    }
}

/// Why a step keeps a run from going on under another plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Differs {
    /// An attempt runs.
    #[error("is under way, at attempt {attempt}: migrate when it has ended")]
    UnderWay {
        /// Its number.
        attempt: u32,
    },
    /// It has begun, and is not in the new plan.
    #[error("has begun and is not in the new version")]
    Gone {},
    /// Something of it that was used already is different.
    #[error("has begun, and its {field} is another one in the new version")]
    Changed {
        /// What, as documents call it.
        field: String,
    },
    /// It would not have begun when it did.
    #[error("has begun, and in the new version depends on {on:?}, which was not settled before it")]
    DependsOn {
        /// The step it would have waited for.
        on: String,
    },
    /// It would have gone before what has begun.
    #[error("is not settled, and belongs to a part of the run that is over")]
    TooLate {},
}

/// The run goes on under another version, and what is ready under it begins.
pub fn decide(state: &State, run: &Run, to: &Migration, ctx: &Ctx<'_>) -> Result<Vec<Event>, Rejection> {
    let (asked, created) = (&to.workflow, &run.created);
    let same = |own: &&WorkflowRef| own.owner == asked.owner && own.name == asked.name;
    let Some(own) = created.subject.workflow().filter(same) else {
        let (is, asked) = (created.plan.definition.clone(), asked.to_string());
        return Err(Rejection::AnotherDefinition { is, asked });
    };
    if own.version == asked.version && own.digest == asked.digest {
        return Ok(vec![]);
    }
    sound(&to.plan)?;
    let parameters = migrated_parameters(&to.parameters, &created.parameters);
    let parameters = parameters.map_err(|faults| Rejection::Parameters { faults })?;
    let differs = differences(run, &to.plan);
    if !differs.is_empty() {
        return Err(Rejection::CannotMigrate { to: asked.to_string(), differs });
    }
    let (held, places) = (run.places_held(), to.plan.max_parallel);
    if held > usize::from(places) {
        return Err(Rejection::Places { to: asked.to_string(), held, places });
    }
    let dropped = run.pairs().filter(|(plan, _)| planned(&to.plan, &plan.id).is_none());
    let migrated = Migrated {
        from: own.version.clone(),
        workflow: asked.clone(),
        plan: Arc::clone(&to.plan),
        parameters,
        dropped: dropped.map(|(plan, _)| plan.id.clone()).collect(),
        by: to.by.clone(),
    };
    let mut tale = Tale::of(state, ctx);
    tale.tell(Event::Migrated(Box::new(migrated)));
    go_on(&mut tale, None);
    Ok(tale.end())
}

/// What is remembered of it: the steps in the order of the new plan, those that are new untouched.
pub fn migrated(run: &mut Run, to: &Migrated) {
    let known = |id: &str| run.pairs().find(|(plan, _)| plan.id == id).map(|(_, step)| step.clone());
    let steps = to.plan.steps.iter().map(|plan| known(&plan.id).unwrap_or_else(Step::fresh)).collect();
    run.steps = steps;
    run.created = Arc::new(run.created.migrated(to));
}

impl Created {
    /// What the run is under the version that it goes on as.
    #[must_use]
    pub fn migrated(&self, to: &Migrated) -> Self {
        let (plan, subject) = (Arc::clone(&to.plan), self.subject.migrated(&to.workflow));
        Self { plan, subject, parameters: to.parameters.clone(), ..self.clone() }
    }
}

fn planned<'p>(plan: &'p Plan, id: &str) -> Option<&'p StepPlan> {
    plan.steps.iter().find(|step| step.id == id)
}

/// Every step that keeps a run from going on under a plan.
fn differences(run: &Run, plan: &Plan) -> Vec<StepDiffers> {
    let mut found = Vec::new();
    let mut differs = |step: &str, why| found.push(StepDiffers { step: step.to_owned(), why });
    for (old, step) in run.pairs() {
        let instances = run.fans.get(&old.id).map_or(&[][..], |fan| &fan.steps);
        let named = instances.iter().enumerate().map(|(nth, step)| (instance_id(&old.id, nth), step));
        for (id, step) in named.chain([(old.id.clone(), step)]) {
            if let StepStatus::Running { attempt, .. } = step.status {
                differs(&id, Differs::UnderWay { attempt });
            }
        }
        if !is_begun(step) {
            continue;
        }
        let Some(new) = planned(plan, &old.id) else {
            differs(&old.id, Differs::Gone {});
            continue;
        };
        for field in changed(old, new, &Used::of(step, instances)) {
            differs(&old.id, Differs::Changed { field: field.to_owned() });
        }
        let before = ancestors(run, old);
        for on in new.depends_on.iter().filter(|id| !before.contains(id.as_str())) {
            differs(&old.id, Differs::DependsOn { on: on.clone() });
        }
    }
    let begun = run.pairs().filter(|(_, step)| is_begun(step)).map(|(plan, _)| place(plan.flow.part)).max();
    for new in plan.steps.iter().filter(|step| Some(place(step.flow.part)) < begun) {
        if !run.step(&new.id).is_some_and(|(_, step)| step.status.is_settled()) {
            differs(&new.id, Differs::TooLate {});
        }
    }
    found
}

const fn place(part: Part) -> u8 {
    match part {
        Part::Main => 0,
        Part::OnFailure => 1,
        Part::Finally => 2,
    }
}

/// Something happened to it, be it that it was reset.
fn is_begun(step: &Step) -> bool {
    *step != Step::fresh()
}

/// What of a step was used already.
struct Used {
    queued: bool,
    work: bool,
    output: bool,
    question: bool,
    failures: bool,
    dead: bool,
}

impl Used {
    fn of(step: &Step, instances: &[Step]) -> Self {
        let any = |is: fn(&Step) -> bool| is(step) || instances.iter().any(is);
        let has_output = |step: &Step| matches!(step.status, StepStatus::Completed { .. } | StepStatus::Asking { .. });
        Self {
            queued: any(|step| matches!(step.status, StepStatus::Queued { .. })),
            work: any(was_attempted),
            output: any(has_output),
            question: has_output(step) || step.asked > 0,
            failures: any(|step| step.failed_attempts + step.lost_attempts > 0),
            dead: any(|step| matches!(step.status, StepStatus::Dead { .. })),
        }
    }
}

fn was_attempted(step: &Step) -> bool {
    match step.status {
        StepStatus::Pending {} | StepStatus::Queued { .. } => {
            step.failed_attempts + step.lost_attempts + step.former_attempts > 0
        }
        StepStatus::Skipped { .. } => step.attempts > 0,
        StepStatus::Fanned {} => false,
        _ => true,
    }
}

/// The fields of a step that were used and are different, as documents call them.
fn changed(old: &StepPlan, new: &StepPlan, used: &Used) -> Vec<&'static str> {
    let (was, is) = (&old.flow, &new.flow);
    let failures = used.failures || used.dead;
    let fields = [
        ("part", was.part != is.part),
        ("when", was.when != is.when),
        ("for_each", was.for_each != is.for_each),
        ("action", (used.work || used.queued) && old.action != new.action),
        ("queue", used.queued && was.queue != is.queue),
        ("concurrency_key", used.queued && was.concurrency_key != is.concurrency_key),
        ("output", used.output && was.output_mapping != is.output_mapping),
        ("checkpoint_after", used.question && was.checkpoint != is.checkpoint),
        ("retry", failures && old.retry != new.retry),
        ("timeout", failures && old.timeout_ms != new.timeout_ms),
        ("crash", failures && old.crash != new.crash),
        ("optional", used.dead && old.optional != new.optional),
    ];
    fields.into_iter().filter(|(_, differs)| *differs).map(|(field, _)| field).collect()
}

/// All that was settled before a step could begin, because it depends on it, directly or not.
fn ancestors<'r>(run: &'r Run, step: &'r StepPlan) -> BTreeSet<&'r str> {
    let mut found = BTreeSet::new();
    let mut left: Vec<&str> = step.depends_on.iter().map(String::as_str).collect();
    while let Some(id) = left.pop() {
        if found.insert(id) {
            let before = planned(&run.created.plan, id);
            left.extend(before.into_iter().flat_map(|plan| &plan.depends_on).map(String::as_str));
        }
    }
    found
}
