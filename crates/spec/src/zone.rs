//! From local minutes to instants, and back, over changes of the offset.
//!
//! Owns: what happens to a rule in a gap and in a fold of local time.
//! Refuses to know: rules and dates ([`Pattern`] does), and which zone data is in use.
//!
//! A rule of fixed times fires once for each local time: in a gap at the first instant after it, in a fold at the first
//! pass. A rule that follows elapsed time fires whenever a clock on the wall shows a matching time, so a gap skips it
//! and a fold repeats it.

use jiff::{
    SignedDuration, Timestamp,
    civil::DateTime,
    tz::{AmbiguousOffset, TimeZone},
};

use crate::pattern::Pattern;

/// No local time is further ahead of the local time of an earlier instant than the widest fold (a day, when a zone
/// moved over the date line), and an hour.
const FOLD_MAX: SignedDuration = SignedDuration::from_hours(25);
const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// The first instant at which the clocks of the zone show `local` or, in a gap, have passed it.
pub fn first_instant(zone: &TimeZone, local: DateTime) -> Option<Timestamp> {
    match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(local).ok(),
        AmbiguousOffset::Fold { before, .. } => before.to_timestamp(local).ok(),
        AmbiguousOffset::Gap { after, .. } => {
            // Read with the later offset, a time in the gap lies before the change: the change is what follows it.
            let before_gap = after.to_timestamp(local).ok()?;
            zone.following(before_gap).find(|change| change.offset() == after).map(|change| change.timestamp())
        }
    }
}

/// Does the zone skip this local time?
pub fn is_in_gap(zone: &TimeZone, local: DateTime) -> bool {
    matches!(zone.to_ambiguous_timestamp(local).offset(), AmbiguousOffset::Gap { .. })
}

/// The first instant of `pattern` strictly after `after`.
pub fn next(pattern: &Pattern, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    if pattern.elapsed { next_elapsed(pattern, zone, after) } else { next_fixed(pattern, zone, after) }
}

/// The last instant of `pattern` at or before `at` and strictly after `after`.
pub fn latest(pattern: &Pattern, zone: &TimeZone, after: Timestamp, at: Timestamp) -> Option<Timestamp> {
    let found =
        if pattern.elapsed { latest_elapsed(pattern, zone, after, at) } else { latest_fixed(pattern, zone, after, at) };
    found.filter(|instant| *instant > after)
}

fn next_fixed(pattern: &Pattern, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    // A local time at or before the one shown now was first shown (or jumped over) by now, so it cannot be the answer.
    let mut local = minute_after(zone.to_datetime(after))?;
    loop {
        let candidate = pattern.next(local)?;
        let instant = first_instant(zone, candidate)?;
        if instant > after {
            return Some(instant);
        }
        local = candidate.checked_add(MINUTE).ok()?;
    }
}

fn latest_fixed(pattern: &Pattern, zone: &TimeZone, after: Timestamp, at: Timestamp) -> Option<Timestamp> {
    let mut local = zone.to_datetime(at).saturating_add(FOLD_MAX);
    loop {
        let candidate = pattern.previous(local)?;
        let instant = first_instant(zone, candidate)?;
        if instant <= at || instant <= after {
            return Some(instant);
        }
        local = candidate.checked_sub(MINUTE).ok()?;
    }
}

fn next_elapsed(pattern: &Pattern, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    let mut from = after;
    let mut local = minute_after(zone.to_datetime(after))?;
    loop {
        let offset = zone.to_offset(from);
        let instant = pattern.next(local).and_then(|candidate| offset.to_timestamp(candidate).ok());
        let change = zone.following(from).next().map(|change| change.timestamp());
        match (instant, change) {
            (instant, None) => return instant,
            (Some(instant), Some(change)) if instant < change => return Some(instant),
            (_, Some(change)) => {
                from = change;
                local = zone.to_datetime(change);
            }
        }
    }
}

fn latest_elapsed(pattern: &Pattern, zone: &TimeZone, after: Timestamp, at: Timestamp) -> Option<Timestamp> {
    let mut until = at;
    while until > after {
        let offset = zone.to_offset(until);
        // Strictly before the next second: a change at `until` itself begins the stretch that `until` lies in.
        let change = until.checked_add(SECOND).ok().and_then(|next| zone.preceding(next).next());
        let change = change.map(|change| change.timestamp());
        let candidate = pattern.previous(offset.to_datetime(until));
        let instant = candidate.and_then(|candidate| offset.to_timestamp(candidate).ok());
        match (instant, change) {
            (instant, None) => return instant,
            (Some(instant), Some(change)) if instant >= change => return Some(instant),
            (_, Some(change)) => until = change.checked_sub(SECOND).ok()?,
        }
    }
    None
}

/// The whole minute after the one that `local` lies in.
fn minute_after(local: DateTime) -> Option<DateTime> {
    local.date().at(local.hour(), local.minute(), 0, 0).checked_add(MINUTE).ok()
}
