//! Deliverables: the order and its slots. Versions and notices have modules of their own.
//!
//! Owns: rows of `deliverables`, but for `next_run_at`: what is due next is the schedule's to say.

use nightshift_domain::{
    deliverable::{Event, Order, Skipped},
    ids::{ScheduleId, UserId},
    recorded::Recorded,
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Touches,
    activity::{self, Line},
    at, notice, own, version,
};
use crate::{
    rows::{Image, Rows},
    tables::{ACTIVITY_LOG, DELIVERABLES, deliverables as column},
    value,
};

/// The rows an event of a deliverable touches.
pub fn touched(event: &Event, recorded: &Recorded, touches: &mut Touches) {
    match event {
        Event::SourcesAssessed { .. } => return,
        Event::Created { .. } => touches.writes(&DELIVERABLES, || own(recorded)),
        _ => touches.reads(&DELIVERABLES, own(recorded)),
    }
    version::touched(event, recorded, touches);
    notice::touched(event, recorded, touches);
    if is_logged(event) {
        touches.writes(&ACTIVITY_LOG, || activity::key(recorded));
    }
}

/// Steps on the way leave no line: what they lead to does.
const fn is_logged(event: &Event) -> bool {
    !matches!(
        event,
        Event::SlotDue { .. }
            | Event::SourcesAssessed { .. }
            | Event::RunRequested { .. }
            | Event::ReviewStarted { .. }
            | Event::DeliveryRequested { .. }
            | Event::NoticeRaised { .. }
            | Event::NoticeSent { .. }
            | Event::NoticeFailed { .. }
    )
}

/// Changes rows as an event of a deliverable says.
pub fn apply(rows: &mut Rows, recorded: &Recorded, event: &Event) {
    match event {
        Event::Created { user, order, schedule_id, paused } => {
            created(rows, recorded, (user, order), (*schedule_id, *paused));
        }
        Event::Revised { order, schedule_id } => revised(rows, recorded, order, *schedule_id),
        Event::Paused { note } => standing(rows, recorded, ("paused", "deliverable_paused"), Some(note)),
        Event::Resumed {} => standing(rows, recorded, ("active", "deliverable_resumed"), None),
        Event::Archived {} => standing(rows, recorded, ("archived", "deliverable_archived"), None),
        Event::SlotDue { slot, .. } => slot_due(rows, recorded, *slot),
        Event::SlotBuffered { .. } => slot_buffered(rows, recorded),
        Event::SourcesAssessed { .. } => {}
        Event::Skipped { slot, reason, .. } => skipped(rows, recorded, *slot, reason),
        Event::RunRequested { run_id, .. } => {
            run_requested(rows, recorded, run_id.uuid());
            version::apply(rows, recorded, event);
        }
        Event::VersionStaged { .. } | Event::VersionFailed { .. } => {
            slot_done(rows, recorded);
            version::apply(rows, recorded, event);
        }
        Event::ReviewStarted { .. }
        | Event::VersionEdited { .. }
        | Event::VersionApproved { .. }
        | Event::VersionRejected { .. }
        | Event::DeliveryRequested { .. }
        | Event::Delivered { .. }
        | Event::DeliveryFailed { .. } => version::apply(rows, recorded, event),
        Event::NoticeRaised { .. } => notice::raised(rows, recorded, event),
        Event::NoticeSent { number, ordinal, .. } => notice::settled(rows, recorded, (*number, *ordinal), None),
        Event::NoticeFailed { number, ordinal, failure } => {
            notice::settled(rows, recorded, (*number, *ordinal), Some(failure));
        }
    }
}

/// Whose a deliverable is and what it is called.
pub struct Owner {
    /// Whose it is.
    pub user: String,
    /// Title of the document.
    pub title: String,
}

/// The owner of the deliverable whose stream this is, when its first event was seen.
pub fn owner(rows: &Rows, recorded: &Recorded) -> Option<Owner> {
    let row = rows.peek(&DELIVERABLES, &own(recorded))?;
    Some(Owner { user: row.text(column::user_id).to_owned(), title: row.text(column::title).to_owned() })
}

fn edit<'a>(rows: &'a mut Rows, recorded: &Recorded) -> Option<&'a mut Image> {
    let row = rows.edit(&DELIVERABLES, &own(recorded), recorded)?;
    row.set(column::updated_at, at(recorded));
    Some(row)
}

fn log(rows: &mut Rows, recorded: &Recorded, kind: &'static str, say: impl FnOnce(&str) -> String) {
    let Some(Owner { user, title }) = owner(rows, recorded) else {
        return;
    };
    let about = recorded.stream.id;
    let metadata = value::object([("deliverable_id", value::id(about)), ("by", value::text(&recorded.meta.actor))]);
    activity::log(rows, recorded, Line { user: &user, kind, about, summary: say(&title), metadata });
}

