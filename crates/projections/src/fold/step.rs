//! Steps of runs, their places in the queue and their attempts.
//!
//! Owns: rows of `orchestration_steps`, `job_queue` and `job_attempts`.

use nightshift_domain::{
    content::{Failure, FailureClass},
    recorded::Recorded,
    run::{
        Answer, Approval, ApprovalId, DEFAULT_QUEUE, Event, Lease, Migrated, Plan, StepOutput, StepPlan, Token, Waits,
        instance_id,
    },
    time::Timestamp,
};
use serde_json::Value;

use super::{Touches, approval, at, fan, own, plan, run};
use crate::{
    rows::{Image, Rows},
    table::RowKey,
    tables::{
        HUMAN_APPROVALS, JOB_ATTEMPTS, JOB_QUEUE, ORCHESTRATION_RUNS, ORCHESTRATION_STEPS, job_attempts as attempts,
        job_queue as jobs, orchestration_runs as runs, orchestration_steps as steps,
    },
    value,
};

/// The rows of steps that an event of a run touches.
pub fn touched(event: &Event, recorded: &Recorded, touches: &mut Touches) {
    match event {
        Event::Created(run) => {
            for step in &run.plan.steps {
                touches.writes(&ORCHESTRATION_STEPS, || step_key(recorded, &step.id));
            }
        }
        Event::StepQueued { step, .. } | Event::StepDied { step, .. } | Event::StepSkipped { step, .. } => {
            touch_step(recorded, step, touches);
        }
        Event::AttemptStarted { step, attempt, .. } => {
            touch_step(recorded, step, touches);
            touches.writes(&JOB_ATTEMPTS, || attempt_key(recorded, step, *attempt));
        }
        Event::AttemptSucceeded { step, attempt, .. }
        | Event::AttemptFailed { step, attempt, .. }
        | Event::LeaseExpired { step, attempt, .. } => {
            touch_step(recorded, step, touches);
            touches.reads(&JOB_ATTEMPTS, attempt_key(recorded, step, *attempt));
        }
        Event::StaleResult { step, attempt, .. } => {
            touches.reads(&JOB_ATTEMPTS, attempt_key(recorded, step, *attempt));
        }
        Event::FannedOut { step, items } => {
            touches.reads(&ORCHESTRATION_STEPS, step_key(recorded, step));
            for nth in 0..items.len() {
                touches.writes(&ORCHESTRATION_STEPS, || step_key(recorded, &instance_id(step, nth)));
            }
        }
        Event::StepParked { step, .. } | Event::StepDiscarded { step, .. } => touch_step(recorded, step, touches),
        Event::StepCompleted { step, .. } | Event::StepReset { step, .. } => {
            touch_step(recorded, step, touches);
            if let Some(list) = fan::list_of(step) {
                touches.reads(&ORCHESTRATION_STEPS, step_key(recorded, list));
            }
        }
        Event::ApprovalRequested { step, approval } => {
            touch_step(recorded, step, touches);
            touches.writes(&HUMAN_APPROVALS, || approval::key(approval.id));
        }
        Event::ApprovalDecided { step, answer } => {
            touch_step(recorded, step, touches);
            touches.reads(&HUMAN_APPROVALS, approval::key(answer.approval));
        }
        Event::ApprovalEscalated { step, approval, .. } => {
            touch_step(recorded, step, touches);
            touches.reads(&HUMAN_APPROVALS, approval::key(*approval));
        }
        Event::Completed { .. }
        | Event::Failed { .. }
        | Event::Cancelled { .. }
        | Event::Reopened { .. }
        | Event::Paused { .. }
        | Event::Resumed { .. }
        | Event::Reported { .. }
        | Event::ReportGivenUp { .. }
        | Event::ReportResent { .. } => {}
        Event::Migrated(to) => {
            for step in to.plan.steps.iter().map(|step| &step.id).chain(&to.dropped) {
                touches.reads(&ORCHESTRATION_STEPS, step_key(recorded, step));
            }
        }
    }
}

fn touch_step(recorded: &Recorded, step: &str, touches: &mut Touches) {
    touches.reads(&ORCHESTRATION_STEPS, step_key(recorded, step));
    touches.reads(&JOB_QUEUE, job_key(recorded, step));
}

pub fn step_key(recorded: &Recorded, step: &str) -> RowKey {
    vec![value::id(recorded.stream.id), value::text(step)]
}

