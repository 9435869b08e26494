//! What a deliverable remembers of each event.
//!
//! Owns: the fold. Refuses to know: commands, rules, and what is owed.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Current, Deliverable, Delivery, Event, Governance, Order, Slot, Stage, Standing, State, Trigger, Version,
    VersionStatus, owed, plans, state::FEEDBACK_MAX,
};
use crate::{
    content::SourceSnapshot,
    ids::{ScheduleId, UserId},
    time::Timestamp,
};

/// Remembers `event`; total.
pub fn remember(state: &mut State, event: &Event, at: Timestamp) {
    match state {
        State::Unborn => {
            if let Event::Created { user, order, schedule_id, paused } = event {
                *state = State::Taken(born(user, order, *schedule_id, *paused));
            }
        }
        State::Taken(it) => {
            it.told += u32::try_from(owed::schedule_is_told(it, event).len()).unwrap_or(0);
            remember_order(it, event, at);
        }
    }
}

fn born(user: &UserId, order: &Order, schedule_id: Option<ScheduleId>, paused: bool) -> Deliverable {
    let note = "created paused".to_owned();
    Deliverable {
        user: user.clone(),
        order: Arc::new(order.clone()),
        schedule_id,
        told: 0,
        standing: if paused { Standing::Paused { note } } else { Standing::Active {} },
        current: None,
        buffered: None,
        waiting: Vec::new(),
        last_nominal: None,
        last_run_at: None,
        versions: BTreeMap::new(),
        consumed: BTreeMap::new(),
        failing: BTreeMap::new(),
        feedback: Vec::new(),
    }
}

fn remember_order(it: &mut Deliverable, event: &Event, at: Timestamp) {
    match event {
        Event::Created { .. } => {}
        Event::Revised { order, schedule_id } => {
            it.order = Arc::new((**order).clone());
            it.schedule_id = schedule_id.or(it.schedule_id);
            if order.governance != Governance::SemiAuto {
                close_windows(it);
            }
        }
        Event::Paused { note } => it.standing = Standing::Paused { note: note.clone() },
        Event::Resumed {} => it.standing = Standing::Active {},
        Event::Archived {} => {
            it.standing = Standing::Archived {};
            close_windows(it);
        }
        _ => remember_slot(it, event, at),
    }
}

fn remember_slot(it: &mut Deliverable, event: &Event, at: Timestamp) {
    match event {
        Event::SlotDue { slot, nominal, trigger, force, .. } => {
            let slot = Slot { id: *slot, nominal: *nominal, trigger: *trigger, force: *force };
            leave_buffer(it, slot.id);
            note_nominal(it, *trigger, *nominal);
            it.current = Some(Current { slot, since: at, stage: Stage::Assessing { seen: Vec::new() } });
        }
        Event::SlotBuffered { slot, nominal, .. } => {
            let slot = Slot { id: *slot, nominal: *nominal, trigger: Trigger::Schedule, force: false };
            note_nominal(it, slot.trigger, *nominal);
            match it.buffered {
                None => it.buffered = Some(slot),
                Some(_) => it.waiting.push(slot),
            }
        }
        Event::SourcesAssessed { sources, .. } => {
            if let Some(Current { stage, .. }) = &mut it.current {
                *stage = Stage::Assessing { seen: sources.clone() };
            }
        }
        Event::Skipped { slot, nominal, .. } => {
            if it.current.as_ref().is_some_and(|current| current.slot.id == *slot) {
                it.current = None;
            } else {
                leave_buffer(it, *slot);
                note_nominal(it, Trigger::Schedule, *nominal);
            }
        }
        Event::RunRequested { slot, nominal, run_id, number, .. } => {
            if let Some(Current { stage, .. }) = &mut it.current {
                *stage = Stage::Producing { run: *run_id, number: *number };
            }
            it.last_run_at = Some(at);
            it.versions.insert(*number, generating(*slot, *nominal));
        }
        _ => remember_version(it, event, at),
    }
}

/// The slot that waited first goes; the next one takes its place.
fn leave_buffer(it: &mut Deliverable, slot: uuid::Uuid) {
    if it.buffered.as_ref().is_some_and(|buffered| buffered.id == slot) {
        it.buffered = if it.waiting.is_empty() { None } else { Some(it.waiting.remove(0)) };
    }
}

fn close_windows(it: &mut Deliverable) {
    it.versions.values_mut().for_each(|version| version.window_open = false);
}

