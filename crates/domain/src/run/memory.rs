//! What a run remembers of each event.
//!
//! Owns: the fold over the steps and their instances. Refuses to know: commands, rules, and what is owed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Advisory, Approval, Asked, Created, End, Event, Fan, How, Outcome, Places, Run, State, Step, StepOutput,
    StepStatus, Waits, instance_of, migrate, places, report,
};
use crate::{
    content::{Failure, FailureClass},
    json::Json,
    template::Part,
    time::Timestamp,
    topic,
};

/// A run that has just been created.
pub fn born(created: &Created, at: Timestamp) -> Run {
    let steps = vec![Step::fresh(); created.plan.steps.len()];
    Run {
        created: Arc::new(created.clone()),
        created_at: at,
        steps,
        fans: BTreeMap::new(),
        paused: None,
        heard: BTreeMap::new(),
        decided: BTreeMap::new(),
        advisory: BTreeMap::new(),
        reopened: 0,
        events: 0,
        owing: BTreeSet::new(),
        given_up: Vec::new(),
        resent: BTreeSet::new(),
        resumed: 0,
    }
}

/// Remembers an event: whether the run is over, and what became of its steps.
pub fn evolve(state: &mut State, event: &Event, at: Timestamp) {
    let events = match &*state {
        State::Unborn => 0,
        State::Barred { .. } => 1,
        State::Open(run) | State::Over(run, _) => run.events,
    };
    let before = report::is_told(state, event).then(|| state.clone());
    evolve_to(state, event, at);
    if let Some(before) = before {
        if let State::Open(run) | State::Over(run, _) = state {
            run.events = events + 1;
        }
        report::remember(&before, state, event, at);
    }
}

fn evolve_to(state: &mut State, event: &Event, at: Timestamp) {
    *state = match (std::mem::take(state), event) {
        (_, Event::Created(created)) => State::Open(born(created, at)),
        (State::Unborn, Event::Cancelled { reason }) => State::Barred { reason: reason.clone() },
        (State::Over(run, _), Event::Reopened { .. }) => {
            State::Open(Run { reopened: run.reopened + 1, paused: None, ..run })
        }
        (State::Over(mut run, end), Event::StepDiscarded { step, by }) => {
            discarded(&mut run, step, by);
            State::Over(run, end)
        }
        (State::Open(mut run), event) => match end(&run, event) {
            Some(end) => State::Over(run, end),
            None => {
                remember(&mut run, event, at);
                State::Open(run)
            }
        },
        (other, _) => other,
    };
}

/// The end of the run, when this event is it.
pub fn end(run: &Run, event: &Event) -> Option<End> {
    match event {
        Event::Completed { .. } if run.created.plan.output.is_none() => Some(End::Completed { outputs: run.outputs() }),
        Event::Completed { output, inside } => Some(End::Completed { outputs: given_back(output, inside) }),
        Event::Failed { step, failure } => Some(End::Failed { step: step.clone(), failure: failure.clone() }),
        Event::Cancelled { reason } => Some(End::Cancelled { reason: reason.clone() }),
        _ => None,
    }
}

/// What a plan says the run gives back, by name; what is no object has the name `output`.
fn given_back(output: &Json, inside: &Places) -> BTreeMap<String, Arc<StepOutput>> {
    let one = |value: &Json, inside: Places| Arc::new(StepOutput::Value(Outcome::with(value.clone(), inside)));
    match output {
        Json::Object(fields) if !inside.contains_key("") => {
            // Nothing can be kept above a field that is there, nor is a path into what is kept.
            let of = |name: &str| places::at_path(inside, &[Part::Field(name.to_owned())]).unwrap_or_default();
            fields.iter().map(|(name, field)| (name.clone(), one(field, of(name)))).collect()
        }
        other => BTreeMap::from([("output".to_owned(), one(other, inside.clone()))]),
    }
}

