//! Old payloads, read by the types they were written with and said again in today's words.
//!
//! Owns: one struct for each old form, and how it becomes the newest event.
//! Refuses to know: anything about the newest form that is not in the old payload; what was not recorded says so.
//!
//! To change a payload: freeze the old form here as `<Fact>V<n>`, raise the type in `VERSIONS`, add the line in
//! [`newest`]. The golden file of the old version stays and must still decode.

use serde::Deserialize;

use super::{AnyEvent, DecodeError, read};
use crate::{
    content::{Failure, FailureClass},
    ids::StreamId,
    run,
    schedule::{self, SkipReason},
    time::Timestamp,
};

/// Types whose payload changed since the first release, with the version they are written in. All others are at 1.
pub const VERSIONS: &[(&str, u16)] = &[("run.attempt_failed", 2), ("schedule.skipped", 2)];

/// Reads a payload of an old version as the newest event; none when no such version was ever written.
///
/// # Errors
/// The payload does not fit the old form.
pub fn newest(event_type: &str, version: u16, data: &[u8]) -> Result<Option<AnyEvent>, DecodeError> {
    let event = match (event_type, version) {
        ("run.attempt_failed", 1) => read::<AttemptFailedV1>(event_type, data)?.newest().into(),
        ("schedule.skipped", 1) => read::<SkippedV1>(event_type, data)?.newest().into(),
        _ => return Ok(None),
    };
    Ok(Some(event))
}

/// Before `free` was a fact of the event, the fold derived it from the class of the failure; a changed rule would have
/// changed the past.
#[derive(Debug, Deserialize)]
struct AttemptFailedV1 {
    step: String,
    attempt: u32,
    failure: Failure,
    retry_at: Option<Timestamp>,
}

impl AttemptFailedV1 {
    fn newest(self) -> run::Event {
        let Self { step, attempt, failure, retry_at } = self;
        let free = failure.class == FailureClass::RateLimited;
        run::Event::AttemptFailed { step, attempt, failure, retry_at, free }
    }
}

/// Before a skip said which edition of the zone data gave the next instant, as a firing does.
#[derive(Debug, Deserialize)]
struct SkippedV1 {
    target: StreamId,
    from: Timestamp,
    upto: Timestamp,
    count: u32,
    count_is_bound: bool,
    reason: SkipReason,
    next_due: Option<Timestamp>,
}

impl SkippedV1 {
    fn newest(self) -> schedule::Event {
        let Self { target, from, upto, count, count_is_bound, reason, next_due } = self;
        let tz_revision = "not recorded".to_owned();
        schedule::Event::Skipped { target, from, upto, count, count_is_bound, reason, next_due, tz_revision }
    }
}
