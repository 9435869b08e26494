//! What people are asked about steps of runs.
//!
//! Owns: rows of `human_approvals`. While a question is open, all its row is made of stands in the row of the step, or for
//! one that nobody has to answer in the row of the run, because an event that ends the step or the run does not name the
//! question.

use nightshift_domain::{
    recorded::Recorded,
    run::{Answer, Approval, ApprovalId},
};
use serde_json::{Map, Value};

use super::{at, own};
use crate::{
    rows::{Image, Rows},
    table::RowKey,
    tables::{HUMAN_APPROVALS, ORCHESTRATION_RUNS, human_approvals as column, orchestration_runs as runs},
    value,
};

/// The key of a question.
pub fn key(approval: ApprovalId) -> RowKey {
    vec![value::id(approval.0)]
}

/// A question is asked.
pub fn requested(rows: &mut Rows, recorded: &Recorded, (step, user): (&str, Value), approval: &Approval) {
    let asked = &approval.checkpoint;
    let mut row = Image::blank(&HUMAN_APPROVALS);
    row.set(column::id, value::id(approval.id.0))
        .set(column::run_id, value::id(recorded.stream.id))
        .set(column::step_id, value::text(step))
        .set(column::round, value::int(approval.round))
        .set(column::user_id, user)
        .set(column::status, "pending")
        .set(column::question, value::text(&asked.question))
        .set(column::options, value::json(&asked.options))
        .set(column::advisory, asked.advisory)
        .set(column::severity, value::text_or_null(asked.severity.as_deref()))
        .set(column::assignee, value::text_or_null(asked.assignee.as_deref()))
        .set(column::group_name, value::text_or_null(asked.group.as_deref()))
        .set(column::payload, value::json(&approval.payload))
        .set(column::payload_digest, value::text(&approval.digest.0))
        .set(column::deadline_at, value::time_or_null(approval.deadline))
        .set(column::requested_at, at(recorded));
    rows.put(&HUMAN_APPROVALS, key(approval.id), row, recorded);
}

/// It is answered.
pub fn decided(rows: &mut Rows, recorded: &Recorded, answer: &Answer) {
    let this = value::id(answer.approval.0);
    take_noted(rows, recorded, |kept| kept.get("id") == Some(&this));
    let Some(row) = rows.edit(&HUMAN_APPROVALS, &key(answer.approval), recorded) else { return };
    row.set(column::status, answer.action.outcome())
        .set(column::decided_at, at(recorded))
        .set(column::decided_by, value::text(&answer.by))
        .set(column::decision, answer.action.as_str())
        .set(column::comment, value::text_or_null(answer.note.as_deref()))
        .set(column::modifications, answer.modifications.as_ref().map_or(Value::Null, value::json));
}

/// Somebody else is asked, without a deadline.
pub fn escalated(rows: &mut Rows, recorded: &Recorded, approval: ApprovalId, to: &str) {
    if let Some(row) = rows.edit(&HUMAN_APPROVALS, &key(approval), recorded) {
        row.set(column::assignee, value::text(to)).set(column::deadline_at, Value::Null);
    }
}

/// A question that nobody has to answer is open: the row of the run keeps it.
pub fn note(rows: &mut Rows, recorded: &Recorded, approval: ApprovalId) {
    let kept = kept(rows, approval);
    let Some(row) = rows.edit(&ORCHESTRATION_RUNS, &own(recorded), recorded) else { return };
    let open = row.get_mut(runs::advisory);
    if !open.is_object() {
        *open = Value::Object(Map::new());
    }
    if let Some(open) = open.as_object_mut() {
        open.insert(approval.to_string(), kept);
    }
}

/// Those of the questions that [`note`] kept are void.
pub fn void_noted(rows: &mut Rows, recorded: &Recorded, which: impl Fn(&Value) -> bool) {
    for kept in take_noted(rows, recorded, which) {
        void(rows, recorded, &kept);
    }
}

fn take_noted(rows: &mut Rows, recorded: &Recorded, which: impl Fn(&Value) -> bool) -> Vec<Value> {
    let key = own(recorded);
    let open = rows.peek(&ORCHESTRATION_RUNS, &key).and_then(|row| row.get(runs::advisory).as_object());
    if !open.is_some_and(|open| open.values().any(&which)) {
        return Vec::new();
    }
    let Some(row) = rows.edit(&ORCHESTRATION_RUNS, &key, recorded) else { return Vec::new() };
    let Value::Object(open) = std::mem::take(row.get_mut(runs::advisory)) else { return Vec::new() };
    let (taken, left): (Map<String, Value>, Map<String, Value>) = open.into_iter().partition(|(_, kept)| which(kept));
    if !left.is_empty() {
        row.set(runs::advisory, left);
    }
    taken.into_iter().map(|(_, kept)| kept).collect()
}

/// What the row of a step keeps of its open question.
pub fn kept(rows: &Rows, approval: ApprovalId) -> Value {
    let Some(row) = rows.peek(&HUMAN_APPROVALS, &key(approval)) else { return Value::Null };
    let fields =
        HUMAN_APPROVALS.columns.iter().enumerate().map(|(at, column)| (column.name.to_owned(), row.get(at).clone()));
    Value::Object(fields.collect())
}

/// The step went on, or ended, without an answer: the question is void. Written anew from what the step's row keeps.
pub fn void(rows: &mut Rows, recorded: &Recorded, kept: &Value) {
    let Some(fields) = kept.as_object() else { return };
    let mut row = Image::blank(&HUMAN_APPROVALS);
    for (at, column) in HUMAN_APPROVALS.columns.iter().enumerate() {
        row.set(at, fields.get(column.name).cloned().unwrap_or(Value::Null));
    }
    let key = vec![row.get(column::id).clone()];
    row.set(column::status, "void").set(column::decided_at, at(recorded));
    rows.put(&HUMAN_APPROVALS, key, row, recorded);
}
