//! The decisions of a schedule.

use super::{Cause, Command, Event, Rejection, State, catch_up::Asked, extra};
use crate::{
    calendar::Schedule,
    decider::{Ctx, Decider, Delta, Duty, Obligation},
    definition, deliverable,
    ids::{ScheduleId, StreamId, StreamKind, derive_u64},
    streams::AnyCommand,
    time::Timestamp,
};

/// The schedule stream.
pub struct ScheduleDecider;

impl Decider for ScheduleDecider {
    const KIND: StreamKind = StreamKind::Schedule;
    const STATE_REVISION: u32 = 2;
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(state: &State, command: &Command, ctx: &Ctx<'_>) -> Result<Vec<Event>, Rejection> {
        match (state, command) {
            (State::Unborn, Command::Create { schedule, target, paused }) => create(schedule, *target, *paused, ctx),
            (State::Unborn, _) => Err(Rejection::Unknown),
            (State::Live { schedule, target, .. }, Command::Create { schedule: same, target: to, .. }) => {
                if schedule == same && target == to { Ok(vec![]) } else { Err(Rejection::Exists) }
            }
            (State::Ended, Command::End {}) => Ok(vec![]),
            (State::Ended, _) => Err(Rejection::Ended),
            (State::Live { .. }, Command::Fire { nominal }) => fire(state, *nominal, ctx),
            (State::Live { paused: true, .. }, Command::Pause { .. })
            | (State::Live { paused: false, .. }, Command::Resume {}) => Ok(vec![]),
            (State::Live { .. }, Command::Pause { note }) => Ok(pause(state, note, ctx)),
            (State::Live { schedule, target, last, .. }, Command::Resume {}) => {
                let (target, tz_revision) = (*target, revision(ctx));
                let next_due = Asked { schedule, target, ctx }.next(from_now(*last, ctx))?;
                Ok(vec![Event::Resumed { target, next_due, tz_revision }])
            }
            (State::Live { .. }, Command::Retime { schedule }) => retime(state, schedule, ctx),
            (State::Live { target, .. }, Command::End {}) => Ok(vec![Event::Ended { target: *target }]),
            (State::Live { .. }, Command::TriggerNow {}) => Ok(extra::trigger_now(state, ctx)),
            (State::Live { .. }, Command::Backfill { from, upto }) => extra::backfill(state, *from, *upto, ctx),
        }
    }

    fn evolve(state: &mut State, event: &Event, _at: Timestamp) {
        if let Event::Created { schedule, target, paused, next_due, .. } = event {
            let next_due = next_due.filter(|_| !paused);
            let (schedule, target, paused) = (schedule.clone(), *target, *paused);
            *state = State::Live { schedule, target, paused, next_due, last: None, by_hand: None, triggered: 0 };
            return;
        }
        if let Event::Ended { .. } = event {
            *state = State::Ended;
            return;
        }
        let State::Live { schedule, paused, next_due, last, by_hand, triggered, .. } = state else {
            return;
        };
        let following = match event {
            Event::Fired { nominal, next_due, .. } => {
                *last = (*last).max(Some(*nominal));
                *next_due
            }
            Event::Skipped { upto, next_due, .. } => {
                *last = (*last).max(Some(*upto));
                *next_due
            }
            Event::Paused { .. } => {
                *paused = true;
                None
            }
            Event::Resumed { next_due, .. } => {
                *paused = false;
                *next_due
            }
            Event::ReTimed { schedule: new, next_due, .. } => {
                *schedule = new.clone();
                *next_due
            }
            Event::Triggered { nominal, cause, .. } => {
                *triggered += 1;
                if *cause == Cause::Hand {
                    *by_hand = (*by_hand).max(Some(*nominal));
                }
                return;
            }
            Event::Created { .. } | Event::Ended { .. } => return,
        };
        *next_due = following.filter(|_| !*paused);
    }

    /// The timer that should be open follows from the state alone, so what an event opens and closes is the difference.
    fn obligations(stream: StreamId, before: &State, event: &Event, at: Timestamp) -> Delta {
        let mut after = before.clone();
        Self::evolve(&mut after, event, at);
        let delta = match (timer(stream, before), timer(stream, &after)) {
            (Some(open), Some(needed)) if open == needed => Delta::none(),
            (open, needed) => {
                Delta { opens: needed.into_iter().collect(), closes: open.map(|open| open.key).into_iter().collect() }
            }
        };
        match event {
            Event::Fired { target, nominal, next_due, .. } => {
                let key = format!("slot:{}", nominal.micros());
                let slot = slot_due(stream, *target, *nominal, *next_due, Cause::Timer);
                delta.open(tell(key, *target, slot, at))
            }
            Event::Triggered { target, nominal, cause, .. } => {
                // The same instant may be asked for again, so the key counts.
                let (ordinal, next_due) = match before {
                    State::Live { triggered, next_due, .. } => (*triggered + 1, *next_due),
                    State::Unborn | State::Ended => (1, None),
                };
                let key = format!("slot:{}#{ordinal}", nominal.micros());
                delta.open(tell(key, *target, slot_due(stream, *target, *nominal, next_due, *cause), at))
            }
            _ => delta,
        }
    }

