//! Runs as a whole. What happens to single steps is in `step`.
//!
//! Owns: rows of `orchestration_runs`.

use nightshift_domain::{
    content::Failure,
    ids::{DefinitionId, RunId},
    recorded::Recorded,
    run::{Created, Event, How, Migrated, StepOutput},
    trace,
};
use serde_json::Value;

use super::{Touches, approval, at, fan, given_up, own, plan, step};
use crate::{
    rows::{Image, Rows},
    tables::{ORCHESTRATION_RUNS, orchestration_runs as column},
    value,
};

/// The rows an event of a run touches.
pub fn touched(event: &Event, recorded: &Recorded, touches: &mut Touches) {
    match event {
        Event::Created(_) => touches.writes(&ORCHESTRATION_RUNS, || own(recorded)),
        Event::StepQueued { .. }
        | Event::AttemptStarted { .. }
        | Event::AttemptSucceeded { .. }
        | Event::Completed { .. }
        | Event::Failed { .. }
        | Event::Cancelled { .. }
        | Event::StepSkipped { .. }
        | Event::StepDied { .. }
        | Event::FannedOut { .. }
        | Event::StepParked { .. }
        | Event::StepCompleted { .. }
        | Event::ApprovalRequested { .. }
        | Event::ApprovalDecided { .. }
        | Event::StepReset { .. }
        | Event::Reopened { .. }
        | Event::Paused { .. }
        | Event::Resumed { .. }
        | Event::Migrated(_) => touches.reads(&ORCHESTRATION_RUNS, own(recorded)),
        Event::AttemptFailed { .. }
        | Event::LeaseExpired { .. }
        | Event::StaleResult { .. }
        | Event::StepDiscarded { .. }
        | Event::ApprovalEscalated { .. }
        | Event::Reported { .. }
        | Event::ReportGivenUp { .. }
        | Event::ReportResent { .. } => {}
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
        Event::AttemptStarted { step, attempt, lease, .. } => {
            begun(rows, recorded);
            if !step::is_queued(rows, recorded, step) {
                step::queued(rows, recorded, step);
            }
            step::started(rows, recorded, (step, *attempt), lease);
        }
        Event::AttemptSucceeded { step, attempt, output } => {
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
        Event::StepSkipped { step, reason } => given_up::skipped(rows, recorded, step, reason),
        Event::Completed { .. } => over(rows, recorded, "completed", Value::Null),
        Event::Failed { step, failure } => over(rows, recorded, "failed", failed_at(step, failure)),
        Event::Cancelled { reason } => {
            over(rows, recorded, "cancelled", value::object([("reason", value::text(reason))]));
        }
        Event::FannedOut { step, items } => {
            begun(rows, recorded);
            fan::made(rows, recorded, step, items.len());
        }
        Event::StepParked { step, attempt, on } => {
            begun(rows, recorded);
            step::parked(rows, recorded, (step, *attempt), on);
        }
        Event::StepCompleted { step, output, how } => {
            begun(rows, recorded);
            step::completed(rows, recorded, step, output);
            step::goes_on_without_place(rows, recorded, step, "success");
            if matches!(how, How::Replaced { .. }) {
                step::replaced(rows, recorded, step);
            }
        }
        Event::ApprovalRequested { step, approval } => {
            begun(rows, recorded);
            step::asked(rows, recorded, step, approval);
        }
        Event::ApprovalDecided { step, answer } => step::answered(rows, recorded, step, answer),
        Event::ApprovalEscalated { step, approval, to } => step::escalated(rows, recorded, (step, *approval), to),
        Event::StepReset { step, not_before, .. } => step::reset(rows, recorded, step, *not_before),
        Event::StepDiscarded { step, by } => given_up::discarded(rows, recorded, step, by),
        Event::Reopened { .. } => reopened(rows, recorded),
        Event::Paused { by } => paused(rows, recorded, value::text(&by.note)),
        Event::Resumed { .. } => paused(rows, recorded, Value::Null),
        Event::Migrated(to) => {
            if migrated(rows, recorded, to) {
                step::migrated(rows, recorded, to);
            }
        }
        // What webhooks were told is in the log; it changes nothing about the run.
        Event::Reported { .. } | Event::ReportGivenUp { .. } | Event::ReportResent { .. } => {}
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
        .set(column::deliverable_id, value::id_or_null(run.subject.version().map(|(id, _)| id.uuid())))
        .set(column::version_number, run.subject.version().map_or(Value::Null, |(_, number)| value::int(number)))
        .set(column::title, value::text(run.subject.title()))
        .set(column::root_run_id, value::id(run.root.uuid()))
        .set(column::parent_orchestration_run_id, value::id_or_null(run.parent.map(RunId::uuid)))
        .set(column::priority, value::int(run.priority))
        .set(column::nominal_at, value::time(run.nominal))
        .set(column::plan, plan::plan(&run.plan))
        .set(column::results, value::object([]))
        .set(column::total_steps, value::int(run.plan.steps.len()))
        .set(column::completed_steps, 0)
        .set(column::pending_approvals, 0)
        .set(column::parameters, value::json(&run.parameters))
        .set(column::trigger, value::json(&run.trigger))
        .set(column::created_at, at(recorded))
        .set(column::trace_id, format!("{:032x}", u128::from_be_bytes(trace::trace_id(run.root))));
    if let Some(workflow) = run.subject.workflow() {
        row.set(column::definition_id, value::id_or_null(workflow.definition.map(DefinitionId::uuid)))
            .set(column::orchestration_name, value::text(&workflow.name))
            .set(column::workflow_owner, value::text(&workflow.owner))
            .set(column::workflow_version, value::text(&workflow.version))
            .set(column::definition_digest, value::text(&workflow.digest.0));
    }
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

/// A step of the plan became complete, or is not any more.
pub fn counted(rows: &mut Rows, recorded: &Recorded, step: &str, output: Option<&StepOutput>) {
    let Some(row) = rows.edit(&ORCHESTRATION_RUNS, &own(recorded), recorded) else {
        return;
    };
    row.add(column::completed_steps, if output.is_some() { 1 } else { -1 });
    let step = step.replace('\0', "\u{fffd}");
    if let Some(results) = row.get_mut(column::results).as_object_mut() {
        match output {
            Some(output) => drop(results.insert(step, plan::output(output))),
            None => drop(results.remove(&step)),
        }
    }
}

/// Questions were asked, or are open no more. A run that a person is asked about stands at a checkpoint.
pub fn asking(rows: &mut Rows, recorded: &Recorded, more: i64) {
    let Some(row) = rows.edit(&ORCHESTRATION_RUNS, &own(recorded), recorded) else {
        return;
    };
    row.add(column::pending_approvals, more);
    let open = row.int(column::pending_approvals) > 0;
    match row.text(column::status) {
        "running" | "pending" if open => drop(row.set(column::status, "checkpoint")),
        "checkpoint" if !open => drop(row.set(column::status, "running")),
        _ => {}
    }
}

/// Whose run it is; none when the run is not known.
pub fn user(rows: &Rows, recorded: &Recorded) -> Option<Value> {
    rows.peek(&ORCHESTRATION_RUNS, &own(recorded)).map(|row| row.get(column::user_id).clone())
}

fn reopened(rows: &mut Rows, recorded: &Recorded) {
    let Some(row) = rows.edit(&ORCHESTRATION_RUNS, &own(recorded), recorded) else {
        return;
    };
    row.set(column::status, "running").clear(&[column::error_details, column::completed_at]);
}

fn paused(rows: &mut Rows, recorded: &Recorded, note: Value) {
    if let Some(row) = rows.edit(&ORCHESTRATION_RUNS, &own(recorded), recorded) {
        row.set(column::pause_note, note);
    }
}

/// It goes on under another version of its definition; false when it is not known.
fn migrated(rows: &mut Rows, recorded: &Recorded, to: &Migrated) -> bool {
    let Some(row) = rows.edit(&ORCHESTRATION_RUNS, &own(recorded), recorded) else {
        return false;
    };
    row.set(column::definition, value::text(&to.plan.definition))
        .set(column::definition_id, value::id_or_null(to.workflow.definition.map(DefinitionId::uuid)))
        .set(column::workflow_version, value::text(&to.workflow.version))
        .set(column::definition_digest, value::text(&to.workflow.digest.0))
        .set(column::plan, plan::plan(&to.plan))
        .set(column::parameters, value::json(&to.parameters))
        .set(column::total_steps, value::int(to.plan.steps.len()));
    true
}

fn over(rows: &mut Rows, recorded: &Recorded, status: &str, details: Value) {
    approval::void_noted(rows, recorded, |_| true);
    let Some(row) = rows.edit(&ORCHESTRATION_RUNS, &own(recorded), recorded) else {
        return;
    };
    row.set(column::status, status)
        .set(column::error_details, details)
        .set(column::completed_at, at(recorded))
        .clear(&[column::pause_note]);
}
