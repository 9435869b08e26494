//! Runs as a whole. What happens to single steps is in `step`.
//!
//! Owns: rows of `orchestration_runs`.

use nightshift_domain::{
    content::Failure,
    ids::RunId,
    recorded::Recorded,
    run::{Created, Event, StepOutput},
};
use serde_json::Value;

use super::{Touches, at, own, plan, step};
use crate::{
    rows::{Image, Rows},
    tables::{ORCHESTRATION_RUNS, orchestration_runs as column},
    value,
};

/// The W3C trace id of everything below a root run: its id, without dashes.
#[must_use]
pub fn trace_id(root: RunId) -> String {
    root.uuid().simple().to_string()
}

/// The rows an event of a run touches.
pub fn touched(event: &Event, recorded: &Recorded, touches: &mut Touches) {
    match event {
        Event::Created(_) => touches.writes(&ORCHESTRATION_RUNS, || own(recorded)),
        Event::StepQueued { .. }
        | Event::AttemptStarted { .. }
        | Event::AttemptSucceeded { .. }
        | Event::Completed {}
        | Event::Failed { .. }
        | Event::Cancelled { .. } => touches.reads(&ORCHESTRATION_RUNS, own(recorded)),
        Event::AttemptFailed { .. }
        | Event::LeaseExpired { .. }
        | Event::StaleResult { .. }
        | Event::StepDied { .. }
        | Event::StepSkipped { .. } => {}
    }
    step::touched(event, recorded, touches);
}

/// Changes rows as an event of a run says.
pub fn apply(rows: &mut Rows, recorded: &Recorded, event: &Event) {
    match event {
        Event::Created(run) => {
            created(rows, recorded, run);
            step::planned(rows, recorded, &run.plan);
        }
        Event::StepQueued { step, .. } => step::queued(rows, recorded, step),
        Event::AttemptStarted { step, attempt, lease } => {
            begun(rows, recorded);
            step::started(rows, recorded, (step, *attempt), lease);
        }
        Event::AttemptSucceeded { step, attempt, output } => {
            noted(rows, recorded, step, output);
            step::succeeded(rows, recorded, (step, *attempt), output);
        }
        Event::AttemptFailed { step, attempt, failure, retry_at, .. } => {
            step::failed(rows, recorded, (step, *attempt), (failure, *retry_at));
        }
        Event::LeaseExpired { step, attempt, reason, .. } => step::lost(rows, recorded, (step, *attempt), reason),
        Event::StaleResult { step, attempt, token, succeeded } => {
            step::stale(rows, recorded, (step, *attempt), (*token, *succeeded));
        }
        Event::StepDied { step, failure } => step::died(rows, recorded, step, failure),
        Event::StepSkipped { step, reason } => step::skipped(rows, recorded, step, reason),
        Event::Completed {} => over(rows, recorded, "completed", Value::Null),
        Event::Failed { step, failure } => over(rows, recorded, "failed", failed_at(step, failure)),
        Event::Cancelled { reason } => {
            over(rows, recorded, "cancelled", value::object([("reason", value::text(reason))]));
        }
    }
}

fn failed_at(step: &str, failure: &Failure) -> Value {
    let mut details = step::details(failure);
    if let Some(fields) = details.as_object_mut() {
        fields.insert("step".to_owned(), value::text(step));
    }
    details
}

fn created(rows: &mut Rows, recorded: &Recorded, run: &Created) {
    let definition = run.plan.definition.as_str();
    let name = definition.split_once('@').map_or(definition, |(name, _)| name);
    let mut row = Image::blank(&ORCHESTRATION_RUNS);
    row.set(column::id, value::id(recorded.stream.id))
        .set(column::definition, value::text(definition))
        .set(column::orchestration_name, value::text(name))
        .set(column::user_id, value::text(&run.user.0))
        .set(column::status, "pending")
        .set(column::deliverable_id, value::id(run.subject.deliverable.uuid()))
        .set(column::version_number, value::int(run.subject.version_number))
        .set(column::title, value::text(&run.subject.title))
        .set(column::root_run_id, value::id(run.root.uuid()))
        .set(column::parent_orchestration_run_id, value::id_or_null(run.parent.map(RunId::uuid)))
        .set(column::priority, value::int(run.priority))
        .set(column::nominal_at, value::time(run.nominal))
        .set(column::plan, plan::plan(&run.plan))
        .set(column::results, value::object([]))
        .set(column::total_steps, value::int(run.plan.steps.len()))
        .set(column::completed_steps, 0)
        .set(column::created_at, at(recorded))
        .set(column::trace_id, trace_id(run.root));
    rows.put(&ORCHESTRATION_RUNS, own(recorded), row, recorded);
}

/// The first attempt of a run sets it running; later ones leave its row alone.
fn begun(rows: &mut Rows, recorded: &Recorded) {
    let key = own(recorded);
    let pending = |row: &Image| row.text(column::status) == "pending";
    if rows.peek(&ORCHESTRATION_RUNS, &key).is_some_and(pending)
        && let Some(row) = rows.edit(&ORCHESTRATION_RUNS, &key, recorded)
    {
        row.set(column::status, "running").set(column::started_at, at(recorded));
    }
}

fn noted(rows: &mut Rows, recorded: &Recorded, step: &str, output: &StepOutput) {
    let Some(row) = rows.edit(&ORCHESTRATION_RUNS, &own(recorded), recorded) else {
        return;
    };
    row.add(column::completed_steps, 1);
    if let Some(results) = row.get_mut(column::results).as_object_mut() {
        results.insert(step.replace('\0', "\u{fffd}"), plan::output(output));
    }
}

fn over(rows: &mut Rows, recorded: &Recorded, status: &str, details: Value) {
    let Some(row) = rows.edit(&ORCHESTRATION_RUNS, &own(recorded), recorded) else {
        return;
    };
    row.set(column::status, status).set(column::error_details, details).set(column::completed_at, at(recorded));
}
