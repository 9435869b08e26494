//! What follows of itself: steps whose turn has come begin, lists come together, parts follow each other, the run ends.
//!
//! Owns: whose turn it is. Refuses to know: how a step begins (`begin`) and how a run ends (`ending`).
//!
//! The parts of a run: the main part first. When it is over and a step that was needed is dead, the steps for a failure
//! go; without one they are skipped. At last, whatever happened, the steps that go finally.

use std::sync::Arc;

use super::{
    Event, How, Outcome, Part, Run, Step, StepOutput, StepPlan, StepStatus, asking,
    begin::{self, Offered},
    ending::{self, died, is_of_the_end, needed_dead},
    facts::value_of,
    instance_id,
    tale::Tale,
};
use crate::json::Json;

/// Why a step for a failure does not go.
const NOT_FAILED: &str = "the run did not fail";

/// Tells all that follows, gives the offered place to the first step that can use it, and ends the run when nothing is
/// left.
pub fn go_on(tale: &mut Tale<'_>, offer: Option<Offered<'_>>) {
    let mut offer = offer;
    loop {
        let before = tale.told();
        bring_together(tale);
        ending::give_up(tale);
        pass_over(tale);
        begin_what_may(tale, &mut offer);
        if tale.told() == before {
            break;
        }
    }
    ending::end(tale);
}

/// The part that goes now; none when all is settled.
pub fn part_now(run: &Run) -> Option<Part> {
    [Part::Main, Part::OnFailure, Part::Finally].into_iter().find(|part| {
        let mut steps = run.pairs().filter(|(plan, _)| plan.flow.part == *part);
        steps.any(|(_, step)| !step.status.is_settled())
    })
}

/// Lists whose instances are all settled come to their end; of a list that has failed what is idle is given up.
fn bring_together(tale: &mut Tale<'_>) {
    let Some(run) = tale.run() else { return };
    let fanned = run.pairs().enumerate().filter(|(_, (_, step))| matches!(step.status, StepStatus::Fanned {}));
    let fanned: Vec<usize> = fanned.map(|(at, _)| at).collect();
    let created = Arc::clone(&run.created);
    for plan in fanned.into_iter().filter_map(|at| created.plan.steps.get(at)) {
        let Some(dead) = tale.run().map(|run| begin::dead_instance(run, plan)) else { return };
        if let Some((instance, _)) = &dead {
            ending::give_up_instances(tale, plan, &died(instance));
        }
        let Some(fan) = tale.run().and_then(|run| run.fans.get(&plan.id)) else { return };
        if !fan.steps.iter().all(|step| step.status.is_settled()) {
            continue;
        }
        match dead {
            Some((instance, mut failure)) => {
                failure.message = format!("{instance}: {}", failure.message);
                tale.tell(Event::StepDied { step: plan.id.clone(), failure });
            }
            None => fan_in(tale, plan),
        }
    }
}

/// All instances of a list are settled, and none failed it.
fn fan_in(tale: &mut Tale<'_>, plan: &StepPlan) {
    let Some(fan) = tale.run().and_then(|run| run.fans.get(&plan.id)) else { return };
    let given_up = fan.steps.iter().find_map(|step| match &step.status {
        StepStatus::Skipped { reason } if is_of_the_end(reason) => Some(reason.clone()),
        _ => None,
    });
    if let Some(reason) = given_up {
        return tale.skip(plan.id.clone(), &reason);
    }
    let value = |step: &Step| match &step.status {
        StepStatus::Completed { output } => value_of(output),
        _ => Json::Null,
    };
    // What each instance made was mapped when it was made.
    let (count, list) = (fan.steps.len(), Json::Array(fan.steps.iter().map(value).collect()));
    let outcome = match tale.admit(&list) {
        Ok(()) => Outcome { mapped: true, ..Outcome::of(list) },
        // One event could not hold it, and does not have to: each of the instances has its own.
        Err(_) => Outcome { mapped: true, listed: u32::try_from(count).ok(), ..Outcome::of(Json::Null) },
    };
    let (step, output) = (plan.id.clone(), Arc::new(StepOutput::Value(outcome)));
    tale.tell(Event::StepCompleted { step, output, how: How::FannedIn {} });
    asking::checkpoint(tale, &plan.id);
}

/// Behind the main part, what will not go is skipped: steps for a failure when there is none, and what depends on a step
/// of its part that is dead.
fn pass_over(tale: &mut Tale<'_>) {
    let Some(run) = tale.run() else { return };
    let Some(part) = part_now(run).filter(|part| *part != Part::Main) else { return };
    let failed = needed_dead(run, Part::Main).is_some();
    let created = Arc::clone(&run.created);
    // One after the other: what is skipped here blocks what depends on it.
    for (at, plan) in created.plan.steps.iter().enumerate().filter(|(_, plan)| plan.flow.part == part) {
        let Some(run) = tale.run() else { return };
        if !run.steps.get(at).is_some_and(|step| matches!(step.status, StepStatus::Pending {})) {
            continue;
        }
        let reason = match part {
            Part::OnFailure if !failed => Some(NOT_FAILED.to_owned()),
            part => plan.depends_on.iter().find_map(|id| blocks(run, part, id)),
        };
        if let Some(reason) = reason {
            tale.skip(plan.id.clone(), &reason);
        }
    }
}

