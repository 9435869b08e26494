//! What a definition remembers of each event.
//!
//! Owns: the fold. Refuses to know: commands, rules, and what is owed.

use super::{Event, Registered, Slot, Standing, State, Waiting};
use crate::time::Timestamp;

/// Remembers `event`; total.
pub fn remember(state: &mut State, event: &Event, at: Timestamp) {
    state.version += 1;
    match event {
        Event::Registered { document, user } => {
            let registered =
                Registered { document: document.clone(), user: user.clone(), standing: Standing::Active, at };
            state.versions.insert(document.version.clone(), registered);
        }
        Event::Activated { version, schedules, topics, .. } => {
            if let Some(registered) = state.versions.get_mut(version) {
                registered.standing = Standing::Active;
                state.user = registered.user.clone();
            }
            let made = schedules.iter().filter(|id| !state.schedules.contains(id)).count();
            state.schedules_made += u32::try_from(made).unwrap_or(u32::MAX);
            state.busy.retain(|schedule, _| schedules.contains(schedule));
            state.active = Some(version.clone());
            state.schedules = schedules.clone();
            state.topics = topics.clone();
        }
        Event::Deprecated { version } => withdraw(state, version, Standing::Deprecated),
        Event::Archived { version } => withdraw(state, version, Standing::Archived),
        _ => remember_slot(state, event),
    }
}

fn withdraw(state: &mut State, version: &str, standing: Standing) {
    if let Some(registered) = state.versions.get_mut(version) {
        registered.standing = standing;
    }
    if state.active.as_deref() == Some(version) {
        state.active = None;
        state.schedules.clear();
        state.topics.clear();
        state.busy.clear();
    }
}

fn remember_slot(state: &mut State, event: &Event) {
    match event {
        Event::RunRequested { created, run, schedule: Some(schedule) } => {
            let slot = Slot { schedule: *schedule, nominal: created.nominal };
            leave(state, slot);
            let busy = state.busy.entry(*schedule).or_default();
            busy.taken.note(slot.nominal);
            if created.reply_to.is_some() {
                busy.run = Some(*run);
            }
        }
        Event::RunRefused { slot: Some(slot), .. } => leave(state, *slot),
        Event::SlotBuffered { schedule, nominal, cause, made_up, cancels } => {
            let waiting = Waiting { nominal: *nominal, cause: *cause, made_up: *made_up };
            let busy = state.busy.entry(*schedule).or_default();
            let place = if cancels.is_some() { 0 } else { busy.waiting.len() };
            busy.waiting.insert(place, waiting);
        }
        Event::RunEnded { run, schedule, .. } => {
            if let Some(busy) = state.busy.get_mut(schedule).filter(|busy| busy.run == Some(*run)) {
                busy.run = None;
            }
        }
        _ => {}
    }
}

/// A slot waits no more.
fn leave(state: &mut State, slot: Slot) {
    if let Some(busy) = state.busy.get_mut(&slot.schedule) {
        busy.waiting.retain(|waiting| waiting.nominal != slot.nominal);
    }
}
