//! The decisions of a run: which step goes, which attempt counts, when it is over. What is remembered is in `memory`,
//! what is owed in `owed`.

use std::sync::Arc;

use super::{
    Command, CrashPolicy, Created, End, Event, Lease, Rejection, Run, State, Step, StepOutput, StepPlan, StepStatus,
    Token, memory, owed,
    retry::{FREE_ATTEMPTS_MAX, retry_after_ms},
};
use crate::{
    content::{Failure, FailureClass},
    decider::{Ctx, Decider, Delta, Story},
    ids::{RunId, StreamId, StreamKind, derive},
    time::Timestamp,
};

/// The run stream.
pub struct RunDecider;

type Telling = Story<RunDecider>;

/// What is sent to the other side so that it can see a repetition: stable over attempts.
#[must_use]
pub fn idempotency_key(run: RunId, step: &str) -> String {
    derive("effect", &[run.uuid().as_bytes(), step.as_bytes()]).to_string()
}

impl Decider for RunDecider {
    const KIND: StreamKind = StreamKind::Run;
    const STATE_REVISION: u32 = 1;
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(state: &State, command: &Command, ctx: &Ctx<'_>) -> Result<Vec<Event>, Rejection> {
        match (state, command) {
            (State::Unborn, Command::Create(created)) => create(created, ctx),
            (State::Unborn, _) => Err(Rejection::Unknown),
            (_, Command::Create(_)) => Ok(vec![]),
            (State::Over(run, _), Command::Finish { step, attempt, token, result, .. }) => {
                stale(run, step, *attempt, *token, result.is_ok())
            }
            (State::Over(_, _), Command::Cancel { .. } | Command::Expire { .. }) => Ok(vec![]),
            (State::Over(_, end), _) => Err(Rejection::Over { end: end.as_str().to_owned() }),
            (State::Open(run), Command::Grant { step, attempt, lease }) => grant(run, step, *attempt, lease),
            (State::Open(_), Command::Finish { .. }) => finish(state, command, ctx),
            (State::Open(_), Command::Expire { .. }) => expire(state, command, ctx),
            (State::Open(_), Command::RetryDue { step, attempt }) => retry_due(state, step, *attempt, ctx),
            (State::Open(_), Command::Cancel { reason }) => Ok(cancel(state, reason, ctx)),
        }
    }

    fn evolve(state: &mut State, event: &Event, at: Timestamp) {
        if let Event::Created(created) = event {
            *state = State::Open(memory::born(created, at));
            return;
        }
        let end = match event {
            Event::Completed {} => state.run().map(|run| End::Completed { outputs: run.outputs() }),
            Event::Failed { step, failure } => Some(End::Failed { step: step.clone(), failure: failure.clone() }),
            Event::Cancelled { reason } => Some(End::Cancelled { reason: reason.clone() }),
            _ => None,
        };
        match (std::mem::take(state), end) {
            (State::Open(run), Some(end)) => *state = State::Over(run, end),
            (State::Open(mut run), None) => {
                memory::remember(&mut run, event, at);
                *state = State::Open(run);
            }
            (other, _) => *state = other,
        }
    }

    fn obligations(stream: StreamId, before: &State, event: &Event, at: Timestamp) -> Delta {
        owed::by(stream, before, event, at)
    }

    fn ended(state: &State) -> bool {
        matches!(state, State::Over(..))
    }
}

impl End {
    /// The word in tables.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Completed { .. } => "completed",
            Self::Failed { .. } => "failed",
            Self::Cancelled { .. } => "cancelled",
        }
    }
}

fn create(created: &Created, ctx: &Ctx<'_>) -> Result<Vec<Event>, Rejection> {
    sound(created)?;
    let mut story = Telling::from(&State::Unborn, ctx.now);
    story.tell(Event::Created(Box::new(created.clone())));
    go_on(&mut story, None);
    Ok(story.end())
}

/// A plan is sound when each step depends only on steps before it, so that it can be carried out in order.
fn sound(created: &Created) -> Result<(), Rejection> {
    let plan = &created.plan;
    if plan.steps.is_empty() || plan.max_parallel == 0 {
        return Err(Rejection::Unsound { why: "it has no steps, or no step may go".to_owned() });
    }
    for (at, step) in plan.steps.iter().enumerate() {
        let before = &plan.steps[..at];
        if before.iter().any(|other| other.id == step.id) {
            return Err(Rejection::Unsound { why: format!("two steps are called {:?}", step.id) });
        }
        if let Some(unknown) = step.depends_on.iter().find(|id| !before.iter().any(|other| &other.id == *id)) {
            let why = format!("step {:?} depends on {unknown:?}, which is not a step before it", step.id);
            return Err(Rejection::Unsound { why });
        }
    }
    Ok(())
}

