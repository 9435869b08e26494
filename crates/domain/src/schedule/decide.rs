//! The decisions of a schedule.

use super::{Command, Event, Rejection, SkipReason, State};
use crate::{
    calendar::{CatchUp, Schedule},
    decider::{Ctx, Decider, Delta, Duty, Obligation, Story},
    deliverable,
    ids::{StreamId, StreamKind, derive_u64},
    streams::AnyCommand,
    time::Timestamp,
};

/// An instant found later than this counts as missed, not as late.
const MISSED_AFTER_MS: i64 = 60_000;

/// Missed instants are counted one by one up to here; a longer gap is covered by one event that says so.
const COUNTED_MAX: u32 = 1_000;

/// The schedule stream.
pub struct ScheduleDecider;

impl Decider for ScheduleDecider {
    const KIND: StreamKind = StreamKind::Schedule;
    const STATE_REVISION: u32 = 1;
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(state: &State, command: &Command, ctx: &Ctx<'_>) -> Result<Vec<Event>, Rejection> {
        match (state, command) {
            (State::Unborn, Command::Create { schedule, target, paused }) => create(schedule, *target, *paused, ctx),
            (State::Unborn, _) => Err(Rejection::Unknown),
            (State::Live { .. }, Command::Create { .. }) => Err(Rejection::Exists),
            (State::Ended, Command::End {}) => Ok(vec![]),
            (State::Ended, _) => Err(Rejection::Ended),
            (State::Live { .. }, Command::Fire { nominal }) => fire(state, *nominal, ctx),
            (State::Live { paused: true, .. }, Command::Pause { .. })
            | (State::Live { paused: false, .. }, Command::Resume {}) => Ok(vec![]),
            (State::Live { target, .. }, Command::Pause { note }) => {
                Ok(vec![Event::Paused { target: *target, note: note.clone() }])
            }
            (State::Live { schedule, target, .. }, Command::Resume {}) => {
                let next_due = next(schedule, ctx.now, ctx)?;
                Ok(vec![Event::Resumed { target: *target, next_due, tz_revision: revision(ctx) }])
            }
            (State::Live { target, .. }, Command::Retime { schedule }) => {
                let next_due = next(schedule, ctx.now, ctx)?;
                let (target, schedule) = (*target, schedule.clone());
                Ok(vec![Event::ReTimed { target, schedule, next_due, tz_revision: revision(ctx) }])
            }
            (State::Live { target, .. }, Command::End {}) => Ok(vec![Event::Ended { target: *target }]),
        }
    }

    fn evolve(state: &mut State, event: &Event, _at: Timestamp) {
        if let Event::Created { schedule, target, paused, next_due, .. } = event {
            *state = State::Live {
                schedule: schedule.clone(),
                target: *target,
                paused: *paused,
                next_due: *next_due,
                last: None,
            };
            return;
        }
        if let Event::Ended { .. } = event {
            *state = State::Ended;
            return;
        }
        let State::Live { schedule, paused, next_due, last, .. } = state else { return };
        match event {
            Event::Fired { nominal, next_due: next, .. } => (*last, *next_due) = (Some(*nominal), *next),
            Event::Skipped { upto, next_due: next, .. } => (*last, *next_due) = (Some(*upto), *next),
            Event::Paused { .. } => (*paused, *next_due) = (true, None),
            Event::Resumed { next_due: next, .. } => (*paused, *next_due) = (false, *next),
            Event::ReTimed { schedule: new, next_due: next, .. } => {
                *schedule = new.clone();
                *next_due = *next;
            }
            Event::Created { .. } | Event::Ended { .. } => {}
        }
    }

    fn obligations(stream: StreamId, before: &State, event: &Event, at: Timestamp) -> Delta {
        let mut delta = Delta::none();
        if let State::Live { next_due: Some(open), paused: false, .. } = before {
            delta = delta.close(timer_key(*open));
        }
        match event {
            Event::Created { schedule, paused, next_due, .. } => arm(delta, stream, schedule, *next_due, *paused),
            Event::Fired { target, nominal, next_due, .. } => {
                let slot = deliverable::Command::SlotDue { nominal: *nominal, next_due: *next_due };
                delta = rearm(delta, stream, before, *next_due);
                delta.open(Obligation {
                    key: format!("slot:{}", nominal.micros()),
                    due_at: at,
                    priority: 100,
                    duty: Duty::Tell { to: *target, command: Box::new(slot.into()) },
                })
            }
            Event::Skipped { next_due, .. } | Event::Resumed { next_due, .. } => rearm(delta, stream, before, *next_due),
            Event::ReTimed { schedule, next_due, .. } => {
                let paused = matches!(before, State::Live { paused: true, .. });
                arm(delta, stream, schedule, *next_due, paused)
            }
            Event::Paused { .. } | Event::Ended { .. } => delta,
        }
    }

