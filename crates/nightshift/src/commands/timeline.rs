//! Timelines: what happened in a stream, in words, from its events.

use nightshift_domain::{deliverable, ids::StreamId, run, streams::AnyEvent, time::Timestamp};
use nightshift_ports::log::EventLog;

use crate::exit::Exit;

/// One line of a timeline.
#[derive(Debug, serde::Serialize)]
pub struct Line {
    /// When.
    pub at: String,
    /// Milliseconds since the first line.
    pub since_ms: i64,
    /// `kind.fact`.
    pub event: String,
    /// In words.
    pub what: String,
}

/// Everything that happened in some streams, in order.
///
/// # Errors
/// The store did not answer, or an event cannot be read.
pub async fn of(log: &dyn EventLog, streams: &[StreamId]) -> Result<Vec<Line>, Exit> {
    let mut events = Vec::new();
    for stream in streams {
        let mut after = 0;
        loop {
            let page = log.read_stream(*stream, after, 1_000).await?;
            let Some(last) = page.last() else { break };
            after = last.version;
            events.extend(page);
        }
    }
    events.sort_by_key(|event| (event.hlc, event.shard, event.seq));
    let first = events.first().map_or(Timestamp::default(), |event| event.at);
    let mut lines = Vec::with_capacity(events.len());
    for recorded in events {
        let event = recorded.decode().map_err(Exit::failed)?;
        lines.push(line((recorded.at, first), recorded.event_type.clone(), &event));
    }
    Ok(lines)
}

/// The line of an event, in a timeline that begins at `first`.
#[must_use]
pub fn line((at, first): (Timestamp, Timestamp), event_type: String, event: &AnyEvent) -> Line {
    let since_ms = at.micros_since(first) / 1_000;
    Line { at: at.to_string(), since_ms, event: event_type, what: words(event) }
}

/// Prints a timeline.
pub fn print(lines: &[Line]) {
    for line in lines {
        println!("{:>9}  {:<28} {}", span(line.since_ms), line.event, line.what);
    }
}

/// A span for people: `12 ms`, `3.4 s`, `2 h 05 m`.
#[must_use]
pub fn span(ms: i64) -> String {
    match ms {
        ..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{:.1} s", ms as f64 / 1_000.0),
        60_000..3_600_000 => format!("{} m {:02} s", ms / 60_000, ms % 60_000 / 1_000),
        _ => format!("{} h {:02} m", ms / 3_600_000, ms % 3_600_000 / 60_000),
    }
}

/// An event in words; nothing when its name says it all.
pub fn words(event: &AnyEvent) -> String {
    match event {
        AnyEvent::Deliverable(event) => deliverable_words(event),
        AnyEvent::Run(event) => run_words(event),
        AnyEvent::Schedule(_) | AnyEvent::Source(_) | AnyEvent::Definition(_) => String::new(),
        AnyEvent::Topic(_) | AnyEvent::Queue(_) | AnyEvent::Bulk(_) => String::new(),
    }
}

fn deliverable_words(event: &deliverable::Event) -> String {
    use deliverable::Event;
    match event {
        Event::Created { order, .. } => format!("\"{}\" was ordered", order.title),
        Event::SlotDue { nominal, trigger, .. } => format!("slot {nominal} ({})", trigger.as_str()),
        Event::SourcesAssessed { sources, fresh_items, .. } => {
            let failing = sources.iter().filter(|source| source.error.is_some()).count();
            format!("{} source(s) looked at: {fresh_items} new item(s), {failing} failing", sources.len())
        }
        Event::Skipped { reason, .. } => format!("skipped: {reason}"),
        Event::RunRequested { number, run_id, .. } => format!("version {number} is made by run {run_id}"),
        Event::VersionStaged { number, draft, .. } => format!("version {number} staged, {} bytes", draft.text.bytes),
        Event::VersionFailed { number, failure, .. } => format!("version {number} failed: {failure}"),
        Event::VersionApproved { number, by, .. } => format!("version {number} approved by {by}"),
        Event::VersionRejected { number, by, reason } => format!("version {number} rejected by {by}: {reason}"),
        Event::VersionEdited { number, by, measure, .. } => {
            format!("version {number} edited by {by}, {} per mille changed", measure.distance_permille)
        }
        Event::DeliveryRequested { number, ordinal, .. } => format!("version {number} sent out, time {ordinal}"),
        Event::Delivered { number, receipt, .. } => {
            let place = receipt.external_url.as_deref().or(receipt.detail.as_deref()).unwrap_or(&receipt.external_id);
            format!("version {number} delivered: {place}")
        }
        Event::DeliveryFailed { number, failure, .. } => format!("version {number} not delivered: {failure}"),
        Event::NoticeRaised { subject, .. } => subject.clone(),
        Event::Paused { note } => note.clone(),
        _ => String::new(),
    }
}