pub fn job_key(recorded: &Recorded, step: &str) -> RowKey {
    vec![value::text(&format!("{}/{step}", recorded.stream.id))]
}

fn attempt_key(recorded: &Recorded, step: &str, attempt: u32) -> RowKey {
    vec![value::id(recorded.stream.id), value::text(step), value::int(attempt)]
}

/// What a failure says, as a document.
pub fn details(failure: &Failure) -> Value {
    value::object([
        ("class", Value::from(failure.class.as_str())),
        ("message", value::text(&failure.message)),
        ("status_code", failure.status_code.map_or(Value::Null, value::int)),
    ])
}

pub fn edit_step<'a>(rows: &'a mut Rows, recorded: &Recorded, step: &str) -> Option<&'a mut Image> {
    rows.edit(&ORCHESTRATION_STEPS, &step_key(recorded, step), recorded)
}

/// The place in the queue changes its state; what belongs to the state before is cleared.
pub fn edit_job<'a>(rows: &'a mut Rows, recorded: &Recorded, step: &str, status: &str) -> Option<&'a mut Image> {
    let row = rows.edit(&JOB_QUEUE, &job_key(recorded, step), recorded)?;
    row.set(jobs::status, status).set(jobs::updated_at, at(recorded)).clear(&[
        jobs::lease_until,
        jobs::next_run_at,
        jobs::error_class,
        jobs::error_text,
        jobs::note,
    ]);
    Some(row)
}

/// The steps of a new run.
pub fn planned(rows: &mut Rows, recorded: &Recorded, plan: &Plan) {
    for (index, step) in plan.steps.iter().enumerate() {
        let mut row = untouched(recorded, step);
        as_planned(&mut row, index, step);
        rows.put(&ORCHESTRATION_STEPS, step_key(recorded, &step.id), row, recorded);
    }
}

/// The steps of a run that goes on under another plan: those that are there stay as far as they are.
pub fn migrated(rows: &mut Rows, recorded: &Recorded, to: &Migrated) {
    for step in &to.dropped {
        rows.delete(&ORCHESTRATION_STEPS, step_key(recorded, step));
    }
    for (index, step) in to.plan.steps.iter().enumerate() {
        let key = step_key(recorded, &step.id);
        if rows.peek(&ORCHESTRATION_STEPS, &key).is_none() {
            rows.put(&ORCHESTRATION_STEPS, key.clone(), untouched(recorded, step), recorded);
        }
        if let Some(row) = rows.edit(&ORCHESTRATION_STEPS, &key, recorded) {
            as_planned(row, index, step);
        }
    }
}

/// A step to which nothing has happened.
fn untouched(recorded: &Recorded, step: &StepPlan) -> Image {
    let mut row = Image::blank(&ORCHESTRATION_STEPS);
    row.set(steps::run_id, value::id(recorded.stream.id))
        .set(steps::step_id, value::text(&step.id))
        .set(steps::status, "pending")
        .set(steps::attempt_number, 0);
    row
}

/// What the plan says of a step.
fn as_planned(row: &mut Image, index: usize, step: &StepPlan) {
    row.set(steps::step_index, value::int(index))
        .set(steps::action, step.action.as_str())
        .set(steps::max_attempts, value::int(step.retry.attempts_max))
        .set(steps::depends_on, value::json(&step.depends_on));
}

/// Whether a step waits for a place.
pub fn is_queued(rows: &mut Rows, recorded: &Recorded, step: &str) -> bool {
    rows.peek(&ORCHESTRATION_STEPS, &step_key(recorded, step)).is_some_and(|row| *row.get(steps::status) == "queued")
}

/// A step waits for a place, or did until this instant.
pub fn queued(rows: &mut Rows, recorded: &Recorded, step: &str) {
    let Some(row) = edit_step(rows, recorded, step) else {
        return;
    };
    row.set(steps::status, "queued").set(steps::queued_at, at(recorded)).set(steps::next_retry_at, Value::Null);
    let max_attempts = row.get(steps::max_attempts).clone();
    match edit_job(rows, recorded, step, "queued") {
        Some(job) => {
            job.set(jobs::next_run_at, at(recorded));
        }
        None => first_queued(rows, recorded, step, max_attempts),
    }
}