    fn ended(state: &State) -> bool {
        matches!(state, State::Ended)
    }
}

fn timer_key(nominal: Timestamp) -> String {
    format!("timer:{}", nominal.micros())
}

fn rearm(delta: Delta, stream: StreamId, before: &State, next_due: Option<Timestamp>) -> Delta {
    match before {
        State::Live { schedule, .. } => arm(delta, stream, schedule, next_due, false),
        State::Unborn | State::Ended => delta,
    }
}

fn arm(delta: Delta, stream: StreamId, schedule: &Schedule, next_due: Option<Timestamp>, paused: bool) -> Delta {
    let Some(nominal) = next_due.filter(|_| !paused) else { return delta };
    delta.open(Obligation {
        key: timer_key(nominal),
        due_at: nominal.plus_ms(jitter_ms(stream, schedule, nominal)),
        priority: 100,
        duty: Duty::Wake { to: stream, command: Box::new(AnyCommand::Schedule(Command::Fire { nominal })) },
    })
}

/// How much later than its nominal instant a slot starts; derived, so that it is the same each time it is computed.
fn jitter_ms(stream: StreamId, schedule: &Schedule, nominal: Timestamp) -> i64 {
    let spread_ms = u64::from(schedule.jitter_s) * 1_000;
    if spread_ms == 0 {
        return 0;
    }
    let draw = derive_u64("jitter", &[stream.id.as_bytes(), &nominal.micros().to_be_bytes()]);
    i64::try_from(draw % spread_ms).unwrap_or(0)
}

fn revision(ctx: &Ctx<'_>) -> String {
    ctx.calendar.tz_revision().to_owned()
}

fn next(schedule: &Schedule, after: Timestamp, ctx: &Ctx<'_>) -> Result<Option<Timestamp>, Rejection> {
    ctx.calendar.next_after(schedule, after).map_err(Rejection::Calendar)
}

fn create(schedule: &Schedule, target: StreamId, paused: bool, ctx: &Ctx<'_>) -> Result<Vec<Event>, Rejection> {
    let next_due = if paused { None } else { next(schedule, ctx.now, ctx)? };
    Ok(vec![Event::Created { schedule: schedule.clone(), target, paused, next_due, tz_revision: revision(ctx) }])
}

/// The timer of `nominal` went off: fire it, or sort out what was missed since.
fn fire(state: &State, nominal: Timestamp, ctx: &Ctx<'_>) -> Result<Vec<Event>, Rejection> {
    let State::Live { schedule, target, next_due, last, .. } = state else { return Err(Rejection::Unknown) };
    if *next_due != Some(nominal) {
        if last.is_some_and(|last| nominal <= last) {
            return Ok(vec![]);
        }
        return Err(Rejection::StaleTimer { nominal, open: *next_due });
    }
    let late_ms = ctx.now.micros_since(nominal) / 1_000 - i64::from(schedule.jitter_s) * 1_000;
    if late_ms <= MISSED_AFTER_MS {
        return Ok(vec![fired(*target, nominal, next(schedule, nominal, ctx)?, ctx)]);
    }
    let missed = Missed::find(schedule, nominal, ctx)?;
    let mut story = Story::<ScheduleDecider>::from(state, ctx.now);
    make_up(&mut story, schedule, *target, &missed, ctx)?;
    Ok(story.end())
}

fn fired(target: StreamId, nominal: Timestamp, next_due: Option<Timestamp>, ctx: &Ctx<'_>) -> Event {
    Event::Fired { target, nominal, next_due, tz_revision: revision(ctx) }
}

/// The due instants from the open one up to now.
struct Missed {
    /// The first of them, at most [`COUNTED_MAX`].
    instants: Vec<Timestamp>,
    /// The last of them all.
    latest: Timestamp,
    /// There are more than were counted.
    more: bool,
}