/// Why a dependency within a part behind the main one keeps a step from ever going.
fn blocks(run: &Run, part: Part, id: &str) -> Option<String> {
    let (plan, step) = run.step(id).filter(|(plan, _)| plan.flow.part == part)?;
    match &step.status {
        StepStatus::Dead { .. } if !plan.optional => Some(died(id)),
        StepStatus::Skipped { reason } if is_of_the_end(reason) => Some(reason.clone()),
        _ => None,
    }
}

/// Steps and instances whose turn has come begin, in the order of the plan, within the limits of the run.
fn begin_what_may(tale: &mut Tale<'_>, offer: &mut Option<Offered<'_>>) {
    let Some(run) = tale.run().filter(|run| run.paused.is_none()) else { return };
    let Some(part) = part_now(run) else { return };
    let mut free = usize::from(run.created.plan.max_parallel).saturating_sub(run.places_held());
    let created = Arc::clone(&run.created);
    let mut looked_at = None;
    for (at, plan) in created.plan.steps.iter().enumerate().filter(|(_, plan)| plan.flow.part == part) {
        let Some(run) = tale.run() else { return };
        if part == Part::Main && looked_at.replace(tale.told()) != Some(tale.told()) && needed_dead(run, part).is_some()
        {
            return;
        }
        let Some(step) = run.steps.get(at) else { return };
        match &step.status {
            StepStatus::Pending {} if ready(run, plan) && is_ripe(tale, &plan.id, step) => {
                let needs_room = plan.flow.for_each.is_none() && plan.action.takes_a_place();
                if !needs_room || free > 0 {
                    begin::open(tale, &plan.id, offer);
                    free -= usize::from(holds_a_place(tale, plan, &plan.id));
                }
            }
            _ => {}
        }
        if plan.flow.for_each.is_some() {
            begin_instances(tale, (at, plan), &mut free, offer);
        }
    }
}

/// Instances of a list that has been made begin.
fn begin_instances(
    tale: &mut Tale<'_>,
    (at, plan): (usize, &StepPlan),
    free: &mut usize,
    offer: &mut Option<Offered<'_>>,
) {
    let Some(run) = tale.run() else { return };
    let open = run.steps.get(at).is_some_and(|step| matches!(step.status, StepStatus::Fanned {}));
    let Some(fan) = run.fans.get(&plan.id).filter(|_| open && begin::dead_instance(run, plan).is_none()) else {
        return;
    };
    let goes = |step: &&Step| !step.status.is_settled() && !matches!(step.status, StepStatus::Pending {});
    let mut going = fan.steps.iter().filter(goes).count();
    let at_once = plan.flow.for_each_parallel.map_or(usize::MAX, |most| usize::from(most.max(1)));
    for nth in 0..fan.steps.len() {
        if going >= at_once || plan.action.takes_a_place() && *free == 0 {
            return;
        }
        let instance = |tale: &Tale<'_>| tale.run().and_then(|run| run.fans.get(&plan.id)?.steps.get(nth).cloned());
        let id = instance_id(&plan.id, nth);
        let pending = instance(tale).filter(|step| matches!(step.status, StepStatus::Pending {}));
        if !pending.is_some_and(|step| is_ripe(tale, &id, &step)) {
            continue;
        }
        begin::open(tale, &id, offer);
        let Some(step) = instance(tale) else { return };
        *free -= usize::from(step.status.holds_a_place(&plan.action));
        going += usize::from(goes(&&step));
        if matches!(step.status, StepStatus::Dead { .. }) && !plan.optional {
            return;
        }
    }
}

fn holds_a_place(tale: &Tale<'_>, plan: &StepPlan, id: &str) -> bool {
    tale.run().and_then(|run| run.step(id)).is_some_and(|(_, step)| step.status.holds_a_place(&plan.action))
}

/// Whether it may go by its time.
fn is_ripe(tale: &Tale<'_>, id: &str, step: &Step) -> bool {
    step.not_before.is_none_or(|not_before| not_before <= tale.ctx.now || tale.due == Some(id))
}

/// Whether all that a step depends on is settled as it should be. What it depends on in an earlier part is over.
fn ready(run: &Run, plan: &StepPlan) -> bool {
    plan.depends_on.iter().all(|id| match run.step(id) {
        Some((other, _)) if other.flow.part != plan.flow.part => true,
        Some((_, Step { status: StepStatus::Completed { .. } | StepStatus::Skipped { .. }, .. })) => true,
        Some((other, Step { status: StepStatus::Dead { .. }, .. })) => other.optional,
        _ => false,
    })
}
