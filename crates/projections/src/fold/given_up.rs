//! Steps that will not be done: passed over, or given up by a person.
//!
//! Owns: what stays of them in `orchestration_steps`, `job_queue` and `job_attempts`.

use nightshift_domain::{content::FailureClass, recorded::Recorded, run::Asked};

use super::{
    at,
    step::{Ending, edit_job, edit_step, job_key, settle},
};
use crate::{
    rows::{Image, Rows},
    table::RowKey,
    tables::{JOB_ATTEMPTS, JOB_QUEUE, job_attempts as attempts, job_queue as jobs, orchestration_steps as steps},
    value,
};

/// A person gave a dead step up: it stays dead, and its job is over.
pub fn discarded(rows: &mut Rows, recorded: &Recorded, step: &str, by: &Asked) {
    if let Some(row) = edit_step(rows, recorded, step)
        && let Some(details) = row.get_mut(steps::error_details).as_object_mut()
    {
        let said = value::object([("by", value::text(&by.by)), ("note", value::text(&by.note))]);
        details.insert("discarded".to_owned(), said);
    }
    let error = rows
        .peek(&JOB_QUEUE, &job_key(recorded, step))
        .map(|job| [jobs::error_class, jobs::error_text].map(|column| (column, job.get(column).clone())));
    if let Some(job) = edit_job(rows, recorded, step, "cancelled") {
        for (column, kept) in error.into_iter().flatten() {
            job.set(column, kept);
        }
        job.set(jobs::note, value::text(&format!("discarded by {}{}", by.by, by.said())));
    }
}

/// A step will not be done; an attempt that was under way counts as cancelled.
///
/// The event does not name that attempt, so its row cannot be among those that were loaded. The row of the step holds all
/// it was made of, and it is written anew from there.
pub fn skipped(rows: &mut Rows, recorded: &Recorded, step: &str, reason: &str) {
    settle(rows, recorded, step);
    let Some(row) = edit_step(rows, recorded, step) else {
        return;
    };
    let under_way = row.text(steps::status) == "running" && !row.is_null(steps::token);
    let open = under_way.then(|| attempt_of(row));
    row.set(steps::status, "skipped")
        .set(steps::error_details, value::object([("reason", value::text(reason))]))
        .set(steps::completed_at, at(recorded))
        .clear(&[steps::next_retry_at, steps::waits_for]);
    if let Some(job) = edit_job(rows, recorded, step, "cancelled") {
        job.set(jobs::note, value::text(reason));
    }
    if let Some(mut attempt) = open {
        let ending = Ending { class: FailureClass::Cancelled, status_code: None, text: reason };
        ending.write(&mut attempt, at(recorded));
        rows.put(&JOB_ATTEMPTS, attempt_key_of(&attempt), attempt, recorded);
    }
}

fn attempt_of(step: &Image) -> Image {
    let mut row = Image::blank(&JOB_ATTEMPTS);
    let copied = [
        (attempts::run_id, steps::run_id),
        (attempts::step_id, steps::step_id),
        (attempts::attempt, steps::attempt_number),
        (attempts::worker, steps::worker),
        (attempts::token, steps::token),
        (attempts::started_at, steps::started_at),
    ];
    for (to, from) in copied {
        row.set(to, step.get(from).clone());
    }
    row.set(attempts::stale, false);
    row
}

fn attempt_key_of(attempt: &Image) -> RowKey {
    [attempts::run_id, attempts::step_id, attempts::attempt].map(|column| attempt.get(column).clone()).to_vec()
}
