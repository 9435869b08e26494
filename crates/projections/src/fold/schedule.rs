//! Schedules, and what they tell of their deliverable: when it is due next.
//!
//! Owns: rows of `schedules`, and `next_run_at` of `deliverables`. A deliverable's own events name due instants too, but
//! a schedule that was re-timed in between is ahead of them.

use nightshift_domain::{
    calendar::{CatchUp, Overlap, Rule, Schedule},
    ids::{StreamId, StreamKind},
    recorded::Recorded,
    schedule::{Event, SkipReason},
    time::Timestamp,
};
use serde_json::Value;

use super::{
    Touches,
    activity::{self, Line},
    at, own,
};
use crate::{
    rows::{Image, Rows},
    table::RowKey,
    tables::{ACTIVITY_LOG, DELIVERABLES, SCHEDULES, deliverables, schedules as column},
    value,
};

/// The rows an event of a schedule touches.
pub fn touched(event: &Event, recorded: &Recorded, touches: &mut Touches) {
    match event {
        Event::Created { .. } => touches.writes(&SCHEDULES, || own(recorded)),
        Event::Fired { .. }
        | Event::Triggered { .. }
        | Event::Paused { .. }
        | Event::Resumed { .. }
        | Event::ReTimed { .. } => {
            touches.reads(&SCHEDULES, own(recorded));
        }
        Event::Skipped { .. } => {
            touches.reads(&SCHEDULES, own(recorded));
            touches.writes(&ACTIVITY_LOG, || activity::key(recorded));
        }
        Event::Ended { .. } => touches.reads(&SCHEDULES, own(recorded)),
    }
    if let Some(key) = deliverable_key(target(event)) {
        touches.reads(&DELIVERABLES, key);
    }
}

const fn target(event: &Event) -> StreamId {
    match event {
        Event::Created { target, .. }
        | Event::Fired { target, .. }
        | Event::Skipped { target, .. }
        | Event::Paused { target, .. }
        | Event::Resumed { target, .. }
        | Event::ReTimed { target, .. }
        | Event::Ended { target }
        | Event::Triggered { target, .. } => *target,
    }
}

fn deliverable_key(target: StreamId) -> Option<RowKey> {
    (target.kind == StreamKind::Deliverable).then(|| vec![value::id(target.id)])
}

/// Changes rows as an event of a schedule says.
pub fn apply(rows: &mut Rows, recorded: &Recorded, event: &Event) {
    let next_due = match event {
        Event::Created { schedule, target, paused, next_due, tz_revision } => {
            let next_due = next_due.filter(|_| !paused);
            created(rows, recorded, (schedule, *target, *paused), (next_due, tz_revision));
            next_due
        }
        Event::Fired { nominal, next_due, tz_revision, .. } => {
            fired(rows, recorded, *nominal, tz_revision);
            *next_due
        }
        Event::Skipped { target, count, reason, next_due, tz_revision, .. } => {
            skipped(rows, recorded, *target, (*count, *reason));
            edition(rows, recorded, tz_revision);
            *next_due
        }
        Event::Paused { note, .. } => {
            standing(rows, recorded, "paused", Some(note));
            None
        }
        Event::Resumed { next_due, tz_revision, .. } => {
            standing(rows, recorded, "active", None);
            edition(rows, recorded, tz_revision);
            *next_due
        }
        Event::ReTimed { schedule, next_due, tz_revision, .. } => {
            let armed = re_timed(rows, recorded, schedule);
            edition(rows, recorded, tz_revision);
            next_due.filter(|_| armed)
        }
        Event::Triggered { nominal, .. } => {
            // What is due next stays as it is.
            triggered(rows, recorded, *nominal);
            return;
        }
        Event::Ended { .. } => {
            standing(rows, recorded, "ended", None);
            None
        }
    };
    due_next(rows, recorded, target(event), next_due);
}

fn edit<'a>(rows: &'a mut Rows, recorded: &Recorded) -> Option<&'a mut Image> {
    rows.edit(&SCHEDULES, &own(recorded), recorded)
}

fn due_next(rows: &mut Rows, recorded: &Recorded, target: StreamId, next_due: Option<Timestamp>) {
    if let Some(row) = edit(rows, recorded) {
        row.set(column::next_due_at, value::time_or_null(next_due));
    }
    let Some(key) = deliverable_key(target) else { return };
    if let Some(row) = rows.edit(&DELIVERABLES, &key, recorded) {
        row.set(deliverables::next_run_at, value::time_or_null(next_due)).set(deliverables::updated_at, at(recorded));
    }
}