fn note_nominal(it: &mut Deliverable, trigger: Trigger, nominal: Timestamp) {
    if trigger == Trigger::Schedule {
        it.last_nominal = it.last_nominal.max(Some(nominal));
    }
}

fn generating(slot_id: uuid::Uuid, nominal: Timestamp) -> Version {
    Version {
        status: VersionStatus::Generating,
        slot_id,
        nominal,
        staged_at: None,
        draft: None,
        text: None,
        delivery: Delivery::None {},
        deliveries: 0,
        notices: BTreeMap::new(),
        window_open: false,
    }
}

fn remember_version(it: &mut Deliverable, event: &Event, at: Timestamp) {
    match event {
        Event::VersionStaged { consumed, snapshots, .. } => {
            it.current = None;
            it.consumed.extend(consumed.iter().map(|(source, version)| (source.clone(), *version)));
            it.failing = failing(snapshots);
        }
        Event::VersionFailed { .. } => it.current = None,
        Event::VersionRejected { number, reason, .. } => {
            note_feedback(it, format!("Version {number} was rejected: {reason}"))
        }
        Event::VersionEdited { number, measure, .. } => {
            let (permille, kinds) = (measure.distance_permille, measure.categories.join(", "));
            note_feedback(it, format!("Version {number} was edited ({permille} per mille changed: {kinds})"));
        }
        _ => {}
    }
    let Some((number, change)) = version_change(event) else {
        return;
    };
    let opens_window = owed::opens_window(it);
    if let Some(version) = it.versions.get_mut(&number) {
        change_version(version, change, opens_window, at);
    }
}

fn note_feedback(it: &mut Deliverable, note: String) {
    it.feedback.insert(0, note);
    it.feedback.truncate(FEEDBACK_MAX);
}

fn failing(snapshots: &[SourceSnapshot]) -> BTreeMap<String, String> {
    let failing = snapshots
        .iter()
        .filter_map(|snapshot| snapshot.error.as_ref().map(|error| (snapshot.source_id.to_string(), error.clone())));
    failing.collect()
}

/// The version an event is about, with the event.
const fn version_change(event: &Event) -> Option<(u32, &Event)> {
    match event {
        Event::VersionStaged { number, .. }
        | Event::VersionFailed { number, .. }
        | Event::ReviewStarted { number, .. }
        | Event::VersionEdited { number, .. }
        | Event::VersionApproved { number, .. }
        | Event::VersionRejected { number, .. }
        | Event::DeliveryRequested { number, .. }
        | Event::Delivered { number, .. }
        | Event::DeliveryFailed { number, .. }
        | Event::NoticeRaised { number, .. }
        | Event::NoticeSent { number, .. }
        | Event::NoticeFailed { number, .. } => Some((*number, event)),
        _ => None,
    }
}

fn change_version(version: &mut Version, event: &Event, opens_window: bool, at: Timestamp) {
    if owed::touches(event).is_some() {
        version.window_open = false;
    }
    match event {
        Event::VersionStaged { draft, .. } => {
            version.status = VersionStatus::Staged;
            version.staged_at = Some(at);
            version.draft = Some(draft.text.digest.clone());
            version.text = Some(plans::reference(&draft.text));
            version.window_open = opens_window;
        }
        Event::VersionFailed { .. } => version.status = VersionStatus::Failed,
        Event::ReviewStarted { .. } => version.status = VersionStatus::Reviewing,
        Event::VersionEdited { text, .. } => {
            version.status = VersionStatus::Reviewing;
            version.text = Some(plans::reference(text));
        }
        Event::VersionApproved { .. } => version.status = VersionStatus::Approved,
        Event::VersionRejected { .. } => version.status = VersionStatus::Rejected,
        Event::DeliveryRequested { run_id, ordinal, .. } => {
            version.deliveries = *ordinal;
            version.delivery = Delivery::Delivering { run: *run_id };
        }
        Event::Delivered { .. } => {
            version.status = VersionStatus::Delivered;
            version.delivery = Delivery::Delivered {};
        }
        Event::DeliveryFailed { .. } => version.delivery = Delivery::Failed {},
        Event::NoticeRaised { ordinal, run_id, .. } => {
            version.notices.insert(*ordinal, *run_id);
        }
        Event::NoticeSent { ordinal, .. } | Event::NoticeFailed { ordinal, .. } => {
            version.notices.insert(*ordinal, None);
        }
        _ => {}
    }
}
