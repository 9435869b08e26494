//! One run's events, folded to spans as they are closed.
//!
//! Owns: which event opens and closes which span, and the attributes of each. Refuses to know: other streams.

use std::collections::BTreeMap;

use nightshift_domain::{
    content::{Composer, Failure},
    ids::{RunId, StreamKind},
    recorded::Recorded,
    run::{Created, Event, Lease, StepOutput, idempotency_key},
    streams::AnyEvent,
    time::Timestamp,
};

use super::{
    Link, SpanId, SpanRecord, SpanStatus, TraceError, TraceId, Value, attempt_span_id, complete_span_id,
    parse_traceparent, run_span_id, trace_id,
};

/// A longer message is cut in a span; the log keeps the whole of it.
const MESSAGE_CHARS_MAX: usize = 1_000;

/// What must be remembered of a run to close its spans. Small: no document and no material is kept.
#[derive(Debug, Clone, Default)]
pub struct RunTrace {
    version: u64,
    run: Option<Run>,
}

#[derive(Debug, Clone)]
struct Run {
    id: RunId,
    trace_id: TraceId,
    span: SpanId,
    created_at: Timestamp,
    definition: String,
    /// By id of the step.
    steps: BTreeMap<String, Step>,
    totals: Totals,
}

#[derive(Debug, Clone, Default)]
struct Step {
    action: &'static str,
    queued_since: Option<Timestamp>,
    running: Option<Running>,
    last_attempt: Option<SpanId>,
}

#[derive(Debug, Clone)]
struct Running {
    attempt: u32,
    lease: Lease,
    since: Timestamp,
    queue_micros: Option<i64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Totals {
    attempts: i64,
    attempts_failed: i64,
    leases_expired: i64,
    stale_results: i64,
    steps_completed: i64,
    steps_dead: i64,
    steps_skipped: i64,
    queue_micros: i64,
    work_micros: i64,
    prompt_tokens: i64,
    completion_tokens: i64,
}

/// The place of an event in its stream and in time.
#[derive(Clone, Copy)]
struct Moment {
    at: Timestamp,
    version: u64,
}

/// How an attempt ended.
struct Outcome {
    word: &'static str,
    status: SpanStatus,
    attributes: Vec<(&'static str, Value)>,
}

impl RunTrace {
    /// The version of the stream up to which events were folded.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Folds the next event and returns the spans that it closes.
    ///
    /// # Errors
    /// The event is not the next of the run, or cannot be read; nothing changes.
    pub fn observe(&mut self, recorded: &Recorded) -> Result<Vec<SpanRecord>, TraceError> {
        self.expect(recorded)?;
        let unreadable = |source| TraceError::Unreadable { stream: recorded.stream, version: recorded.version, source };
        let event = recorded.decode().map_err(unreadable)?;
        self.version = recorded.version;
        let AnyEvent::Run(event) = event else { return Ok(vec![]) };
        let moment = Moment { at: recorded.at, version: recorded.version };
        if let Event::Created(created) = &event {
            let run = Run::born(RunId::from_uuid(recorded.stream.id), created, recorded.at);
            let span = run.top_span(created, recorded);
            self.run = Some(run);
            return Ok(vec![span]);
        }
        Ok(self.run.as_mut().map_or_else(Vec::new, |run| run.closed_by(&event, moment)))
    }

    fn expect(&self, recorded: &Recorded) -> Result<(), TraceError> {
        let (stream, found) = (recorded.stream, recorded.version);
        if stream.kind != StreamKind::Run {
            return Err(TraceError::NotARun { stream });
        }
        if let Some(expected) = self.run.as_ref().map(|run| run.id.stream()).filter(|own| *own != stream) {
            return Err(TraceError::OtherRun { expected, found: stream });
        }
        let expected = self.version + 1;
        if found == expected { Ok(()) } else { Err(TraceError::Gap { stream, expected, found }) }
    }
}

impl Run {
    fn born(id: RunId, created: &Created, at: Timestamp) -> Self {
        let steps = created.plan.steps.iter();
        Self {
            id,
            trace_id: trace_id(created.root),
            span: run_span_id(id),
            created_at: at,
            definition: created.plan.definition.clone(),
            steps: steps
                .map(|plan| (plan.id.clone(), Step { action: plan.action.as_str(), ..Step::default() }))
                .collect(),
            totals: Totals::default(),
        }
    }

