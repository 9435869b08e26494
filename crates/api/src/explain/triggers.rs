//! What starts work: schedules and workflow definitions.

use nightshift_domain::{
    definition::{self, Busy, DefinitionDecider, Trigger},
    deliverable::{self, DeliverableDecider},
    ids::{ScheduleId, StreamId, StreamKind},
    schedule::{ScheduleDecider, State},
};

use super::{Facts, Gate, Kind, Moment};

type Told = (String, Vec<Gate>);

/// A schedule, and what its target makes of the next slot.
pub async fn schedule<F: Facts>(facts: &F, id: ScheduleId, state: &State, at: &Moment<'_>) -> Result<Told, F::Error> {
    let (status, target) = match state {
        State::Unborn => ("unborn", None),
        State::Live { paused: true, target, .. } => ("paused", Some(*target)),
        State::Live { target, .. } => ("active", Some(*target)),
        State::Ended => ("ended", None),
    };
    let mut gates = vec![next_due(id, state, at)];
    match target.map(|target| (target.kind, target)) {
        Some((StreamKind::Deliverable, target)) => {
            let state = facts.state::<DeliverableDecider>(target).await?;
            gates.extend(busy_deliverable(target, &state, at));
        }
        Some((StreamKind::Definition, target)) => {
            let state = facts.state::<DefinitionDecider>(target).await?;
            gates.extend(state.busy.get(&id).into_iter().flat_map(|busy| busy_definition(busy, at)));
        }
        _ => {}
    }
    Ok((status.to_owned(), gates))
}

/// What a schedule waits for. Every state has an answer.
pub(super) fn next_due(id: ScheduleId, state: &State, at: &Moment<'_>) -> Gate {
    match state {
        State::Unborn => Gate::new(Kind::Trigger, "the schedule has not begun", "whoever asked for it telling it to"),
        State::Ended => Gate::new(Kind::Over, "the schedule has ended", "nothing"),
        // The note is that of its target.
        State::Live { paused: true, target, .. } => {
            let gate = Gate::new(Kind::Paused, "the schedule is paused", resumed_by(id, *target));
            match target.kind {
                StreamKind::Deliverable => gate.asked_by(format!("POST /api/deliverables/{}/resume", target.id)),
                _ => gate.asked_by(format!("POST /api/schedules/{id}/resume")),
            }
        }
        State::Live { next_due: Some(due), .. } => {
            let left_s = due.micros_since(at.now) as f64 / 1e6;
            let when = if left_s < 0.0 { format!("overdue by {:.0} s", -left_s) } else { format!("in {left_s:.0} s") };
            Gate::new(Kind::Clock, format!("the next slot is due at {due}, {when}"), "its timer")
                .asked_by(format!("POST /api/schedules/{id}/trigger"))
        }
        State::Live { next_due: None, .. } => {
            Gate::new(Kind::Over, "no instant of the schedule is to come", "another schedule")
        }
    }
}

fn resumed_by(id: ScheduleId, target: StreamId) -> String {
    match target.kind {
        StreamKind::Deliverable => format!("`nightshift deliverable resume {}`", target.id),
        _ => format!("POST /api/schedules/{id}/resume"),
    }
}

fn busy_deliverable(target: StreamId, state: &deliverable::State, at: &Moment<'_>) -> Option<Gate> {
    let current = state.taken()?.current.as_ref()?;
    let what =
        format!("slot {} of its deliverable is worked on; a slot that comes meanwhile waits", current.slot.nominal);
    let gate = Gate::new(Kind::Attempt, what, format!("the end of it: `nightshift explain {}`", target.id));
    Some(gate.held_by(format!("deliverable {}", target.id)).since(current.since, at.now))
}

/// What slots of a schedule of a definition wait for.
fn busy_definition(busy: &Busy, at: &Moment<'_>) -> Vec<Gate> {
    let under_way = busy.run.map(|run| {
        let what = format!("run {run} of it goes on; what a slot that comes meanwhile does is for its overlap");
        Gate::new(Kind::Attempt, what, format!("the end of that run: `nightshift explain {run}`"))
            .held_by(format!("run {run}"))
    });
    let waiting = busy.waiting.iter().enumerate().map(|(nth, slot)| {
        let gate = Gate::new(Kind::Queue, format!("slot {} waits", slot.nominal), "the end of the run before it");
        Gate { position: Some(nth + 1), ..gate.since(slot.nominal, at.now) }
    });
    under_way.into_iter().chain(waiting).collect()
}

/// A definition: what starts its next run.
pub async fn definition<F: Facts>(
    facts: &F,
    (owner, name): (&str, &str),
    state: &definition::State,
    at: &Moment<'_>,
) -> Result<Told, F::Error> {
    let called = format!("{owner}/{name}");
    if state.versions.is_empty() {
        let gate = Gate::new(Kind::Trigger, "it has no version", "`nightshift workflow register FILE`");
        return Ok(("unknown".to_owned(), vec![gate.asked_by("POST /api/workflows")]));
    }
    let Some(version) = state.in_force() else {
        let versions: Vec<&str> = state.versions.keys().map(String::as_str).collect();
        let what = format!("no version is in force; there are {}", versions.join(", "));
        let gate = Gate::new(Kind::Trigger, what, format!("`nightshift workflow activate {called}@VERSION`"));
        return Ok(("inactive".to_owned(), vec![gate]));
    };
    let mut gates = Vec::new();
    for schedule in &state.schedules {
        let found = facts.state::<ScheduleDecider>(schedule.stream()).await?;
        gates.push(next_due(*schedule, &found, at));
        gates.extend(state.busy.get(schedule).into_iter().flat_map(|busy| busy_definition(busy, at)));
    }
    gates.extend(version.document.triggers.iter().filter_map(heard));
    let by_hand = Gate::new(Kind::Trigger, "somebody may start it", format!("`nightshift run start {called}`"));
    gates.push(by_hand.asked_by("POST /api/orchestrations"));
    Ok((version.standing.as_str().to_owned(), gates))
}

/// What a trigger that is no schedule waits for.
fn heard(trigger: &Trigger) -> Option<Gate> {
    Some(match trigger {
        Trigger::Schedule { .. } => return None,
        Trigger::Event { types, .. } => {
            let first = types.first().map_or("TYPE", String::as_str);
            let what = format!("it hears of events {}", types.join(", "));
            Gate::new(Kind::Trigger, what, format!("`nightshift event publish {first}`")).asked_by("POST /api/events")
        }
        Trigger::Webhook { path, .. } => {
            let gate = Gate::new(Kind::Trigger, format!("it hears of the webhook {path}"), "a signed request");
            gate.asked_by(format!("POST /api/hooks/{path}"))
        }
    })
}
