//! What people do to a run: retry, reset, discard, skip, do again, pause, go on.
//!
//! Owns: which steps are taken back by each. Refuses to know: who may.
//!
//! A run cannot go on while a needed step of its main part is dead. So whoever opens a failed run again, by a retry of one
//! step or by an output in its place, has all such steps done again, and with them what was skipped because of them. When
//! the main part goes on, the parts behind it go again too, at the new end.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    Asked, Command, DeadVerb, End, Event, How, Outcome, Part, Rejection, Run, State, Step, StepOutput, StepPlan,
    StepStatus, begin,
    decide::{known, not_in},
    ending::{is_of_the_end, needed_dead},
    go_on::{go_on, part_now},
    instance_id, instance_of, passing,
    tale::Tale,
};
use crate::{decider::Ctx, json::Json, time::Timestamp};

type Told = Result<Vec<Event>, Rejection>;

pub fn decide(state: &State, command: &Command, ctx: &Ctx<'_>) -> Told {
    let run = state.run().ok_or(Rejection::Unknown)?;
    match command {
        Command::RetryStep { step, modifications, delay_ms, by, .. } => {
            passing::admitted(run, step, command)?;
            let delay = i64::try_from(*delay_ms).unwrap_or(i64::MAX);
            let not_before = (delay > 0).then(|| ctx.now.plus_ms(delay));
            let modifications = modifications.clone().filter(|changes| !changes.is_null());
            retry((state, run), step, Again { modifications, not_before, once: false }, by, ctx)
        }
        Command::SkipStep { step, output, by, .. } => {
            passing::admitted(run, step, command)?;
            skip((state, run), step, output.as_ref(), by, ctx)
        }
        Command::DeadLetter { step, attempt, verb, by } => dead_letter((state, run), (step, *attempt), *verb, by, ctx),
        Command::Rerun { from, by } => rerun((state, run), from.as_deref(), by, ctx),
        _ => Err(Rejection::Unknown),
    }
}