fn grant(run: &Run, step: &str, attempt: u32, lease: &Lease) -> Result<Vec<Event>, Rejection> {
    let (_, found) = known(run, step)?;
    match &found.status {
        StepStatus::Queued { attempt: waiting, .. } if *waiting == attempt => {
            Ok(vec![Event::AttemptStarted { step: step.to_owned(), attempt, lease: lease.clone() }])
        }
        other => Err(not_in(step, other, "queued", attempt)),
    }
}

fn known<'a>(run: &'a Run, step: &str) -> Result<(&'a StepPlan, &'a Step), Rejection> {
    run.step(step).ok_or_else(|| Rejection::NoSuchStep { step: step.to_owned() })
}

fn not_in(step: &str, status: &StepStatus, wanted: &str, attempt: u32) -> Rejection {
    Rejection::StepIs { step: step.to_owned(), status: status.as_str().to_owned(), wanted: wanted.to_owned(), attempt }
}

fn stale(run: &Run, step: &str, attempt: u32, token: Token, succeeded: bool) -> Result<Vec<Event>, Rejection> {
    known(run, step)?;
    Ok(vec![Event::StaleResult { step: step.to_owned(), attempt, token, succeeded }])
}

/// Whether this attempt is the one that runs, under this token.
fn is_open(step: &Step, attempt: u32, token: Token) -> bool {
    matches!(&step.status, StepStatus::Running { attempt: running, lease, .. } if *running == attempt && lease.token == token)
}

fn finish(state: &State, command: &Command, ctx: &Ctx<'_>) -> Result<Vec<Event>, Rejection> {
    let (State::Open(run), Command::Finish { step, attempt, token, result, offer }) = (state, command) else {
        return Err(Rejection::Unknown);
    };
    let (plan, found) = known(run, step)?;
    if !is_open(found, *attempt, *token) {
        return stale(run, step, *attempt, *token, result.is_ok());
    }
    let mut story = Telling::from(state, ctx.now);
    match result {
        Ok(output) => succeed(&mut story, step, *attempt, output),
        Err(failure) => fail(&mut story, ctx, (plan, found), *attempt, failure),
    }
    go_on(&mut story, offer.as_ref());
    Ok(story.end())
}

fn succeed(story: &mut Telling, step: &str, attempt: u32, output: &StepOutput) {
    let output = Arc::new(output.clone());
    story.tell(Event::AttemptSucceeded { step: step.to_owned(), attempt, output });
}

fn fail(story: &mut Telling, ctx: &Ctx<'_>, (plan, step): (&StepPlan, &Step), attempt: u32, failure: &Failure) {
    let run = RunId::from_uuid(ctx.stream.id);
    let free = failure.class == FailureClass::RateLimited;
    let counts = (step.failed_attempts + u32::from(!free), step.lost_attempts + u32::from(free));
    let wait = retry_after_ms(run, plan, attempt, counts, failure).filter(|_| needed_dead(&story.state).is_none());
    let retry_at = wait.map(|ms| ctx.now.plus_ms(i64::try_from(ms).unwrap_or(i64::MAX)));
    let failure = failure.clone();
    story.tell(Event::AttemptFailed { step: plan.id.clone(), attempt, failure: failure.clone(), retry_at, free });
    if retry_at.is_none() {
        story.tell(Event::StepDied { step: plan.id.clone(), failure });
    }
}

fn expire(state: &State, command: &Command, ctx: &Ctx<'_>) -> Result<Vec<Event>, Rejection> {
    let (State::Open(run), Command::Expire { step, attempt, token, reason }) = (state, command) else {
        return Err(Rejection::Unknown);
    };
    let (plan, found) = known(run, step)?;
    if !is_open(found, *attempt, *token) {
        return Ok(vec![]);
    }
    let may_again = plan.crash != CrashPolicy::Never && found.lost_attempts < FREE_ATTEMPTS_MAX;
    let requeued = may_again && needed_dead(state).is_none();
    let mut story = Telling::from(state, ctx.now);
    story.tell(Event::LeaseExpired { step: step.to_owned(), attempt: *attempt, reason: reason.to_owned(), requeued });
    if requeued {
        story.tell(Event::StepQueued { step: step.to_owned(), attempt: attempt + 1 });
    } else {
        let failure = Failure::new(FailureClass::Lost, format!("{reason}; it is not known whether it was done"));
        story.tell(Event::StepDied { step: step.to_owned(), failure });
    }
    go_on(&mut story, None);
    Ok(story.end())
}

