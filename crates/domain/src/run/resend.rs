//! Messages that were given up, sent anew.
//!
//! Owns: which of them may be, under which key, and how one is found again in the history of its run.
//! Refuses to know: what a message says (`report`), how it is sent.

use super::{
    Asked, Event, Rejection, Report, Run, State, memory,
    report::{about, key},
};
use crate::{ids::StreamId, time::Timestamp};

/// The key of a message that is sent anew, as the event `at` of the stream says.
pub(super) fn key_anew((version, part): (u64, u32), at: u64) -> String {
    format!("{}:{at:012}", key(version, part))
}

/// The key under which a message is owed now.
pub(super) fn open_key(run: &Run, (version, part): (u64, u32)) -> String {
    let anew = run.resent.range((version, part, 0)..=(version, part, u64::MAX)).next_back();
    anew.map_or_else(|| key(version, part), |(.., at)| key_anew((version, part), *at))
}

/// Messages that were given up are sent anew. A message that is on its way is left alone.
pub(super) fn resend(run: &Run, reports: &[Report], by: &Asked) -> Result<Vec<Event>, Rejection> {
    let given_up = |report: &Report| {
        run.given_up.iter().any(|it| (it.version, it.part, &it.event) == (report.version, report.part, &report.event))
    };
    let is_new = |report: &&Report| !run.owing.contains(&(report.version, report.part));
    reports.iter().filter(is_new).try_fold(Vec::new(), |mut events: Vec<Event>, report| {
        let Report { version, part, .. } = *report;
        if !given_up(report) {
            return Err(Rejection::NoSuchReport { version, part });
        }
        // Named twice is asked for once.
        let named = |event: &Event| matches!(event, Event::ReportResent { report: other, .. } if **other == *report);
        if !events.iter().any(named) {
            events.push(Event::ReportResent { report: Box::new(report.clone()), by: by.clone() });
        }
        Ok(events)
    })
}

/// Those messages of a run's history that are wanted, by version and part, as they were when they were owed first.
#[must_use]
pub fn reports_of(stream: StreamId, history: &[(Event, Timestamp)], wanted: &[(u64, u32)]) -> Vec<Report> {
    let mut state = State::default();
    let mut found = Vec::new();
    for (event, at) in history {
        let told = about(stream, &state, event, *at);
        found.extend(told.into_iter().filter(|report| wanted.contains(&(report.version, report.part))));
        memory::evolve(&mut state, event, *at);
    }
    found
}
