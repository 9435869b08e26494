//! What the templates and conditions of a step see.
//!
//! Owns: which names there are and what each leads to. Refuses to know: the syntax of templates and conditions.
//!
//! | name | what |
//! |---|---|
//! | `parameters` | what the run was given; its names stand for themselves in templates too |
//! | `steps` | what each step made, by id; a list for a step that is done for each element; null for what was skipped or died |
//! | `run` | `id`, `root`, `user`, `workflow` (`owner`, `name`, `version`), `nominal` |
//! | `trigger` | what caused the run |
//! | `item`, `index` | the element of an instance, and which it is |
//! | `failure` | `step`, `class` and `message` of what made the run fail, or null; for steps behind the main part |
//! | `workflow_run_id`, `user_id`, `step_id` | in templates only |

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{Outcome, Part, Run, StepOutput, StepStatus, ending::needed_dead, state::Place};
use crate::{
    content::Digest,
    ids::RunId,
    json::{Json, Object},
    template::{self, Scope},
};

/// What a value that is kept outside of the events is seen as.
#[derive(Clone, Copy)]
pub enum KeptAs<'a> {
    /// As what says where it is.
    Reference,
    /// As itself.
    Values(&'a BTreeMap<Digest, Json>),
}

/// The facts that a step sees.
pub struct Facts<'a> {
    pub run: &'a Run,
    pub run_id: RunId,
    /// The step; none for what the run gives back.
    pub place: Option<Place>,
    pub kept: KeptAs<'a>,
}

/// What later steps see of an output. A value that is kept elsewhere is what says where it is.
#[must_use]
pub fn value_of(output: &StepOutput) -> Json {
    seen(output, KeptAs::Reference)
}

fn seen(output: &StepOutput, kept_as: KeptAs<'_>) -> Json {
    match output {
        StepOutput::Value(Outcome { kept: Some(kept), .. }) => match kept_as {
            KeptAs::Values(values) => values.get(&kept.digest).cloned().unwrap_or_else(|| kept.reference()),
            KeptAs::Reference => kept.reference(),
        },
        StepOutput::Value(outcome) => outcome.value.clone(),
        other => serde_json::to_value(other).unwrap_or_default(),
    }
}

const fn kept_in_output(output: &StepOutput) -> Option<&Digest> {
    match output {
        StepOutput::Value(Outcome { kept: Some(kept), .. }) => Some(&kept.digest),
        _ => None,
    }
}

fn kept_by(status: &StepStatus) -> Option<&Digest> {
    match status {
        StepStatus::Completed { output } => kept_in_output(output),
        _ => None,
    }
}

/// Values outside of the events that belong to what a step made; `nth`: to one instance of it.
fn kept_values(run: &Run, id: &str, nth: Option<usize>) -> BTreeSet<Digest> {
    let Some((_, step)) = run.step(id) else { return BTreeSet::new() };
    if !matches!(step.status, StepStatus::Completed { .. }) {
        return BTreeSet::new();
    }
    let instances = run.fans.get(id).map_or(&[][..], |fan| &fan.steps);
    let instances = instances.iter().enumerate().filter(|(at, _)| nth.is_none_or(|nth| nth == *at));
    let own = kept_by(&step.status).into_iter();
    own.chain(instances.filter_map(|(_, instance)| kept_by(&instance.status))).cloned().collect()
}

/// Whether some of what a step made is outside of the events.
pub fn has_kept(run: &Run, id: &str) -> bool {
    !kept_values(run, id, None).is_empty()
}

/// Whether some of what people are asked to approve is outside of the events.
pub fn is_kept(run: &Run, id: &str) -> bool {
    let Some((_, step)) = run.step(id) else { return false };
    let instances = run.fans.get(id).map_or(&[][..], |fan| &fan.steps);
    let own = match &step.status {
        StepStatus::Asking { output: Some(output), .. } => kept_in_output(output),
        other => kept_by(other),
    };
    own.is_some() || instances.iter().any(|instance| kept_by(&instance.status).is_some())
}

/// Values outside of the events that a template needs.
pub fn kept_in(run: &Run, templates: &Json) -> BTreeSet<Digest> {
    let mut needed = BTreeSet::new();
    for path in template::references(templates).into_iter().flatten().filter(|path| path.root == "steps") {
        match path.parts.as_slice() {
            [template::Part::Field(id), template::Part::Index(nth), ..] => {
                needed.append(&mut kept_values(run, id, Some(*nth)));
            }
            [template::Part::Field(id), ..] => needed.append(&mut kept_values(run, id, None)),
            _ => run.pairs().for_each(|(plan, _)| needed.append(&mut kept_values(run, &plan.id, None))),
        }
    }
    needed
}

