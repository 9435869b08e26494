//! Slots of a definition's schedules: which starts a run, which waits for the run before it, which is refused and why.
//!
//! Owns: the meaning of `overlap`. Refuses to know: when a slot is due.

use serde_json::json;

use super::{Busy, DefinitionDecider, Event, Rejection, Request, Slot, State, Waiting, created_for, slot_run_id};
use crate::{
    calendar::{CatchUp, Overlap, Schedule},
    decider::{Ctx, Story},
    ids::{DefinitionId, RunId, ScheduleId},
    json::Json,
    run::End,
    schedule::Cause,
};

pub type Telling = Story<DefinitionDecider>;

/// The most slots of one schedule that wait, whatever its overlap says.
const WAITING_MAX: usize = 1_000;

/// What becomes of a slot.
#[derive(Debug, PartialEq)]
enum Turn {
    /// It has its run now.
    Go,
    /// It waits for the end of the former run, which is stopped when it is named here.
    Wait { cancels: Option<RunId> },
    /// It has none, and why.
    Refuse(String),
}

/// The rule of `overlap`. A slot that is made up for waits under every policy but `allow`: those come together, and none
/// of them runs over because of its own number.
fn turn(overlap: Overlap, busy: &Busy, made_up: bool) -> Turn {
    let Some(run) = busy.run.filter(|_| overlap != Overlap::Allow) else {
        return Turn::Go;
    };
    let full = busy.waiting.len() >= WAITING_MAX;
    match overlap {
        _ if made_up && !full => Turn::Wait { cancels: None },
        Overlap::BufferAll if !full => Turn::Wait { cancels: None },
        Overlap::BufferOne if busy.waiting.is_empty() => Turn::Wait { cancels: None },
        Overlap::CancelOther if !made_up => Turn::Wait { cancels: Some(run) },
        Overlap::Skip if !made_up => Turn::Refuse(format!("the run of a former slot goes on: {run}; overlap is skip")),
        _ => Turn::Refuse(format!("{} slots wait already for the end of run {run}", busy.waiting.len())),
    }
}

/// A schedule says that a slot is due.
pub fn slot_due(state: &State, slot: Slot, cause: Cause, ctx: &Ctx<'_>) -> Result<Vec<Event>, Rejection> {
    if state.versions.is_empty() {
        return Err(Rejection::Unknown);
    }
    let idle = Busy::default();
    let busy = state.busy.get(&slot.schedule).unwrap_or(&idle);
    if busy.knows(slot.nominal) {
        return Ok(vec![]);
    }
    let Some((_, rule, _)) = state.trigger_of(slot.schedule) else {
        return Ok(vec![refused(slot, cause, gone(), ctx)]);
    };
    if !busy.taken.remembers(slot.nominal) {
        let why = "so long ago that it is not known any more whether it had a run".to_owned();
        return Ok(vec![refused(slot, cause, why, ctx)]);
    }
    let made_up = cause == Cause::Backfill || is_caught_up(rule, slot, ctx);
    let mut story = Telling::from(state, ctx.now);
    match turn(rule.overlap, busy, made_up) {
        Turn::Go => story.tell(go(state, slot, cause, ctx)),
        Turn::Refuse(why) => story.tell(refused(slot, cause, why, ctx)),
        Turn::Wait { cancels } => {
            let superseded = busy.waiting.iter().filter(|other| cancels.is_some() && !other.made_up);
            for Waiting { nominal, cause, .. } in superseded {
                let why = format!("the slot of {} came before it could go; overlap is cancel_other", slot.nominal);
                story.tell(refused(Slot { nominal: *nominal, ..slot }, *cause, why, ctx));
            }
            let Slot { schedule, nominal } = slot;
            story.tell(Event::SlotBuffered { schedule, nominal, cause, made_up, cancels });
        }
    }
    Ok(story.end())
}

/// Whether a slot was missed, and its schedule makes up for all of those.
fn is_caught_up(rule: &Schedule, slot: Slot, ctx: &Ctx<'_>) -> bool {
    matches!(rule.catch_up, CatchUp::All { .. }) && rule.is_missed(slot.nominal, ctx.now)
}

fn gone() -> String {
    "no version in force has this schedule any more".to_owned()
}

/// A slot has its run, unless the run cannot have the parameters of the trigger.
fn go(state: &State, slot: Slot, cause: Cause, ctx: &Ctx<'_>) -> Event {
    let Some((document, rule, parameters)) = state.trigger_of(slot.schedule) else {
        return refused(slot, cause, gone(), ctx);
    };
    let run = slot_run_id(slot.schedule, slot.nominal, ctx.shard_count);
    let request = Request {
        definition: Some(DefinitionId::from_uuid(ctx.stream.id)),
        run,
        user: state.user.clone(),
        parameters,
        trigger: trigger(slot, cause),
        priority: None,
        parent: None,
        reply_to: (rule.overlap != Overlap::Allow).then_some(ctx.stream),
        nominal: slot.nominal,
    };
    match created_for(document, request) {
        Ok(created) => Event::RunRequested { created, run, schedule: Some(slot.schedule) },
        Err(faults) => refused(slot, cause, Rejection::Parameters { faults }.to_string(), ctx),
    }
}

fn trigger(slot: Slot, cause: Cause) -> Json {
    let (nominal, schedule) = (slot.nominal.to_string(), slot.schedule.to_string());
    json!({"type": "schedule", "nominal": nominal, "schedule": schedule, "cause": cause.as_str()})
}

fn refused(slot: Slot, cause: Cause, why: String, ctx: &Ctx<'_>) -> Event {
    let run = slot_run_id(slot.schedule, slot.nominal, ctx.shard_count);
    Event::RunRefused { run, trigger: trigger(slot, cause), why, parent: None, slot: Some(slot) }
}

/// Slots that wait for schedules that are about to end have no run.
pub fn turn_away(story: &mut Telling, going: &[ScheduleId], ctx: &Ctx<'_>) {
    for schedule in going {
        let waiting = story.state.busy.get(schedule).map_or_else(Vec::new, |busy| busy.waiting.clone());
        for Waiting { nominal, cause, .. } in waiting {
            story.tell(refused(Slot { schedule: *schedule, nominal }, cause, gone(), ctx));
        }
    }
}

/// A run that a schedule started is over: the slot that waits longest goes. One that nobody waits for any more, because
/// its schedule ended, changes nothing.
pub fn run_ended(state: &State, run: RunId, end: &End, ctx: &Ctx<'_>) -> Result<Vec<Event>, Rejection> {
    if state.versions.is_empty() {
        return Err(Rejection::Unknown);
    }
    let Some((schedule, _)) = state.busy.iter().find(|(_, busy)| busy.run == Some(run)) else {
        return Ok(vec![]);
    };
    let schedule = *schedule;
    let mut story = Telling::from(state, ctx.now);
    story.tell(Event::RunEnded { run, schedule, how: end.as_str().to_owned() });
    // More than one goes when the overlap is `allow` by now, or when the next one is refused.
    while let Some(next) = next_waiting(&story.state, schedule) {
        let slot = Slot { schedule, nominal: next.nominal };
        let event = go(&story.state, slot, next.cause, ctx);
        story.tell(event);
    }
    Ok(story.end())
}

fn next_waiting(state: &State, schedule: ScheduleId) -> Option<Waiting> {
    let busy = state.busy.get(&schedule).filter(|busy| busy.run.is_none())?;
    busy.waiting.first().copied()
}
