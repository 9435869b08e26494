//! What a run tells the outside while it goes on: messages to the webhooks that its first fact names.
//!
//! Owns: which event is which message, what a message says, and how long it is tried.
//! Refuses to know: addresses, signatures, how a message is sent. A run that names no webhook pays nothing for this.
//!
//! Each message is an obligation of the run, opened in the commit of the event that it tells of and closed when somebody took
//! it ([`Event::Reported`]) or it was given up ([`Event::ReportGivenUp`]). The messages of a run are sent one after another.
//!
//! Invariant: a message says the version of the run's stream that it tells of and its part of it, so that whoever gets it
//! twice or out of order can tell.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Answer, Approval, Created, Event, GivenUp, How, Run, State, StepStatus, memory};
use crate::{
    content::{Failure, FailureClass},
    ids::{RunId, StreamId, derive},
    json::{Json, Object},
    time::Timestamp,
};

/// Names of all messages.
pub const REPORTS: [&str; 10] = [
    "orchestration.run.created",
    UPDATED,
    "orchestration.run.completed",
    "orchestration.run.failed",
    "orchestration.step.queued",
    "orchestration.step.running",
    "orchestration.step.completed",
    "orchestration.step.failed",
    "orchestration.checkpoint.requested",
    "orchestration.checkpoint.resolved",
];

/// A message is given up after so long, in milliseconds.
const TRIED_MS: i64 = 24 * 3_600 * 1_000;
/// A failure that will not go away by itself is tried so often: whoever listens may be in the middle of a change.
const PERMANENT_ATTEMPTS: u32 = 3;
/// The longest wait between two attempts, in milliseconds.
const WAIT_MS_MAX: u64 = 300_000;

/// The two webhooks of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hook {
    /// How far the run and its steps are.
    Progress,
    /// Questions to people, and their answers.
    Checkpoint,
}

impl Hook {
    /// The word in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Progress => "progress",
            Self::Checkpoint => "checkpoint",
        }
    }
}

/// Where messages go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Receiver {
    /// The address that is configured when a message is sent.
    Configured {},
    /// An address of the document.
    Address {
        /// `http` or `https`.
        url: String,
        /// Name of the configured secret that signs; none: messages are not signed.
        secret: Option<String>,
    },
}

/// Which messages a run owes, and to whom.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reports {
    /// Who hears how far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Receiver>,
    /// Who hears of questions to people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Receiver>,
    /// Names of the messages that are sent; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
}

impl Reports {
    /// Nobody hears anything.
    pub const NONE: &'static Self = &Self { progress: None, checkpoint: None, events: Vec::new() };

    /// Whether nobody hears anything.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.progress.is_none() && self.checkpoint.is_none()
    }

    /// These, and what is not said here as `others` say it.
    #[must_use]
    pub fn or(&self, others: &Self) -> Self {
        let events = if self.is_none() { &others.events } else { &self.events };
        Self {
            progress: self.progress.clone().or_else(|| others.progress.clone()),
            checkpoint: self.checkpoint.clone().or_else(|| others.checkpoint.clone()),
            events: events.clone(),
        }
    }

    fn to(&self, hook: Hook) -> Option<&Receiver> {
        match hook {
            Hook::Progress => self.progress.as_ref(),
            Hook::Checkpoint => self.checkpoint.as_ref(),
        }
    }

    fn wants(&self, event: &str) -> bool {
        self.events.is_empty() || self.events.iter().any(|wanted| wanted == event)
    }
}

/// One message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Its name: `orchestration.step.completed`.
    pub event: String,
    /// Which webhook.
    pub hook: Hook,
    /// Where it goes.
    pub to: Receiver,
    /// Which event of the run's stream it tells of.
    pub version: u64,
    /// Which of the messages about that event it is, from 0.
    pub part: u32,
    /// What is sent.
    pub body: Json,
}

impl Report {
    /// The key of its obligation. Those of a run sort in their order.
    #[must_use]
    pub fn key(&self) -> String {
        key(self.version, self.part)
    }

    /// Its identity, the same each time it is sent.
    #[must_use]
    pub fn id(&self, run: RunId) -> String {
        let run = run.uuid();
        let parts: [&[u8]; 3] = [run.as_bytes(), &self.version.to_be_bytes(), &self.part.to_be_bytes()];
        derive("report", &parts).to_string()
    }
}

/// The key of the obligation of a message.
pub(super) fn key(version: u64, part: u32) -> String {
    format!("report:{version:012}:{part:02}")
}

