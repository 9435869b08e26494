//! Limits that are set, and queues that are paused.
//!
//! Owns: rows of `rate_limits` and `queue_pauses`.

use nightshift_domain::{
    queue::{Event, Limit, LimitKey},
    recorded::Recorded,
    run::Asked,
};
use serde_json::Value;

use super::{Touches, at};
use crate::{
    rows::{Image, Rows},
    table::{RowKey, TableDef},
    tables::{QUEUE_PAUSES, RATE_LIMITS, queue_pauses, rate_limits},
    value,
};

/// The rows an event of the queue touches.
pub fn touched(event: &Event, touches: &mut Touches) {
    match event {
        Event::LimitSet { key, .. } => touches.writes(&RATE_LIMITS, || limit_key(key)),
        Event::LimitCleared { key, .. } => touches.reads(&RATE_LIMITS, limit_key(key)),
        Event::Paused { queue, .. } => touches.writes(&QUEUE_PAUSES, || pause_key(queue.as_deref())),
        Event::Resumed { queue, .. } => touches.reads(&QUEUE_PAUSES, pause_key(queue.as_deref())),
    }
}

fn limit_key(key: &LimitKey) -> RowKey {
    vec![value::text(&key.to_string())]
}

fn pause_key(queue: Option<&str>) -> RowKey {
    vec![value::text(queue.unwrap_or_default())]
}

/// Changes rows as an event of the queue says.
pub fn apply(rows: &mut Rows, recorded: &Recorded, event: &Event) {
    match event {
        Event::LimitSet { key, limit, by } => limit_set(rows, recorded, (key, limit), by),
        Event::LimitCleared { key, .. } => remove(rows, &RATE_LIMITS, limit_key(key)),
        Event::Paused { queue, by } => {
            let mut row = Image::blank(&QUEUE_PAUSES);
            row.set(queue_pauses::queue, value::text(queue.as_deref().unwrap_or_default()))
                .set(queue_pauses::paused_by, value::text(&by.by))
                .set(queue_pauses::note, value::text(&by.note))
                .set(queue_pauses::paused_at, at(recorded));
            rows.put(&QUEUE_PAUSES, pause_key(queue.as_deref()), row, recorded);
        }
        Event::Resumed { queue, .. } => remove(rows, &QUEUE_PAUSES, pause_key(queue.as_deref())),
    }
}

fn remove(rows: &mut Rows, table: &'static TableDef, key: RowKey) {
    if rows.peek(table, &key).is_some() {
        rows.delete(table, key);
    }
}

fn limit_set(rows: &mut Rows, recorded: &Recorded, (key, limit): (&LimitKey, &Limit), by: &Asked) {
    let (kind, capacity, refill) = match *limit {
        Limit::Places { places } => ("places", f64::from(places), Value::Null),
        Limit::Rate { capacity, refill_per_s } => ("rate", capacity, Value::from(refill_per_s)),
    };
    let mut row = Image::blank(&RATE_LIMITS);
    row.set(rate_limits::rl_key, value::text(&key.to_string()))
        .set(rate_limits::kind, kind)
        .set(rate_limits::capacity, capacity)
        .set(rate_limits::refill_rate, refill)
        .set(rate_limits::set_by, value::text(&by.by))
        .set(rate_limits::note, value::text(&by.note))
        .set(rate_limits::set_at, at(recorded));
    rows.put(&RATE_LIMITS, limit_key(key), row, recorded);
}
