//! Deliverables: one version for a slot, one end for a version.
//!
//! Owns: I17 of deliverables. Refuses to know: why a slot was skipped.

use std::collections::{BTreeMap, BTreeSet};

use nightshift_domain::{deliverable::Event, time::Timestamp};
use uuid::Uuid;

use super::Audit;
use crate::simulate::{Invariant, database::Fact};

/// What was seen of a deliverable.
#[derive(Debug, Default)]
pub struct DeliverableView {
    begun: BTreeSet<Uuid>,
    slots: BTreeMap<Uuid, u32>,
    /// How the making of each version ended; none: not yet.
    made: BTreeMap<u32, Option<&'static str>>,
    judged: BTreeMap<u32, &'static str>,
    delivered: BTreeSet<(u32, u32)>,
    archived: bool,
}

impl Audit {
    pub(super) fn deliverable_event(&mut self, fact: &Fact, event: &Event, now: Timestamp) {
        let mut view = self.deliverables.remove(&fact.stream).unwrap_or_default();
        let fault = view.hear(event);
        self.holds(Invariant::I17, fault.is_none(), now, || format!("{}: {}", fact.stream, fault.unwrap_or_default()));
        self.deliverables.insert(fact.stream, view);
    }

    /// Versions that were asked for and never came.
    pub(super) fn stuck_versions(&mut self, now: Timestamp) {
        let mut stuck = Vec::new();
        for (stream, view) in &self.deliverables {
            let open = view.made.iter().filter(|(_, end)| end.is_none() && !view.archived);
            stuck.extend(open.map(|(number, _)| format!("{stream}: version {number} was neither staged nor failed")));
        }
        stuck.sort_unstable();
        self.looked(Invariant::I25, self.deliverables.len() as u64);
        stuck.into_iter().for_each(|what| self.violated(Invariant::I25, what, now));
    }
}

impl DeliverableView {
    fn hear(&mut self, event: &Event) -> Option<String> {
        match event {
            Event::SlotDue { slot, nominal, .. } => {
                (!self.begun.insert(*slot)).then(|| format!("slot {slot} of {nominal} begins twice"))
            }
            Event::RunRequested { slot, number, .. } => {
                let other = self
                    .slots
                    .insert(*slot, *number)
                    .map(|other| format!("slot {slot} has versions {other} and {number}"));
                let twice = self.made.insert(*number, None).map(|_| format!("version {number} is asked for twice"));
                other.or(twice)
            }
            Event::VersionStaged { number, .. } => self.ended(*number, "staged"),
            Event::VersionFailed { number, .. } => self.ended(*number, "failed"),
            Event::VersionApproved { number, .. } => self.judge(*number, "approved"),
            Event::VersionRejected { number, .. } => self.judge(*number, "rejected"),
            Event::Delivered { number, ordinal, .. } => {
                let twice = !self.delivered.insert((*number, *ordinal));
                twice.then(|| format!("delivery {ordinal} of version {number} is recorded twice"))
            }
            Event::Archived {} => {
                self.archived = true;
                None
            }
            _ => None,
        }
    }

    fn ended(&mut self, number: u32, how: &'static str) -> Option<String> {
        match self.made.insert(number, Some(how)) {
            Some(None) => None,
            Some(Some(before)) => Some(format!("version {number} is {how} after it was {before}")),
            None => Some(format!("version {number} is {how} and nobody asked for it")),
        }
    }

    fn judge(&mut self, number: u32, how: &'static str) -> Option<String> {
        self.judged.insert(number, how).map(|before| format!("version {number} is {how} after it was {before}"))
    }
}
