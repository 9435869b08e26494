//! Slots that people ask for beside the ones that come due.
//!
//! Owns: which instant a slot by hand has, which instants of the past are told again.
//! Refuses to know: timers.

use super::{Cause, Event, Rejection, State};
use crate::{
    decider::Ctx,
    ids::{StreamId, StreamKind},
    time::Timestamp,
};

/// The most instants of one backfill.
pub const BACKFILL_MAX: u32 = 1_000;

/// A slot by hand. Its instant is now, moved by microseconds until no other slot has it: not the one before by hand, and
/// none that is due, which would be the same slot to the target.
pub fn trigger_now(state: &State, ctx: &Ctx<'_>) -> Vec<Event> {
    let State::Live { schedule, target, last, by_hand, .. } = state else {
        return vec![];
    };
    let mut nominal = by_hand.map_or(ctx.now, |before| ctx.now.max(next_micro(before)));
    // A rule that cannot be computed gives no due instants.
    let is_due = |at: Timestamp| ctx.calendar.latest_at(schedule, just_before(at), at).ok().flatten() == Some(at);
    while is_due(nominal) || *last == Some(nominal) {
        nominal = next_micro(nominal);
    }
    vec![triggered(*target, nominal, Cause::Hand)]
}

/// The due instants of a range, oldest first.
pub fn backfill(state: &State, from: Timestamp, upto: Timestamp, ctx: &Ctx<'_>) -> Result<Vec<Event>, Rejection> {
    let State::Live { schedule, target, next_due, .. } = state else {
        return Err(Rejection::Unknown);
    };
    if target.kind == StreamKind::Deliverable {
        return Err(Rejection::NoPast);
    }
    // What is due and not told yet has a timer.
    let untimed = next_due.map_or(ctx.now, |due| just_before(due).min(ctx.now));
    let upto = upto.min(untimed);
    let mut events = Vec::new();
    let mut at = just_before(from);
    while let Some(due) = ctx.calendar.next_after(schedule, at).map_err(Rejection::Calendar)? {
        if due > upto {
            break;
        }
        if events.len() == BACKFILL_MAX as usize {
            return Err(Rejection::TooMany { most: BACKFILL_MAX, last: at });
        }
        events.push(triggered(*target, due, Cause::Backfill));
        at = due;
    }
    Ok(events)
}

const fn triggered(target: StreamId, nominal: Timestamp, cause: Cause) -> Event {
    Event::Triggered { target, nominal, cause }
}

const fn next_micro(at: Timestamp) -> Timestamp {
    Timestamp(at.micros().saturating_add(1))
}

const fn just_before(at: Timestamp) -> Timestamp {
    Timestamp(at.micros().saturating_sub(1))
}