fn first_queued(rows: &mut Rows, recorded: &Recorded, step: &str, max_attempts: Value) {
    let Some(run) = rows.peek(&ORCHESTRATION_RUNS, &own(recorded)) else {
        return;
    };
    let key = job_key(recorded, step);
    let mut job = Image::blank(&JOB_QUEUE);
    job.set(jobs::job_id, key[0].clone())
        .set(jobs::workflow_run_id, value::id(recorded.stream.id))
        .set(jobs::step_id, value::text(step))
        .set(jobs::user_id, run.get(runs::user_id).clone())
        .set(jobs::definition, run.get(runs::orchestration_name).clone())
        .set(jobs::definition_owner, run.get(runs::workflow_owner).clone())
        .set(jobs::queue, queue_of(run, step))
        .set(jobs::status, "queued")
        .set(jobs::priority, run.get(runs::priority).clone())
        .set(jobs::attempts, 0)
        .set(jobs::max_attempts, max_attempts)
        .set(jobs::next_run_at, at(recorded))
        .set(jobs::created_at, at(recorded))
        .set(jobs::updated_at, at(recorded));
    rows.put(&JOB_QUEUE, key, job, recorded);
}

/// The queue that the plan of a run names for a step, or for the list it is of.
fn queue_of(run: &Image, step: &str) -> Value {
    let planned = fan::list_of(step).unwrap_or(step);
    let steps = run.get(runs::plan).get("steps").and_then(Value::as_array).into_iter().flatten();
    let mut of_step = steps.filter(|plan| plan.get("id").and_then(Value::as_str) == Some(planned));
    let named = of_step.next().and_then(|plan| plan.pointer("/flow/queue")).filter(|queue| queue.is_string());
    named.cloned().unwrap_or_else(|| Value::from(DEFAULT_QUEUE))
}

/// An attempt began.
pub fn started(rows: &mut Rows, recorded: &Recorded, (step, attempt): (&str, u32), lease: &Lease) {
    let (worker, token) = (value::text(&lease.worker), Value::String(lease.token.to_string()));
    if let Some(row) = edit_step(rows, recorded, step) {
        row.set(steps::status, "running")
            .set(steps::attempt_number, value::int(attempt))
            .set(steps::worker, worker.clone())
            .set(steps::token, token.clone())
            .set(steps::started_at, at(recorded));
    }
    if let Some(job) = edit_job(rows, recorded, step, "leased") {
        job.set(jobs::attempts, value::int(attempt)).set(jobs::lease_until, value::time(lease.until));
    }
    let mut row = Image::blank(&JOB_ATTEMPTS);
    row.set(attempts::run_id, value::id(recorded.stream.id))
        .set(attempts::step_id, value::text(step))
        .set(attempts::attempt, value::int(attempt))
        .set(attempts::worker, worker)
        .set(attempts::token, token)
        .set(attempts::started_at, at(recorded))
        .set(attempts::stale, false);
    rows.put(&JOB_ATTEMPTS, attempt_key(recorded, step, attempt), row, recorded);
}

/// How an attempt ended without doing it.
pub struct Ending<'a> {
    pub class: FailureClass,
    pub status_code: Option<u16>,
    pub text: &'a str,
}

impl Ending<'_> {
    pub fn write(&self, attempt: &mut Image, at: Value) {
        attempt
            .set(attempts::finished_at, at)
            .set(attempts::success, false)
            .set(attempts::failure_class, self.class.as_str())
            .set(attempts::status_code, self.status_code.map_or(Value::Null, value::int))
            .set(attempts::error_text, value::text(self.text));
    }
}

fn ended(rows: &mut Rows, recorded: &Recorded, (step, attempt): (&str, u32), ending: &Ending<'_>) {
    if let Some(row) = rows.edit(&JOB_ATTEMPTS, &attempt_key(recorded, step, attempt), recorded) {
        ending.write(row, at(recorded));
    }
}

/// An attempt did it.
pub fn succeeded(rows: &mut Rows, recorded: &Recorded, (step, attempt): (&str, u32), output: &StepOutput) {
    completed(rows, recorded, step, output);
    edit_job(rows, recorded, step, "success");
    if let Some(row) = rows.edit(&JOB_ATTEMPTS, &attempt_key(recorded, step, attempt), recorded) {
        row.set(attempts::finished_at, at(recorded)).set(attempts::success, true);
    }
}

/// A step is complete, however that came to be.
pub fn completed(rows: &mut Rows, recorded: &Recorded, step: &str, output: &StepOutput) {
    let before = settle(rows, recorded, step);
    if let Some(row) = edit_step(rows, recorded, step) {
        row.set(steps::status, "completed")
            .set(steps::output, plan::output(output))
            .set(steps::completed_at, at(recorded))
            .clear(&[steps::error_details, steps::waits_for, steps::next_retry_at]);
    }
    if before != Before::Complete && is_planned(step) {
        run::counted(rows, recorded, step, Some(output));
    }
}