    fn ended(state: &State) -> bool {
        matches!(state, State::Ended)
    }
}

fn tell(key: String, to: StreamId, command: AnyCommand, due_at: Timestamp) -> Obligation {
    Obligation { key, due_at, priority: 100, duty: Duty::Tell { to, command: Box::new(command) } }
}

/// What the target is told of a slot.
fn slot_due(
    stream: StreamId,
    target: StreamId,
    nominal: Timestamp,
    next_due: Option<Timestamp>,
    cause: Cause,
) -> AnyCommand {
    match target.kind {
        StreamKind::Definition => {
            let schedule = ScheduleId::from_uuid(stream.id);
            definition::Command::SlotDue { schedule, nominal, cause }.into()
        }
        _ => deliverable::Command::SlotDue { nominal, next_due }.into(),
    }
}

/// The timer that is open in a state. Its key says all that can differ, so that a key never means two timers.
fn timer(stream: StreamId, state: &State) -> Option<Obligation> {
    let State::Live { schedule, paused: false, next_due: Some(nominal), .. } = state else {
        return None;
    };
    let nominal = *nominal;
    let jitter_ms = jitter_ms(stream, schedule, nominal);
    let spread = if jitter_ms == 0 { String::new() } else { format!("+{jitter_ms}") };
    Some(Obligation {
        key: format!("timer:{}{spread}", nominal.micros()),
        due_at: nominal.plus_ms(jitter_ms),
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

/// Where a new count begins: no instant that was told or passed over comes again, though a clock be set back.
fn from_now(last: Option<Timestamp>, ctx: &Ctx<'_>) -> Timestamp {
    last.map_or(ctx.now, |last| last.max(ctx.now))
}

fn create(schedule: &Schedule, target: StreamId, paused: bool, ctx: &Ctx<'_>) -> Result<Vec<Event>, Rejection> {
    let first = Asked { schedule, target, ctx }.next(ctx.now)?;
    let next_due = first.filter(|_| !paused);
    Ok(vec![Event::Created { schedule: schedule.clone(), target, paused, next_due, tz_revision: revision(ctx) }])
}

/// The timer of `nominal` went off: fire it, or sort out what was missed since.
fn fire(state: &State, nominal: Timestamp, ctx: &Ctx<'_>) -> Result<Vec<Event>, Rejection> {
    let State::Live { schedule, target, paused, next_due, last, .. } = state else {
        return Err(Rejection::Unknown);
    };
    if *next_due == Some(nominal) {
        return Asked { schedule, target: *target, ctx }.settle(nominal);
    }
    if *paused || last.is_some_and(|last| nominal <= last) {
        return Ok(vec![]);
    }
    Err(Rejection::StaleTimer { nominal, open: *next_due })
}

/// The instant whose timer is open, when it has come already and only its timer has not been heard.
fn overdue(state: &State, ctx: &Ctx<'_>) -> Option<Timestamp> {
    match state {
        State::Live { next_due: Some(due), .. } if *due <= ctx.now => Some(*due),
        _ => None,
    }
}

fn pause(state: &State, note: &str, ctx: &Ctx<'_>) -> Vec<Event> {
    let State::Live { schedule, target, .. } = state else {
        return vec![];
    };
    let target = *target;
    let mut events = overdue(state, ctx).map_or_else(Vec::new, |due| Asked { schedule, target, ctx }.pass_over(due));
    events.push(Event::Paused { target, note: note.to_owned() });
    events
}

/// What had come due under the old rule is settled under the old rule; the new one counts from now.
fn retime(state: &State, new: &Schedule, ctx: &Ctx<'_>) -> Result<Vec<Event>, Rejection> {
    let State::Live { schedule, target, paused, last, .. } = state else {
        return Err(Rejection::Unknown);
    };
    let target = *target;
    let first = Asked { schedule: new, target, ctx }.next(from_now(*last, ctx))?;
    // An old rule that cannot be computed any more must not keep anybody from mending it.
    let settle = |due| Asked { schedule, target, ctx }.settle_all(due).unwrap_or_default();
    let mut events = overdue(state, ctx).map_or_else(Vec::new, settle);
    let next_due = first.filter(|_| !paused);
    events.push(Event::ReTimed { target, schedule: new.clone(), next_due, tz_revision: revision(ctx) });
    Ok(events)
}
