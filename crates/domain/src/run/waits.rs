//! Ends of waits: an instant, an event, another run.
//!
//! Owns: what each makes of the step that waits. Refuses to know: who tells it.
//!
//! What comes for an attempt that does not wait any more changes nothing: an errand may be older than a decision.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    End, Event, How, Outcome, Places, Rejection, Run, State, StepOutput, StepStatus, Waits, attempt::fail,
    begin::complete, decide::known, facts::value_of, go_on::go_on, places, tale::Tale,
};
use crate::{
    content::{Failure, FailureClass},
    decider::Ctx,
    ids::RunId,
    json::{Json, Object, pointer_to},
};

type Told = Result<Vec<Event>, Rejection>;

/// A sleep is over, or the deadline of an event has come.
pub fn due((state, run): (&State, &Run), (step, attempt): (&str, u32), ctx: &Ctx<'_>) -> Told {
    let (_, found) = known(run, step)?;
    let mut tale = Tale::of(state, ctx);
    match &found.status {
        StepStatus::Parked { attempt: waiting, on, .. } if *waiting == attempt => match &**on {
            Waits::Until { .. } => complete(&mut tale, step, Outcome::of(Json::Null), How::Slept {}),
            Waits::Event { event, deadline: Some(_), .. } => {
                let failure = Failure::new(FailureClass::Timeout, format!("no event {event:?} came in time"));
                fail(&mut tale, step, attempt, &failure);
            }
            _ => return Ok(vec![]),
        },
        _ => return Ok(vec![]),
    }
    go_on(&mut tale, None);
    Ok(tale.end())
}

/// An event came that a step may wait for.
pub fn event_arrived((state, run): (&State, &Run), (step, attempt): (&str, u32), event: &Json, ctx: &Ctx<'_>) -> Told {
    let (_, found) = known(run, step)?;
    let StepStatus::Parked { attempt: waiting, on, .. } = &found.status else { return Ok(vec![]) };
    if *waiting != attempt || !matches!(**on, Waits::Event { .. }) {
        return Ok(vec![]);
    }
    let field = |name: &str| (name.to_owned(), event.get(name).cloned().unwrap_or_default());
    let seen = ["type", "payload", "correlation", "id", "at"].map(field);
    let id = event.get("id").and_then(Json::as_str).unwrap_or_default().to_owned();
    let mut tale = Tale::of(state, ctx);
    complete(&mut tale, step, Outcome::of(Json::Object(Object::from_iter(seen))), How::EventArrived { id });
    go_on(&mut tale, None);
    Ok(tale.end())
}

/// A run is over, or was not begun, that a step may wait for.
pub fn child_ended(
    (state, run): (&State, &Run),
    (step, attempt): (&str, u32),
    (child, end): (Option<RunId>, &End),
    ctx: &Ctx<'_>,
) -> Told {
    let (_, found) = known(run, step)?;
    let StepStatus::Parked { attempt: waiting, on, .. } = &found.status else { return Ok(vec![]) };
    let Waits::Child { run: expected, .. } = &**on else { return Ok(vec![]) };
    if *waiting != attempt || child.is_some_and(|child| child != *expected) {
        return Ok(vec![]);
    }
    let mut tale = Tale::of(state, ctx);
    match end {
        End::Completed { outputs } => {
            let facts = [("orchestrationRunId", expected.to_string()), ("status", end.as_str().to_owned())];
            match results_of(outputs) {
                Ok((results, inside)) => {
                    let mut value = Object::from_iter(facts.map(|(name, fact)| (name.to_owned(), Json::String(fact))));
                    value.insert(RESULTS.to_owned(), Json::Object(results));
                    let outcome = Outcome::with(Json::Object(value), inside);
                    complete(&mut tale, step, outcome, How::ChildEnded { run: *expected });
                }
                Err(why) => fail(&mut tale, step, attempt, &Failure::new(FailureClass::Permanent, why)),
            }
        }
        failed => fail(&mut tale, step, attempt, &failure_of(child, failed)),
    }
    go_on(&mut tale, None);
    Ok(tale.end())
}

/// Where the results of another run are in what the step makes.
const RESULTS: &str = "results";

/// What another run gave, and what of it is kept outside of the events.
fn results_of(outputs: &BTreeMap<String, Arc<StepOutput>>) -> Result<(Object, Places), String> {
    let (mut results, mut inside) = (Object::new(), Places::new());
    for (name, output) in outputs {
        if let StepOutput::Value(Outcome { listed: Some(count), .. }) = &**output {
            return Err(format!(
                "its result {name:?} is a list of {count} elements that is too large for one event; give the workflow an \
                 output that picks what is needed"
            ));
        }
        results.insert(name.clone(), value_of(output));
        let below = format!("{}{}", pointer_to(RESULTS), pointer_to(name));
        inside.extend(places::below(&below, places::of_output(output)));
    }
    Ok((results, inside))
}

/// What the end of another run is to the step that waited for it. A run that failed may do better when it is started
/// again, if the step's policy has more attempts; one that was stopped or never begun would not.
fn failure_of(child: Option<RunId>, end: &End) -> Failure {
    match (child, end) {
        (Some(child), End::Failed { step, failure }) => {
            let message = format!("run {child} failed at step {step:?}: {}", failure.message);
            Failure { class: FailureClass::Transient, message, status_code: failure.status_code, retry_after_ms: None }
        }
        (None, End::Failed { failure, .. }) => {
            Failure::new(FailureClass::Permanent, format!("the run was not started: {}", failure.message))
        }
        (Some(child), End::Cancelled { reason }) => {
            Failure::new(FailureClass::Cancelled, format!("run {child} was cancelled: {reason}"))
        }
        _ => Failure::new(FailureClass::Cancelled, "the run was cancelled"),
    }
}
