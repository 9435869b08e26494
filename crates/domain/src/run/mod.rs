//! The run: one execution of a plan, its steps and their attempts.
//!
//! Owns: which step may go, which attempt counts, when it is tried again, what people are asked, when the run is over.
//! Refuses to know: how a step is done, who holds a slot of the queue, what the outcome means to whoever asked.
//!
//! Invariant: a result is applied only under the token of the attempt that is open.
//! Invariant: a run that is over has no step queued or running.
//! Invariant: numbers of attempts, rounds of questions and keys of what is told never come again, so that no errand of a
//! former course of the run is taken for one of this course. A key of work may: the attempt it names is the same.

mod approval;
mod asking;
mod attempt;
mod begin;
mod command;
mod condition;
mod decide;
mod ending;
mod event;
mod facts;
mod flow;
mod gates;
mod go_on;
mod memory;
mod migrate;
mod owed;
mod passing;
mod places;
mod plan;
mod recover;
mod render;
mod report;
mod resend;
mod retry;
mod round;
mod secret;
mod state;
mod subject;
mod tale;
#[cfg(test)]
mod tests;
mod waits;

pub use approval::{Answer, Approval, ApprovalId};
pub use begin::FAN_MAX;
pub use command::{Asked, Command, Created, DeadVerb, Lease, Rejection, Token};
pub use decide::{RunDecider, idempotency_key, idempotency_key_of};
pub use event::{End, Event, How, Waits};
pub use facts::value_of;
pub use flow::{ApprovalAction, ApprovalOption, CachePolicy, Checkpoint, Flow, OnTimeout, Part, Rollback};
pub use gates::{DEFAULT_QUEUE, Gates, gates};
pub use migrate::{Differs, Migrated, Migration, StepDiffers};
pub use passing::{Passed, passed_over};
pub use places::Places;
pub use plan::{
    Action, CacheHit, CrashPolicy, GatherSource, Jitter, Kept, Outcome, Plan, RetryPolicy, Shape, StepOutput, StepPlan,
};
pub use render::{action_of, kept_needed, mapped};
pub use report::{Hook, REPORTS, Receiver, Report, Reports, again_after_ms};
pub use resend::reports_of;
pub use round::Round;
pub use secret::next_secret;
pub use state::{Advisory, Fan, GivenUp, Run, State, Step, StepStatus, instance_id, instance_of};
pub use subject::{Subject, WorkflowRef};

use crate::content::{Failure, FailureClass};

impl Failure {
    /// A failure of a class, with what happened.
    #[must_use]
    pub fn new(class: FailureClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), status_code: None, retry_after_ms: None }
    }
}
