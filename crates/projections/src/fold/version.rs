//! Versions of deliverables: from `generating` to delivered.
//!
//! Owns: rows of `deliverable_versions` and the lines of the activity log about them.

use std::collections::BTreeMap;

use nightshift_domain::{
    content::{Digest, Draft, Failure, Receipt, SourceSnapshot, Text},
    deliverable::{EditMeasure, Event},
    ids::{DeliverableId, VersionId},
    recorded::Recorded,
};
use serde_json::Value;

use super::{
    Touches,
    activity::{self, Line},
    at,
    deliverable::{Owner, owner},
    own,
};
use crate::{
    rows::{Image, Rows},
    table::RowKey,
    tables::{DELIVERABLE_VERSIONS, DELIVERABLES, deliverable_versions as column, deliverables},
    value,
};

/// The row of a version that an event of a deliverable touches.
pub fn touched(event: &Event, recorded: &Recorded, touches: &mut Touches) {
    match event {
        Event::RunRequested { number, .. } => touches.writes(&DELIVERABLE_VERSIONS, || key(recorded, *number)),
        Event::VersionStaged { number, .. }
        | Event::VersionFailed { number, .. }
        | Event::ReviewStarted { number, .. }
        | Event::VersionEdited { number, .. }
        | Event::VersionApproved { number, .. }
        | Event::VersionRejected { number, .. }
        | Event::DeliveryRequested { number, .. }
        | Event::Delivered { number, .. }
        | Event::DeliveryFailed { number, .. } => touches.reads(&DELIVERABLE_VERSIONS, key(recorded, *number)),
        _ => {}
    }
}

/// Changes the row of a version as an event of its deliverable says.
pub fn apply(rows: &mut Rows, recorded: &Recorded, event: &Event) {
    match event {
        Event::RunRequested { .. } => requested(rows, recorded, event),
        Event::VersionStaged { number, draft, snapshots, consumed, .. } => {
            staged(rows, recorded, *number, (draft, snapshots, consumed));
        }
        Event::VersionFailed { number, step, failure, .. } => failed(rows, recorded, *number, (step, failure)),
        Event::ReviewStarted { number, .. } => review_started(rows, recorded, *number),
        Event::VersionEdited { number, by, text, measure } => edited(rows, recorded, (*number, by), (text, measure)),
        Event::VersionApproved { number, by, note, digest } => {
            approved(rows, recorded, (*number, by), (note.as_deref(), digest));
        }
        Event::VersionRejected { number, by, reason } => rejected(rows, recorded, (*number, by), reason),
        Event::DeliveryRequested { number, ordinal, .. } => delivery_requested(rows, recorded, *number, *ordinal),
        Event::Delivered { number, ordinal, receipt } => delivered(rows, recorded, (*number, *ordinal), receipt),
        Event::DeliveryFailed { number, ordinal, failure } => {
            delivery_failed(rows, recorded, (*number, *ordinal), failure);
        }
        Event::Created { .. }
        | Event::Revised { .. }
        | Event::Paused { .. }
        | Event::Resumed {}
        | Event::Archived {}
        | Event::SlotDue { .. }
        | Event::SlotBuffered { .. }
        | Event::SourcesAssessed { .. }
        | Event::Skipped { .. }
        | Event::NoticeRaised { .. }
        | Event::NoticeSent { .. }
        | Event::NoticeFailed { .. } => {}
    }
}

fn key(recorded: &Recorded, number: u32) -> RowKey {
    vec![value::id(VersionId::of(DeliverableId::from_uuid(recorded.stream.id), number).0)]
}

fn edit<'a>(rows: &'a mut Rows, recorded: &Recorded, number: u32) -> Option<&'a mut Image> {
    rows.edit(&DELIVERABLE_VERSIONS, &key(recorded, number), recorded)
}