    /// The `run` span: without extent, so that what hangs below it has a parent from the first second on.
    fn top_span(&self, created: &Created, recorded: &Recorded) -> SpanRecord {
        let caused_by = created.parent.or((created.root != self.id).then_some(created.root));
        let mut attributes = vec![
            ("run.id", text(self.id)),
            ("run.definition", text(&self.definition)),
            ("run.user", text(&created.user)),
            ("run.nominal", text(created.nominal)),
            ("deliverable.id", text(created.subject.deliverable)),
            ("deliverable.title", text(&created.subject.title)),
            ("deliverable.version", Value::Int(i64::from(created.subject.version_number))),
        ];
        if !recorded.meta.actor.is_empty() {
            attributes.push(("run.asked_by", text(&recorded.meta.actor)));
        }
        SpanRecord {
            trace_id: self.trace_id,
            span_id: self.span,
            parent: caused_by.map(run_span_id),
            name: "run".to_owned(),
            start: recorded.at,
            end: recorded.at,
            attributes,
            links: recorded.meta.traceparent.as_deref().and_then(parse_traceparent).into_iter().collect(),
            status: SpanStatus::Unset,
            closed_by_version: recorded.version,
        }
    }

    fn closed_by(&mut self, event: &Event, moment: Moment) -> Vec<SpanRecord> {
        match event {
            Event::Created(_) => {}
            Event::StepQueued { step, .. } => {
                if let Some(step) = self.steps.get_mut(step) {
                    step.queued_since = Some(moment.at);
                }
            }
            Event::AttemptStarted { step, attempt, lease } => self.started(step, *attempt, lease, moment.at),
            Event::AttemptSucceeded { step, output, .. } => {
                self.totals.steps_completed += 1;
                let outcome = self.done(output);
                return self.attempt_ended(step, outcome, moment).into_iter().collect();
            }
            Event::AttemptFailed { step, failure, retry_at, .. } => {
                self.totals.attempts_failed += 1;
                return self.attempt_ended(step, failed(failure, *retry_at), moment).into_iter().collect();
            }
            Event::LeaseExpired { step, reason, requeued, .. } => {
                self.totals.leases_expired += 1;
                return self.attempt_ended(step, expired(reason, *requeued), moment).into_iter().collect();
            }
            Event::StaleResult { .. } => self.totals.stale_results += 1,
            Event::StepDied { .. } => self.totals.steps_dead += 1,
            Event::StepSkipped { step, reason } => {
                self.totals.steps_skipped += 1;
                return self.attempt_ended(step, stopped(reason), moment).into_iter().collect();
            }
            Event::Completed {} => return self.ended("completed", SpanStatus::Ok, moment),
            Event::Failed { step, failure } => {
                let why = SpanStatus::Error(shortened(&format!("step {step}: {}", failure.message)));
                return self.ended("failed", why, moment);
            }
            Event::Cancelled { .. } => return self.ended("cancelled", SpanStatus::Unset, moment),
        }
        vec![]
    }

    fn started(&mut self, step: &str, attempt: u32, lease: &Lease, at: Timestamp) {
        self.totals.attempts += 1;
        let Some(step) = self.steps.get_mut(step) else { return };
        let queue_micros = step.queued_since.take().map(|since| at.micros_since(since).max(0));
        self.totals.queue_micros += queue_micros.unwrap_or(0);
        step.running = Some(Running { attempt, lease: lease.clone(), since: at, queue_micros });
    }

    fn done(&mut self, output: &StepOutput) -> Outcome {
        let mut attributes = Vec::new();
        match output {
            StepOutput::Material { bytes, items, .. } => {
                attributes.push(("material.items", Value::Int(i64::from(*items))));
                attributes.push(("material.bytes", int(*bytes)));
            }
            StepOutput::Draft(draft) => {
                attributes.push(("draft.bytes", int(draft.text.bytes)));
                if let Composer::Model { model, prompt_tokens, completion_tokens, .. } = &draft.composer {
                    self.totals.prompt_tokens += clamped(*prompt_tokens);
                    self.totals.completion_tokens += clamped(*completion_tokens);
                    attributes.push(("gen_ai.request.model", text(model)));
                    attributes.push(("gen_ai.usage.input_tokens", int(*prompt_tokens)));
                    attributes.push(("gen_ai.usage.output_tokens", int(*completion_tokens)));
                }
            }
            StepOutput::Validated { warnings } => attributes.push(("draft.warnings", int(warnings.len() as u64))),
            StepOutput::Receipt(_) => {}
        }
        Outcome { word: "completed", status: SpanStatus::Ok, attributes }
    }

