//! What must hold of leases: told from the events that were written, without asking the decider.
//!
//! Owns: the properties, and what has to be remembered for them. Refuses to know: how a state was reached.

use std::collections::{BTreeMap, BTreeSet};

use nightshift_domain::run::{CrashPolicy, Event, State as RunState, Token};

use super::{Leases, Memory, State, Work};
use crate::explore::{Broken, Seen};

/// Fencing tokens.
pub const TOKEN: &str = "no two attempts have the same token";
/// Numbers of attempts.
pub const NUMBER: &str = "no two attempts of a step have the same number";
/// Results.
pub const OPEN: &str = "a result counts only under the token of the attempt that is open";
/// Ends of attempts.
pub const ONE_END: &str = "an attempt ends once";
/// Policies.
pub const POLICY: &str = "no more attempts than the policy allows, beside those that were lost or turned away";
/// At most once.
pub const AT_MOST_ONCE: &str = "what must never be done again is not";
/// Leases that live.
pub const LIVING: &str = "an attempt that its process still does is not taken for lost";
/// The end.
pub const NOTHING_OWED: &str = "a run that is over owes neither places nor attempts nor timers";
/// The queue.
pub const PLACES: &str = "no more is done at once than there are places";

/// What was seen of a step.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Course {
    /// Attempts that began since it was last done again by hand, lost and turned away ones left out.
    counted: u32,
    /// Attempts that ended.
    ended: BTreeSet<u32>,
    /// Attempts that began.
    begun: BTreeSet<u32>,
    /// An attempt was lost since.
    lost: bool,
}

/// What was seen so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Watch {
    tokens: BTreeSet<Token>,
    courses: BTreeMap<String, Course>,
    /// The result that is being heard does not belong to the attempt that is open.
    stale: bool,
    /// Attempts that are taken for lost on purpose.
    given_up: BTreeSet<Token>,
    broken: BTreeSet<&'static str>,
}

impl Watch {
    /// A result is about to be heard.
    pub(super) fn reports(&mut self, work: &Work, open: Option<Work>) {
        self.stale = open != Some(*work);
    }

    /// It was.
    pub(super) fn reported(&mut self) {
        self.stale = false;
    }

    /// The task of an attempt is gone.
    pub(super) fn given_up(&mut self, work: &Work) {
        self.given_up.insert(work.token);
    }

    /// An attempt is about to be taken for lost.
    pub(super) fn expires(&mut self, work: &Work, up: Option<&Memory>) {
        let works = up.is_some_and(|up| up.working.contains(work));
        if works && !self.given_up.contains(&work.token) {
            self.broken.insert(LIVING);
        }
    }

    /// An event was written.
    pub(super) fn sees(&mut self, event: &Event, seen: &mut Seen) {
        let mut broken = Vec::new();
        match event {
            Event::AttemptStarted { step, attempt, lease, .. } => {
                let course = self.courses.entry(step.clone()).or_default();
                course.counted += 1;
                if !course.begun.insert(*attempt) {
                    broken.push(NUMBER);
                }
                if course.lost {
                    seen.note("begun again after a loss");
                }
                if !self.tokens.insert(lease.token) {
                    broken.push(TOKEN);
                }
            }
            Event::AttemptSucceeded { step, attempt, .. } | Event::AttemptFailed { step, attempt, .. } => {
                if self.stale {
                    broken.push(OPEN);
                }
                let course = self.courses.entry(step.clone()).or_default();
                if !course.ended.insert(*attempt) {
                    broken.push(ONE_END);
                }
                if let Event::AttemptFailed { free: true, .. } = event {
                    course.counted = course.counted.saturating_sub(1);
                    seen.note("turned away");
                }
                seen.note(if matches!(event, Event::AttemptFailed { .. }) { "failed" } else { "succeeded" });
            }
            Event::LeaseExpired { step, attempt, .. } => {
                let course = self.courses.entry(step.clone()).or_default();
                if !course.ended.insert(*attempt) {
                    broken.push(ONE_END);
                }
                course.counted = course.counted.saturating_sub(1);
                course.lost = true;
                seen.note("expired");
            }
            Event::StepReset { step, .. } => {
                let course = self.courses.entry(step.clone()).or_default();
                (course.counted, course.lost) = (0, false);
            }
            Event::StaleResult { .. } => seen.note("stale result kept for the record"),
            Event::StepDied { .. } => seen.note("dead"),
            _ => {}
        }
        self.broken.extend(broken);
    }
}

impl Leases {
    pub(super) fn judge(&self, state: &State) -> Vec<Broken> {
        let watch = &state.watch;
        let mut broken: Vec<Broken> = watch.broken.iter().map(|property| Broken::new(property, "as told")).collect();
        for (step, course) in &watch.courses {
            if course.counted > self.attempts_max {
                broken.push(Broken::new(POLICY, format!("step {step}: {course:?}")));
            }
            let open = course.begun.difference(&course.ended).count();
            if self.crash == CrashPolicy::Never && course.lost && open > 0 {
                broken.push(Broken::new(AT_MOST_ONCE, format!("step {step}: {course:?}")));
            }
        }
        if matches!(state.run.state, RunState::Over(..)) && !state.run.owed.is_empty() {
            let keys: Vec<&String> = state.run.owed.keys().collect();
            broken.push(Broken::new(NOTHING_OWED, format!("{keys:?}")));
        }
        let working = state.up.as_ref().map_or(0, |up| up.working.len());
        if working > self.places {
            broken.push(Broken::new(PLACES, format!("{working} at once")));
        }
        broken
    }
}