impl Facts<'_> {
    /// What a step made, as others see it; none while it is not settled.
    fn made(&self, id: &str) -> Option<Json> {
        let (plan, step) = self.run.pairs().find(|(plan, _)| plan.id == id)?;
        match &step.status {
            StepStatus::Completed { output } => {
                let mut value = seen(output, self.kept);
                if let (Json::Array(items), Some(fan)) = (&mut value, self.run.fans.get(&plan.id)) {
                    for (item, instance) in items.iter_mut().zip(&fan.steps) {
                        match &instance.status {
                            StepStatus::Completed { output } if kept_in_output(output).is_some() => {
                                *item = seen(output, self.kept);
                            }
                            _ => {}
                        }
                    }
                }
                Some(value)
            }
            StepStatus::Skipped { .. } | StepStatus::Dead { .. } => Some(Json::Null),
            _ => None,
        }
    }

    fn all_made(&self) -> Json {
        let made = self.run.pairs().filter_map(|(plan, _)| Some((plan.id.clone(), self.made(&plan.id)?)));
        Json::Object(made.collect::<Object>())
    }

    fn about_run(&self) -> Json {
        let created = &self.run.created;
        let workflow = created.subject.workflow().map_or(
            Json::Null,
            |workflow| json!({"owner": workflow.owner, "name": workflow.name, "version": workflow.version}),
        );
        json!({
            "id": self.run_id.to_string(),
            "root": created.root.to_string(),
            "user": created.user.0,
            "workflow": workflow,
            "nominal": created.nominal.to_string(),
        })
    }

    /// The element of an instance, and which it is.
    fn element(&self) -> Option<(Json, usize)> {
        let place = self.place?;
        let nth = place.nth?;
        let plan = self.run.created.plan.steps.get(place.at)?;
        Some((self.run.fans.get(&plan.id)?.items.get(nth)?.clone(), nth))
    }

    /// What made the run fail; none for steps of the main part, which do not see it.
    fn failure(&self) -> Option<Json> {
        let plan = self.run.created.plan.steps.get(self.place?.at)?;
        if plan.flow.part == Part::Main {
            return None;
        }
        Some(needed_dead(self.run, Part::Main).map_or(
            Json::Null,
            |(step, failure)| json!({"step": step, "class": failure.class.as_str(), "message": failure.message}),
        ))
    }

    fn step_id(&self) -> Option<Json> {
        let place = self.place?;
        let id = &self.run.created.plan.steps.get(place.at)?.id;
        Some(Json::String(place.nth.map_or_else(|| id.clone(), |nth| super::instance_id(id, nth))))
    }

    /// As a condition sees them: an object.
    pub fn for_condition(&self) -> Json {
        let or_empty = |value: &Json| if value.is_null() { json!({}) } else { value.clone() };
        let mut facts = Object::new();
        facts.insert("parameters".to_owned(), or_empty(&self.run.created.parameters));
        facts.insert("trigger".to_owned(), or_empty(&self.run.created.trigger));
        facts.insert("steps".to_owned(), self.all_made());
        facts.insert("run".to_owned(), self.about_run());
        if let Some((item, index)) = self.element() {
            facts.insert("item".to_owned(), item);
            facts.insert("index".to_owned(), json!(index));
        }
        if let Some(failure) = self.failure() {
            facts.insert("failure".to_owned(), failure);
        }
        Json::Object(facts)
    }
}

impl Scope for Facts<'_> {
    fn root(&self, name: &str) -> Option<Json> {
        let created = &self.run.created;
        let own = match name {
            "parameters" => Some(created.parameters.clone()),
            "trigger" => Some(created.trigger.clone()),
            "steps" => Some(self.all_made()),
            "run" => Some(self.about_run()),
            "item" => self.element().map(|(item, _)| item),
            "index" => self.element().map(|(_, index)| json!(index)),
            "failure" => self.failure(),
            "workflow_run_id" => Some(Json::String(self.run_id.to_string())),
            "user_id" => Some(Json::String(created.user.0.clone())),
            "step_id" => self.step_id(),
            _ => None,
        };
        own.or_else(|| created.parameters.get(name).cloned())
    }

    fn step(&self, id: &str) -> Option<Json> {
        self.made(id)
    }
}
