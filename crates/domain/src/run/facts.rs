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

use super::{
    Kept, Outcome, Part, Places, Run, Step, StepOutput, StepStatus, ending::needed_dead, places, state::Place,
};
use crate::{
    content::Digest,
    ids::RunId,
    json::{Json, Object, pointer_to},
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
        StepOutput::Value(Outcome { listed: Some(count), .. }) => places::listed(*count),
        StepOutput::Value(outcome) => {
            let mut value = outcome.value.clone();
            if let KeptAs::Values(values) = kept_as {
                places::fill(&mut value, &outcome.inside, values);
            }
            value
        }
        other => serde_json::to_value(other).unwrap_or_default(),
    }
}

/// Where in what a step made there are values outside of the events.
fn kept_of(run: &Run, id: &str) -> Places {
    match run.step(id) {
        Some((_, Step { status: StepStatus::Completed { .. }, .. })) => places::of_step(run, id),
        _ => Places::new(),
    }
}

/// Whether a path into what a step made leads to, above or into a value outside of the events.
pub fn has_kept(run: &Run, id: &str, parts: &[template::Part]) -> bool {
    !places::needed(&kept_of(run, id), parts).is_empty()
}

/// Whether some of what people are asked to approve is outside of the events, or is not in one.
pub fn is_kept(run: &Run, id: &str) -> bool {
    let output = run.step(id).and_then(|(_, step)| match &step.status {
        StepStatus::Asking { output, .. } => output.as_deref(),
        _ => None,
    });
    let listed = matches!(output, Some(StepOutput::Value(Outcome { listed: Some(_), .. })));
    listed || !places::of_step(run, id).is_empty()
}

/// Values outside of the events that a template needs.
pub fn kept_in(run: &Run, templates: &Json) -> BTreeSet<Digest> {
    let mut needed = BTreeSet::new();
    for path in template::references(templates).into_iter().flatten().filter(|path| path.root == "steps") {
        match path.parts.split_first() {
            Some((template::Part::Field(id), parts)) => {
                needed.append(&mut places::needed(&kept_of(run, id), parts));
            }
            _ => run.pairs().for_each(|(plan, _)| needed.append(&mut places::needed(&kept_of(run, &plan.id), &[]))),
        }
    }
    needed
}

impl Facts<'_> {
    /// What a step made, as others see it; none while it is not settled.
    fn made(&self, id: &str) -> Option<Json> {
        let (plan, step) = self.run.pairs().find(|(plan, _)| plan.id == id)?;
        match &step.status {
            StepStatus::Completed { output } => Some(self.whole(&plan.id, output)),
            StepStatus::Skipped { .. } | StepStatus::Dead { .. } => Some(Json::Null),
            _ => None,
        }
    }

    /// An output, with what its instances have of it.
    fn whole(&self, id: &str, output: &StepOutput) -> Json {
        let instances = self.run.fans.get(id).map_or(&[][..], |fan| &fan.steps);
        let of = |instance: &Step| match &instance.status {
            StepStatus::Completed { output } => seen(output, self.kept),
            _ => Json::Null,
        };
        if matches!(output, StepOutput::Value(Outcome { listed: Some(_), .. })) {
            return Json::Array(instances.iter().map(of).collect());
        }
        let mut value = seen(output, self.kept);
        if let Json::Array(items) = &mut value {
            let is_kept = |status: &StepStatus| match status {
                StepStatus::Completed { output } => !places::of_output(output).is_empty(),
                _ => false,
            };
            let kept = items.iter_mut().zip(instances).filter(|(_, instance)| is_kept(&instance.status));
            kept.for_each(|(item, instance)| *item = of(instance));
        }
        value
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

    fn kept(&self, path: &template::Path) -> Result<Places, Kept> {
        if path.root != "steps" || matches!(self.kept, KeptAs::Values(_)) {
            return Ok(Places::new());
        }
        match path.parts.split_first() {
            Some((template::Part::Field(id), parts)) => places::at_path(&kept_of(self.run, id), parts),
            _ => {
                let all = self.run.pairs();
                Ok(all
                    .flat_map(|(plan, _)| places::below(&pointer_to(&plan.id), kept_of(self.run, &plan.id)))
                    .collect())
            }
        }
    }
}
