//! What a run remembers of each event.
//!
//! Owns: the fold over the steps. Refuses to know: commands, rules, and what is owed.

use std::sync::Arc;

use super::{Created, Event, Run, Step, StepStatus};
use crate::{
    content::{Failure, FailureClass},
    time::Timestamp,
};

/// A run that has just been created.
pub fn born(created: &Created, at: Timestamp) -> Run {
    let fresh = Step { status: StepStatus::Pending {}, failed_attempts: 0, lost_attempts: 0 };
    let steps = vec![fresh; created.plan.steps.len()];
    Run { created: Arc::new(created.clone()), created_at: at, steps }
}

/// Remembers an event of a run that is open; the events that end it are the decider's.
pub fn remember(run: &mut Run, event: &Event, at: Timestamp) {
    let (step, status) = match event {
        Event::StepQueued { step, attempt } => (step, StepStatus::Queued { attempt: *attempt, since: at }),
        Event::AttemptStarted { step, attempt, lease } => {
            (step, StepStatus::Running { attempt: *attempt, lease: lease.clone(), since: at })
        }
        Event::AttemptSucceeded { step, output, .. } => (step, StepStatus::Completed { output: Arc::clone(output) }),
        Event::AttemptFailed { step, attempt, failure, retry_at, free } => {
            if let Some(step) = run.step_mut(step) {
                step.failed_attempts += u32::from(!free);
                step.lost_attempts += u32::from(*free);
            }
            let status = match retry_at {
                Some(retry_at) => StepStatus::Waiting { attempt: attempt + 1, retry_at: *retry_at },
                None => StepStatus::Dead { failure: failure.clone() },
            };
            (step, status)
        }
        Event::LeaseExpired { step, requeued, reason, .. } => {
            if let Some(step) = run.step_mut(step) {
                step.lost_attempts += 1;
            }
            let dead = StepStatus::Dead { failure: Failure::new(FailureClass::Lost, reason.clone()) };
            (step, if *requeued { StepStatus::Pending {} } else { dead })
        }
        Event::StepDied { step, failure } => (step, StepStatus::Dead { failure: failure.clone() }),
        Event::StepSkipped { step, reason } => (step, StepStatus::Skipped { reason: reason.clone() }),
        _ => return,
    };
    if let Some(step) = run.step_mut(step) {
        step.status = status;
    }
}