fn created(
    rows: &mut Rows,
    recorded: &Recorded,
    (user, order): (&UserId, &Order),
    (schedule, paused): (Option<ScheduleId>, bool),
) {
    let mut row = Image::blank(&DELIVERABLES);
    row.set(column::id, value::id(recorded.stream.id))
        .set(column::user_id, value::text(&user.0))
        .set(column::type_config, value::object([]))
        .set(column::status, if paused { "paused" } else { "active" })
        .set(column::origin, "user_configured")
        .set(column::pause_note, if paused { Value::from("created paused") } else { Value::Null })
        .set(column::created_at, at(recorded))
        .set(column::updated_at, at(recorded));
    write_order(&mut row, order, schedule);
    rows.put(&DELIVERABLES, own(recorded), row, recorded);
    log(rows, recorded, "deliverable_created", |title| format!("{title} created"));
}

fn write_order(row: &mut Image, order: &Order, schedule: Option<ScheduleId>) {
    let reader =
        [("recipient", value::text_or_null(order.recipient.as_deref())), ("notify", value::json(&order.notify))];
    let or_null = |present: bool, document: &dyn Fn() -> Value| if present { document() } else { Value::Null };
    row.set(column::title, value::text(&order.title))
        .set(column::description, value::text(&order.description))
        .set(column::deliverable_type, order.deliverable_type.as_str())
        .set(column::type_classification, value::json(&order.type_classification))
        .set(column::recipient_context, value::object(reader))
        .set(column::template_structure, value::object([("sections", value::json(&order.sections))]))
        .set(column::schedule, or_null(order.schedule.is_some(), &|| value::json(&order.schedule)))
        .set(column::sources, value::json(&order.sources))
        .set(column::destination, or_null(order.destination.is_some(), &|| value::json(&order.destination)))
        .set(column::trigger_type, if order.schedule.is_some() { "schedule" } else { "manual" })
        .set(column::governance, order.governance.as_str())
        .set(column::semi_auto_window_s, value::int(order.semi_auto_window_s));
    if let Some(schedule) = schedule {
        row.set(column::schedule_id, value::id(schedule.uuid()));
    }
}

fn revised(rows: &mut Rows, recorded: &Recorded, order: &Order, schedule: Option<ScheduleId>) {
    let Some(row) = edit(rows, recorded) else { return };
    write_order(row, order, schedule);
    log(rows, recorded, "deliverable_revised", |title| format!("{title} revised"));
}

fn standing(rows: &mut Rows, recorded: &Recorded, (status, kind): (&str, &'static str), note: Option<&String>) {
    let Some(row) = edit(rows, recorded) else { return };
    row.set(column::status, status).set(column::pause_note, value::text_or_null(note.map(String::as_str)));
    log(rows, recorded, kind, |title| match (status, note) {
        ("active", _) => format!("{title} resumed"),
        (_, Some(note)) => format!("{title} {status}: {note}"),
        (_, None) => format!("{title} {status}"),
    });
}

fn slot_due(rows: &mut Rows, recorded: &Recorded, slot: Uuid) {
    let Some(row) = edit(rows, recorded) else { return };
    row.set(column::current_slot, value::id(slot))
        .set(column::current_run_id, Value::Null)
        .set(column::current_since, at(recorded))
        .set(column::last_triggered_at, at(recorded));
}

fn slot_buffered(rows: &mut Rows, recorded: &Recorded) {
    if edit(rows, recorded).is_some() {
        let say = |title: &str| format!("{title} waits: the run before is still going");
        log(rows, recorded, "deliverable_buffered", say);
    }
}

fn skipped(rows: &mut Rows, recorded: &Recorded, slot: Uuid, reason: &Skipped) {
    let Some(row) = edit(rows, recorded) else { return };
    let reason = reason.to_string();
    row.set(column::last_skip_at, at(recorded)).set(column::last_skip_reason, reason.as_str());
    if *row.get(column::current_slot) == value::id(slot) {
        release(row);
    }
    log(rows, recorded, "deliverable_skipped", |title| format!("{title} skipped: {reason}"));
}

fn run_requested(rows: &mut Rows, recorded: &Recorded, run: Uuid) {
    let Some(row) = edit(rows, recorded) else { return };
    row.set(column::current_run_id, value::id(run)).set(column::last_run_at, at(recorded));
}

fn slot_done(rows: &mut Rows, recorded: &Recorded) {
    if let Some(row) = edit(rows, recorded) {
        release(row);
    }
}

fn release(row: &mut Image) {
    row.clear(&[column::current_slot, column::current_run_id, column::current_since]);
}