    /// Closes the span of the attempt that runs; none when none does (a step that is skipped before it began).
    fn attempt_ended(&mut self, id: &str, outcome: Outcome, moment: Moment) -> Option<SpanRecord> {
        let step = self.steps.get_mut(id)?;
        let running = step.running.take()?;
        let span_id = attempt_span_id(self.id, id, running.attempt);
        let end = moment.at.max(running.since);
        self.totals.work_micros += end.micros_since(running.since);
        let mut attributes = vec![
            ("run.id", text(self.id)),
            ("run.definition", text(&self.definition)),
            ("step", text(id)),
            ("attempt", Value::Int(i64::from(running.attempt))),
            ("action", text(step.action)),
            ("status", text(outcome.word)),
            ("worker", text(&running.lease.worker)),
            ("lease.token", text(running.lease.token)),
            ("idempotency.key", text(idempotency_key(self.id, id))),
        ];
        attributes.extend(running.queue_micros.map(|micros| ("queue.wait_ms", Value::Int(micros / 1_000))));
        attributes.extend(outcome.attributes);
        let before = step.last_attempt.replace(span_id);
        Some(SpanRecord {
            trace_id: self.trace_id,
            span_id,
            parent: Some(self.span),
            name: format!("step {id}"),
            start: running.since,
            end,
            attributes,
            links: before.map(|span_id| Link { trace_id: self.trace_id, span_id }).into_iter().collect(),
            status: outcome.status,
            closed_by_version: moment.version,
        })
    }

    /// Closes what still runs, then the span over the whole.
    fn ended(&mut self, word: &'static str, status: SpanStatus, moment: Moment) -> Vec<SpanRecord> {
        let left: Vec<String> = self.steps.keys().cloned().collect();
        let over = || stopped("the run is over");
        let mut spans: Vec<_> = left.iter().filter_map(|step| self.attempt_ended(step, over(), moment)).collect();
        let totals = self.totals;
        let attributes = vec![
            ("run.id", text(self.id)),
            ("run.definition", text(&self.definition)),
            ("status", text(word)),
            ("steps", int(self.steps.len() as u64)),
            ("steps.completed", Value::Int(totals.steps_completed)),
            ("steps.dead", Value::Int(totals.steps_dead)),
            ("steps.skipped", Value::Int(totals.steps_skipped)),
            ("attempts", Value::Int(totals.attempts)),
            ("attempts.failed", Value::Int(totals.attempts_failed)),
            ("attempts.expired", Value::Int(totals.leases_expired)),
            ("results.stale", Value::Int(totals.stale_results)),
            ("queue.wait_ms", Value::Int(totals.queue_micros / 1_000)),
            ("work_ms", Value::Int(totals.work_micros / 1_000)),
            ("gen_ai.usage.input_tokens", Value::Int(totals.prompt_tokens)),
            ("gen_ai.usage.output_tokens", Value::Int(totals.completion_tokens)),
        ];
        spans.push(SpanRecord {
            trace_id: self.trace_id,
            span_id: complete_span_id(self.id),
            parent: Some(self.span),
            name: "run.complete".to_owned(),
            start: self.created_at,
            end: moment.at.max(self.created_at),
            attributes,
            links: vec![],
            status,
            closed_by_version: moment.version,
        });
        spans
    }
}

fn failed(failure: &Failure, retry_at: Option<Timestamp>) -> Outcome {
    let mut attributes = vec![("failure.class", text(failure.class.as_str()))];
    attributes.extend(failure.status_code.map(|code| ("failure.status_code", Value::Int(i64::from(code)))));
    attributes.extend(retry_at.map(|at| ("retry.at", text(at))));
    Outcome { word: "failed", status: SpanStatus::Error(shortened(&failure.message)), attributes }
}

fn expired(reason: &str, requeued: bool) -> Outcome {
    let next = if requeued { "queued again" } else { "dead" };
    let attributes = vec![("failure.class", text("lost")), ("step.next", text(next))];
    Outcome { word: "expired", status: SpanStatus::Error(shortened(reason)), attributes }
}

/// Stopped on purpose: not an error, and the reason is beside it.
fn stopped(reason: &str) -> Outcome {
    let attributes = vec![("failure.class", text("cancelled")), ("reason", text(shortened(reason)))];
    Outcome { word: "cancelled", status: SpanStatus::Unset, attributes }
}

fn text(value: impl ToString) -> Value {
    Value::Text(value.to_string())
}

fn int(value: u64) -> Value {
    Value::Int(clamped(value))
}

fn clamped(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn shortened(message: &str) -> String {
    match message.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &message[..at]),
        None => message.to_owned(),
    }
}
