//! One run's events, folded to spans as they are closed.
//!
//! Owns: which event opens and closes which span, and the attributes of each. Refuses to know: other streams.

use std::collections::BTreeMap;

use nightshift_domain::{
    ids::{RunId, StreamKind},
    recorded::Recorded,
    run::{Approval, ApprovalId, Created, Event, How, Lease, StepOutput, Subject, Waits},
    streams::AnyEvent,
    time::Timestamp,
};

use super::{
    Link, SpanId, SpanRecord, SpanStatus, TraceError, TraceId, Value, attempt_span_id, complete_span_id,
    outcome::{Outcome, clamped, int, shortened, text, used},
    parse_traceparent, run_span_id, span_id,
    steps::{By, Ended, Open, Steps},
    trace_id,
};

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
    /// When its course began: with the run, or when it was opened again.
    since: Timestamp,
    /// How often it was opened again.
    reopened: u32,
    definition: String,
    steps: Steps,
    /// Questions that are open.
    questions: BTreeMap<ApprovalId, Question>,
    totals: Totals,
}

#[derive(Debug, Clone)]
struct Question {
    step: String,
    since: Timestamp,
    /// Nobody has to answer.
    advisory: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Totals {
    attempts: i64,
    attempts_failed: i64,
    leases_expired: i64,
    stale_results: i64,
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
        Self {
            id,
            trace_id: trace_id(created.root),
            span: run_span_id(id),
            since: at,
            reopened: 0,
            definition: created.plan.definition.clone(),
            steps: Steps::planned(created),
            questions: BTreeMap::new(),
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
        ];
        match &created.subject {
            Subject::Version { deliverable, version_number, title } => attributes.extend([
                ("deliverable.id", text(deliverable)),
                ("deliverable.title", text(title)),
                ("deliverable.version", Value::Int(i64::from(*version_number))),
            ]),
            Subject::Workflow { workflow, .. } => attributes.extend([
                ("workflow.owner", text(&workflow.owner)),
                ("workflow.name", text(&workflow.name)),
                ("workflow.version", text(&workflow.version)),
                ("workflow.digest", text(&workflow.digest)),
            ]),
        }
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
            Event::Created(_)
            | Event::ApprovalEscalated { .. }
            | Event::StepDiscarded { .. }
            | Event::Paused { .. }
            | Event::Resumed { .. }
            | Event::Reported { .. }
            | Event::ReportGivenUp { .. }
            | Event::ReportResent { .. } => vec![],
            Event::StepQueued { step, .. } => {
                if let Some(step) = self.steps.get(step) {
                    step.queued_since = Some(moment.at);
                }
                vec![]
            }
            Event::AttemptStarted { step, attempt, lease, .. } => {
                self.started(step, *attempt, lease, moment.at);
                vec![]
            }
            Event::AttemptSucceeded { step, output, .. } => {
                self.used(output);
                self.step_ended(step, Ended::Completed, Outcome::done(output), moment)
            }
            Event::AttemptFailed { step, failure, retry_at, .. } => {
                self.totals.attempts_failed += 1;
                self.attempt_ended(step, Outcome::failed(failure, *retry_at), moment).into_iter().collect()
            }
            Event::LeaseExpired { step, reason, requeued, .. } => {
                self.totals.leases_expired += 1;
                self.attempt_ended(step, Outcome::expired(reason, *requeued), moment).into_iter().collect()
            }
            Event::StaleResult { .. } => {
                self.totals.stale_results += 1;
                vec![]
            }
            Event::StepDied { step, failure } => {
                self.step_ended(step, Ended::Dead, Outcome::failed(failure, None), moment)
            }
            Event::StepSkipped { step, reason } => {
                self.step_ended(step, Ended::Skipped, Outcome::stopped(reason), moment)
            }
            Event::FannedOut { .. } => vec![],
            Event::StepParked { step, attempt, on } => {
                self.parked(step, *attempt, on, moment.at);
                vec![]
            }
            Event::StepCompleted { step, output, how } => self.completed(step, (output, how), moment),
            Event::ApprovalRequested { .. }
            | Event::ApprovalDecided { .. }
            | Event::StepReset { .. }
            | Event::Migrated(_)
            | Event::Reopened { .. } => self.turned_by(event, moment),
            Event::Completed { .. } => self.ended("completed", SpanStatus::Ok, moment),
            Event::Failed { step, failure } => {
                let why = SpanStatus::Error(shortened(&format!("step {step}: {}", failure.message)));
                self.ended("failed", why, moment)
            }
            Event::Cancelled { .. } => self.ended("cancelled", SpanStatus::Unset, moment),
        }
    }

    /// What people say, and what is done again.
    fn turned_by(&mut self, event: &Event, moment: Moment) -> Vec<SpanRecord> {
        match event {
            Event::ApprovalRequested { step, approval } => {
                self.asked(step, approval, moment.at);
                vec![]
            }
            Event::ApprovalDecided { answer, .. } => {
                let by = vec![("approval.by", text(&answer.by))];
                self.question_ended(answer.approval, (answer.action.outcome(), by), moment).into_iter().collect()
            }
            Event::StepReset { step, modifications, .. } => {
                let closed = self.questions_void(step, true, moment);
                self.steps.reset(step, modifications.is_some());
                closed
            }
            Event::Migrated(to) => {
                self.definition = to.plan.definition.clone();
                self.steps.migrated(&to.plan);
                vec![]
            }
            Event::Reopened { .. } => {
                (self.since, self.reopened) = (moment.at, self.reopened + 1);
                vec![]
            }
            _ => vec![],
        }
    }

    fn started(&mut self, step: &str, attempt: u32, lease: &Lease, at: Timestamp) {
        self.totals.attempts += 1;
        let Some(step) = self.steps.get(step) else { return };
        // A step that found a place at once did not wait.
        let queue_micros = step.queued_since.take().map_or(0, |since| at.micros_since(since).max(0));
        self.totals.queue_micros += queue_micros;
        step.round.begin();
        step.open = Some(Open { attempt, since: at, by: By::Worker { lease: lease.clone(), queue_micros } });
    }

    fn parked(&mut self, step: &str, attempt: u32, on: &Waits, at: Timestamp) {
        self.totals.attempts += 1;
        let what = match on {
            Waits::Until { at } => format!("until {at}"),
            Waits::Event { event, .. } => format!("event {event}"),
            Waits::Child { run, .. } => format!("run {run}"),
        };
        if let Some(step) = self.steps.get(step) {
            step.open = Some(Open { attempt, since: at, by: By::Wait(shortened(&what)) });
        }
    }

    fn used(&mut self, output: &StepOutput) {
        if let Some((_, [input, out])) = used(output) {
            self.totals.prompt_tokens += clamped(input);
            self.totals.completion_tokens += clamped(out);
        }
    }

    /// A step has come to its end: closes its attempt and the question that held it.
    fn step_ended(&mut self, id: &str, how: Ended, outcome: Outcome, moment: Moment) -> Vec<SpanRecord> {
        let mut closed: Vec<SpanRecord> = self.attempt_ended(id, outcome, moment).into_iter().collect();
        if let Some(step) = self.steps.get(id) {
            step.end = Some(how);
        }
        closed.extend(self.questions_void(id, false, moment));
        closed
    }

    fn completed(&mut self, id: &str, (output, how): (&StepOutput, &How), moment: Moment) -> Vec<SpanRecord> {
        if matches!(how, How::Replaced { .. }) {
            self.steps.replaced(id);
        }
        self.step_ended(id, Ended::Completed, Outcome::done(output), moment)
    }

    /// Closes the span of the attempt under way; none when none is (a step that is skipped before it began).
    fn attempt_ended(&mut self, id: &str, outcome: Outcome, moment: Moment) -> Option<SpanRecord> {
        let open = self.steps.get(id)?.open.take()?;
        let span_id = attempt_span_id(self.id, id, open.attempt);
        let end = moment.at.max(open.since);
        let key = self.steps.idempotency_key(self.id, id);
        let step = self.steps.get(id)?;
        let mut attributes = vec![
            ("run.id", text(self.id)),
            ("run.definition", text(&self.definition)),
            ("step", text(id)),
            ("attempt", Value::Int(i64::from(open.attempt))),
            ("action", text(step.action)),
            ("status", text(outcome.word)),
        ];
        match open.by {
            By::Worker { lease, queue_micros } => {
                self.totals.work_micros += end.micros_since(open.since);
                attributes.push(("worker", text(&lease.worker)));
                attributes.push(("lease.token", text(lease.token)));
                attributes.push(("idempotency.key", text(key)));
                attributes.push(("queue.wait_ms", Value::Int(queue_micros / 1_000)));
            }
            By::Wait(what) => attributes.push(("waits.for", Value::Text(what))),
        }
        attributes.extend(outcome.attributes);
        let before = step.last_attempt.replace(span_id);
        Some(SpanRecord {
            trace_id: self.trace_id,
            span_id,
            parent: Some(self.span),
            name: format!("step {id}"),
            start: open.since,
            end,
            attributes,
            links: before.map(|span_id| Link { trace_id: self.trace_id, span_id }).into_iter().collect(),
            status: outcome.status,
            closed_by_version: moment.version,
        })
    }

    fn asked(&mut self, step: &str, approval: &Approval, at: Timestamp) {
        let question = Question { step: step.to_owned(), since: at, advisory: approval.checkpoint.advisory };
        self.questions.insert(approval.id, question);
    }

    /// A step went on, or is done again, without an answer. One that nobody has to give holds until the step is done again.
    fn questions_void(&mut self, step: &str, all: bool, moment: Moment) -> Vec<SpanRecord> {
        let of = |question: &Question| question.step == step && (all || !question.advisory);
        let void: Vec<ApprovalId> =
            self.questions.iter().filter(|(_, question)| of(question)).map(|(id, _)| *id).collect();
        void.into_iter().filter_map(|id| self.question_ended(id, ("void", vec![]), moment)).collect()
    }

    fn question_ended(
        &mut self,
        id: ApprovalId,
        (word, more): (&'static str, Vec<(&'static str, Value)>),
        moment: Moment,
    ) -> Option<SpanRecord> {
        let question = self.questions.remove(&id)?;
        let mut attributes = vec![
            ("run.id", text(self.id)),
            ("run.definition", text(&self.definition)),
            ("step", text(&question.step)),
            ("approval.id", text(id)),
            ("status", text(word)),
        ];
        attributes.extend(more);
        Some(SpanRecord {
            trace_id: self.trace_id,
            span_id: span_id(self.id.stream(), &format!("approval:{id}")),
            parent: Some(self.span),
            name: format!("approval {}", question.step),
            start: question.since,
            end: moment.at.max(question.since),
            attributes,
            links: vec![],
            status: SpanStatus::Unset,
            closed_by_version: moment.version,
        })
    }

    /// Closes what is still open, then the span over the whole course.
    fn ended(&mut self, word: &'static str, status: SpanStatus, moment: Moment) -> Vec<SpanRecord> {
        let left = self.steps.ids();
        let over = || Outcome::stopped("the run is over");
        let mut spans: Vec<_> = left.iter().filter_map(|step| self.attempt_ended(step, over(), moment)).collect();
        let questions: Vec<ApprovalId> = self.questions.keys().copied().collect();
        spans.extend(questions.into_iter().filter_map(|id| self.question_ended(id, ("void", vec![]), moment)));
        let span_id = self.course_span_id(self.reopened);
        let before = self.reopened.checked_sub(1).map(|former| self.course_span_id(former));
        spans.push(SpanRecord {
            trace_id: self.trace_id,
            span_id,
            parent: Some(self.span),
            name: "run.complete".to_owned(),
            start: self.since,
            end: moment.at.max(self.since),
            attributes: self.total(word),
            links: before.map(|span_id| Link { trace_id: self.trace_id, span_id }).into_iter().collect(),
            status,
            closed_by_version: moment.version,
        });
        spans
    }

    /// A run that was opened again has a span over each of its courses.
    fn course_span_id(&self, reopened: u32) -> SpanId {
        match reopened {
            0 => complete_span_id(self.id),
            n => span_id(self.id.stream(), &format!("complete:{n}")),
        }
    }

    /// Steps count as they stand at the end; all else is of all courses together.
    fn total(&self, word: &'static str) -> Vec<(&'static str, Value)> {
        let (totals, ended) = (self.totals, |how| int(self.steps.ended(how) as u64));
        vec![
            ("run.id", text(self.id)),
            ("run.definition", text(&self.definition)),
            ("status", text(word)),
            ("steps", int(self.steps.len() as u64)),
            ("steps.completed", ended(Ended::Completed)),
            ("steps.dead", ended(Ended::Dead)),
            ("steps.skipped", ended(Ended::Skipped)),
            ("attempts", Value::Int(totals.attempts)),
            ("attempts.failed", Value::Int(totals.attempts_failed)),
            ("attempts.expired", Value::Int(totals.leases_expired)),
            ("results.stale", Value::Int(totals.stale_results)),
            ("queue.wait_ms", Value::Int(totals.queue_micros / 1_000)),
            ("work_ms", Value::Int(totals.work_micros / 1_000)),
            ("gen_ai.usage.input_tokens", Value::Int(totals.prompt_tokens)),
            ("gen_ai.usage.output_tokens", Value::Int(totals.completion_tokens)),
        ]
    }
}