fn remember(run: &mut Run, event: &Event, at: Timestamp) {
    let (step, status) = match event {
        Event::StepQueued { step, attempt } => {
            attempted(run, step, *attempt);
            (step, StepStatus::Queued { attempt: *attempt, since: at })
        }
        Event::AttemptStarted { step, attempt, lease, .. } => {
            attempted(run, step, *attempt);
            if let Some(step) = run.step_mut(step) {
                step.round.begin();
            }
            (step, StepStatus::Running { attempt: *attempt, lease: lease.clone(), since: at })
        }
        Event::StepParked { step, attempt, on } => {
            attempted(run, step, *attempt);
            (step, StepStatus::Parked { attempt: *attempt, on: on.clone(), since: at })
        }
        Event::AttemptSucceeded { step, output, .. } => (step, StepStatus::Completed { output: Arc::clone(output) }),
        Event::AttemptFailed { step, attempt, failure, retry_at, free } => {
            (step, failed(run, (step, *attempt), failure, (*retry_at, *free)))
        }
        Event::LeaseExpired { step, requeued, reason, .. } => (step, lost(run, step, *requeued, reason)),
        Event::StepCompleted { step, output, how } => {
            match how {
                How::Replaced { .. } => replaced(run, step),
                How::EventArrived { id } => heard(run, step, id),
                _ => {}
            }
            (step, StepStatus::Completed { output: Arc::clone(output) })
        }
        Event::StepDied { step, failure } => (step, StepStatus::Dead { failure: failure.clone() }),
        Event::StepSkipped { step, reason } => (step, StepStatus::Skipped { reason: reason.clone() }),
        _ => return remember_more(run, event, at),
    };
    if let Some(step) = run.step_mut(step) {
        step.status = status;
        step.not_before = None;
    }
}

fn remember_more(run: &mut Run, event: &Event, at: Timestamp) {
    match event {
        Event::FannedOut { step, items } => fanned_out(run, step, items),
        Event::ApprovalRequested { step, approval } => asked(run, step, approval, at),
        Event::ApprovalDecided { answer, .. } => {
            run.advisory.remove(&answer.approval);
            run.decided.insert(answer.approval, (**answer).clone());
        }
        Event::ApprovalEscalated { step, to, .. } => escalated(run, step, to),
        Event::StepReset { step, modifications, not_before, once, .. } => {
            reset(run, step, modifications.as_ref(), *not_before);
            if let Some(step) = run.step_mut(step) {
                step.once = *once;
            }
        }
        Event::StepDiscarded { step, by } => discarded(run, step, by),
        Event::Paused { by } => paused(run, by),
        Event::Resumed { .. } => resumed(run),
        Event::Migrated(to) => migrate::migrated(run, to),
        _ => {}
    }
}

fn attempted(run: &mut Run, step: &str, attempt: u32) {
    if let Some(step) = run.step_mut(step) {
        step.attempted(attempt);
    }
}

fn failed(
    run: &mut Run,
    (step, attempt): (&str, u32),
    failure: &Failure,
    (retry_at, free): (Option<Timestamp>, bool),
) -> StepStatus {
    if let Some(step) = run.step_mut(step) {
        step.woken = 0;
        step.failed_attempts += u32::from(!free);
        step.lost_attempts += u32::from(free);
    }
    match retry_at {
        Some(retry_at) => StepStatus::Waiting { attempt: attempt + 1, retry_at },
        None => StepStatus::Dead { failure: failure.clone() },
    }
}

fn lost(run: &mut Run, step: &str, requeued: bool, reason: &str) -> StepStatus {
    if let Some(step) = run.step_mut(step) {
        step.lost_attempts += 1;
    }
    if requeued {
        StepStatus::Pending {}
    } else {
        StepStatus::Dead { failure: Failure::new(FailureClass::Lost, reason) }
    }
}

fn fanned_out(run: &mut Run, step: &str, items: &Arc<Vec<Json>>) {
    let Some(parent) = run.step_mut(step) else { return };
    parent.status = StepStatus::Fanned {};
    parent.not_before = None;
    // Instances of a former course had these numbers, and their errands may still be on their way.
    let instance = Step {
        former_attempts: parent.attempts,
        attempts: parent.attempts,
        resets: parent.resets,
        round: parent.round,
        asked: parent.asked,
        ..Step::fresh()
    };
    let steps = vec![instance; items.len()];
    run.fans.insert(step.to_owned(), Fan { items: Arc::clone(items), steps });
}

/// The instances of a step are forgotten; it goes on with their highest numbers. Says whether any of them was done.
fn forget_fan(run: &mut Run, step: &str) -> bool {
    let Some(fan) = run.fans.remove(step) else { return false };
    let Some(parent) = run.step_mut(step) else { return false };
    for instance in &fan.steps {
        parent.attempts = parent.attempts.max(instance.attempts);
        parent.resets = parent.resets.max(instance.resets);
        parent.round.absorb(instance.round);
        parent.asked = parent.asked.max(instance.asked);
    }
    fan.steps.iter().any(|instance| matches!(instance.status, StepStatus::Completed { .. }))
}

