//! The activity log: one line for people for each event worth one.
//!
//! Owns: how a line becomes a row. Refuses to know: which events are worth one.

use nightshift_domain::recorded::Recorded;
use serde_json::Value;
use uuid::Uuid;

use super::at;
use crate::{
    rows::{Image, Rows},
    table::RowKey,
    tables::{ACTIVITY_LOG, ACTIVITY_TYPES, activity_log as column},
    value,
};

/// A line of the log.
pub struct Line<'a> {
    /// Whose it is.
    pub user: &'a str,
    /// One of [`ACTIVITY_TYPES`].
    pub kind: &'static str,
    /// What it is about.
    pub about: Uuid,
    /// For people.
    pub summary: String,
    /// The facts behind it.
    pub metadata: Value,
}

/// The key of the line an event gives rise to: at most one each.
pub fn key(recorded: &Recorded) -> RowKey {
    vec![Value::String(format!("{}/{}", recorded.shard, recorded.seq))]
}

/// Adds a line.
pub fn log(rows: &mut Rows, recorded: &Recorded, line: Line<'_>) {
    debug_assert!(ACTIVITY_TYPES.contains(&line.kind), "{} is not in the list of activity types", line.kind);
    let key = key(recorded);
    let mut row = Image::blank(&ACTIVITY_LOG);
    row.set(column::id, key[0].clone())
        .set(column::user_id, line.user)
        .set(column::event_type, line.kind)
        .set(column::event_ref, value::id(line.about))
        .set(column::summary, value::text(&line.summary))
        .set(column::metadata, line.metadata)
        .set(column::created_at, at(recorded));
    rows.put(&ACTIVITY_LOG, key, row, recorded);
}
