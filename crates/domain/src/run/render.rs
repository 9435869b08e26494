//! What a step does, with its templates filled in.
//!
//! Owns: which texts of an action are templates, where modifications are laid, and how an output is mapped.
//! Refuses to know: how the action is done.

use std::collections::BTreeMap;

use serde_json::json;

use super::{
    Action, Checkpoint, Run, StepPlan,
    facts::{Facts, KeptAs, kept_in},
    state::Place,
};
use crate::{
    content::Digest,
    ids::RunId,
    json::{Json, Object, merge},
    template::{map_output, render, render_to_text},
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
#[must_use]
pub fn action_of(run: &Run, run_id: RunId, step: &str, kept: &BTreeMap<Digest, Json>) -> Option<Action> {
    let place = run.place(step)?;
    let missing = kept_needed(run, step).iter().any(|digest| !kept.contains_key(digest));
    (!missing).then(|| filled(&Facts { run, run_id, place: Some(place), kept: KeptAs::Values(kept) }, place)).flatten()
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
pub fn question(checkpoint: &Checkpoint, facts: &Facts<'_>) -> Checkpoint {
    let text = |text: &String| render_to_text(text, facts);
    let mut filled = checkpoint.clone();
    filled.question = text(&filled.question);
    filled.assignee = filled.assignee.as_ref().map(text);
    filled.group = filled.group.as_ref().map(text);
    filled
}

/// The action of the step at `place`, filled in with `facts`.
pub fn filled(facts: &Facts<'_>, place: Place) -> Option<Action> {
    let (plan, _) = facts.run.at(place)?;
    let text = |text: &String| render_to_text(text, facts);
    let texts = |texts: &BTreeMap<String, String>| {
        texts.iter().map(|(name, value)| (name.clone(), text(value))).collect::<BTreeMap<_, _>>()
    };
    let changed = |value: Json| lay(facts.run, place, value);
    let mut action = plan.action.clone();
    match &mut action {
        Action::Call { url, headers, body, .. } => {
            (*url, *headers) = (text(url), texts(headers));
            let rendered = body.as_ref().map(|body| render(body, facts));
            let laid = changed(rendered.clone().unwrap_or_default());
            *body = rendered.map(|_| laid.clone()).or((!laid.is_null()).then_some(laid));
        }
        Action::Agent { input, .. } => *input = changed(render(input, facts)),
        Action::Process { command, input, env, .. } => {
            *command = command.iter().map(text).collect();
            (*input, *env) = (changed(render(input, facts)), texts(env));
        }
        Action::Llm { system, prompt, .. } => {
            let said = changed(json!({"prompt": text(prompt), "system": system.as_ref().map(text)}));
            let field = |name: &str| said.get(name).and_then(Json::as_str).map(str::to_owned);
            (*prompt, *system) = (field("prompt").unwrap_or_default(), field("system"));
        }
        Action::WaitForEvent { correlation, .. } => *correlation = correlation.as_ref().map(text),
        Action::Approval { checkpoint, payload } => {
            **checkpoint = question(checkpoint, facts);
            *payload = changed(render(payload, facts));
        }
        Action::Orchestration { parameters, .. } => *parameters = changed(render(parameters, facts)),
        Action::Set { value } => *value = changed(render(value, facts)),
        Action::Gather { .. }
        | Action::Compose {}
        | Action::Validate {}
        | Action::Deliver { .. }
        | Action::Notify { .. }
        | Action::Sleep { .. } => {}
    }
    Some(action)
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
