//! Attempts: how each ends, and whether there is another.
//!
//! Owns: that a result counts under the open token only. Refuses to know: delays, which are `retry`'s.

use super::{
    CrashPolicy, Event, Part, Rejection, Run, State, Step, StepOutput, StepPlan, StepStatus, Token, asking, begin,
    decide::{known, not_in},
    ending::needed_dead,
    go_on::go_on,
    retry::{FREE_ATTEMPTS_MAX, retry_after_ms},
    state::Place,
    tale::{Tale, made},
};
use crate::{
    content::{Failure, FailureClass},
    decider::Ctx,
};

/// What a worker reports.
pub struct Finished<'a> {
    pub step: &'a str,
    pub attempt: u32,
    pub token: Token,
    pub result: &'a Result<StepOutput, Failure>,
}

pub fn stale(run: &Run, step: &str, (attempt, token): (u32, Token), succeeded: bool) -> Result<Vec<Event>, Rejection> {
    known(run, step)?;
    Ok(vec![Event::StaleResult { step: step.to_owned(), attempt, token, succeeded }])
}

/// Whether this attempt is the one that runs, under this token.
fn is_open(step: &Step, attempt: u32, token: Token) -> bool {
    matches!(&step.status, StepStatus::Running { attempt: running, lease, .. } if *running == attempt && lease.token == token)
}

pub fn finish(
    (state, run): (&State, &Run),
    finished: &Finished<'_>,
    offer: Option<begin::Offered<'_>>,
    ctx: &Ctx<'_>,
) -> Result<Vec<Event>, Rejection> {
    let Finished { step, attempt, token, result } = finished;
    let (plan, found) = known(run, step)?;
    if !is_open(found, *attempt, *token) {
        return stale(run, step, (*attempt, *token), result.is_ok());
    }
    let mut tale = Tale::of(state, ctx);
    match result {
        Ok(output) => {
            let output = match output {
                StepOutput::Value(outcome) => made(plan, outcome.clone()),
                other => Ok(other.clone()),
            };
            match output {
                Ok(output) => {
                    let step = (*step).to_owned();
                    tale.tell(Event::AttemptSucceeded { step: step.clone(), attempt: *attempt, output: output.into() });
                    asking::checkpoint(&mut tale, &step);
                }
                Err(fault) => {
                    let why = format!("what step {step:?} makes {fault}");
                    fail(&mut tale, step, *attempt, &Failure::new(FailureClass::Permanent, why));
                }
            }
        }
        Err(failure) => fail(&mut tale, step, *attempt, failure),
    }
    go_on(&mut tale, offer);
    Ok(tale.end())
}

/// An attempt under way has failed, of a worker or of a wait: there is another, or the step is dead.
pub fn fail(tale: &mut Tale<'_>, id: &str, attempt: u32, failure: &Failure) {
    let Some((plan, step)) = tale.run().and_then(|run| run.step(id)) else { return };
    let free = failure.class == FailureClass::RateLimited;
    let counts = (step.failed_attempts + u32::from(!free), step.lost_attempts + u32::from(free));
    let wait = retry_after_ms((tale.run_id(), id), plan, attempt, counts, failure);
    let wait = wait.filter(|_| (free || !step.once) && !hopeless(tale, id));
    let retry_at = wait.map(|ms| tale.ctx.now.plus_ms(i64::try_from(ms).unwrap_or(i64::MAX)));
    let (step, failure) = (id.to_owned(), failure.clone());
    tale.tell(Event::AttemptFailed { step: step.clone(), attempt, failure: failure.clone(), retry_at, free });
    if retry_at.is_none() {
        tale.tell(Event::StepDied { step, failure });
    }
}

/// Nothing is gained by another attempt: the run has failed already, or the list that the instance belongs to has.
fn hopeless(tale: &Tale<'_>, id: &str) -> bool {
    let Some(run) = tale.run() else { return true };
    let Some(Place { at, nth }) = run.place(id) else { return true };
    let Some(plan) = run.created.plan.steps.get(at) else { return true };
    let failed = plan.flow.part == Part::Main && needed_dead(run, Part::Main).is_some();
    failed || nth.is_some() && begin::dead_instance(run, plan).is_some()
}

pub fn expire(
    (state, run): (&State, &Run),
    step: &str,
    (attempt, token): (u32, Token),
    reason: &str,
    ctx: &Ctx<'_>,
) -> Result<Vec<Event>, Rejection> {
    let (plan, found) = known(run, step)?;
    if !is_open(found, attempt, token) {
        return Ok(vec![]);
    }
    let mut tale = Tale::of(state, ctx);
    let may_again = plan.crash != CrashPolicy::Never && found.lost_attempts < FREE_ATTEMPTS_MAX;
    let requeued = may_again && !hopeless(&tale, step);
    tale.tell(Event::LeaseExpired { step: step.to_owned(), attempt, reason: reason.to_owned(), requeued });
    if !requeued {
        let failure = Failure::new(FailureClass::Lost, format!("{reason}; it is not known whether it was done"));
        tale.tell(Event::StepDied { step: step.to_owned(), failure });
    } else if run.paused.is_none() {
        tale.tell(Event::StepQueued { step: step.to_owned(), attempt: attempt + 1 });
    }
    go_on(&mut tale, None);
    Ok(tale.end())
}

/// The wait before an attempt is over: after a failure, or because somebody wanted it later.
pub fn retry_due(
    (state, run): (&State, &Run),
    step: &str,
    attempt: u32,
    ctx: &Ctx<'_>,
) -> Result<Vec<Event>, Rejection> {
    let (_, found) = known(run, step)?;
    let mut tale = Tale::of(state, ctx);
    match &found.status {
        // Whoever resumes the run looks at what came due meanwhile.
        _ if run.paused.is_some() => return Ok(vec![]),
        StepStatus::Waiting { attempt: waiting, .. } if *waiting == attempt => {
            begin::act(&mut tale, step, &mut None);
            go_on(&mut tale, None);
        }
        StepStatus::Pending {} if found.not_before.is_some() => {
            tale.due = Some(step);
            go_on(&mut tale, None);
        }
        StepStatus::Waiting { .. } | StepStatus::Pending {} => {
            return Err(not_in(step, &found.status, "waiting", attempt));
        }
        _ => return Ok(vec![]),
    }
    Ok(tale.end())
}

/// The plan's step of an id, kept apart from the run so that more can be told.
pub fn plan_of(tale: &Tale<'_>, id: &str) -> Option<(std::sync::Arc<super::Created>, Place)> {
    let run = tale.run()?;
    Some((std::sync::Arc::clone(&run.created), run.place(id)?))
}

/// The step of the plan at a place.
pub fn planned(created: &super::Created, place: Place) -> Option<&StepPlan> {
    created.plan.steps.get(place.at)
}
