//! How a run ends: what is given up, why, and what the end is.
//!
//! Owns: the words of skips that an end caused; a run that is opened again takes these back. Refuses to know: who asked.

use super::{
    Event, Part, Places, Run, State, StepPlan, StepStatus,
    facts::{Facts, KeptAs},
    instance_id,
    tale::Tale,
};
use crate::{
    content::{Failure, FailureClass},
    decider::Ctx,
    json::Json,
    template::{Made, render_within},
};

/// Why a step of a run that was cancelled is skipped.
pub const CANCELLED: &str = "the run was cancelled";

/// Why a step of a run is skipped that somebody did not approve.
pub const ABORTED: &str = "the run was aborted";

/// Why a step is skipped that cannot go because another one is dead.
pub fn died(step: &str) -> String {
    format!("step {step:?} is dead")
}

/// Named in the place of a step when the steps are done and what the run gives back cannot be made of them.
pub const OUTPUT: &str = "output";

/// Whether a step was skipped because the run, its part or its list came to an end before; not by its own condition.
pub fn is_of_the_end(reason: &str) -> bool {
    reason == CANCELLED || reason == ABORTED || (reason.starts_with("step ") && reason.ends_with(" is dead"))
}

/// The first step of a part that is dead though the run cannot do without it.
pub fn needed_dead(run: &Run, part: Part) -> Option<(String, Failure)> {
    run.pairs().filter(|(plan, _)| plan.flow.part == part).find_map(|(plan, step)| match &step.status {
        StepStatus::Dead { failure } if !plan.optional => Some((plan.id.clone(), failure.clone())),
        _ => None,
    })
}

pub fn cancel(state: &State, reason: &str, ctx: &Ctx<'_>) -> Vec<Event> {
    let mut tale = Tale::of(state, ctx);
    stop(&mut tale, CANCELLED, reason.to_owned());
    tale.end()
}

/// Everything that has no end yet is given up, whatever it does; then the run is cancelled.
pub fn stop(tale: &mut Tale<'_>, skipped: &str, reason: String) {
    let Some(run) = tale.run() else { return };
    let left = run.all().filter(|(_, _, step)| !step.status.is_settled()).map(|(id, ..)| id);
    for id in left.collect::<Vec<_>>() {
        tale.skip(id, skipped);
    }
    tale.tell(Event::Cancelled { reason });
}

/// A needed step of the main part is dead: what has not begun will not, and nobody waits for people, instants and events
/// any more. What is being done is awaited, by a worker or by another run.
pub fn give_up(tale: &mut Tale<'_>) {
    let Some(run) = tale.run() else { return };
    let Some((dead, _)) = needed_dead(run, Part::Main) else { return };
    let idle = run.all().filter(|(_, plan, step)| plan.flow.part == Part::Main && step.status.is_idle());
    for id in idle.map(|(id, ..)| id).collect::<Vec<_>>() {
        tale.skip(id, &died(&dead));
    }
}

/// A list has failed: its instances that are idle are given up.
pub fn give_up_instances(tale: &mut Tale<'_>, plan: &StepPlan, reason: &str) {
    let Some(fan) = tale.run().and_then(|run| run.fans.get(&plan.id)) else { return };
    let idle = fan.steps.iter().enumerate().filter(|(_, step)| step.status.is_idle());
    for id in idle.map(|(nth, _)| instance_id(&plan.id, nth)).collect::<Vec<_>>() {
        tale.skip(id, reason);
    }
}

/// Ends the run when nothing of it is left to do. What happens to steps for a failure changes nothing any more.
pub fn end(tale: &mut Tale<'_>) {
    let Some(run) = tale.run() else { return };
    if !run.steps.iter().all(|step| step.status.is_settled()) {
        return;
    }
    let event = match needed_dead(run, Part::Main).or_else(|| needed_dead(run, Part::Finally)) {
        Some((step, failure)) => Event::Failed { step, failure },
        None => {
            let facts = Facts { run, run_id: tale.run_id(), place: None, kept: KeptAs::Reference };
            let output = run.created.plan.output.as_ref();
            match output.map(|output| render_within(output, &facts, &mut tale.room())) {
                None => Event::Completed { output: Json::Null, inside: Places::new() },
                Some(Ok(Made { value, kept })) => Event::Completed { output: value, inside: kept },
                Some(Err(fault)) => {
                    let failure = Failure::new(FailureClass::Permanent, format!("the output of the run {fault}"));
                    Event::Failed { step: OUTPUT.to_owned(), failure }
                }
            }
        }
    };
    tale.tell(event);
}
