//! Events that were published.
//!
//! Owns: rows of `intent_events`.

use nightshift_domain::{
    recorded::Recorded,
    topic::{Event, Published},
};

use super::{Touches, at};
use crate::{
    rows::{Image, Rows},
    table::RowKey,
    tables::{INTENT_EVENTS, intent_events as column},
    value,
};

/// The rows an event of a topic touches.
pub fn touched(event: &Event, touches: &mut Touches) {
    match event {
        Event::Published { event_type, event, .. } => touches.writes(&INTENT_EVENTS, || key(event_type, event)),
        Event::Subscribed { .. } | Event::Unsubscribed { .. } | Event::ToldLater { .. } => {}
    }
}

fn key(event_type: &str, event: &Published) -> RowKey {
    vec![value::text(event_type), value::text(&event.id)]
}

/// Changes rows as an event of a topic says.
pub fn apply(rows: &mut Rows, recorded: &Recorded, event: &Event) {
    let Event::Published { event_type, event, told } = event else { return };
    let mut row = Image::blank(&INTENT_EVENTS);
    row.set(column::event_type, value::text(event_type))
        .set(column::event_id, value::text(&event.id))
        .set(column::user_id, value::text(&event.user.0))
        .set(column::intent_id, value::text_or_null(event.intent_id.as_deref()))
        .set(column::correlation, value::text_or_null(event.correlation.as_deref()))
        .set(column::payload, value::json(&event.payload))
        .set(column::told, value::int(told.len()))
        .set(column::created_at, at(recorded));
    rows.put(&INTENT_EVENTS, key(event_type, event), row, recorded);
}