fn run_words(event: &run::Event) -> String {
    use run::Event;
    match event {
        Event::Created(created) => format!("{} for \"{}\"", created.plan.definition, created.subject.title()),
        Event::StepQueued { step, attempt } => format!("{step}, attempt {attempt}, waits for a place"),
        Event::AttemptStarted { step, attempt, lease, .. } => format!("{step}, attempt {attempt}, on {}", lease.worker),
        Event::AttemptSucceeded { step, output, .. } => format!("{step}: {}", output_words(output)),
        Event::AttemptFailed { step, failure, retry_at, .. } => match retry_at {
            Some(at) => format!("{step}: {failure}; again at {at}"),
            None => format!("{step}: {failure}"),
        },
        Event::LeaseExpired { step, attempt, reason, .. } => format!("{step}, attempt {attempt}: {reason}"),
        Event::StaleResult { step, attempt, .. } => format!("{step}, attempt {attempt}: came too late, not applied"),
        Event::StepDied { step, failure } | Event::Failed { step, failure } => format!("{step}: {failure}"),
        Event::StepSkipped { step, reason } => format!("{step}: {reason}"),
        Event::Cancelled { reason } => reason.clone(),
        Event::Completed { .. } => String::new(),
        Event::FannedOut { step, items } => format!("{step}: once for each of {} element(s)", items.len()),
        Event::StepParked { step, on, .. } => format!("{step} waits for {}", waits_words(on)),
        Event::StepCompleted { step, output, .. } => format!("{step}: {}", output_words(output)),
        Event::ApprovalRequested { step, approval } => {
            format!("{step}: \"{}\" ({})", approval.checkpoint.question, approval.id)
        }
        Event::ApprovalDecided { step, answer } => {
            format!("{step}: {} by {}", answer.action.as_str(), answer.by)
        }
        Event::ApprovalEscalated { step, to, .. } => format!("{step}: nobody answered, {to} is asked"),
        Event::StepReset { step, by, .. } => format!("{step} is done again, asked by {}", by.by),
        Event::Migrated(to) => format!("from version {} to {}, asked by {}", to.from, to.workflow.version, to.by.by),
        Event::StepDiscarded { step, by } => format!("{step} was discarded by {}{}", by.by, by.said()),
        Event::Reopened { by } | Event::Paused { by } | Event::Resumed { by } if by.note.is_empty() => by.by.clone(),
        Event::Reopened { by } | Event::Paused { by } | Event::Resumed { by } => format!("{}: {}", by.by, by.note),
        Event::Reported { event, .. } => format!("{event} was told"),
        Event::ReportGivenUp { event, attempts, failure, .. } => {
            format!("{event} was sent {attempts} time(s) and is given up: {failure}")
        }
        Event::ReportResent { report, by } => format!("{} is sent anew, asked by {}{}", report.event, by.by, by.said()),
    }
}

/// Lines of a log that are shown.
const SAID: usize = 10;

/// The last lines that an attempt said beside its output, each on a line of its own.
fn said(logs: &[String]) -> String {
    let from = logs.len().saturating_sub(SAID);
    let before = if from == 0 { String::new() } else { format!("\n           | ({from} more line(s) before)") };
    logs[from..].iter().fold(before, |said, line| format!("{said}\n           | {line}"))
}

/// What a step waits for, in words.
#[must_use]
pub fn waits_words(on: &run::Waits) -> String {
    match on {
        run::Waits::Until { at } => at.to_string(),
        run::Waits::Event { event, correlation: None, .. } => format!("event {event}"),
        run::Waits::Event { event, correlation: Some(about), .. } => format!("event {event} about {about}"),
        run::Waits::Child { run, .. } => format!("run {run}"),
    }
}

/// Characters of a value that are shown in a line.
const SHOWN: usize = 100;

fn output_words(output: &run::StepOutput) -> String {
    match output {
        run::StepOutput::Material { items, bytes, snapshots, .. } => {
            format!("{items} item(s) of {} source(s), {bytes} bytes", snapshots.len())
        }
        run::StepOutput::Draft(draft) => format!("{} bytes", draft.text.bytes),
        run::StepOutput::Validated { warnings } if warnings.is_empty() => "no warnings".to_owned(),
        run::StepOutput::Validated { warnings } => warnings.join("; "),
        run::StepOutput::Receipt(receipt) => {
            receipt.external_url.clone().unwrap_or_else(|| receipt.external_id.clone())
        }
        run::StepOutput::Value(outcome) => {
            let text = run::value_of(output).to_string();
            let shown = match text.char_indices().nth(SHOWN) {
                Some((at, _)) => format!("{}...", &text[..at]),
                None => text,
            };
            let kept = if outcome.cached.is_some() { " (kept from an earlier step)" } else { "" };
            format!("{shown}{kept}{}", said(&outcome.logs))
        }
    }
}
