//! What must hold of questions: told from the events that were written and from what people had seen.
//!
//! Owns: the properties. Refuses to know: the decider.

use std::collections::{BTreeMap, BTreeSet};

use nightshift_domain::{
    json::fingerprint,
    run::{ApprovalAction, ApprovalId, Event, How, State as RunState},
    time::Timestamp,
};

use super::{
    Approvals, MAKE, State, USE,
    steps::{NAMES, is_replaced, secs, value},
};
use crate::explore::{Broken, Seen};

/// Once.
pub const ONCE: &str = "a question is decided once";
/// What was seen.
pub const DIGEST: &str = "nobody decides about anything else than what they looked at";
/// What people are told.
pub const COUNTS: &str = "whoever is told that an answer counts has decided";
/// The gate.
pub const PAST: &str = "nothing goes on behind a question that nobody has approved";
/// What goes on.
pub const VALUE: &str = "what goes on is what was approved";
/// Deadlines.
pub const DEADLINE: &str = "a deadline decides only when it has come, and not what was escalated";
/// The end.
pub const NOTHING_OWED: &str = "a run that is over owes nothing";

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Asked {
    digest: String,
    deadline: Option<Timestamp>,
}

/// What was seen so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Watch {
    asked: BTreeMap<ApprovalId, Asked>,
    decided: BTreeMap<ApprovalId, Vec<(ApprovalAction, String)>>,
    /// Who was told what.
    told: BTreeSet<(ApprovalId, ApprovalAction, &'static str)>,
    /// The step behind the question may go.
    clear: bool,
    /// The question that was decided last.
    last: Option<ApprovalId>,
    /// What the person has looked at whose answer is being heard.
    looked_at: Option<String>,
    broken: BTreeSet<(&'static str, String)>,
}

impl Watch {
    pub(super) fn looks_at(&mut self, digest: Option<String>) {
        self.looked_at = digest;
    }

    pub(super) fn told_that_it_counts(&mut self, id: ApprovalId, action: ApprovalAction, who: &'static str) {
        self.told.insert((id, action, who));
    }

    fn breaks(&mut self, property: &'static str, what: impl Into<String>) {
        self.broken.insert((property, what.into()));
    }

    /// An event was written.
    pub(super) fn sees(&mut self, event: &Event, now: Timestamp, seen: &mut Seen) {
        match event {
            Event::ApprovalRequested { approval, .. } => {
                seen.note(if approval.round == 1 { "asked" } else { "asked again" });
                self.clear = false;
                let asked = Asked { digest: approval.digest.0.clone(), deadline: approval.deadline };
                self.asked.insert(approval.id, asked);
            }
            Event::ApprovalEscalated { approval, .. } => {
                seen.note("escalated");
                if let Some(asked) = self.asked.get_mut(approval) {
                    if asked.deadline.is_none_or(|deadline| deadline > now) {
                        self.broken.insert((DEADLINE, format!("escalated at {} s", secs(now))));
                    }
                    asked.deadline = None;
                }
            }
            Event::ApprovalDecided { answer, .. } => {
                let by_person = NAMES.contains(&answer.by.as_str());
                seen.note(if by_person { "decided by a person" } else { "decided by the deadline" });
                let asked = self.asked.get(&answer.approval).cloned();
                let digest = asked.as_ref().map(|asked| asked.digest.clone());
                if by_person && digest != self.looked_at {
                    self.breaks(DIGEST, format!("{} had seen {:?}, asked was {digest:?}", answer.by, self.looked_at));
                }
                let come = asked.and_then(|asked| asked.deadline).is_some_and(|deadline| deadline <= now);
                if !by_person && !come {
                    self.breaks(DEADLINE, format!("decided at {} s", secs(now)));
                }
                self.decided.entry(answer.approval).or_default().push((answer.action, answer.by.clone()));
                self.clear = answer.action == ApprovalAction::Continue;
                self.last = Some(answer.approval);
            }
            Event::StepReset { step, .. } if step == MAKE => self.clear = false,
            Event::StepCompleted { step, output, how } if step == MAKE => {
                self.clear |= is_replaced(how);
                let approved = self.last.and_then(|id| self.asked.get(&id)).map(|asked| asked.digest.clone());
                let goes_on = fingerprint(&value(output)).0;
                if matches!(how, How::Approved {}) && Some(&goes_on) != approved.as_ref() {
                    self.breaks(VALUE, format!("{goes_on} goes on, {approved:?} was approved"));
                }
            }
            Event::StepCompleted { step, .. } if step == USE => {
                seen.note("went on");
                if !self.clear {
                    self.breaks(PAST, "nobody has approved it");
                }
            }
            _ => {}
        }
    }
}

impl Approvals {
    pub(super) fn judge(&self, state: &State) -> Vec<Broken> {
        let watch = &state.watch;
        let mut broken: Vec<Broken> =
            watch.broken.iter().map(|(property, what)| Broken::new(property, what.clone())).collect();
        if let Some((_, twice)) = watch.decided.iter().find(|(_, decided)| decided.len() > 1) {
            broken.push(Broken::new(ONCE, format!("{twice:?}")));
        }
        let counts = |(id, action, who): &&(ApprovalId, ApprovalAction, &'static str)| {
            let decided = watch.decided.get(id).into_iter().flatten();
            decided.into_iter().any(|(other, by)| other == action && by == who)
        };
        if let Some((_, action, who)) = watch.told.iter().find(|told| !counts(told)) {
            broken.push(Broken::new(COUNTS, format!("{who} was told that {action:?} counts")));
        }
        if matches!(state.run.state, RunState::Over(..)) && !state.run.owed.is_empty() {
            broken.push(Broken::new(NOTHING_OWED, format!("{:?}", state.run.owed.keys())));
        }
        broken
    }
}