/// A wait had its event. Another wait of the run is for another one, also when that was published before.
fn heard(run: &mut Run, step: &str, id: &str) {
    let Some(StepStatus::Parked { on, .. }) = run.step(step).map(|(_, step)| &step.status) else { return };
    let Waits::Event { event, .. } = &**on else { return };
    if id.is_empty() {
        return;
    }
    let event = event.clone();
    let ids = run.heard.entry(event).or_default();
    ids.push(id.to_owned());
    let excess = ids.len().saturating_sub(topic::KEPT_MAX);
    ids.drain(..excess);
}

/// Somebody gave an output. In the place of a whole list it is the list's; in the place of an instance that was dead it
/// lets the list go on.
fn replaced(run: &mut Run, step: &str) {
    forget_fan(run, step);
    goes_on(run, step);
    touch_behind(run, step);
}

/// What a step makes will be another thing: those that see it ask for something else, if they ask again.
fn touch_behind(run: &mut Run, step: &str) {
    let list = instance_of(step).filter(|_| run.place(step).is_some_and(|place| place.nth.is_some()));
    let created = Arc::clone(&run.created);
    for at in created.plan.behind(list.map_or(step, |(list, _)| list)) {
        let instances = run.fans.get_mut(&created.plan.steps[at].id).map(|fan| &mut fan.steps[..]);
        run.steps.get_mut(at).into_iter().chain(instances.unwrap_or_default()).for_each(|step| step.round.touch());
    }
}

/// The step of an instance that is not as it was is to be settled anew.
fn goes_on(run: &mut Run, instance: &str) {
    let Some((step, _)) = instance_of(instance) else { return };
    if let Some(parent) = run.step_mut(step).filter(|parent| parent.status.is_settled()) {
        parent.status = StepStatus::Fanned {};
    }
}

fn asked(run: &mut Run, step: &str, approval: &Approval, at: Timestamp) {
    let Some(found) = run.step_mut(step) else { return };
    found.asked = approval.round;
    if approval.checkpoint.advisory {
        let noted = Advisory { step: step.to_owned(), approval: Box::new(approval.clone()) };
        run.advisory.insert(approval.id, noted);
        return;
    }
    let output = match &found.status {
        StepStatus::Completed { output } => Some(Arc::clone(output)),
        _ => None,
    };
    found.not_before = None;
    found.status = StepStatus::Asking { approval: Box::new(approval.clone()), output, since: at };
}

fn escalated(run: &mut Run, step: &str, to: &str) {
    let Some(Step { status: StepStatus::Asking { approval, .. }, .. }) = run.step_mut(step) else { return };
    approval.deadline = None;
    approval.checkpoint.assignee = Some(to.to_owned());
    approval.checkpoint.group = None;
}

fn reset(run: &mut Run, step: &str, modifications: Option<&Json>, not_before: Option<Timestamp>) {
    let some_done = forget_fan(run, step);
    run.advisory.retain(|_, noted| noted.step != step);
    if let Some(found) = run.step_mut(step) {
        // Another course may have other elements in another order: what was done for one is not done for another.
        found.reset(modifications, not_before, some_done);
    }
    goes_on(run, step);
    touch_behind(run, step);
}

fn discarded(run: &mut Run, step: &str, by: &Asked) {
    if let Some(step) = run.step_mut(step) {
        step.discarded = Some(by.clone());
    }
}

/// What waits for a place in the queue waits for it no more, until the run goes on.
fn paused(run: &mut Run, by: &Asked) {
    run.paused = Some(by.clone());
    for step in every_step(run) {
        if matches!(step.status, StepStatus::Queued { .. }) {
            step.status = StepStatus::Pending {};
        }
    }
}

/// What waits for an instant waits for it anew: what woke it before came to nothing if it came during the pause.
fn resumed(run: &mut Run) {
    run.paused = None;
    run.resumed += 1;
    let resumed = run.resumed;
    every_step(run).filter(|step| step.goes_at().is_some()).for_each(|step| step.woken = resumed);
}

fn every_step(run: &mut Run) -> impl Iterator<Item = &mut Step> {
    let instances = run.fans.values_mut().flat_map(|fan| &mut fan.steps);
    run.steps.iter_mut().chain(instances)
}