/// What a step was when something new is said of it.
#[derive(PartialEq, Eq)]
pub enum Before {
    Complete,
    Other,
}

/// Closes what was open about a step, and says whether it was complete.
pub fn settle(rows: &mut Rows, recorded: &Recorded, step: &str) -> Before {
    let Some(row) = edit_step(rows, recorded, step) else { return Before::Other };
    let before = if row.text(steps::status) == "completed" { Before::Complete } else { Before::Other };
    let open = std::mem::take(row.get_mut(steps::approval));
    if !open.is_null() {
        approval::void(rows, recorded, &open);
        run::asking(rows, recorded, -1);
    }
    before
}

/// Instances of a step, `step[3]`, are no steps of the plan.
fn is_planned(step: &str) -> bool {
    fan::list_of(step).is_none()
}

/// Somebody gave an output in the place of what the step would have made.
pub fn replaced(rows: &mut Rows, recorded: &Recorded, step: &str) {
    fan::forget(rows, recorded, step);
    fan::goes_on(rows, recorded, step);
    edit_job(rows, recorded, step, "cancelled");
}

/// A step waits for something that no worker does.
pub fn parked(rows: &mut Rows, recorded: &Recorded, (step, attempt): (&str, u32), on: &Waits) {
    if let Some(row) = edit_step(rows, recorded, step) {
        row.set(steps::status, "running")
            .set(steps::attempt_number, value::int(attempt))
            .set(steps::started_at, at(recorded))
            .set(steps::waits_for, plan::waits(on))
            .set(steps::next_retry_at, Value::Null);
    }
    goes_on_without_place(rows, recorded, step, "running");
}

/// A dead letter of a step that no worker does was taken back, and this became of it.
pub fn goes_on_without_place(rows: &mut Rows, recorded: &Recorded, step: &str, status: &str) {
    let idle = |job: &Image| matches!(job.text(jobs::status), "dead" | "failed" | "running");
    if rows.peek(&JOB_QUEUE, &job_key(recorded, step)).is_some_and(idle) {
        edit_job(rows, recorded, step, status);
    }
}

/// A person is asked about a step.
pub fn asked(rows: &mut Rows, recorded: &Recorded, step: &str, asked: &Approval) {
    let Some(user) = run::user(rows, recorded) else { return };
    if asked.checkpoint.advisory {
        approval::requested(rows, recorded, (step, user), asked);
        return approval::note(rows, recorded, asked.id);
    }
    let before = settle(rows, recorded, step);
    approval::requested(rows, recorded, (step, user), asked);
    let kept = approval::kept(rows, asked.id);
    let Some(row) = edit_step(rows, recorded, step) else { return };
    row.set(steps::status, "checkpoint").set(steps::approval, kept).set(steps::completed_at, Value::Null);
    if before == Before::Complete && is_planned(step) {
        run::counted(rows, recorded, step, None);
    }
    run::asking(rows, recorded, 1);
}

/// They answered; what follows is the next event's to say.
pub fn answered(rows: &mut Rows, recorded: &Recorded, step: &str, answer: &Answer) {
    approval::decided(rows, recorded, answer);
    let Some(row) = edit_step(rows, recorded, step) else { return };
    if is_about(row.get(steps::approval), answer.approval) {
        row.clear(&[steps::approval]);
        run::asking(rows, recorded, -1);
    }
}

/// Whether a kept question is this one.
fn is_about(kept: &Value, id: ApprovalId) -> bool {
    kept.get("id") == Some(&value::id(id.0))
}

/// Somebody else is asked.
pub fn escalated(rows: &mut Rows, recorded: &Recorded, (step, id): (&str, ApprovalId), to: &str) {
    approval::escalated(rows, recorded, id, to);
    let kept = approval::kept(rows, id);
    let Some(row) = edit_step(rows, recorded, step) else { return };
    if is_about(row.get(steps::approval), id) {
        row.set(steps::approval, kept);
    }
}