fn created(
    rows: &mut Rows,
    recorded: &Recorded,
    (schedule, target, paused): (&Schedule, StreamId, bool),
    (next_due, tz_revision): (Option<Timestamp>, &str),
) {
    let deliverable = deliverable_key(target);
    let user = deliverable.as_ref().and_then(|key| rows.peek(&DELIVERABLES, key));
    let user = user.map_or(Value::Null, |row| row.get(deliverables::user_id).clone());
    let definition = if target.kind == StreamKind::Definition { value::id(target.id) } else { Value::Null };
    let mut row = Image::blank(&SCHEDULES);
    write_rule(&mut row, schedule);
    row.set(column::id, value::id(recorded.stream.id))
        .set(column::deliverable_id, deliverable.map_or(Value::Null, |mut key| key.swap_remove(0)))
        .set(column::definition_id, definition)
        .set(column::user_id, user)
        .set(column::status, if paused { "paused" } else { "active" })
        .set(column::pause_note, if paused { Value::from("created paused") } else { Value::Null })
        .set(column::next_due_at, value::time_or_null(next_due))
        .set(column::fired_count, 0)
        .set(column::skipped_count, 0)
        .set(column::tz_revision, value::text(tz_revision))
        .set(column::created_at, at(recorded));
    rows.put(&SCHEDULES, own(recorded), row, recorded);
}

fn write_rule(row: &mut Image, schedule: &Schedule) {
    let catch_up = match schedule.catch_up {
        CatchUp::Skip => Value::from("skip"),
        CatchUp::Latest => Value::from("latest"),
        CatchUp::All { max } => Value::String(format!("all({max})")),
    };
    let overlap = match schedule.overlap {
        Overlap::Skip => "skip",
        Overlap::BufferOne => "buffer_one",
        Overlap::BufferAll => "buffer_all",
        Overlap::CancelOther => "cancel_other",
        Overlap::Allow => "allow",
    };
    row.set(column::rule, rule(&schedule.rule))
        .set(column::timezone, value::text(&schedule.timezone))
        .set(column::catch_up, catch_up)
        .set(column::catch_up_window_s, schedule.catch_up_window_s.map_or(Value::Null, value::int))
        .set(column::overlap, overlap)
        .set(column::jitter_s, value::int(schedule.jitter_s));
}

/// Instants in a rule are texts, as everywhere in rows.
pub fn rule(rule: &Rule) -> Value {
    match rule {
        Rule::Cron { .. } | Rule::Calendar { .. } => value::json(rule),
        Rule::Interval { every_s, anchor } => {
            let fields = [("every_s", value::int(*every_s)), ("anchor", value::time(*anchor))];
            value::object([("interval", value::object(fields))])
        }
        Rule::Once { at } => value::object([("once", value::object([("at", value::time(*at))]))]),
    }
}

fn fired(rows: &mut Rows, recorded: &Recorded, nominal: Timestamp, tz_revision: &str) {
    let Some(row) = edit(rows, recorded) else { return };
    row.set(column::last_fired_at, at(recorded))
        .set(column::last_nominal_at, value::time(nominal))
        .add(column::fired_count, 1)
        .set(column::tz_revision, value::text(tz_revision));
}

/// A slot that somebody asked for: it counts as fired and moves no timer.
fn triggered(rows: &mut Rows, recorded: &Recorded, nominal: Timestamp) {
    if let Some(row) = edit(rows, recorded) {
        row.set(column::last_fired_at, at(recorded))
            .set(column::last_nominal_at, value::time(nominal))
            .add(column::fired_count, 1);
    }
}

fn skipped(rows: &mut Rows, recorded: &Recorded, target: StreamId, (count, reason): (u32, SkipReason)) {
    if let Some(row) = edit(rows, recorded) {
        row.add(column::skipped_count, i64::from(count)).set(column::last_skip_reason, reason.as_str());
    }
    let Some(key) = deliverable_key(target) else { return };
    let Some(row) = rows.edit(&DELIVERABLES, &key, recorded) else {
        return;
    };
    row.set(deliverables::last_skip_at, at(recorded)).set(deliverables::last_skip_reason, reason.as_str());
    let user = row.text(deliverables::user_id).to_owned();
    let summary = format!("{}: {count} slot(s) skipped: {}", row.text(deliverables::title), reason.as_str());
    let metadata = value::object([("deliverable_id", value::id(target.id)), ("count", value::int(count))]);
    let line = Line { user: &user, kind: "schedule_skipped", about: recorded.stream.id, summary, metadata };
    activity::log(rows, recorded, line);
}

fn standing(rows: &mut Rows, recorded: &Recorded, status: &str, note: Option<&String>) {
    if let Some(row) = edit(rows, recorded) {
        row.set(column::status, status).set(column::pause_note, value::text_or_null(note.map(String::as_str)));
    }
}

fn edition(rows: &mut Rows, recorded: &Recorded, tz_revision: &str) {
    if let Some(row) = edit(rows, recorded) {
        row.set(column::tz_revision, value::text(tz_revision));
    }
}

/// Whether its timer is armed: a paused schedule that is re-timed stays paused.
fn re_timed(rows: &mut Rows, recorded: &Recorded, schedule: &Schedule) -> bool {
    let Some(row) = edit(rows, recorded) else { return true };
    write_rule(row, schedule);
    row.text(column::status) == "active"
}
