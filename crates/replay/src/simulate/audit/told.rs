//! Webhooks, versions of definitions, rules of schedules: what follows an order is what the order says.
//!
//! Owns: I28 and I29. Refuses to know: what a message says, what a version does.

use std::collections::BTreeSet;

use nightshift_domain::{
    calendar::Schedule,
    definition, deliverable,
    ids::{RunId, ScheduleId, StreamId},
    run::Event,
    time::Timestamp,
};

use super::Audit;
use crate::simulate::{Invariant, database::Fact};

/// What was seen of a definition.
#[derive(Debug, Default)]
pub struct DefinitionView {
    registered: BTreeSet<String>,
    in_force: Option<String>,
}

/// What an order says of its schedule.
#[derive(Debug, Default)]
pub struct OrderView {
    schedule: Option<Schedule>,
    paused: bool,
    over: bool,
    tells: Option<ScheduleId>,
}

impl Audit {
    /// A webhook takes a message.
    pub fn received(&mut self, run: RunId, place: (u64, u32), now: Timestamp) {
        let durable = self.versions.get(&run.stream()).copied().unwrap_or(0);
        let heard = self.heard.entry(run).or_default();
        let in_order = heard.contains(&place) || heard.last().is_none_or(|last| *last < place);
        let last = heard.last().copied();
        heard.insert(place);
        self.holds(Invariant::I28, place.0 <= durable && in_order, now, || {
            format!("run {run}: a webhook hears of {place:?} after {last:?}; {durable} events are durable")
        });
    }

    /// A message counts as told.
    pub(super) fn report_event(&mut self, run: RunId, event: &Event, now: Timestamp) {
        if let Event::Reported { version, part, .. } = event {
            let heard = self.heard.get(&run).is_some_and(|heard| heard.contains(&(*version, *part)));
            self.holds(Invariant::I28, heard, now, || {
                format!("run {run}: message {version}/{part} counts as told, and no webhook got it")
            });
        }
    }

    pub(super) fn definition_event(&mut self, fact: &Fact, event: &definition::Event, now: Timestamp) {
        use definition::Event as Told;
        let view = self.definitions.entry(fact.stream).or_default();
        match event {
            Told::Registered { document, .. } => drop(view.registered.insert(document.version.clone())),
            Told::Activated { version, .. } => view.in_force = Some(version.clone()),
            Told::Deprecated { version } | Told::Archived { version } => {
                view.in_force.take_if(|other| other == version);
            }
            Told::RunRequested { run, created, .. } => {
                self.requested.push(*run);
                let version = created.subject.workflow().map(|workflow| workflow.version.clone());
                let fits = version == view.in_force && version.as_ref().is_some_and(|it| view.registered.contains(it));
                let in_force = view.in_force.clone();
                self.holds(Invariant::I29, fits, now, || {
                    format!("run {run} begins under version {version:?} while {in_force:?} is in force")
                });
            }
            Told::RunRefused { .. } | Told::SlotBuffered { .. } | Told::RunEnded { .. } => {}
        }
    }

    /// What an order says of its schedule, from now on.
    pub(super) fn order_event(&mut self, fact: &Fact, event: &deliverable::Event) {
        use deliverable::Event as Told;
        let view = self.orders.entry(fact.stream).or_default();
        match event {
            Told::Created { order, paused, schedule_id, .. } => {
                (view.schedule, view.paused) = (order.schedule.clone(), *paused);
                view.tells = schedule_id.or(view.tells);
            }
            Told::Revised { order, schedule_id } => {
                view.schedule = order.schedule.clone();
                view.tells = schedule_id.or(view.tells);
            }
            Told::Paused { .. } => view.paused = true,
            Told::Resumed {} => view.paused = false,
            Told::Archived {} => view.over = true,
            _ => {}
        }
    }

    /// All is quiet: each schedule goes by the last rule of its order, and stands still when its order does.
    pub(super) fn schedules_follow(&mut self, now: Timestamp) {
        let orders = std::mem::take(&mut self.orders);
        let mut all: Vec<(&StreamId, &OrderView)> = orders.iter().filter(|(_, order)| !order.over).collect();
        all.sort_unstable_by_key(|(stream, _)| **stream);
        for (stream, order) in all {
            let Some(found) = order.tells.and_then(|schedule| self.schedules.get(&schedule.stream())) else { continue };
            let Some(wanted) = &order.schedule else { continue };
            let (rule, still) = found.stands();
            let (same, paused) = (rule == wanted, order.paused);
            self.holds(Invariant::I29, same && still == paused, now, || {
                format!("{stream} is paused: {paused}, its schedule: {still}; they have the same rule: {same}")
            });
        }
    }
}
