//! What is expected of a run.
//!
//! Owns: the forms of an expectation. Refuses to know: what came of the run.

use nightshift_domain::run::StepPlan;

use super::{Expectation, Expected, Work, answers::CLASSES, keys};
use crate::{
    document::Value,
    reader::{Field, Map},
};

/// States of a step, as tables tell them.
const STATES: [(&str, &str); 8] = [
    ("pending", "pending"),
    ("queued", "queued"),
    ("running", "running"),
    ("failed", "failed"),
    ("checkpoint", "checkpoint"),
    ("completed", "completed"),
    ("dead", "dead"),
    ("skipped", "skipped"),
];

const ENDS: [(&str, &str); 4] =
    [("completed", "completed"), ("failed", "failed"), ("cancelled", "cancelled"), ("running", "running")];

pub(super) fn read(work: &mut Work<'_>, map: &Map<'_>) -> Vec<Expectation> {
    let Some(map) = map.get("expect").and_then(|field| work.reader.table(&field, &keys::EXPECT)) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    if let Some(field) = map.get("status") {
        let status = work.reader.word(&field, &ENDS).map(Expected::Status);
        found.extend(status.map(|what| placed(work, &field, what)));
    }
    for (id, field) in named(work, &map, "steps", "a map of steps to states") {
        let Some(what) = step(work, &field, id) else { continue };
        found.push(placed(work, &field, what));
    }
    for (id, field) in named(work, &map, "outputs", "a map of steps to what they make") {
        let Some(value) = work.reader.json(&field) else { continue };
        found.push(placed(work, &field, Expected::Output { id, value }));
    }
    if let Some(field) = map.get("output") {
        let what = work.reader.json(&field).map(Expected::Result);
        found.extend(what.map(|what| placed(work, &field, what)));
    }
    if let Some(field) = map.get("order") {
        let what = Expected::Order(order(work, &field));
        found.push(placed(work, &field, what));
    }
    if let Some(field) = map.get("failure") {
        let what = failure(work, &field);
        found.extend(what.map(|what| placed(work, &field, what)));
    }
    found
}

fn placed(work: &Work<'_>, field: &Field<'_>, what: Expected) -> Expectation {
    let (line, column) = (field.at.line, field.at.column);
    Expectation { file: work.file.to_owned(), line, column, path: field.path.clone(), what }
}

/// The entries of a map of steps, those that name one.
fn named<'n>(work: &mut Work<'_>, map: &Map<'n>, key: &str, allowed: &str) -> Vec<(String, Field<'n>)> {
    let Some(map) = map.get(key).and_then(|field| work.reader.named(&field, allowed)) else { return Vec::new() };
    let mut found = Vec::new();
    for (id, field) in map.entries() {
        let step: Option<&StepPlan> = work.step(&field, id);
        found.extend(step.map(|_| (id.to_owned(), field)));
    }
    found
}

fn step(work: &mut Work<'_>, field: &Field<'_>, id: String) -> Option<Expected> {
    if !matches!(field.value, Value::Map(_)) {
        let status = work.reader.word(field, &STATES)?;
        return Some(Expected::Step { id, status: Some(status), attempts: None });
    }
    let map = work.reader.table(field, &keys::STEP)?;
    let status = map.get("status").and_then(|field| work.reader.word(&field, &STATES));
    let attempts = map.get("attempts").and_then(|field| work.reader.integer(&field, 0..=1_000));
    Some(Expected::Step { id, status, attempts })
}

fn order(work: &mut Work<'_>, field: &Field<'_>) -> Vec<String> {
    let named = work.reader.distinct_lines(field);
    let mut steps = Vec::new();
    for (field, id) in named {
        let known = work.step(&field, &id).is_some();
        steps.extend(known.then_some(id));
    }
    steps
}

fn failure(work: &mut Work<'_>, field: &Field<'_>) -> Option<Expected> {
    let map = work.reader.table(field, &keys::FAILURE)?;
    let step = map.get("step").and_then(|field| {
        let id = work.reader.text(&field)?;
        work.step(&field, &id).map(|_| id)
    });
    let classes: Vec<(&str, &'static str)> = CLASSES.iter().map(|(word, class)| (*word, class.as_str())).collect();
    let class = map.get("class").and_then(|field| work.reader.word(&field, &classes));
    let message = map.get("message").and_then(|field| work.reader.text(&field));
    Some(Expected::Failure { step, class, message })
}