/// How long to wait, in milliseconds, before a message is sent again that failed at its `attempt`, from 1; none: it is
/// given up. `age_ms`: since the event it tells of.
#[must_use]
pub fn again_after_ms(failure: &Failure, attempt: u32, age_ms: i64) -> Option<u64> {
    let hopeless = failure.class == FailureClass::Permanent && attempt >= PERMANENT_ATTEMPTS;
    if hopeless || age_ms >= TRIED_MS {
        return None;
    }
    let doubled = 1_000_u64.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(WAIT_MS_MAX);
    Some(failure.retry_after_ms.unwrap_or(0).clamp(doubled, TRIED_MS.unsigned_abs()))
}

/// Whether a run that `event` happens to owes any messages.
pub(super) fn is_told(state: &State, event: &Event) -> bool {
    match event {
        Event::Created(created) => !created.reports.is_none(),
        _ => state.run().is_some_and(|run| !run.created.reports.is_none()),
    }
}

/// The messages about `event`, which happens to `before`.
pub(super) fn about(stream: StreamId, before: &State, event: &Event, at: Timestamp) -> Vec<Report> {
    if !is_told(before, event) {
        return vec![];
    }
    let mut after = before.clone();
    memory::evolve(&mut after, event, at);
    let Some(run) = after.run() else { return vec![] };
    let teller = Teller { was: before.run(), run };
    let report = |((hook, name, payload), part): (Said, u32)| {
        let head = Head { stream, at, hook, name, part };
        let to = run.created.reports.to(hook)?.clone();
        let body = teller.body(&head, snapshot(stream, &after, run), payload);
        Some(Report { event: name.to_owned(), hook, to, version: run.events, part, body })
    };
    teller.owed(event).filter_map(report).collect()
}

/// Remembers which messages are owed after `event` changed `before` to `after`.
pub(super) fn remember(before: &State, after: &mut State, event: &Event, at: Timestamp) {
    let (State::Open(run) | State::Over(run, _)) = after else { return };
    match event {
        Event::Reported { version, part, .. } => {
            run.owing.remove(&(*version, *part));
            return;
        }
        Event::ReportGivenUp { version, part, event, attempts, failure } => {
            let (version, part, event, attempts) = (*version, *part, event.clone(), *attempts);
            run.owing.remove(&(version, part));
            run.given_up.push(GivenUp { version, part, event, attempts, failure: failure.clone(), at });
            return;
        }
        Event::ReportResent { report, .. } => {
            let Report { version, part, .. } = **report;
            run.given_up.retain(|it| (it.version, it.part) != (version, part));
            run.owing.insert((version, part));
            run.resent.insert((version, part, run.events));
            return;
        }
        _ => {}
    }
    let parts: Vec<u32> = Teller { was: before.run(), run }.owed(event).map(|(_, part)| part).collect();
    let version = run.events;
    run.owing.extend(parts.into_iter().map(|part| (version, part)));
}

type Said = (Hook, &'static str, Json);

const UPDATED: &str = "orchestration.run.updated";

fn progress(name: &'static str, payload: Json) -> Said {
    (Hook::Progress, name, payload)
}

fn updated(reason: &str, mut payload: Json) -> Said {
    payload["reason"] = Json::from(reason);
    progress(UPDATED, payload)
}

fn failed(failure: &Failure) -> Json {
    json!({"class": failure.class, "message": failure.message})
}

/// What stands over a message.
struct Head<'a> {
    stream: StreamId,
    at: Timestamp,
    hook: Hook,
    name: &'a str,
    part: u32,
}

/// A run before and after an event: what messages are made of.
struct Teller<'a> {
    was: Option<&'a Run>,
    run: &'a Run,
}

