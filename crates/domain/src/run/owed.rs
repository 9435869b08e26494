//! What a run owes the world because of each event.
//!
//! Owns: which steps wait for a lease, which attempts are seen through, which retries wake the run, who is told the end.
//! Refuses to know: commands, and whether an event was legal.

use super::{Command, End, Event, Run, State, StepStatus};
use crate::{
    decider::{Delta, Duty, Obligation},
    deliverable,
    ids::{RunId, StreamId},
    streams::AnyCommand,
    time::Timestamp,
};

/// What `event`, happening to `before` in `stream`, opens and closes.
pub fn by(stream: StreamId, before: &State, event: &Event, at: Timestamp) -> Delta {
    let Some(run) = before.run() else { return Delta::none() };
    let priority = run.created.priority;
    let owe = |key: String, due_at: Timestamp, duty: Duty| Obligation { key, due_at, priority, duty };
    match event {
        Event::Created(_) | Event::StaleResult { .. } | Event::StepDied { .. } => Delta::none(),
        Event::StepQueued { step, attempt } => close_waiting(run, step).open(owe(
            job_key(step, *attempt),
            at,
            Duty::Lease { step: step.clone(), attempt: *attempt },
        )),
        Event::AttemptStarted { step, attempt, lease } => Delta::none().close(job_key(step, *attempt)).open(owe(
            attempt_key(step, *attempt),
            lease.until,
            Duty::Attempt { step: step.clone(), attempt: *attempt, token: lease.token },
        )),
        Event::AttemptSucceeded { step, attempt, .. } | Event::LeaseExpired { step, attempt, .. } => {
            Delta::none().close(attempt_key(step, *attempt))
        }
        Event::AttemptFailed { step, attempt, retry_at, .. } => {
            let delta = Delta::none().close(attempt_key(step, *attempt));
            match retry_at {
                Some(due) => delta.open(wake_again(stream, run, (step, attempt + 1), *due)),
                None => delta,
            }
        }
        Event::StepSkipped { step, .. } => close_waiting(run, step),
        Event::Completed {} => tell_asker(stream, run, End::Completed { outputs: run.outputs() }, at),
        Event::Failed { step, failure } => {
            tell_asker(stream, run, End::Failed { step: step.clone(), failure: failure.clone() }, at)
        }
        Event::Cancelled { reason } => {
            let mut delta = tell_asker(stream, run, End::Cancelled { reason: reason.clone() }, at);
            run.created.plan.steps.iter().for_each(|plan| delta.absorb(close_waiting(run, &plan.id)));
            delta
        }
    }
}

/// The run is told when the next attempt of a step may go.
fn wake_again(stream: StreamId, run: &Run, (step, attempt): (&str, u32), due_at: Timestamp) -> Obligation {
    let again = Command::RetryDue { step: step.to_owned(), attempt };
    let duty = Duty::Wake { to: stream, command: Box::new(AnyCommand::Run(again)) };
    Obligation { key: retry_key(step, attempt), due_at, priority: run.created.priority, duty }
}

fn job_key(step: &str, attempt: u32) -> String {
    format!("job:{step}:{attempt}")
}

fn attempt_key(step: &str, attempt: u32) -> String {
    format!("attempt:{step}:{attempt}")
}

fn retry_key(step: &str, attempt: u32) -> String {
    format!("retry:{step}:{attempt}")
}

/// Closes whatever keeps a step that is not complete alive.
fn close_waiting(run: &Run, step: &str) -> Delta {
    match run.step(step).map(|(_, step)| &step.status) {
        Some(StepStatus::Queued { attempt, .. }) => Delta::none().close(job_key(step, *attempt)),
        Some(StepStatus::Running { attempt, .. }) => Delta::none().close(attempt_key(step, *attempt)),
        Some(StepStatus::Waiting { attempt, .. }) => Delta::none().close(retry_key(step, *attempt)),
        _ => Delta::none(),
    }
}

fn tell_asker(stream: StreamId, run: &Run, end: End, at: Timestamp) -> Delta {
    let Some(to) = run.created.reply_to else {
        return Delta::none();
    };
    let ended = deliverable::Command::RunEnded { run: RunId::from_uuid(stream.id), end };
    Delta::none().open(Obligation {
        key: "ended".to_owned(),
        due_at: at,
        priority: run.created.priority,
        duty: Duty::Tell { to, command: Box::new(ended.into()) },
    })
}