fn retry_due(state: &State, step: &str, attempt: u32, ctx: &Ctx<'_>) -> Result<Vec<Event>, Rejection> {
    let State::Open(run) = state else {
        return Err(Rejection::Unknown);
    };
    let (_, found) = known(run, step)?;
    match &found.status {
        StepStatus::Waiting { attempt: waiting, .. } if *waiting == attempt => {
            let mut story = Telling::from(state, ctx.now);
            story.tell(Event::StepQueued { step: step.to_owned(), attempt });
            Ok(story.end())
        }
        StepStatus::Waiting { .. } | StepStatus::Pending {} => Err(not_in(step, &found.status, "waiting", attempt)),
        _ => Ok(vec![]),
    }
}

fn cancel(state: &State, reason: &str, ctx: &Ctx<'_>) -> Vec<Event> {
    let mut story = Telling::from(state, ctx.now);
    skip_the_rest(&mut story, "the run was cancelled");
    story.tell(Event::Cancelled { reason: reason.to_owned() });
    story.end()
}

/// Steps that hold no result yet will not be done.
fn skip_the_rest(story: &mut Telling, reason: &str) {
    let State::Open(run) = &story.state else { return };
    let pairs = run.created.plan.steps.iter().zip(&run.steps);
    let left: Vec<String> = pairs
        .filter(|(_, step)| step.status.holds_a_place() || matches!(step.status, StepStatus::Pending {}))
        .map(|(plan, _)| plan.id.clone())
        .collect();
    for step in left {
        story.tell(Event::StepSkipped { step, reason: reason.to_owned() });
    }
}

/// Queues what became ready, gives the offered place to the first of it, and ends the run when nothing is left.
fn go_on(story: &mut Telling, offer: Option<&Lease>) {
    if let Some((step, failure)) = needed_dead(&story.state) {
        end_failed(story, step, failure);
        return;
    }
    let mut offer = offer;
    while let Some((step, attempt)) = next_ready(story) {
        story.tell(Event::StepQueued { step: step.clone(), attempt });
        if let Some(lease) = offer.take() {
            story.tell(Event::AttemptStarted { step, attempt, lease: lease.clone() });
        }
    }
    let State::Open(run) = &story.state else { return };
    let settled = |step: &Step| {
        matches!(step.status, StepStatus::Completed { .. } | StepStatus::Skipped { .. } | StepStatus::Dead { .. })
    };
    if run.steps.iter().all(settled) {
        story.tell(Event::Completed {});
    }
}

/// The first step that is dead though the run cannot do without it: the run has failed, or will once nothing runs.
fn needed_dead(state: &State) -> Option<(String, Failure)> {
    let State::Open(run) = state else { return None };
    run.created.plan.steps.iter().zip(&run.steps).find_map(|(plan, step)| match &step.status {
        StepStatus::Dead { failure } if !plan.optional => Some((plan.id.clone(), failure.clone())),
        _ => None,
    })
}

/// A needed step is dead: what has not begun will not, what runs is awaited, then the run has failed.
fn end_failed(story: &mut Telling, step: String, failure: Failure) {
    let State::Open(run) = &story.state else { return };
    let pairs = run.created.plan.steps.iter().zip(&run.steps);
    let idle: Vec<String> = pairs
        .filter(|(_, step)| {
            matches!(step.status, StepStatus::Pending {} | StepStatus::Queued { .. } | StepStatus::Waiting { .. })
        })
        .map(|(plan, _)| plan.id.clone())
        .collect();
    for idle in idle {
        story.tell(Event::StepSkipped { step: idle, reason: format!("step {step:?} is dead") });
    }
    let State::Open(run) = &story.state else { return };
    if !run.steps.iter().any(|step| matches!(step.status, StepStatus::Running { .. })) {
        story.tell(Event::Failed { step, failure });
    }
}

/// The first step that may be queued now, within the run's own limit.
fn next_ready(story: &Telling) -> Option<(String, u32)> {
    let State::Open(run) = &story.state else { return None };
    let held = run.steps.iter().filter(|step| step.status.holds_a_place()).count();
    if held >= usize::from(run.created.plan.max_parallel) {
        return None;
    }
    let pairs = run.created.plan.steps.iter().zip(&run.steps);
    let ready = |id: &String| match run.step(id) {
        Some((_, Step { status: StepStatus::Completed { .. } | StepStatus::Skipped { .. }, .. })) => true,
        Some((plan, Step { status: StepStatus::Dead { .. }, .. })) => plan.optional,
        _ => false,
    };
    pairs
        .filter(|(_, step)| matches!(step.status, StepStatus::Pending {}))
        .find(|(plan, _)| plan.depends_on.iter().all(ready))
        .map(|(plan, step)| (plan.id.clone(), step.failed_attempts + step.lost_attempts + 1))
}