impl Teller<'_> {
    /// The messages that somebody wants, each with its part.
    fn owed(&self, event: &Event) -> impl Iterator<Item = (Said, u32)> {
        let reports = &self.run.created.reports;
        let parts = self.meaning(event).into_iter().zip(0_u32..);
        parts.filter(move |((hook, name, _), _)| reports.to(*hook).is_some() && reports.wants(name))
    }

    fn meaning(&self, event: &Event) -> Vec<Said> {
        match event {
            Event::Created(_) => vec![progress("orchestration.run.created", json!({}))],
            Event::StepQueued { step, attempt } => {
                vec![progress("orchestration.step.queued", json!({"step": self.step(step, Some(*attempt))}))]
            }
            // Whoever counts what is queued hears of a step that did not have to wait as well.
            Event::AttemptStarted { step, attempt, .. } if !self.was_queued(step) => {
                let queued = progress("orchestration.step.queued", json!({"step": self.step(step, Some(*attempt))}));
                std::iter::once(queued).chain(self.began(step, *attempt)).collect()
            }
            Event::AttemptStarted { step, attempt, .. } | Event::StepParked { step, attempt, .. } => {
                self.began(step, *attempt)
            }
            Event::AttemptSucceeded { step, .. } => self.completed(step),
            Event::StepCompleted { step, how, .. } => match how {
                How::Approved {} if self.was_made(step) => vec![],
                _ => self.completed(step),
            },
            Event::AttemptFailed { step, attempt, failure, retry_at: Some(retry_at), .. } => {
                let step = self.step(step, Some(*attempt));
                let payload = json!({"step": step, "error": failed(failure), "nextRetryAt": retry_at.to_string()});
                vec![updated("step_failed_retry_scheduled", payload)]
            }
            Event::StepDied { step, failure } => {
                let payload = json!({"step": self.step(step, None), "error": failed(failure)});
                vec![progress("orchestration.step.failed", payload)]
            }
            Event::Completed { .. } => vec![progress("orchestration.run.completed", json!({}))],
            Event::Failed { step, failure } => {
                let mut error = failed(failure);
                error["step"] = Json::from(step.as_str());
                vec![progress("orchestration.run.failed", json!({"error": error}))]
            }
            Event::Cancelled { reason } => vec![progress("orchestration.run.failed", json!({"reason": reason}))],
            Event::ApprovalRequested { step, approval } => vec![self.asked(step, approval)],
            Event::ApprovalDecided { step, answer } => vec![self.answered(step, answer)],
            other => self.changed(other),
        }
    }

    /// What changes a run but has no name of its own.
    fn changed(&self, event: &Event) -> Vec<Said> {
        let (why, payload) = match event {
            Event::LeaseExpired { step, attempt, reason, requeued } => {
                let step = self.step(step, Some(*attempt));
                ("step_lease_expired", json!({"step": step, "why": reason, "requeued": requeued}))
            }
            Event::StepSkipped { step, reason } => {
                ("step_skipped", json!({"step": self.step(step, None), "why": reason}))
            }
            Event::FannedOut { step, items } => {
                ("step_fanned_out", json!({"step": self.step(step, None), "items": items.len()}))
            }
            Event::ApprovalEscalated { step, approval, to } => {
                ("checkpoint_escalated", json!({"step": self.step(step, None), "approvalId": approval, "to": to}))
            }
            Event::StepReset { step, by, .. } => {
                ("step_reset", json!({"step": self.step(step, None), "by": by.by, "note": by.note}))
            }
            Event::Reopened { by } => ("reopened", json!({"by": by.by, "note": by.note})),
            Event::Paused { by } => ("paused", json!({"by": by.by, "note": by.note})),
            Event::Resumed { by } => ("resumed", json!({"by": by.by, "note": by.note})),
            _ => return vec![],
        };
        vec![updated(why, payload)]
    }

    fn began(&self, step: &str, attempt: u32) -> Vec<Said> {
        let untouched = |run: &Run| {
            let idle = |status: &StepStatus| {
                matches!(status, StepStatus::Pending {} | StepStatus::Queued { .. } | StepStatus::Skipped { .. })
            };
            run.all().all(|(_, _, step)| idle(&step.status))
        };
        let payload = json!({"step": self.step(step, Some(attempt))});
        let mut said = vec![progress("orchestration.step.running", payload.clone()), updated("step_running", payload)];
        if self.was.is_some_and(untouched) {
            said.insert(0, updated("execution_started", json!({})));
        }
        said
    }

    fn completed(&self, step: &str) -> Vec<Said> {
        let payload = json!({"step": self.step(step, None), "nextSteps": self.next_steps()});
        vec![progress("orchestration.step.completed", payload.clone()), updated("step_completed", payload)]
    }

    /// Whether the step had made something before people were asked about it.
    fn was_queued(&self, step: &str) -> bool {
        let was = self.was.and_then(|run| run.step(step)).map(|(_, step)| &step.status);
        matches!(was, Some(StepStatus::Queued { .. }))
    }

    fn was_made(&self, step: &str) -> bool {
        let was = self.was.and_then(|run| run.step(step)).map(|(_, step)| &step.status);
        matches!(was, Some(StepStatus::Asking { output: Some(_), .. }))
    }

    fn asked(&self, step: &str, approval: &Approval) -> Said {
        let payload = json!({
            "approvalId": approval.id,
            "checkpointId": format!("{step}-checkpoint"),
            "question": approval.checkpoint.question,
            "options": approval.checkpoint.options,
            "payloadDigest": approval.digest,
            "step": self.step(step, None),
        });
        (Hook::Checkpoint, "orchestration.checkpoint.requested", payload)
    }

    fn answered(&self, step: &str, answer: &Answer) -> Said {
        let payload = json!({
            "approvalId": answer.approval,
            "checkpointId": format!("{step}-checkpoint"),
            "decision": answer.action.as_str(),
            "decidedBy": answer.by,
            "notes": answer.note,
            "step": self.step(step, None),
        });
        (Hook::Checkpoint, "orchestration.checkpoint.resolved", payload)
    }

    /// A step. An instance (`step[3]`) has the place of its step.
    fn step(&self, id: &str, attempt: Option<u32>) -> Json {
        let found = self.run.step(id);
        let index =
            found.and_then(|(plan, _)| self.run.created.plan.steps.iter().position(|other| other.id == plan.id));
        let status = match found.map(|(_, step)| step.status.as_str()) {
            Some("dead") => Some("failed"),
            other => other,
        };
        let mut step =
            json!({"id": id, "index": index, "type": found.map(|(plan, _)| plan.action.as_str()), "status": status});
        if let Some(attempt) = attempt {
            step["attempt"] = Json::from(attempt);
        }
        step
    }

    /// Steps that nothing holds any more.
    fn next_steps(&self) -> Vec<Json> {
        let done = |id: &String| {
            let status = self.run.step(id).map(|(_, step)| &step.status);
            matches!(status, Some(StepStatus::Completed { .. } | StepStatus::Skipped { .. }))
        };
        let waits = |status: &StepStatus| matches!(status, StepStatus::Pending {});
        let free = self.run.pairs().filter(|(plan, step)| {
            waits(&step.status) && !plan.depends_on.is_empty() && plan.depends_on.iter().all(done)
        });
        free.map(|(plan, _)| json!({"id": plan.id})).collect()
    }

    fn body(&self, head: &Head<'_>, snapshot: Json, payload: Json) -> Json {
        let Head { stream, at, hook, name, part } = head;
        let (at, version) = (at.to_string(), self.run.events);
        match hook {
            Hook::Progress => json!({
                "event": name,
                "runId": stream.id,
                "data": {"timestamp": at, "version": version, "part": part, "run": snapshot, "payload": payload},
            }),
            Hook::Checkpoint => {
                let top = json!({"event": name, "runId": stream.id, "timestamp": at, "version": version, "part": part});
                let fields = [top, payload].into_iter().filter_map(|value| match value {
                    Json::Object(fields) => Some(fields),
                    _ => None,
                });
                json!({"event": name, "data": fields.flatten().collect::<Object>()})
            }
        }
    }
}