/// A line about a version, with the facts that belong to every one and those of this event.
fn log<const N: usize>(
    rows: &mut Rows,
    recorded: &Recorded,
    (number, kind): (u32, &'static str),
    say: impl FnOnce(&str) -> String,
    facts: [(&str, Value); N],
) {
    let Some(Owner { user, title }) = owner(rows, recorded) else {
        return;
    };
    let mut metadata = value::object(facts);
    if let Some(fields) = metadata.as_object_mut() {
        fields.insert("deliverable_id".to_owned(), value::id(recorded.stream.id));
        fields.insert("version_number".to_owned(), value::int(number));
    }
    let about = VersionId::of(DeliverableId::from_uuid(recorded.stream.id), number).0;
    let summary = say(&format!("{title} v{number}"));
    activity::log(rows, recorded, Line { user: &user, kind, about, summary, metadata });
}

fn born(rows: &Rows, recorded: &Recorded, number: u32) -> Image {
    let user = rows.peek(&DELIVERABLES, &own(recorded)).map_or("", |row| row.text(deliverables::user_id));
    let mut row = Image::blank(&DELIVERABLE_VERSIONS);
    row.set(column::id, key(recorded, number).swap_remove(0))
        .set(column::deliverable_id, value::id(recorded.stream.id))
        .set(column::user_id, user)
        .set(column::version_number, value::int(number))
        .set(column::status, "generating")
        .set(column::source_snapshots, Value::Array(Vec::new()))
        .set(column::delivery_count, 0)
        .set(column::created_at, at(recorded));
    row
}

/// A run is to make it.
fn requested(rows: &mut Rows, recorded: &Recorded, event: &Event) {
    let Event::RunRequested { slot, nominal, run_id, number, trigger, .. } = event else {
        return;
    };
    let mut row = born(rows, recorded, *number);
    row.set(column::run_id, value::id(run_id.uuid()))
        .set(column::slot_id, value::id(*slot))
        .set(column::nominal_at, value::time(*nominal))
        .set(column::trigger, trigger.as_str());
    rows.put(&DELIVERABLE_VERSIONS, key(recorded, *number), row, recorded);
}

/// The row of a version that was made; made itself when the request for it was never seen.
fn made<'a>(rows: &'a mut Rows, recorded: &Recorded, number: u32) -> Option<&'a mut Image> {
    let key = key(recorded, number);
    if rows.peek(&DELIVERABLE_VERSIONS, &key).is_none() {
        let row = born(rows, recorded, number);
        rows.put(&DELIVERABLE_VERSIONS, key, row, recorded);
    }
    edit(rows, recorded, number)
}

fn write_text(row: &mut Image, text: &Text) {
    row.set(column::final_content, value::text_or_null(text.inline.as_deref()))
        .set(column::content_digest, text.digest.0.as_str())
        .set(column::content_bytes, value::int(text.bytes));
}

/// What a version is made of.
type Making<'a> = (&'a Draft, &'a [SourceSnapshot], &'a BTreeMap<String, u64>);

/// It is ready to be read.
fn staged(rows: &mut Rows, recorded: &Recorded, number: u32, (draft, snapshots, consumed): Making<'_>) {
    let Some(row) = made(rows, recorded, number) else {
        return;
    };
    let metadata = [
        ("composer", value::json(&draft.composer)),
        ("warnings", value::json(&draft.warnings)),
        ("consumed", value::json(consumed)),
    ];
    write_text(row, &draft.text);
    row.set(column::status, "staged")
        .set(column::draft_content, value::text_or_null(draft.text.inline.as_deref()))
        .set(column::source_snapshots, Value::Array(snapshots.iter().map(snapshot).collect()))
        .set(column::analyst_metadata, value::object(metadata))
        .set(column::staged_at, at(recorded));
    ran(rows, recorded, (number, "staged"), Value::Null, "staged".to_owned());
}

/// Instants in a snapshot are texts, as everywhere in rows.
fn snapshot(snapshot: &SourceSnapshot) -> Value {
    value::object([
        ("source_id", value::id(snapshot.source_id.uuid())),
        ("platform", value::text(&snapshot.platform)),
        ("resource_id", value::text(&snapshot.resource_id)),
        ("resource_name", value::text(&snapshot.resource_name)),
        ("synced_at", value::time(snapshot.synced_at)),
        ("upto_version", value::int(snapshot.upto_version)),
        ("platform_cursor", value::text_or_null(snapshot.platform_cursor.as_deref())),
        ("item_count", value::int(snapshot.item_count)),
        ("source_latest_at", value::time_or_null(snapshot.source_latest_at)),
        ("digest", value::text(&snapshot.digest.0)),
        ("error", value::text_or_null(snapshot.error.as_deref())),
    ])
}

/// It could not be made.
fn failed(rows: &mut Rows, recorded: &Recorded, number: u32, (step, failure): (&str, &Failure)) {
    let Some(row) = made(rows, recorded, number) else {
        return;
    };
    let metadata = [("failed_step", value::text(step)), ("failure", value::json(failure))];
    row.set(column::status, "failed").set(column::analyst_metadata, value::object(metadata));
    let words = format!("failed at step {step}: {}", failure.message);
    ran(rows, recorded, (number, "failed"), value::text(&failure.message), words);
}

