//! What steps are answered.
//!
//! Owns: which kinds of answer a step takes. Refuses to know: when it is asked.

use std::collections::BTreeMap;

use nightshift_domain::{
    content::{Failure, FailureClass},
    run::{Action, ApprovalAction, StepPlan},
};

use super::{Answers, Decision, Heard, Work, keys};
use crate::{
    document::Value,
    fault::quote,
    reader::{Field, Map},
};

/// Classes of failures by their words.
pub(super) const CLASSES: [(&str, FailureClass); 6] = [
    ("transient", FailureClass::Transient),
    ("permanent", FailureClass::Permanent),
    ("timeout", FailureClass::Timeout),
    ("rate_limited", FailureClass::RateLimited),
    ("cancelled", FailureClass::Cancelled),
    ("lost", FailureClass::Lost),
];

const ACTIONS: [(&str, Option<ApprovalAction>); 4] = [
    ("continue", Some(ApprovalAction::Continue)),
    ("retry", Some(ApprovalAction::Retry)),
    ("abort", Some(ApprovalAction::Abort)),
    ("none", None),
];

/// Who decides when nobody is named.
const SOMEBODY: &str = "test";

/// The longest wait that the other side may ask for, in seconds.
const RETRY_AFTER_MAX_S: u64 = 86_400;

pub(super) fn read(work: &mut Work<'_>, map: &Map<'_>) -> BTreeMap<String, Answers> {
    let Some(steps) = map.get("steps").and_then(|field| work.reader.named(&field, "a map of steps to answers")) else {
        return BTreeMap::new();
    };
    let mut found = BTreeMap::new();
    for (name, field) in steps.entries() {
        let Some(step) = work.step(&field, name) else { continue };
        let mut answers = Answers::default();
        for item in work.reader.items(&field) {
            entry(work, &item, step, &mut answers);
        }
        found.insert(name.to_owned(), answers);
    }
    found
}

fn entry(work: &mut Work<'_>, field: &Field<'_>, step: &StepPlan, answers: &mut Answers) {
    let Some(map) = work.reader.table(field, &keys::ANSWER) else { return };
    for key in ["output", "error", "approval", "event"] {
        let Some(said) = map.get(key) else { continue };
        if let Some(remedy) = refused(step, key) {
            let what = format!("{key} for {}, which is a step of the kind {}", quote(&step.id), step.action.as_str());
            let allowed = taken(step);
            work.reader.fault(&said, what, if allowed.is_empty() { "no answer" } else { &allowed }, Some(remedy));
        }
    }
    let output = map.get("output").and_then(|field| work.reader.json(&field));
    let error = map.get("error");
    if let (Some(_), Some(error)) = (&output, &error) {
        let remedy = "write one entry for each attempt, as a list".to_owned();
        work.reader.fault(error, "output and error".to_owned(), "one of the two", Some(remedy));
    }
    let failure = error.and_then(|field| failure(work, &field));
    answers.results.extend(failure.map(Err).or(output.map(Ok)));
    answers.decisions.extend(map.get("approval").and_then(|field| decision(work, &field)));
    answers.events.extend(map.get("event").and_then(|field| event(work, &field)));
}

/// Whether something is asked of a step that is answered by a key.
fn takes(step: &StepPlan, key: &str) -> bool {
    let action = &step.action;
    match key {
        "approval" => {
            let behind = step.flow.checkpoint.as_deref().is_some_and(|checkpoint| !checkpoint.advisory);
            behind || matches!(action, Action::Approval { checkpoint, .. } if !checkpoint.advisory)
        }
        "event" => matches!(action, Action::WaitForEvent { .. }),
        _ => action.takes_a_place(),
    }
}

/// Why a step does not take an answer.
fn refused(step: &StepPlan, key: &str) -> Option<String> {
    if takes(step, key) {
        return None;
    }
    Some(match (&step.action, key) {
        (Action::Sleep { .. }, _) => "drop it: a sleep passes at once".to_owned(),
        (Action::Set { .. }, "output" | "error") => "drop it: the run itself makes the value".to_owned(),
        (_, "approval") => "drop it: nobody has to be asked about this step".to_owned(),
        _ => "drop it".to_owned(),
    })
}

/// The answers that a step takes, for messages.
fn taken(step: &StepPlan) -> String {
    let keys = ["output", "error", "approval", "event"].into_iter().filter(|key| takes(step, key));
    keys.collect::<Vec<_>>().join(", ")
}

fn failure(work: &mut Work<'_>, field: &Field<'_>) -> Option<Failure> {
    if !matches!(field.value, Value::Map(_)) {
        let class = work.reader.word(field, &CLASSES)?;
        return Some(Failure::new(class, format!("the test says {}", class.as_str())));
    }
    let map = work.reader.table(field, &keys::ERROR)?;
    let class = match map.get("class") {
        Some(field) => work.reader.word(&field, &CLASSES)?,
        None => FailureClass::Transient,
    };
    let message = map.get("message").and_then(|field| work.reader.text(&field));
    let mut failure = Failure::new(class, message.unwrap_or_else(|| format!("the test says {}", class.as_str())));
    let code = map.get("status_code").and_then(|field| work.reader.integer(&field, 100..=599));
    failure.status_code = code.and_then(|code| u16::try_from(code).ok());
    let after = map.get("retry_after").and_then(|field| work.reader.duration(&field, 0..=RETRY_AFTER_MAX_S));
    failure.retry_after_ms = after.map(|seconds| seconds * 1_000);
    Some(failure)
}

fn decision(work: &mut Work<'_>, field: &Field<'_>) -> Option<Option<Decision>> {
    let plain = |action| Decision { action, by: SOMEBODY.to_owned(), note: None, modifications: None };
    if !matches!(field.value, Value::Map(_)) {
        return work.reader.word(field, &ACTIONS).map(|action| action.map(plain));
    }
    let map = work.reader.table(field, &keys::APPROVAL)?;
    let action = work.reader.required(&map, "action", "continue, retry, abort, none")?;
    let action = work.reader.word(&action, &ACTIONS)?;
    let by = map.get("by").and_then(|field| work.reader.line(&field));
    let note = map.get("note").and_then(|field| work.reader.text(&field));
    let modifications = map.get("modifications").and_then(|field| work.reader.json(&field));
    let by = by.unwrap_or_else(|| SOMEBODY.to_owned());
    Some(action.map(|action| Decision { action, by, note, modifications }))
}

fn event(work: &mut Work<'_>, field: &Field<'_>) -> Option<Option<Heard>> {
    if !matches!(field.value, Value::Map(_)) {
        return work.reader.word(field, &[("none", ())]).map(|()| None);
    }
    let map = work.reader.table(field, &keys::EVENT)?;
    let payload = map.get("payload").and_then(|field| work.reader.json(&field));
    let correlation = map.get("correlation").and_then(|field| work.reader.line(&field));
    Some(Some(Heard { payload: payload.unwrap_or_else(|| serde_json::json!({})), correlation }))
}