/// A step is to be done again.
pub fn reset(rows: &mut Rows, recorded: &Recorded, step: &str, not_before: Option<Timestamp>) {
    let about = value::text(step);
    approval::void_noted(rows, recorded, |kept| kept.get("step_id") == Some(&about));
    fan::forget(rows, recorded, step);
    fan::goes_on(rows, recorded, step);
    let before = settle(rows, recorded, step);
    if let Some(row) = edit_step(rows, recorded, step) {
        row.set(steps::status, "pending").set(steps::next_retry_at, value::time_or_null(not_before)).clear(&[
            steps::output,
            steps::error_details,
            steps::completed_at,
            steps::waits_for,
        ]);
    }
    let idle = |job: &Image| matches!(job.text(jobs::status), "dead" | "failed");
    let waits = rows.peek(&JOB_QUEUE, &job_key(recorded, step)).is_some_and(idle) || not_before.is_some();
    if waits && let Some(job) = edit_job(rows, recorded, step, "failed") {
        job.set(jobs::next_run_at, value::time_or_null(not_before));
    }
    if before == Before::Complete && is_planned(step) {
        run::counted(rows, recorded, step, None);
    }
}

/// An attempt failed; it is tried again when `retry_at` says so.
pub fn failed(
    rows: &mut Rows,
    recorded: &Recorded,
    (step, attempt): (&str, u32),
    (failure, retry_at): (&Failure, Option<Timestamp>),
) {
    let retry_at = value::time_or_null(retry_at);
    if let Some(row) = edit_step(rows, recorded, step) {
        row.set(steps::status, "failed")
            .set(steps::error_details, details(failure))
            .set(steps::next_retry_at, retry_at.clone())
            .clear(&[steps::waits_for]);
    }
    if let Some(job) = edit_job(rows, recorded, step, "failed") {
        job.set(jobs::next_run_at, retry_at);
        write_error(job, failure.class, &failure.message);
    }
    let ending = Ending { class: failure.class, status_code: failure.status_code, text: &failure.message };
    ended(rows, recorded, (step, attempt), &ending);
}

/// An attempt was lost with its lease; what becomes of the step is the next event's to say.
pub fn lost(rows: &mut Rows, recorded: &Recorded, (step, attempt): (&str, u32), reason: &str) {
    if let Some(row) = edit_step(rows, recorded, step) {
        let lost = Failure::new(FailureClass::Lost, reason);
        row.set(steps::status, "pending").set(steps::error_details, details(&lost));
    }
    if let Some(job) = edit_job(rows, recorded, step, "failed") {
        write_error(job, FailureClass::Lost, reason);
    }
    let ending = Ending { class: FailureClass::Lost, status_code: None, text: reason };
    ended(rows, recorded, (step, attempt), &ending);
}

/// A result came under a token that is not the open one. An attempt that nobody waited for any more is thereby over.
pub fn stale(rows: &mut Rows, recorded: &Recorded, (step, attempt): (&str, u32), (token, succeeded): (Token, bool)) {
    let Some(row) = rows.edit(&JOB_ATTEMPTS, &attempt_key(recorded, step, attempt), recorded) else {
        return;
    };
    row.set(attempts::stale, true);
    if row.is_null(attempts::success) && row.text(attempts::token) == token.to_string() {
        row.set(attempts::success, succeeded).set(attempts::finished_at, at(recorded));
    }
}

/// The last attempt failed. A step that never waited for a place, because it could not begin or no worker does it, is a
/// dead letter as well.
pub fn died(rows: &mut Rows, recorded: &Recorded, step: &str, failure: &Failure) {
    settle(rows, recorded, step);
    let Some(row) = edit_step(rows, recorded, step) else { return };
    row.set(steps::status, "dead")
        .set(steps::error_details, details(failure))
        .set(steps::completed_at, at(recorded))
        .clear(&[steps::next_retry_at, steps::waits_for]);
    let (max_attempts, attempts) = (row.get(steps::max_attempts).clone(), row.get(steps::attempt_number).clone());
    let is_list = !row.is_null(steps::instances);
    // The letters of a list are its instances.
    if !is_list && rows.peek(&JOB_QUEUE, &job_key(recorded, step)).is_none() {
        first_queued(rows, recorded, step, max_attempts);
        if let Some(job) = edit_job(rows, recorded, step, "dead") {
            job.set(jobs::attempts, attempts);
        }
    }
    if let Some(job) = edit_job(rows, recorded, step, "dead") {
        write_error(job, failure.class, &failure.message);
    }
}

fn write_error(job: &mut Image, class: FailureClass, message: &str) {
    job.set(jobs::error_class, class.as_str()).set(jobs::error_text, value::text(message));
}
