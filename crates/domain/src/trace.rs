//! How the ids of a trace derive from the log.
//!
//! Owns: the id of a run's trace and of each of its spans, and the header under which they travel to others.
//! Refuses to know: what a span says, who exports it, whether anybody does.
//!
//! Invariant: the ids of an attempt are known before it begins, and are the same on every machine and after every restart.

use std::fmt::Write;

use crate::ids::{RunId, StreamId, derive_u64};

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

/// The span of an attempt; known before it ends, so that what it asks of others can name it as the parent.
#[must_use]
pub fn attempt_span_id(run: RunId, step: &str, attempt: u32) -> SpanId {
    span_id(run.stream(), &format!("attempt:{step}:{attempt}"))
}

/// The span over the whole of a run.
#[must_use]
pub fn complete_span_id(run: RunId) -> SpanId {
    span_id(run.stream(), "complete")
}

/// The W3C `traceparent` header that names a span as the parent: `00-<trace id>-<span id>-01` in lower-case
/// hexadecimal. The last part says that the span is recorded, which is so whoever samples: it is in the log.
#[must_use]
pub fn traceparent(trace: TraceId, span: SpanId) -> String {
    let mut header = String::with_capacity(55);
    header.push_str("00-");
    hex(&mut header, &trace);
    header.push('-');
    hex(&mut header, &span);
    header.push_str("-01");
    header
}

fn hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ShardId;

    fn run() -> RunId {
        RunId::from_uuid(uuid::Uuid::from_u128(0x0123_4567_89ab_8005_8def_0123_4567_89ab))
    }

    /// Pinned: a span that is exported again after an update must be the same span.
    #[test]
    fn the_ids_of_an_attempt_never_change() {
        let run = run();
        assert_eq!(run.shard(), ShardId(5));
        let header = traceparent(trace_id(run), attempt_span_id(run, "deliver", 2));
        assert_eq!(header, "00-0123456789ab80058def0123456789ab-bf73fd807ab86f8d-01");
    }

    #[test]
    fn every_span_of_a_run_has_an_id_of_its_own() {
        let run = run();
        let mut ids = vec![run_span_id(run), complete_span_id(run)];
        ids.extend((1..4).flat_map(|n| ["a", "a:1", ""].map(|step| attempt_span_id(run, step, n))));
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
        assert!(!ids.contains(&[0; 8]));
    }
}
