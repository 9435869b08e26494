//! The decisions of a run: which command is whose to answer, and how a run begins. What is remembered is in `memory`,
//! what is owed in `owed`.

use super::{
    Command, Created, End, Event, Lease, Part, Plan, Rejection, Run, State, Step, StepPlan, StepStatus, asking,
    attempt::{self, Finished},
    begin::Offered,
    ending, go_on, memory, migrate, owed, recover, resend,
    tale::Tale,
    waits,
};
use crate::{
    decider::{Ctx, Decider, Delta},
    ids::{RunId, StreamId, StreamKind, derive},
    time::Timestamp,
};

/// The run stream.
pub struct RunDecider;

/// The most bytes of a step's name: it ends in keys of tables and obligations. As many as its 100 characters in a
/// document may have.
const STEP_BYTES_MAX: usize = 400;

/// What is sent to the other side so that it can see a repetition: stable over attempts. For the first round of a step;
/// [`Run::idempotency_key`] knows the round.
#[must_use]
pub fn idempotency_key(run: RunId, step: &str) -> String {
    idempotency_key_of(run, step, 0)
}

/// The key of a round of a step.
///
/// A round is one thing that the other side is asked to do. Attempts of one round have one key, also when the step died
/// and somebody retries it: what was done already is not done again. The next round begins when a step is done again that
/// had done it (by a new run of it, by an answer that wants it once more), or when its input is changed, by people or
/// because a step before it is done anew: the other side is asked for something else, and would refuse it or answer with
/// the old result under the old key.
#[must_use]
pub fn idempotency_key_of(run: RunId, step: &str, round: u32) -> String {
    let run = run.uuid();
    let id = match round {
        0 => derive("effect", &[run.as_bytes(), step.as_bytes()]),
        round => derive("effect", &[run.as_bytes(), step.as_bytes(), &round.to_be_bytes()]),
    };
    id.to_string()
}

impl Decider for RunDecider {
    const KIND: StreamKind = StreamKind::Run;
    const STATE_REVISION: u32 = 4;
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(state: &State, command: &Command, ctx: &Ctx<'_>) -> Result<Vec<Event>, Rejection> {
        match (state, command) {
            (State::Unborn | State::Barred { .. }, Command::Create(created)) => create(state, created, None, ctx),
            (State::Unborn | State::Barred { .. }, Command::Begin { created, offer, tokens_free, at_once }) => {
                let offer = Offered { lease: offer, tokens_free: *tokens_free, at_once: *at_once };
                create(state, created, Some(offer), ctx)
            }
            (State::Unborn, Command::Stop { reason }) => Ok(vec![Event::Cancelled { reason: reason.clone() }]),
            (State::Barred { .. }, Command::Stop { .. }) => Ok(vec![]),
            (State::Unborn | State::Barred { .. }, _) => Err(Rejection::Unknown),
            (_, Command::Create(_) | Command::Begin { .. }) => Ok(vec![]),
            (State::Open(run) | State::Over(run, _), Command::EndReport { .. }) => Ok(end_report(run, command)),
            (State::Open(run) | State::Over(run, _), Command::ResendReports { reports, by }) => {
                resend::resend(run, reports, by)
            }
            (_, Command::Answer(answer)) => asking::answer(state, answer, ctx),
            (
                _,
                Command::RetryStep { .. }
                | Command::SkipStep { .. }
                | Command::Rerun { .. }
                | Command::DeadLetter { .. },
            ) => recover::decide(state, command, ctx),
            (State::Over(run, end), _) => over(run, end, command),
            (State::Open(run), _) => open(state, run, command, ctx),
        }
    }

    fn evolve(state: &mut State, event: &Event, at: Timestamp) {
        memory::evolve(state, event, at);
    }

    fn obligations(stream: StreamId, before: &State, event: &Event, at: Timestamp) -> Delta {
        owed::by(stream, before, event, at)
    }

    fn ended(state: &State) -> bool {
        matches!(state, State::Over(..) | State::Barred { .. })
    }
}

/// A message has an end, whatever the run is at meanwhile.
fn end_report(run: &Run, command: &Command) -> Vec<Event> {
    let Command::EndReport { version, part, event, attempts, failure } = command else { return vec![] };
    if !run.owing.contains(&(*version, *part)) {
        return vec![];
    }
    let (version, part, event, attempts) = (*version, *part, event.clone(), *attempts);
    vec![match failure {
        None => Event::Reported { version, part, event, attempts },
        Some(failure) => Event::ReportGivenUp { version, part, event, attempts, failure: failure.clone() },
    }]
}

/// A run that is over hears of what was under way when it ended, and has nothing to say to it.
fn over(run: &Run, end: &End, command: &Command) -> Result<Vec<Event>, Rejection> {
    match command {
        Command::Finish { step, attempt, token, result, .. } => {
            attempt::stale(run, step, (*attempt, *token), result.is_ok())
        }
        Command::Cancel { .. } if matches!(end, End::Cancelled { .. }) => Ok(vec![]),
        Command::Stop { .. } | Command::Expire { .. } => Ok(vec![]),
        Command::StepDue { .. } | Command::AnswerDue { .. } => Ok(vec![]),
        Command::EventArrived { .. } | Command::ChildEnded { .. } => Ok(vec![]),
        _ => Err(Rejection::Over { end: end.as_str().to_owned() }),
    }
}