impl Missed {
    fn find(schedule: &Schedule, first: Timestamp, ctx: &Ctx<'_>) -> Result<Self, Rejection> {
        let mut instants = vec![first];
        let mut last = first;
        while instants.len() < COUNTED_MAX as usize {
            match next(schedule, last, ctx)? {
                Some(due) if due <= ctx.now => instants.push(due),
                _ => return Ok(Self { instants, latest: last, more: false }),
            }
            last = instants.last().copied().unwrap_or(first);
        }
        let latest = ctx.calendar.latest_at(schedule, last, ctx.now).map_err(Rejection::Calendar)?;
        Ok(Self { instants, latest: latest.unwrap_or(last), more: latest.is_some() })
    }
}

/// Tells what happens to missed instants under the schedule's policies, oldest first.
fn make_up(
    story: &mut Story<ScheduleDecider>,
    schedule: &Schedule,
    target: StreamId,
    missed: &Missed,
    ctx: &Ctx<'_>,
) -> Result<(), Rejection> {
    let next_due = next(schedule, missed.latest, ctx)?;
    let oldest = schedule.catch_up_window_s.map(|window_s| {
        ctx.now.plus_ms(-i64::try_from(window_s.saturating_mul(1_000)).unwrap_or(i64::MAX))
    });
    let too_old = |at: &Timestamp| oldest.is_some_and(|oldest| *at < oldest);
    let (mut skips, mut fires): (Vec<(Timestamp, SkipReason)>, Vec<Timestamp>) = (Vec::new(), Vec::new());
    for at in &missed.instants {
        match schedule.catch_up {
            _ if too_old(at) => skips.push((*at, SkipReason::CatchUpWindow)),
            CatchUp::Skip => skips.push((*at, SkipReason::CatchUpSkip)),
            CatchUp::Latest if *at == missed.latest => fires.push(*at),
            CatchUp::Latest => skips.push((*at, SkipReason::CatchUpLatest)),
            CatchUp::All { max } if fires.len() < max as usize => fires.push(*at),
            CatchUp::All { .. } => skips.push((*at, SkipReason::CatchUpMax)),
        }
    }
    if missed.more && schedule.catch_up == CatchUp::Latest && !too_old(&missed.latest) {
        fires.push(missed.latest);
    }
    tell_in_order(story, target, &skips, &fires, missed, next_due, ctx);
    Ok(())
}

/// Runs of skipped instants with one reason become one event; each event names the instant that comes after it.
fn tell_in_order(
    story: &mut Story<ScheduleDecider>,
    target: StreamId,
    skips: &[(Timestamp, SkipReason)],
    fires: &[Timestamp],
    missed: &Missed,
    next_due: Option<Timestamp>,
    ctx: &Ctx<'_>,
) {
    let mut events: Vec<Event> = Vec::new();
    for at in &missed.instants {
        if fires.contains(at) {
            events.push(fired(target, *at, None, ctx));
            continue;
        }
        let reason = skips.iter().find(|(skip, _)| skip == at).map_or(SkipReason::CatchUpSkip, |(_, reason)| *reason);
        match events.last_mut() {
            Some(Event::Skipped { upto, count, reason: same, .. }) if *same == reason => {
                *upto = *at;
                *count += 1;
            }
            _ => events.push(skipped(target, *at, reason)),
        }
    }
    let beyond = missed.more.then_some(missed.latest);
    if let (Some(latest), Some(Event::Skipped { upto, count_is_bound, .. })) = (beyond, events.last_mut()) {
        *count_is_bound = true;
        *upto = if fires.contains(&latest) { *upto } else { latest };
    }
    if let Some(latest) = beyond.filter(|latest| fires.contains(latest)) {
        events.push(fired(target, latest, None, ctx));
    }
    let mut following = next_due;
    for event in events.iter_mut().rev() {
        match event {
            Event::Fired { nominal, next_due, .. } => (*next_due, following) = (following, Some(*nominal)),
            Event::Skipped { from, next_due, .. } => (*next_due, following) = (following, Some(*from)),
            _ => {}
        }
    }
    events.into_iter().for_each(|event| story.tell(event));
}

fn skipped(target: StreamId, at: Timestamp, reason: SkipReason) -> Event {
    Event::Skipped { target, from: at, upto: at, count: 1, count_is_bound: false, reason, next_due: None }
}
