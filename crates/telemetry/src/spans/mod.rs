//! Spans as a fold of a run's events.
//!
//! Owns: how trace and span ids derive from the log, and what a span says about a run and its attempts.
//! Refuses to know: clocks, exporters, OpenTelemetry's types. The same events give the same spans on every machine.
//!
//! Invariant: one tree per root run: child runs hang below the `run` span of the run that caused them.
//! Invariant: each span belongs to exactly one event of the stream ([`SpanRecord::closed_by_version`]).

mod fold;
mod traceparent;

use nightshift_domain::{
    codec::DecodeError,
    ids::{RunId, StreamId, derive_u64},
    recorded::Recorded,
    time::Timestamp,
};

pub use fold::RunTrace;
pub use traceparent::parse_traceparent;

/// Sixteen bytes that name a trace.
pub type TraceId = [u8; 16];
/// Eight bytes that name a span.
pub type SpanId = [u8; 8];

/// The trace of a whole tree of runs: the bytes of the root run's id.
#[must_use]
pub fn trace_id(root: RunId) -> TraceId {
    *root.uuid().as_bytes()
}

/// A span of a stream, named by a label that is unique in it. Never all zero, which would be no id at all.
#[must_use]
pub fn span_id(stream: StreamId, label: &str) -> SpanId {
    let parts = [stream.kind.as_str().as_bytes(), stream.id.as_bytes(), label.as_bytes()];
    derive_u64("span", &parts).max(1).to_be_bytes()
}

/// The short span at the top of a run.
#[must_use]
pub fn run_span_id(run: RunId) -> SpanId {
    span_id(run.stream(), "run")
}

/// The span of an attempt; known before it ends, so that live spans can name it as their parent.
#[must_use]
pub fn attempt_span_id(run: RunId, step: &str, attempt: u32) -> SpanId {
    span_id(run.stream(), &format!("attempt:{step}:{attempt}"))
}

/// The span over the whole of a run.
#[must_use]
pub fn complete_span_id(run: RunId) -> SpanId {
    span_id(run.stream(), "complete")
}

/// One finished span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanRecord {
    /// The trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// The span above it; none at the root of the trace.
    pub parent: Option<SpanId>,
    /// `run`, `step <id>` or `run.complete`.
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
