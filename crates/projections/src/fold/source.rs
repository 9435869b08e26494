//! Sources: what was observed, what is gone, what is kept.
//!
//! Owns: rows of `sync_registry`, `platform_items`, `platform_content_items` and `content_retentions`.
//!
//! A document keeps whatever was seen in a range of versions of the source's stream, which may be thousands of texts. Each
//! such range is one row here, and the view `platform_content` lays ranges and texts together; no text is touched.

use nightshift_domain::{
    content::{Cursor, Item, Omission},
    recorded::Recorded,
    source::Event,
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
    tables::{
        ACTIVITY_LOG, CONTENT_RETENTIONS, PLATFORM_CONTENT_ITEMS, PLATFORM_ITEMS, SYNC_REGISTRY,
        content_retentions as retentions, platform_content_items as texts, platform_items as items,
        sync_registry as column,
    },
    value,
};

/// The rows an event of a source touches. Expiry also takes texts away, under keys that the rows of their items hold.
pub fn touched(event: &Event, recorded: &Recorded, touches: &mut Touches) {
    match event {
        Event::Registered { .. } => touches.writes(&SYNC_REGISTRY, || own(recorded)),
        Event::ContentObserved { items, removed, .. } => {
            touches.reads(&SYNC_REGISTRY, own(recorded));
            touches.writes(&ACTIVITY_LOG, || activity::key(recorded));
            for item in items {
                touches.reads(&PLATFORM_ITEMS, item_key(recorded, &item.item_id));
                touches.reads(&PLATFORM_CONTENT_ITEMS, text_key(recorded, &item.item_id, &item.text.digest.0));
            }
            removed.iter().for_each(|item| touches.reads(&PLATFORM_ITEMS, item_key(recorded, item)));
        }
        Event::Checked { .. } => touches.reads(&SYNC_REGISTRY, own(recorded)),
        Event::ObservationFailed { .. } => {
            touches.reads(&SYNC_REGISTRY, own(recorded));
            touches.writes(&ACTIVITY_LOG, || activity::key(recorded));
        }
        Event::ContentRetained { .. } => touches.writes(&CONTENT_RETENTIONS, || retention_key(recorded)),
        Event::ContentExpired { items } => {
            touches.reads(&SYNC_REGISTRY, own(recorded));
            items.iter().for_each(|item| touches.reads(&PLATFORM_ITEMS, item_key(recorded, item)));
        }
    }
}

fn item_key(recorded: &Recorded, item: &str) -> RowKey {
    vec![value::id(recorded.stream.id), value::text(item)]
}

fn text_key(recorded: &Recorded, item: &str, hash: &str) -> RowKey {
    vec![value::id(recorded.stream.id), value::text(item), value::text(hash)]
}

fn retention_key(recorded: &Recorded) -> RowKey {
    vec![value::id(recorded.stream.id), value::int(recorded.version)]
}

/// Changes rows as an event of a source says.
pub fn apply(rows: &mut Rows, recorded: &Recorded, event: &Event) {
    match event {
        Event::Registered { .. } => registered(rows, recorded, event),
        Event::ContentObserved { items, removed, omitted, cursor, expires_at } => {
            let change = observed(rows, recorded, (items, removed), *expires_at);
            looked(rows, recorded, (omitted, cursor), (change, Some(items)));
            log_observed(rows, recorded, items.len(), removed.len());
        }
        Event::Checked { omitted, cursor } => looked(rows, recorded, (omitted, cursor), (0, None)),
        Event::ObservationFailed { message, .. } => failed(rows, recorded, message),
        Event::ContentRetained { .. } => retained(rows, recorded, event),
        Event::ContentExpired { items } => expired(rows, recorded, items),
    }
}

fn edit<'a>(rows: &'a mut Rows, recorded: &Recorded) -> Option<&'a mut Image> {
    rows.edit(&SYNC_REGISTRY, &own(recorded), recorded)
}

