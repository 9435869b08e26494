//! What a step does, with its templates filled in.
//!
//! Owns: which texts of an action are templates, where modifications are laid, and how an output is mapped.
//! Refuses to know: how the action is done.

use std::collections::BTreeMap;

use serde_json::json;

use super::{
    Action, Checkpoint, Kept, Places, Run, StepPlan,
    facts::{Facts, KeptAs, kept_in},
    secret::guarded,
    state::Place,
};
use crate::{
    content::Digest,
    ids::RunId,
    json::{Json, Object, Room, TooMuch, merge},
    template::{Fault, Made, map_output, render_to_text, render_within},
};

/// Values outside of the events that must be brought before a step's action can be filled in. Empty when there is no such
/// step.
#[must_use]
pub fn kept_needed(run: &Run, step: &str) -> Vec<Digest> {
    let Some((plan, _)) = run.step(step) else { return Vec::new() };
    kept_in(run, &templates(&plan.action)).into_iter().collect()
}

/// A step's action with its templates filled in and the step's modifications laid over its input: the body of a call, the
/// input of an agent or a program, prompt and system of a model, the payload of an approval, the parameters of another
/// run, the value that is set.
///
/// None when there is no such step, or when `kept` lacks a value of [`kept_needed`].
///
/// # Errors
/// It would be larger than any worker is given.
#[must_use]
pub fn action_of(run: &Run, run_id: RunId, step: &str, kept: &BTreeMap<Digest, Json>) -> Option<Result<Action, Fault>> {
    let place = run.place(step)?;
    if kept_needed(run, step).iter().any(|digest| !kept.contains_key(digest)) {
        return None;
    }
    let facts = Facts { run, run_id, place: Some(place), kept: KeptAs::Values(kept) };
    Some(filled(&facts, place, &mut Room::WORK.clone())?.map(|(action, _)| action))
}

/// What a step gives later steps of a value it made: the names of its mapping, or the value itself.
#[must_use]
pub fn mapped(plan: &StepPlan, value: &Json) -> Json {
    let mapping = &plan.flow.output_mapping;
    if mapping.is_empty() {
        return value.clone();
    }
    Json::Object(mapping.iter().map(|(name, from)| (name.clone(), map_output(from, value))).collect::<Object>())
}

/// The texts of an action that are templates.
fn templates(action: &Action) -> Json {
    match action {
        Action::Call { url, headers, body, .. } => json!([url, headers, body]),
        Action::Agent { input, .. } => input.clone(),
        Action::Process { command, input, env, .. } => json!([command, input, env]),
        Action::Llm { system, prompt, .. } => json!([system, prompt]),
        Action::WaitForEvent { correlation, .. } => json!(correlation),
        Action::Approval { checkpoint, payload } => json!([checkpoint.question, checkpoint.assignee, payload]),
        Action::Orchestration { parameters, .. } => parameters.clone(),
        Action::Set { value } => value.clone(),
        Action::Gather { .. }
        | Action::Compose {}
        | Action::Validate {}
        | Action::Deliver { .. }
        | Action::Notify { .. }
        | Action::Sleep { .. } => Json::Null,
    }
}

/// A question with its templates filled in.
pub fn question(checkpoint: &Checkpoint, facts: &Facts<'_>, room: &mut Room) -> Result<Checkpoint, TooMuch> {
    let mut filled = checkpoint.clone();
    filled.question = render_to_text(&filled.question, facts, room)?;
    for text in [&mut filled.assignee, &mut filled.group].into_iter().flatten() {
        *text = render_to_text(text, facts, room)?;
    }
    Ok(filled)
}

/// The action of the step at `place`, filled in with `facts` within `room`, and what in the payload of an approval is kept
/// elsewhere.
pub fn filled(facts: &Facts<'_>, place: Place, room: &mut Room) -> Option<Result<(Action, Places), Fault>> {
    let (plan, _) = facts.run.at(place)?;
    let mut action = plan.action.clone();
    let kept = Filling { facts, place, room }.fill(&mut action);
    Some(kept.map(|kept| (action, kept)))
}

struct Filling<'a> {
    facts: &'a Facts<'a>,
    place: Place,
    room: &'a mut Room,
}

impl Filling<'_> {
    fn fill(&mut self, action: &mut Action) -> Result<Places, Fault> {
        match action {
            Action::Call { url, headers, body, .. } => {
                self.text(url)?;
                headers.values_mut().try_for_each(|header| self.guarded(header))?;
                let rendered = body.is_some();
                let mut laid = body.take().unwrap_or_default();
                self.input(&mut laid)?;
                *body = (rendered || !laid.is_null()).then_some(laid);
            }
            Action::Process { command, input, env, .. } => {
                command.iter_mut().try_for_each(|text| self.text(text))?;
                env.values_mut().try_for_each(|value| self.guarded(value))?;
                self.input(input)?;
            }
            Action::Llm { system, prompt, .. } => {
                self.text(prompt)?;
                system.iter_mut().try_for_each(|system| self.text(system))?;
                let said = self.changed(json!({"prompt": prompt, "system": system}));
                let field = |name: &str| said.get(name).and_then(Json::as_str).map(str::to_owned);
                (*prompt, *system) = (field("prompt").unwrap_or_default(), field("system"));
            }
            Action::WaitForEvent { correlation, .. } => correlation.iter_mut().try_for_each(|text| self.text(text))?,
            Action::Approval { checkpoint, payload } => {
                **checkpoint = question(checkpoint, self.facts, self.room)?;
                return self.input(payload);
            }
            Action::Agent { input: value, .. }
            | Action::Orchestration { parameters: value, .. }
            | Action::Set { value } => {
                self.input(value)?;
            }
            Action::Gather { .. }
            | Action::Compose {}
            | Action::Validate {}
            | Action::Deliver { .. }
            | Action::Notify { .. }
            | Action::Sleep { .. } => {}
        }
        Ok(Places::new())
    }

    fn text(&mut self, text: &mut String) -> Result<(), Fault> {
        *text = render_to_text(text, self.facts, self.room)?;
        Ok(())
    }

    /// A text in which the document may name secrets, and nothing that fills it in may.
    fn guarded(&mut self, text: &mut String) -> Result<(), Fault> {
        let template = text.clone();
        self.text(text)?;
        *text = guarded(&template, std::mem::take(text));
        Ok(())
    }

    /// The input of the step: its template filled in, and its modifications laid over it. A place that these took is not
    /// kept elsewhere any more.
    fn input(&mut self, value: &mut Json) -> Result<Places, Fault> {
        let Made { value: rendered, kept } = render_within(value, self.facts, self.room)?;
        *value = self.changed(rendered);
        let stands = |at: &String, kept: &Kept| value.pointer(at) == Some(&kept.reference());
        Ok(kept.into_iter().filter(|(at, kept)| stands(at, kept)).collect())
    }

    fn changed(&self, value: Json) -> Json {
        lay(self.facts.run, self.place, value)
    }
}

/// Lays the modifications of the step over its input, and those of the instance over these.
fn lay(run: &Run, place: Place, mut value: Json) -> Json {
    let whole = run.at(Place { nth: None, ..place });
    let instance = place.nth.and_then(|_| run.at(place));
    for (_, step) in whole.into_iter().chain(instance) {
        if let Some(changes) = &step.modifications {
            merge(&mut value, changes);
        }
    }
    value
}
