//! The workflow definition: its versions, which of them is in force, and what starts runs of it.
//!
//! Owns: which versions there are and how far each is in its life, the schedules and subscriptions of the one in force,
//! and that each cause starts at most one run.
//! Refuses to know: how a document is read, how a run goes.
//!
//! Invariant: a version's document never changes: the same version with another digest is refused.
//! Invariant: one cause (a slot, an event, a request) starts at most one run.
//! Invariant: the version in force has the standing `active`; without one there is no live schedule and no subscription.
//! Invariant: slots wait only while a run of their schedule goes on, whose end is told here.

mod command;
mod decide;
mod document;
mod event;
mod memory;
mod owed;
mod slots;
mod start;
mod state;
mod taken;
#[cfg(test)]
mod tests;

pub use command::{Command, Parent, Rejection, Start};
pub use decide::DefinitionDecider;
pub use document::{
    Document, Parameter, ParameterFault, ParameterKind, Registered, Standing, Trigger, event_parameters,
    migrated_parameters, parameters,
};
pub use event::{Event, Heard, Slot};
pub use start::{Request, created_for, first_fact};
pub use state::{Busy, State, Waiting};
pub use taken::Taken;

use crate::{
    ids::{DefinitionId, RunId, ScheduleId, ShardId, TopicId, derive, place},
    time::Timestamp,
};

impl DefinitionId {
    /// The definition of that name; the same for every version of it.
    #[must_use]
    pub fn of(owner: &str, name: &str, shard_count: u16) -> Self {
        let seed = seed(owner, name);
        Self::on_shard(seed, place(seed, shard_count))
    }

    /// Whether it is the definition of that name, on whatever shard it was placed.
    #[must_use]
    pub fn is(self, owner: &str, name: &str) -> bool {
        Self::on_shard(seed(owner, name), self.shard()) == self
    }
}

fn seed(owner: &str, name: &str) -> uuid::Uuid {
    derive("definition", &[owner.as_bytes(), name.as_bytes()])
}

/// The `nth` schedule that a definition ever had, from 0. On the definition's shard.
///
/// A schedule that ended cannot be made again, so one that comes back is another one; which are in force stands in
/// [`State::schedules`].
#[must_use]
pub fn schedule_id(definition: DefinitionId, nth: u32) -> ScheduleId {
    let seed = derive("definition-schedule", &[definition.uuid().as_bytes(), &nth.to_be_bytes()]);
    ScheduleId::on_shard(seed, definition.shard())
}

/// The run that a slot of a schedule starts: one slot, at most one run. It is placed by itself, so that the runs of one
/// definition are not all on one shard.
#[must_use]
pub fn slot_run_id(schedule: ScheduleId, nominal: Timestamp, shard_count: u16) -> RunId {
    placed("slot-run", &[schedule.uuid().as_bytes(), &nominal.micros().to_be_bytes()], shard_count)
}

/// The run that an event starts of a definition. Events of two types may have the same id.
#[must_use]
pub fn event_run_id(definition: DefinitionId, event_type: &str, id: &str, shard_count: u16) -> RunId {
    placed("event-run", &[definition.uuid().as_bytes(), event_type.as_bytes(), id.as_bytes()], shard_count)
}

fn placed(label: &str, parts: &[&[u8]], shard_count: u16) -> RunId {
    let seed = derive(label, parts);
    let shard: ShardId = place(seed, shard_count);
    RunId::on_shard(seed, shard)
}

/// The type that a verified request to `/api/hooks/<path>` has as an event.
#[must_use]
pub fn webhook_event_type(path: &str) -> String {
    format!("webhook:{path}")
}

/// The topics that a document wants to hear of, each once, in the order of its triggers.
#[must_use]
pub fn topics(document: &Document, shard_count: u16) -> Vec<Heard> {
    let mut found: Vec<Heard> = Vec::new();
    for trigger in &document.triggers {
        let Trigger::Event { types, .. } = trigger else { continue };
        for event_type in types {
            if !found.iter().any(|heard| heard.event_type == *event_type) {
                found.push(Heard { event_type: event_type.clone(), topic: TopicId::of(event_type, shard_count) });
            }
        }
    }
    found
}