fn registered(rows: &mut Rows, recorded: &Recorded, event: &Event) {
    let Event::Registered { user, spec } = event else {
        return;
    };
    let mut row = Image::blank(&SYNC_REGISTRY);
    row.set(column::source_id, value::id(recorded.stream.id))
        .set(column::user_id, value::text(&user.0))
        .set(column::platform, spec.platform())
        .set(column::resource_id, value::text(&spec.resource_id()))
        .set(column::resource_name, value::text(&spec.resource_name()))
        .set(column::platform_cursor, value::object([]))
        .set(column::item_count, 0)
        .set(column::omitted, Value::Array(Vec::new()));
    rows.put(&SYNC_REGISTRY, own(recorded), row, recorded);
}

/// Writes what is new, changed and gone; by how many the items at hand changed.
fn observed(
    rows: &mut Rows,
    recorded: &Recorded,
    (found, removed): (&[Item], &[String]),
    expires_at: Timestamp,
) -> i64 {
    if rows.peek(&SYNC_REGISTRY, &own(recorded)).is_none() {
        return 0;
    }
    let mut change = 0;
    for item in found {
        change += i64::from(!at_hand(rows, recorded, &item.item_id));
        see(rows, recorded, item);
        keep_text(rows, recorded, item, expires_at);
    }
    for item in removed {
        change -= i64::from(at_hand(rows, recorded, item));
        if let Some(row) = rows.edit(&PLATFORM_ITEMS, &item_key(recorded, item), recorded) {
            row.set(items::gone_at, at(recorded));
        }
    }
    change
}

/// Whether an item is known and neither gone nor expired.
fn at_hand(rows: &Rows, recorded: &Recorded, item: &str) -> bool {
    let row = rows.peek(&PLATFORM_ITEMS, &item_key(recorded, item));
    row.is_some_and(|row| row.is_null(items::gone_at) && row.is_null(items::expired_at))
}

fn see(rows: &mut Rows, recorded: &Recorded, item: &Item) {
    let mut row = Image::blank(&PLATFORM_ITEMS);
    row.set(items::source_id, value::id(recorded.stream.id))
        .set(items::item_id, value::text(&item.item_id))
        .set(items::content_hash, value::text(&item.text.digest.0))
        .set(items::stream_version, value::int(recorded.version));
    rows.put(&PLATFORM_ITEMS, item_key(recorded, &item.item_id), row, recorded);
}

/// A text that was seen before is seen again: it keeps the version at which it was first seen.
fn keep_text(rows: &mut Rows, recorded: &Recorded, item: &Item, expires_at: Timestamp) {
    let key = text_key(recorded, &item.item_id, &item.text.digest.0);
    let first = rows.peek(&PLATFORM_CONTENT_ITEMS, &key).map(|row| row.get(texts::first_version).clone());
    let Some(source) = rows.peek(&SYNC_REGISTRY, &own(recorded)) else {
        return;
    };
    let mut row = Image::blank(&PLATFORM_CONTENT_ITEMS);
    row.set(texts::source_id, value::id(recorded.stream.id))
        .set(texts::item_id, value::text(&item.item_id))
        .set(texts::content_hash, value::text(&item.text.digest.0))
        .set(texts::user_id, source.get(column::user_id).clone())
        .set(texts::platform, source.get(column::platform).clone())
        .set(texts::resource_id, source.get(column::resource_id).clone())
        .set(texts::resource_name, source.get(column::resource_name).clone())
        .set(texts::title, value::text(&item.title))
        .set(texts::link, value::text_or_null(item.link.as_deref()))
        .set(texts::author, value::text_or_null(item.author.as_deref()))
        .set(texts::content, value::text_or_null(item.text.inline.as_deref()))
        .set(texts::content_bytes, value::int(item.text.bytes))
        .set(texts::source_timestamp, value::time_or_null(item.source_at))
        .set(texts::fetched_at, at(recorded))
        .set(texts::expires_at, value::time(expires_at))
        .set(texts::metadata, value::json(&item.facts))
        .set(texts::first_version, first.unwrap_or_else(|| value::int(recorded.version)))
        .set(texts::stream_version, value::int(recorded.version));
    rows.put(&PLATFORM_CONTENT_ITEMS, key, row, recorded);
}