fn snapshot(stream: StreamId, state: &State, run: &Run) -> Json {
    let total = run.steps.len();
    let completed: Vec<&str> = run
        .pairs()
        .filter(|(_, step)| matches!(step.status, StepStatus::Completed { .. }))
        .map(|(plan, _)| plan.id.as_str())
        .collect();
    let status = status(state, run);
    let share = if status == "completed" { 100 } else { completed.len() * 100 / total.max(1) };
    let Created { plan, subject, parent, .. } = &*run.created;
    json!({
        "id": stream.id,
        "status": status,
        "definition": plan.definition,
        "title": subject.title(),
        "parentRunId": parent,
        "completedSteps": completed,
        "stats": {"totalSteps": total, "completedSteps": completed.len(), "progressPercentage": share},
    })
}

fn status(state: &State, run: &Run) -> &'static str {
    if let State::Over(_, end) = state {
        return end.as_str();
    }
    let is = |wanted: fn(&StepStatus) -> bool| run.all().any(|(_, _, step)| wanted(&step.status));
    if is(|status| matches!(status, StepStatus::Asking { .. })) {
        "checkpoint"
    } else if is(|status| !matches!(status, StepStatus::Pending {} | StepStatus::Queued { .. })) {
        "running"
    } else {
        "pending"
    }
}
