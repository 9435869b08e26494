//! What the events of a run mean in the words of the seed: names, snapshots, reasons.
//!
//! Owns: the mapping. Refuses to know: who listens.
//!
//! Invariant: the frames of an event depend on the events up to it only, so whoever comes back sees the same.
//! Invariant: only the last frame of an event carries its id: nobody goes on in the middle of one.
//! Invariant: the parameters of a run, which may be large, are told once, when it is created; the seed's snapshots have none.

use std::collections::{BTreeMap, BTreeSet};

use nightshift_domain::{
    ids::RunId,
    recorded::Recorded,
    run::{Answer, Approval, ApprovalId, Created, Event, StepPlan},
};
use serde_json::{Value, json};

use crate::{orchestrations::percentage, rows::without_secrets};

/// One event as it is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Where to go on; none for all but the last of an event of the log.
    pub id: Option<u64>,
    /// Its name.
    pub event: &'static str,
    /// `{type, timestamp, run, data?}`.
    pub data: Value,
}

/// How far a run is, as its events told.
pub struct Progress {
    run: RunId,
    created: Option<Box<Created>>,
    status: &'static str,
    completed: BTreeSet<String>,
    /// Steps that are neither complete nor untouched, with the word for it.
    states: BTreeMap<String, &'static str>,
    asked: BTreeMap<ApprovalId, String>,
}

