//! Spans as a fold of a run's events.
//!
//! Owns: what a span says about a run and its attempts.
//! Refuses to know: how ids derive from the log (`domain::trace`), clocks, exporters, OpenTelemetry's types. The same
//! events give the same spans on every machine.
//!
//! Invariant: one tree per root run: child runs hang below the `run` span of the run that caused them.
//! Invariant: each span belongs to exactly one event of the stream ([`SpanRecord::closed_by_version`]).

mod fold;
pub(crate) mod outcome;
mod steps;
mod traceparent;

use nightshift_domain::{codec::DecodeError, ids::StreamId, recorded::Recorded, time::Timestamp};

pub use fold::RunTrace;
pub use nightshift_domain::trace::{
    SpanId, TraceId, attempt_span_id, complete_span_id, run_span_id, span_id, trace_id,
};
pub use traceparent::parse_traceparent;

/// One finished span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanRecord {
    /// The trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// The span above it; none at the root of the trace.
    pub parent: Option<SpanId>,
    /// `run`, `step <id>` for an attempt or a wait, `approval <id of the step>` for a question, or `run.complete`.
    pub name: String,
    /// Start.
    pub start: Timestamp,
    /// End, never before the start.
    pub end: Timestamp,
    /// What is known of it.
    pub attributes: Vec<(&'static str, Value)>,
    /// Spans that are related and not above it.
    pub links: Vec<Link>,
    /// How it went.
    pub status: SpanStatus,
    /// Version of the stream's event that closed it: a caller that exported up to a version sends what is above.
    pub closed_by_version: u64,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Words.
    Text(String),
    /// A number.
    Int(i64),
}

/// A span elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Its trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
}

/// How a span went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpanStatus {
    /// Nothing to say: a marker, or something that was stopped on purpose.
    Unset,
    /// Done.
    Ok,
    /// Failed, and why.
    Error(String),
}

/// Events that no trace can be made of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// Another kind of stream.
    #[error("{stream} is no run: spans are made of run streams only")]
    NotARun {
        /// The stream.
        stream: StreamId,
    },
    /// Events of two runs.
    #[error("an event of {found} came among the events of {expected}: fold one run at a time")]
    OtherRun {
        /// The run that is folded.
        expected: StreamId,
        /// The stream of the event.
        found: StreamId,
    },
    /// An event is missing.
    #[error("{stream}: event {found} came where {expected} was due: fold the stream from its first event, in order")]
    Gap {
        /// The stream.
        stream: StreamId,
        /// The version that was due.
        expected: u64,
        /// The version that came.
        found: u64,
    },
    /// An event cannot be read.
    #[error("{stream}, event {version}: {source}")]
    Unreadable {
        /// The stream.
        stream: StreamId,
        /// Its version.
        version: u64,
        /// Why.
        source: DecodeError,
    },
}

/// All spans of one run, from all events of its stream so far, in the order in which they were closed.
///
/// # Errors
/// As [`RunTrace::observe`].
pub fn spans_of(stream_events: &[Recorded]) -> Result<Vec<SpanRecord>, TraceError> {
    spans_since(stream_events, 0)
}

/// The spans of [`spans_of`] that were closed after version `since` of the stream.
///
/// # Errors
/// As [`RunTrace::observe`].
pub fn spans_since(stream_events: &[Recorded], since: u64) -> Result<Vec<SpanRecord>, TraceError> {
    let mut trace = RunTrace::default();
    let mut spans = Vec::new();
    for recorded in stream_events {
        let closed = trace.observe(recorded)?;
        if recorded.version > since {
            spans.extend(closed);
        }
    }
    Ok(spans)
}
