//! Bulk jobs and how far they are.
//!
//! Owns: rows of `bulk_jobs`.

use nightshift_domain::{
    bulk::{Created, Event, Filter, Letter},
    ids::RunId,
    recorded::Recorded,
};
use serde_json::Value;

use super::{Touches, at, own};
use crate::{
    rows::{Image, Rows},
    tables::{BULK_JOBS, bulk_jobs as column},
    value::{self, id_or_null, int, object, text, text_or_null, time_or_null},
};

/// The most refusals a row keeps.
const REFUSALS_MAX: usize = 100;

/// The rows an event of a bulk job touches.
pub fn touched(event: &Event, recorded: &Recorded, touches: &mut Touches) {
    match event {
        Event::Created(_) => touches.writes(&BULK_JOBS, || own(recorded)),
        _ => touches.reads(&BULK_JOBS, own(recorded)),
    }
}

/// Changes rows as an event of a bulk job says.
pub fn apply(rows: &mut Rows, recorded: &Recorded, event: &Event) {
    if let Event::Created(job) = event {
        return rows.put(&BULK_JOBS, own(recorded), created(recorded, job), recorded);
    }
    let Some(row) = rows.edit(&BULK_JOBS, &own(recorded), recorded) else { return };
    row.set(column::updated_at, at(recorded));
    match event {
        Event::Created(_) => {}
        Event::Chosen { letters, .. } => {
            let chosen = add(row, column::chosen, letters.len());
            if number(row, column::total) < chosen {
                row.set(column::total, chosen);
            }
        }
        Event::Answered { refused: None, .. } => {
            add(row, column::done, 1);
        }
        Event::Answered { letter, refused: Some(why), .. } => {
            add(row, column::refused, 1);
            refused(row.get_mut(column::refusals), letter, why);
        }
        Event::CancelAsked { by } => {
            row.set(column::status, "cancelling").set(column::cancelled_by, text(&by.by));
        }
        Event::Completed {} => ended(row, recorded, "completed"),
        Event::Cancelled {} => ended(row, recorded, "cancelled"),
    }
}

fn created(recorded: &Recorded, job: &Created) -> Image {
    let mut row = Image::blank(&BULK_JOBS);
    row.set(column::id, value::id(recorded.stream.id))
        .set(column::user_id, text(&job.user.0))
        .set(column::verb, job.verb.as_str())
        .set(column::filter, filter(&job.filter))
        .set(column::status, "running")
        .set(column::requested_by, text(&job.by.by))
        .set(column::note, text(&job.by.note))
        .set(column::total, int(job.expected))
        .set(column::chosen, 0)
        .set(column::done, 0)
        .set(column::refused, 0)
        .set(column::refusals, Value::Array(vec![]))
        .set(column::created_at, at(recorded))
        .set(column::updated_at, at(recorded));
    row
}

/// What was asked for, without what was not.
fn filter(filter: &Filter) -> Value {
    let fields = [
        ("status", text(&filter.status)),
        ("queue", text_or_null(filter.queue.as_deref())),
        ("definition", text_or_null(filter.definition.as_deref())),
        ("error_class", text_or_null(filter.error_class.as_deref())),
        ("user", text_or_null(filter.user.as_deref())),
        ("run", id_or_null(filter.run.map(RunId::uuid))),
        ("before", time_or_null(filter.before)),
        ("after", time_or_null(filter.after)),
    ];
    Value::Object(
        fields.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, v)| (name.to_owned(), v)).collect(),
    )
}

fn number(row: &Image, column: usize) -> i64 {
    row.get(column).as_i64().unwrap_or(0)
}

fn add(row: &mut Image, column: usize, more: usize) -> i64 {
    let sum = number(row, column).saturating_add(i64::try_from(more).unwrap_or(i64::MAX));
    row.set(column, sum);
    sum
}

fn refused(kept: &mut Value, letter: &Letter, why: &str) {
    if let Value::Array(kept) = kept
        && kept.len() < REFUSALS_MAX
    {
        kept.push(object([("job", text(&letter.to_string())), ("reason", text(why))]));
    }
}

fn ended(row: &mut Image, recorded: &Recorded, status: &str) {
    let chosen = row.get(column::chosen).clone();
    row.set(column::status, status).set(column::ended_at, at(recorded));
    // Of those that fitted when it was asked for, some were gone when their page was chosen.
    if status == "completed" {
        row.set(column::total, chosen);
    }
}