/// Whether a single step can be taken back now: the run is open, or it has failed and can be opened again. A version of a
/// deliverable that failed has been given up by its deliverable; another one is asked for there.
fn may_open((state, run): (&State, &Run), plan: &StepPlan, step: &Step) -> Result<(), Rejection> {
    match state {
        State::Over(_, End::Failed { .. }) if run.created.subject.version().is_none() => Ok(()),
        State::Over(_, end) => Err(Rejection::Over { end: end.as_str().to_owned() }),
        // The parts behind the main one go already, and count on what it came to.
        State::Open(_) if plan.flow.part == Part::Main && step.status.is_settled() => match part_now(run) {
            Some(Part::OnFailure | Part::Finally) => Err(Rejection::NotOver),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

fn reopen(state: &State, ctx: &Ctx<'_>, by: &Asked, tell: impl FnOnce(&mut Tale<'_>)) -> Vec<Event> {
    let mut tale = Tale::of(state, ctx);
    if matches!(state, State::Over(..)) {
        tale.tell(Event::Reopened { by: by.clone() });
    }
    tell(&mut tale);
    go_on(&mut tale, None);
    tale.end()
}

fn reset(tale: &mut Tale<'_>, step: String, by: &Asked) {
    again(tale, step, &Again::default(), by);
}

/// How a step is done again.
#[derive(Default)]
struct Again {
    modifications: Option<Json>,
    not_before: Option<Timestamp>,
    once: bool,
}

fn again(tale: &mut Tale<'_>, step: String, how: &Again, by: &Asked) {
    let Again { modifications, not_before, once } = how;
    let (modifications, not_before, by) = (modifications.clone(), *not_before, by.clone());
    tale.tell(Event::StepReset { step, modifications, not_before, by, once: *once });
}

/// Does something about a step that is dead, and about no other.
fn dead_letter(
    (state, run): (&State, &Run),
    (step, attempt): (&str, Option<u32>),
    verb: DeadVerb,
    by: &Asked,
    ctx: &Ctx<'_>,
) -> Told {
    let (_, found) = known(run, step)?;
    let dead = matches!(found.status, StepStatus::Dead { .. });
    if let Some(seen) = attempt {
        // Whoever chose several letters of one run has all of them done again by the first.
        if !dead && verb != DeadVerb::Discard && found.former_attempts >= seen {
            return Ok(vec![]);
        }
        if dead && found.attempts > seen {
            let wanted = format!("dead by attempt {seen}");
            return Err(not_in(step, &found.status, &wanted, found.attempts));
        }
    }
    if !dead {
        return Err(not_in(step, &found.status, "dead", found.attempts));
    }
    match (verb, &found.discarded) {
        (_, Some(by)) => Err(Rejection::Discarded { step: step.to_owned(), by: by.clone() }),
        (DeadVerb::Discard, None) => Ok(vec![Event::StepDiscarded { step: step.to_owned(), by: by.clone() }]),
        (verb, None) => {
            let how = Again { once: verb == DeadVerb::Retry, ..Again::default() };
            retry((state, run), step, how, by, ctx)
        }
    }
}

/// Nobody opens again what a person has given up, but by a rerun.
fn none_discarded(run: &Run, named: &[String], others: &[String]) -> Result<(), Rejection> {
    let of_main = |id: &&String| run.step(id).is_some_and(|(plan, _)| plan.flow.part == Part::Main);
    let named = named.iter().chain(others.iter().filter(of_main));
    let discarded = |id: &String| run.step(id).and_then(|(_, step)| step.discarded.clone()).map(|by| (id.clone(), by));
    match named.filter_map(discarded).next() {
        Some((step, by)) => Err(Rejection::Discarded { step, by }),
        None => Ok(()),
    }
}

fn retry((state, run): (&State, &Run), step: &str, how: Again, by: &Asked, ctx: &Ctx<'_>) -> Told {
    let (plan, found) = known(run, step)?;
    may_open((state, run), plan, found)?;
    let may = matches!(found.status, StepStatus::Dead { .. } | StepStatus::Skipped { .. } | StepStatus::Waiting { .. });
    if !may {
        return Err(not_in(step, &found.status, "dead", found.attempts));
    }
    if !list_lets(run, step) {
        return Err(not_in(step, &found.status, "in a list that goes on", found.attempts));
    }
    let named = if found.status.is_settled() { unfinished(run, plan, step) } else { vec![step.to_owned()] };
    let others = held_up(run, matches!(state, State::Over(..)), &named);
    none_discarded(run, &named, &others)?;
    let is_dead = |id: &str| run.step(id).is_some_and(|(_, step)| matches!(step.status, StepStatus::Dead { .. }));
    Ok(reopen(state, ctx, by, |tale| {
        named.into_iter().for_each(|step| again(tale, step, &how, by));
        for step in others {
            let once = how.once && is_dead(&step);
            again(tale, step, &Again { once, ..Again::default() }, by);
        }
    }))
}

/// Whether the list of an instance can still take what the instance makes.
fn list_lets(run: &Run, step: &str) -> bool {
    let parent = instance_of(step).and_then(|(parent, _)| run.step(parent));
    parent.is_none_or(|(_, parent)| match &parent.status {
        StepStatus::Fanned {} | StepStatus::Dead { .. } => true,
        StepStatus::Skipped { reason } => is_of_the_end(reason),
        _ => false,
    })
}

/// What is to be done of a step that is dead or was skipped: those of its instances that have no end, or all of it.
fn unfinished(run: &Run, plan: &StepPlan, step: &str) -> Vec<String> {
    let fan = run.fans.get(step).map_or(&[][..], |fan| &fan.steps).iter().enumerate();
    let again: Vec<String> =
        fan.filter(|(_, step)| is_unfinished(plan, step)).map(|(nth, _)| instance_id(&plan.id, nth)).collect();
    if again.is_empty() { vec![step.to_owned()] } else { again }
}

/// A step or an instance that has nothing to show though the run needs it.
fn is_unfinished(plan: &StepPlan, step: &Step) -> bool {
    match &step.status {
        StepStatus::Dead { .. } => !plan.optional,
        StepStatus::Skipped { reason } => is_of_the_end(reason),
        _ => false,
    }
}

/// What kept the run from going on, beside `named`, in the plan's order: dead steps, what was skipped because of them, and
/// when the run is over and its main part goes on, the parts behind that.
fn held_up(run: &Run, over: bool, named: &[String]) -> Vec<String> {
    let whole_run = over || needed_dead(run, Part::Main).is_some();
    let of_main = |plan: &StepPlan| plan.flow.part == Part::Main;
    let named_main = named.iter().any(|id| run.step(id).is_some_and(|(plan, _)| of_main(plan)));
    let main_again = named_main || run.pairs().any(|(plan, step)| of_main(plan) && is_unfinished(plan, step));
    let mut found = Vec::new();
    for (plan, step) in run.pairs() {
        let main = of_main(plan);
        let list_failed = run.fans.contains_key(&plan.id) && begin::dead_instance(run, plan).is_some();
        if !main && over && main_again && !matches!(step.status, StepStatus::Pending {}) {
            found.push(plan.id.clone());
        } else if (if main { whole_run } else { over }) && is_unfinished(plan, step) {
            found.extend(unfinished(run, plan, &plan.id));
        } else if list_failed && matches!(step.status, StepStatus::Fanned {}) {
            // The list is not settled yet; its instances are held up all the same.
            found.extend(unfinished(run, plan, &plan.id));
        }
    }
    // An instance that is named lets its list go on; a list that is named takes its instances with it.
    let is_in = |id: &str, list: &str| instance_of(id).is_some_and(|(of, _)| of == list);
    found.retain(|id| !named.iter().any(|named| named == id || is_in(id, named) || is_in(named, id)));
    found
}

fn skip((state, run): (&State, &Run), step: &str, output: Option<&Json>, by: &Asked, ctx: &Ctx<'_>) -> Told {
    let (plan, found) = known(run, step)?;
    may_open((state, run), plan, found)?;
    if plan.flow.no_skip {
        return Err(Rejection::NoSkip { step: step.to_owned() });
    }
    let instances = run.fans.get(step).map_or(&[][..], |fan| &fan.steps);
    let may = match &found.status {
        StepStatus::Running { .. } | StepStatus::Completed { .. } | StepStatus::Skipped { .. } => false,
        StepStatus::Fanned {} => !instances.iter().any(|step| matches!(step.status, StepStatus::Running { .. })),
        _ => list_lets(run, step),
    };
    if !may {
        return Err(not_in(step, &found.status, "dead, waiting or not begun", found.attempts));
    }
    let open = instances.iter().enumerate().filter(|(_, step)| !step.status.is_settled());
    let open: Vec<String> = open.map(|(nth, _)| instance_id(step, nth)).collect();
    let dead = matches!(found.status, StepStatus::Dead { .. });
    let named = [step.to_owned()];
    let others = if dead { held_up(run, matches!(state, State::Over(..)), &named) } else { Vec::new() };
    none_discarded(run, &named, &others)?;
    // A value that is not there and one that is null are kept alike.
    let value =
        output.filter(|value| !value.is_null()).cloned().unwrap_or_else(|| serde_json::json!({"skipped": true}));
    let output = Arc::new(StepOutput::Value(Outcome { mapped: true, ..Outcome::of(value) }));
    Ok(reopen(state, ctx, by, |tale| {
        open.into_iter().for_each(|instance| tale.skip(instance, "an output was given for the whole list"));
        tale.tell(Event::StepCompleted { step: step.to_owned(), output, how: How::Replaced { by: by.clone() } });
        others.into_iter().for_each(|step| reset(tale, step, by));
    }))
}

fn rerun((state, run): (&State, &Run), from: Option<&str>, by: &Asked, ctx: &Ctx<'_>) -> Told {
    match state {
        State::Over(_, end) if run.created.subject.version().is_some() => {
            return Err(Rejection::Over { end: end.as_str().to_owned() });
        }
        State::Over(..) => {}
        _ => return Err(Rejection::NotOver),
    }
    let named: Vec<String> = match from {
        None => run.pairs().map(|(plan, _)| plan.id.clone()).collect(),
        Some(from) => {
            known(run, from)?;
            let first = instance_of(from).filter(|_| run.place(from).is_some_and(|place| place.nth.is_some()));
            let behind = dependents(run, first.map_or(from, |(parent, _)| parent));
            [from.to_owned()].into_iter().chain(behind).collect()
        }
    };
    let others = held_up(run, true, &named);
    let is_new = |id: &String| run.step(id).is_some_and(|(_, step)| matches!(step.status, StepStatus::Pending {}));
    let mut again: Vec<String> = named.into_iter().chain(others).filter(|id| !is_new(id)).collect();
    let mut told = BTreeSet::new();
    again.retain(|id| told.insert(id.clone()));
    Ok(reopen(state, ctx, by, |tale| again.into_iter().for_each(|step| reset(tale, step, by))))
}

/// All steps that depend on a step, directly or not. A plan names a step before those that depend on it.
fn dependents(run: &Run, step: &str) -> Vec<String> {
    let mut found = vec![step.to_owned()];
    for (plan, _) in run.pairs() {
        if plan.depends_on.iter().any(|id| found.contains(id)) {
            found.push(plan.id.clone());
        }
    }
    found.split_off(1)
}

pub fn pause(run: &Run, by: &Asked) -> Vec<Event> {
    if run.paused.is_some() { vec![] } else { vec![Event::Paused { by: by.clone() }] }
}

/// Goes on; retries that came due meanwhile begin at once.
pub fn resume(state: &State, run: &Run, by: &Asked, ctx: &Ctx<'_>) -> Vec<Event> {
    if run.paused.is_none() {
        return vec![];
    }
    let due = run
        .all()
        .filter(|(_, _, step)| matches!(step.status, StepStatus::Waiting { retry_at, .. } if retry_at <= ctx.now));
    let due: Vec<String> = due.map(|(id, ..)| id).collect();
    let mut tale = Tale::of(state, ctx);
    tale.tell(Event::Resumed { by: by.clone() });
    for step in due {
        begin::act(&mut tale, &step, &mut None);
    }
    go_on(&mut tale, None);
    tale.end()
}