/// The line `<title> v<n> <status>` that a finished run leaves.
fn ran(rows: &mut Rows, recorded: &Recorded, (number, status): (u32, &str), error: Value, words: String) {
    let Some(order) = rows.peek(&DELIVERABLES, &own(recorded)) else {
        return;
    };
    let facts = [
        ("deliverable_type", order.get(deliverables::deliverable_type).clone()),
        ("strategy", order.get(deliverables::type_classification)["binding"].clone()),
        ("final_status", Value::from(status)),
        ("error", error),
    ];
    log(rows, recorded, (number, "deliverable_run"), |version| format!("{version} {words}"), facts);
}

/// Somebody reads it.
fn review_started(rows: &mut Rows, recorded: &Recorded, number: u32) {
    if let Some(row) = edit(rows, recorded, number) {
        row.set(column::status, "reviewing");
    }
}

/// Its text was changed.
fn edited(rows: &mut Rows, recorded: &Recorded, (number, by): (u32, &str), (text, how): (&Text, &EditMeasure)) {
    let Some(row) = edit(rows, recorded, number) else {
        return;
    };
    write_text(row, text);
    let permille = how.distance_permille;
    row.set(column::status, "reviewing")
        .set(column::edit_diff, value::text_or_null(how.diff.inline.as_deref()))
        .set(column::edit_categories, value::json(&how.categories))
        .set(column::edit_distance_score, f64::from(permille) / 1_000.0);
    let facts = [("by", value::text(by)), ("distance_permille", value::int(permille))];
    log(rows, recorded, (number, "deliverable_edited"), |version| format!("{version} edited by {by}"), facts);
}

/// Somebody agreed to it.
fn approved(rows: &mut Rows, recorded: &Recorded, (number, by): (u32, &str), (note, digest): (Option<&str>, &Digest)) {
    let Some(row) = edit(rows, recorded, number) else {
        return;
    };
    row.set(column::status, "approved")
        .set(column::approved_by, value::text(by))
        .set(column::approved_at, at(recorded));
    if let Some(note) = note {
        row.set(column::feedback_notes, value::text(note));
    }
    let facts = [("by", value::text(by)), ("content_digest", value::text(&digest.0))];
    log(rows, recorded, (number, "deliverable_approved"), |version| format!("{version} approved by {by}"), facts);
}

/// Somebody refused it.
fn rejected(rows: &mut Rows, recorded: &Recorded, (number, by): (u32, &str), reason: &str) {
    let Some(row) = edit(rows, recorded, number) else {
        return;
    };
    row.set(column::status, "rejected")
        .set(column::feedback_notes, value::text(reason))
        .set(column::rejected_at, at(recorded));
    let facts = [("by", value::text(by)), ("reason", value::text(reason))];
    let say = |version: &str| format!("{version} rejected by {by}: {reason}");
    log(rows, recorded, (number, "deliverable_rejected"), say, facts);
}

/// It is on its way out.
fn delivery_requested(rows: &mut Rows, recorded: &Recorded, number: u32, ordinal: u32) {
    let Some(row) = edit(rows, recorded, number) else {
        return;
    };
    row.set(column::delivery_status, "delivering")
        .set(column::delivery_error, Value::Null)
        .set(column::delivery_count, value::int(ordinal));
}

/// It arrived.
fn delivered(rows: &mut Rows, recorded: &Recorded, (number, ordinal): (u32, u32), receipt: &Receipt) {
    let Some(row) = edit(rows, recorded, number) else {
        return;
    };
    row.set(column::status, "delivered")
        .set(column::delivery_status, "delivered")
        .set(column::delivery_error, Value::Null)
        .set(column::delivery_external_id, value::text(&receipt.external_id))
        .set(column::delivery_external_url, value::text_or_null(receipt.external_url.as_deref()))
        .set(column::delivered_at, at(recorded));
    let facts = [("ordinal", value::int(ordinal)), ("external_id", value::text(&receipt.external_id))];
    log(rows, recorded, (number, "deliverable_delivered"), |version| format!("{version} delivered"), facts);
}

/// It could not be delivered.
fn delivery_failed(rows: &mut Rows, recorded: &Recorded, (number, ordinal): (u32, u32), failure: &Failure) {
    let Some(row) = edit(rows, recorded, number) else {
        return;
    };
    row.set(column::delivery_status, "failed").set(column::delivery_error, value::text(&failure.to_string()));
    let facts = [("ordinal", value::int(ordinal)), ("delivery_error", value::text(&failure.message))];
    let say = |version: &str| format!("{version} could not be delivered: {}", failure.message);
    log(rows, recorded, (number, "deliverable_delivery_failed"), say, facts);
}