fn open(state: &State, run: &Run, command: &Command, ctx: &Ctx<'_>) -> Result<Vec<Event>, Rejection> {
    match command {
        Command::Grant { step, attempt, lease, buckets } => grant(run, step, (*attempt, lease), buckets),
        Command::Finish { step, attempt, token, result, offer, tokens_free, at_once } => {
            let finished = Finished { step, attempt: *attempt, token: *token, result };
            let offer = offer.as_ref().map(|lease| Offered { lease, tokens_free: *tokens_free, at_once: *at_once });
            attempt::finish((state, run), &finished, offer, ctx)
        }
        Command::Expire { step, attempt, token, reason } => {
            attempt::expire((state, run), step, (*attempt, *token), reason, ctx)
        }
        Command::RetryDue { step, attempt } => attempt::retry_due((state, run), step, *attempt, ctx),
        Command::StepDue { step, attempt } => waits::due((state, run), (step, *attempt), ctx),
        Command::AnswerDue { step, approval } => asking::due((state, run), step, *approval, ctx),
        Command::EventArrived { step, attempt, event } => {
            waits::event_arrived((state, run), (step, *attempt), event, ctx)
        }
        Command::ChildEnded { step, attempt, run: child, end } => {
            waits::child_ended((state, run), (step, *attempt), (*child, end), ctx)
        }
        Command::Cancel { reason } | Command::Stop { reason } => Ok(ending::cancel(state, reason, ctx)),
        Command::Pause { by } => Ok(recover::pause(run, by)),
        Command::Resume { by } => Ok(recover::resume(state, run, by, ctx)),
        Command::Migrate(to) => migrate::decide(state, run, to, ctx),
        _ => Err(Rejection::Unknown),
    }
}

/// Begins, or records that it was stopped before.
fn create(
    state: &State,
    created: &Created,
    offer: Option<Offered<'_>>,
    ctx: &Ctx<'_>,
) -> Result<Vec<Event>, Rejection> {
    sound(&created.plan)?;
    let mut created = created.clone();
    if created.subject.workflow().is_some() {
        created.id = Some(RunId::from_uuid(ctx.stream.id));
        created.reports = created.reports.or(&created.plan.reports).or(ctx.reports);
    }
    let mut tale = Tale::of(state, ctx);
    tale.tell(Event::Created(Box::new(created)));
    match state {
        State::Barred { reason } => ending::stop(&mut tale, ending::CANCELLED, reason.clone()),
        _ => go_on::go_on(&mut tale, offer),
    }
    Ok(tale.end())
}

/// A plan is sound when each step depends only on steps before it, so that it can be carried out in order, and waits for
/// nothing that goes later or only sometimes.
pub fn sound(plan: &Plan) -> Result<(), Rejection> {
    let unsound = |why: String| Err(Rejection::Unsound { why });
    if plan.steps.is_empty() || plan.max_parallel == 0 {
        return unsound("it has no steps, or no step may go".to_owned());
    }
    for (at, step) in plan.steps.iter().enumerate() {
        let before = &plan.steps[..at];
        if before.iter().any(|other| other.id == step.id) {
            return unsound(format!("two steps are called {:?}", step.id));
        }
        if step.id.len() > STEP_BYTES_MAX {
            return unsound(format!("step {at} has a name of more than {STEP_BYTES_MAX} bytes"));
        }
        if step.id.contains(['[', ']']) {
            return unsound(format!("step {:?} has a bracket in its name, which names an element of a list", step.id));
        }
        for id in &step.depends_on {
            let Some(other) = before.iter().find(|other| &other.id == id) else {
                return unsound(format!("step {:?} depends on {id:?}, which is not a step before it", step.id));
            };
            if other.flow.part != step.flow.part && other.flow.part != Part::Main {
                return unsound(format!("step {:?} depends on {id:?}, which goes in another part", step.id));
            }
        }
    }
    Ok(())
}

fn grant(run: &Run, step: &str, (attempt, lease): (u32, &Lease), buckets: &[String]) -> Result<Vec<Event>, Rejection> {
    let (_, found) = known(run, step)?;
    match &found.status {
        StepStatus::Queued { attempt: waiting, .. } if *waiting == attempt => {
            let (step, lease, buckets) = (step.to_owned(), lease.clone(), buckets.to_vec());
            Ok(vec![Event::AttemptStarted { step, attempt, lease, buckets }])
        }
        other => Err(not_in(step, other, "queued", attempt)),
    }
}

pub fn known<'a>(run: &'a Run, step: &str) -> Result<(&'a StepPlan, &'a Step), Rejection> {
    run.step(step).ok_or_else(|| Rejection::NoSuchStep { step: step.to_owned() })
}

pub fn not_in(step: &str, status: &StepStatus, wanted: &str, attempt: u32) -> Rejection {
    Rejection::StepIs { step: step.to_owned(), status: status.as_str().to_owned(), wanted: wanted.to_owned(), attempt }
}