/// What a frame says beside the snapshot.
type Said = (&'static str, Value);

const CREATED: &str = "orchestration.run.created";
const UPDATED: &str = "orchestration.run.updated";
const COMPLETED: &str = "orchestration.run.completed";
const FAILED: &str = "orchestration.run.failed";
const STEP_QUEUED: &str = "orchestration.step.queued";
const STEP_RUNNING: &str = "orchestration.step.running";
const STEP_COMPLETED: &str = "orchestration.step.completed";
const STEP_FAILED: &str = "orchestration.step.failed";
const REQUESTED: &str = "orchestration.checkpoint.requested";
const RESOLVED: &str = "orchestration.checkpoint.resolved";

impl Progress {
    /// Of a run of which nothing is known yet.
    #[must_use]
    pub const fn new(run: RunId) -> Self {
        Self {
            run,
            created: None,
            status: "pending",
            completed: BTreeSet::new(),
            states: BTreeMap::new(),
            asked: BTreeMap::new(),
        }
    }

    /// Nothing more comes unless somebody opens the run again.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.status, "completed" | "failed" | "cancelled")
    }

    /// Takes an event and tells what it means.
    pub fn apply(&mut self, recorded: &Recorded, event: &Event) -> Vec<Frame> {
        let said = self.meaning(event);
        let last = said.len().saturating_sub(1);
        let (mut run, at) = (self.snapshot(), recorded.at.to_string());
        if let Event::Created(created) = event {
            run["parameters"] = without_secrets(&created.parameters);
        }
        let frame = |(n, (name, data)): (usize, Said)| {
            let mut envelope = json!({"type": name, "timestamp": at, "run": run});
            if !data.is_null() {
                envelope["data"] = data;
            }
            Frame { id: (n == last).then_some(recorded.version), event: name, data: envelope }
        };
        said.into_iter().enumerate().map(frame).collect()
    }

    fn meaning(&mut self, event: &Event) -> Vec<Said> {
        match event {
            Event::Created(created) => {
                self.created = Some(created.clone());
                vec![(CREATED, Value::Null)]
            }
            Event::StepQueued { step, attempt } => {
                self.states.insert(step.clone(), "queued");
                vec![(STEP_QUEUED, json!({"step": self.step(step, Some(*attempt))}))]
            }
            // Whoever counts what is queued hears of a step that did not have to wait as well.
            Event::AttemptStarted { step, attempt, .. } if self.states.get(step) != Some(&"queued") => {
                self.states.insert(step.clone(), "queued");
                let queued = (STEP_QUEUED, json!({"step": self.step(step, Some(*attempt))}));
                std::iter::once(queued).chain(self.began(step, *attempt)).collect()
            }
            Event::AttemptStarted { step, attempt, .. } | Event::StepParked { step, attempt, .. } => {
                self.began(step, *attempt)
            }
            Event::AttemptSucceeded { step, .. } | Event::StepCompleted { step, .. } => self.complete(step),
            Event::AttemptFailed { step, attempt, failure, retry_at, .. } => match retry_at {
                // Without another attempt the step dies in the same commit.
                None => vec![],
                Some(at) => {
                    self.states.insert(step.clone(), "failed");
                    let error = json!({"class": failure.class, "message": failure.message});
                    let step = self.step(step, Some(*attempt));
                    let data = json!({"step": step, "error": error, "nextRetryAt": at.to_string()});
                    vec![(UPDATED, reason("step_failed_retry_scheduled", data))]
                }
            },
            Event::StepDied { step, failure } => {
                self.states.insert(step.clone(), "dead");
                let error = json!({"class": failure.class, "message": failure.message});
                vec![(STEP_FAILED, json!({"step": self.step(step, None), "error": error}))]
            }
            Event::Completed { .. } => self.ended("completed", COMPLETED, Value::Null),
            Event::Failed { step, failure } => {
                let error = json!({"step": step, "class": failure.class, "message": failure.message});
                self.ended("failed", FAILED, json!({"error": error}))
            }
            Event::Cancelled { reason } => self.ended("cancelled", FAILED, json!({"reason": reason})),
            Event::ApprovalRequested { step, approval } => self.asks(step, approval),
            Event::ApprovalDecided { step, answer } => self.decided(step, answer),
            other => self.updated(other),
        }
    }

    /// What changes a run but has no name of its own in the seed.
    fn updated(&mut self, event: &Event) -> Vec<Said> {
        let (why, data) = match event {
            Event::LeaseExpired { step, attempt, reason, requeued } => {
                self.states.insert(step.clone(), "queued");
                let step = self.step(step, Some(*attempt));
                ("step_lease_expired", json!({"step": step, "why": reason, "requeued": requeued}))
            }
            Event::StepSkipped { step, reason } => {
                self.states.insert(step.clone(), "skipped");
                ("step_skipped", json!({"step": self.step(step, None), "why": reason}))
            }
            Event::FannedOut { step, items } => {
                ("step_fanned_out", json!({"step": self.step(step, None), "items": items.len()}))
            }
            Event::ApprovalEscalated { step, approval, to } => {
                ("checkpoint_escalated", json!({"step": self.step(step, None), "approvalId": approval, "to": to}))
            }
            Event::StepReset { step, by, .. } => {
                self.completed.remove(step);
                self.states.remove(step);
                ("step_reset", json!({"step": self.step(step, None), "by": by.by, "note": by.note}))
            }
            Event::Reopened { by } => {
                self.status = "running";
                ("reopened", json!({"by": by.by, "note": by.note}))
            }
            Event::Paused { by } => ("paused", json!({"by": by.by, "note": by.note})),
            Event::Migrated(to) => {
                let known = self.created.take();
                self.created = known.map(|created| Box::new(created.migrated(to)));
                let (to, by) = (&to.workflow.version, &to.by);
                ("migrated", json!({"to": to, "by": by.by, "note": by.note}))
            }
            Event::Resumed { by } => ("resumed", json!({"by": by.by, "note": by.note})),
            // Kept for audit; nothing changed.
            _ => return vec![],
        };
        vec![(UPDATED, reason(why, data))]
    }

    fn began(&mut self, step: &str, attempt: u32) -> Vec<Said> {
        let first = self.status == "pending";
        if self.asked.is_empty() {
            self.status = "running";
        }
        self.states.insert(step.to_owned(), "running");
        let data = json!({"step": self.step(step, Some(attempt))});
        let mut said = vec![(STEP_RUNNING, data.clone()), (UPDATED, reason("step_running", data))];
        if first {
            said.insert(0, (UPDATED, reason("execution_started", json!({}))));
        }
        said
    }

    /// A step is complete once, though it may be told twice: by its attempt and by the approval behind it.
    fn complete(&mut self, step: &str) -> Vec<Said> {
        if !self.completed.insert(step.to_owned()) {
            return vec![];
        }
        self.states.remove(step);
        if self.status == "pending" {
            self.status = "running";
        }
        let data = json!({"step": self.step(step, None), "nextSteps": self.next_steps()});
        vec![(STEP_COMPLETED, data.clone()), (UPDATED, reason("step_completed", data))]
    }

    fn ended(&mut self, status: &'static str, name: &'static str, data: Value) -> Vec<Said> {
        self.status = status;
        self.asked.clear();
        vec![(name, data)]
    }

    fn asks(&mut self, step: &str, approval: &Approval) -> Vec<Said> {
        if !approval.checkpoint.advisory {
            self.asked.insert(approval.id, step.to_owned());
            self.status = "checkpoint";
        }
        let data = json!({
            "approvalId": approval.id,
            "checkpointId": format!("{step}-checkpoint"),
            "question": approval.checkpoint.question,
            "options": approval.checkpoint.options,
            "payloadDigest": approval.digest,
            "step": self.step(step, None),
        });
        vec![(REQUESTED, data)]
    }

    fn decided(&mut self, step: &str, answer: &Answer) -> Vec<Said> {
        self.asked.remove(&answer.approval);
        if self.asked.is_empty() && self.status == "checkpoint" {
            self.status = "running";
        }
        let data = json!({
            "approvalId": answer.approval,
            "checkpointId": format!("{step}-checkpoint"),
            "decision": answer.action.as_str(),
            "decidedBy": answer.by,
            "notes": answer.note,
            "step": self.step(step, None),
        });
        vec![(RESOLVED, data)]
    }

    fn plan(&self) -> &[StepPlan] {
        self.created.as_ref().map_or(&[], |created| &created.plan.steps)
    }

    /// A step as frames show it. An instance (`step[3]`) has the place of its step.
    fn step(&self, id: &str, attempt: Option<u32>) -> Value {
        let base = id.split_once('[').map_or(id, |(base, _)| base);
        let found = self.plan().iter().enumerate().find(|(_, plan)| plan.id == base);
        let status = match self.completed.contains(id) {
            true => "completed",
            false => self.states.get(id).copied().unwrap_or("pending"),
        };
        let mut step = json!({
            "id": id,
            "index": found.map(|(index, _)| index),
            "type": found.map(|(_, plan)| plan.action.as_str()),
            "status": status,
        });
        if let Some(attempt) = attempt {
            step["attempt"] = Value::from(attempt);
        }
        step
    }

    /// Steps that nothing holds any more.
    fn next_steps(&self) -> Vec<Value> {
        let fresh = |plan: &&StepPlan| !self.completed.contains(&plan.id) && !self.states.contains_key(&plan.id);
        let free = |plan: &&StepPlan| {
            let done = |id: &String| self.completed.contains(id) || self.states.get(id) == Some(&"skipped");
            !plan.depends_on.is_empty() && plan.depends_on.iter().all(done)
        };
        self.plan().iter().filter(fresh).filter(free).map(|plan| json!({"id": plan.id})).collect()
    }

    /// `{id, status, definition, completedSteps, stats}`.
    fn snapshot(&self) -> Value {
        let total = self.plan().len();
        let completed: Vec<&str> =
            self.plan().iter().map(|plan| plan.id.as_str()).filter(|id| self.completed.contains(*id)).collect();
        let percentage = match self.status {
            "completed" => 100,
            _ => percentage(completed.len() as i64, total as i64),
        };
        let created = self.created.as_deref();
        json!({
            "id": self.run,
            "status": self.status,
            "definition": created.map(|created| created.plan.definition.clone()),
            "title": created.map(|created| created.subject.title().to_owned()),
            "parentRunId": created.and_then(|created| created.parent),
            "completedSteps": completed,
            "stats": {
                "totalSteps": total,
                "completedSteps": completed.len(),
                "progressPercentage": percentage,
            },
        })
    }
}

/// `{reason, ...}`.
fn reason(why: &str, mut data: Value) -> Value {
    data["reason"] = Value::from(why);
    data
}
