//! The deliverable: a standing order for a document, its slots and its versions.
//!
//! Owns: which slot runs, which is skipped and why, what state each version is in, who has to agree, what is delivered.
//! Refuses to know: how material is read, a text made, a mail sent; when a slot is due.
//!
//! Invariant: one slot has at most one version; at most one slot is worked on at a time.
//! Invariant: the content of a version that is rejected or delivered never changes.

mod command;
mod decide;
mod event;
mod memory;
mod order;
mod owed;
mod plans;
mod review;
mod slots;
mod state;
#[cfg(test)]
mod tests;

pub use command::{Command, EditMeasure, Rejection};
pub use decide::DeliverableDecider;
pub use event::{Event, Skipped, SourceAssessment, Trigger};
pub use order::{Binding, Classification, DeliverableType, Governance, Order, semi_auto_window_default_s};
pub use state::{Current, Deliverable, Delivery, Slot, Stage, Standing, State, Version, VersionStatus};

use crate::ids::{CommandId, DeliverableId, RunId, ScheduleId, derive, place};

/// A new deliverable's id, derived from the command that makes it.
#[must_use]
pub fn deliverable_id(command: CommandId, shard_count: u16) -> DeliverableId {
    let seed = command.child("deliverable", 0);
    DeliverableId::on_shard(seed, place(seed, shard_count))
}

/// The schedule of a deliverable: one each, on the same shard.
#[must_use]
pub fn schedule_id(deliverable: DeliverableId) -> ScheduleId {
    ScheduleId::on_shard(derive("schedule", &[deliverable.uuid().as_bytes()]), deliverable.shard())
}

/// The run that makes the version of a slot.
#[must_use]
pub fn produce_run_id(deliverable: DeliverableId, slot: uuid::Uuid) -> RunId {
    RunId::on_shard(derive("produce", &[deliverable.uuid().as_bytes(), slot.as_bytes()]), deliverable.shard())
}

/// The run of the `ordinal`-th (from 1) delivery or notice of a version.
#[must_use]
pub fn follow_up_run_id(deliverable: DeliverableId, what: &str, number: u32, ordinal: u32) -> RunId {
    let id = deliverable.uuid();
    let seed = derive(what, &[id.as_bytes(), &number.to_be_bytes(), &ordinal.to_be_bytes()]);
    RunId::on_shard(seed, deliverable.shard())
}
