//! Steps that are done once for each element of a list, and their instances `step[0]`, `step[1]`, and so on.
//!
//! Owns: rows of instances in `orchestration_steps`: made with the list, gone when the list is to be made anew.
//! Refuses to know: what happens to a single instance, which is what happens to any step.

use nightshift_domain::{
    recorded::Recorded,
    run::{instance_id, instance_of},
};

use super::{
    at, run,
    step::{edit_step, job_key, step_key},
};
use crate::{
    rows::Rows,
    tables::{JOB_QUEUE, ORCHESTRATION_STEPS, orchestration_steps as steps},
    value,
};

/// The step that an instance belongs to; none for a step of the plan.
pub fn list_of(id: &str) -> Option<&str> {
    instance_of(id).map(|(list, _)| list)
}

/// A step is to be done once for each element of a list.
pub fn made(rows: &mut Rows, recorded: &Recorded, step: &str, count: usize) {
    forget(rows, recorded, step);
    let Some(row) = edit_step(rows, recorded, step) else { return };
    let mut instance = row.clone();
    instance.set(steps::status, "pending").set(steps::attempt_number, 0).clear(&[
        steps::output,
        steps::started_at,
        steps::next_retry_at,
        steps::instances,
    ]);
    row.set(steps::status, "running")
        .set(steps::started_at, at(recorded))
        .set(steps::instances, value::int(count))
        .clear(&[steps::next_retry_at]);
    for nth in 0..count {
        let id = instance_id(step, nth);
        let mut row = instance.clone();
        row.set(steps::step_id, value::text(&id));
        rows.put(&ORCHESTRATION_STEPS, step_key(recorded, &id), row, recorded);
    }
}

/// A step with a list is to be done again, or was given an output for all of it: another list may have fewer elements, so
/// nothing is left of the instances but their attempts. Not their places in the queue either, where a dead one would stay
/// for ever.
pub fn forget(rows: &mut Rows, recorded: &Recorded, step: &str) {
    let Some(row) = edit_step(rows, recorded, step) else { return };
    let count = usize::try_from(row.int(steps::instances)).unwrap_or(0);
    row.clear(&[steps::instances]);
    for nth in 0..count {
        let instance = instance_id(step, nth);
        rows.delete(&ORCHESTRATION_STEPS, step_key(recorded, &instance));
        rows.delete(&JOB_QUEUE, job_key(recorded, &instance));
    }
}

/// An instance is not as it was when its list came to an end: the list goes on.
pub fn goes_on(rows: &mut Rows, recorded: &Recorded, instance: &str) {
    let Some(list) = list_of(instance) else { return };
    let key = step_key(recorded, list);
    let status = rows.peek(&ORCHESTRATION_STEPS, &key).map_or("", |row| row.text(steps::status));
    let complete = status == "completed";
    if !complete && !matches!(status, "dead" | "skipped") {
        return;
    }
    if let Some(row) = edit_step(rows, recorded, list) {
        row.set(steps::status, "running").clear(&[steps::output, steps::error_details, steps::completed_at]);
    }
    if complete {
        run::counted(rows, recorded, list, None);
    }
}