/// A look succeeded.
fn looked(
    rows: &mut Rows,
    recorded: &Recorded,
    (omitted, cursor): (&[Omission], &Cursor),
    (change, found): (i64, Option<&[Item]>),
) {
    let Some(row) = edit(rows, recorded) else { return };
    row.set(column::last_synced_at, at(recorded))
        .set(column::last_checked_at, at(recorded))
        .set(column::platform_cursor, value::json(cursor))
        .add(column::item_count, change)
        .set(column::omitted, value::json(&omitted))
        .clear(&[column::failing_since, column::last_error]);
    let newest = found.unwrap_or_default().iter().filter_map(|item| item.source_at).max();
    if let Some(newest) = newest.map(value::time)
        && newest.as_str().is_some_and(|newest| newest > row.text(column::source_latest_at))
    {
        row.set(column::source_latest_at, newest);
    }
}

fn log(rows: &mut Rows, recorded: &Recorded, kind: &'static str, (words, metadata): (String, Value)) {
    let Some(row) = rows.peek(&SYNC_REGISTRY, &own(recorded)) else {
        return;
    };
    let user = row.text(column::user_id).to_owned();
    let summary = format!("{} {}", row.text(column::resource_name), words);
    activity::log(rows, recorded, Line { user: &user, kind, about: recorded.stream.id, summary, metadata });
}

fn log_observed(rows: &mut Rows, recorded: &Recorded, found: usize, removed: usize) {
    let words = format!("synced: {found} new or changed, {removed} gone");
    let metadata = value::object([("items", value::int(found)), ("removed", value::int(removed))]);
    log(rows, recorded, "platform_synced", (words, metadata));
}

/// A look failed. The log gets a line when it begins to fail, not for each further look.
fn failed(rows: &mut Rows, recorded: &Recorded, message: &str) {
    let Some(row) = edit(rows, recorded) else { return };
    row.set(column::last_checked_at, at(recorded)).set(column::last_error, value::text(message));
    if row.is_null(column::failing_since) {
        row.set(column::failing_since, at(recorded));
        let words = format!("could not be read: {message}");
        let metadata = value::object([("error", value::text(message))]);
        log(rows, recorded, "platform_sync_failed", (words, metadata));
    }
}

fn retained(rows: &mut Rows, recorded: &Recorded, event: &Event) {
    let Event::ContentRetained { from_version, upto_version, reason, reference } = event else {
        return;
    };
    let mut row = Image::blank(&CONTENT_RETENTIONS);
    row.set(retentions::source_id, value::id(recorded.stream.id))
        .set(retentions::retained_version, value::int(recorded.version))
        .set(retentions::from_version, value::int(*from_version))
        .set(retentions::upto_version, value::int(*upto_version))
        .set(retentions::reason, value::text(reason))
        .set(retentions::reference, value::id(reference.0))
        .set(retentions::retained_at, at(recorded));
    rows.put(&CONTENT_RETENTIONS, retention_key(recorded), row, recorded);
}

/// Texts that nothing retained are past their time: they go, their items stay known.
fn expired(rows: &mut Rows, recorded: &Recorded, expired: &[String]) {
    let mut change = 0;
    for item in expired {
        change -= i64::from(at_hand(rows, recorded, item));
        let Some(row) = rows.edit(&PLATFORM_ITEMS, &item_key(recorded, item), recorded) else {
            continue;
        };
        row.set(items::expired_at, at(recorded));
        let key = text_key(recorded, item, row.text(items::content_hash));
        rows.delete(&PLATFORM_CONTENT_ITEMS, key);
    }
    if let Some(row) = edit(rows, recorded) {
        row.add(column::item_count, change);
    }
}
