//! What can happen to a definition.
//!
//! Owns: the words. Refuses to know: when each of them happens.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Document, Parent};
use crate::{
    ids::{RunId, ScheduleId, TopicId, UserId},
    json::Json,
    run::Created,
    schedule::Cause,
    time::Timestamp,
};

/// What can happen to a definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A version is kept.
    Registered {
        /// What it says.
        document: Arc<Document>,
        /// Whose runs its triggers start.
        user: UserId,
    },
    /// A version is in force.
    Activated {
        /// Which.
        version: String,
        /// The one that was in force until now.
        former: Option<String>,
        /// The schedules of its schedule triggers, in their order. Those of the version before go on where there was one.
        schedules: Vec<ScheduleId>,
        /// What it hears of from now on.
        topics: Vec<Heard>,
    },
    /// A version is kept for those who name it.
    Deprecated {
        /// Which.
        version: String,
    },
    /// No run is started of a version any more.
    Archived {
        /// Which.
        version: String,
    },
    /// A run is started.
    RunRequested {
        /// The run's first fact.
        created: Box<Created>,
        /// The run.
        run: RunId,
        /// The schedule that caused it, when one did; its slot is the run's nominal instant.
        schedule: Option<ScheduleId>,
    },
    /// A cause started no run.
    RunRefused {
        /// The run that would have been.
        run: RunId,
        /// What caused it.
        trigger: Json,
        /// Why not, for people.
        why: String,
        /// Who waited for it.
        parent: Option<Parent>,
        /// The slot that caused it, when one did.
        slot: Option<Slot>,
    },
    /// A slot came while the former run of its schedule went on, and waits for its end.
    SlotBuffered {
        /// The schedule.
        schedule: ScheduleId,
        /// The due instant.
        nominal: Timestamp,
        /// Who said that it is due.
        cause: Cause,
        /// It is made up for: it was missed or asked for later, so it neither runs over nor stops another.
        made_up: bool,
        /// The former run, when it is stopped for this slot, which then goes before others that wait.
        cancels: Option<RunId>,
    },
    /// A run that a schedule started is over.
    RunEnded {
        /// The run.
        run: RunId,
        /// The schedule.
        schedule: ScheduleId,
        /// `completed`, `failed` or `cancelled`.
        how: String,
    },
}

/// A due instant of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// The schedule.
    pub schedule: ScheduleId,
    /// The instant.
    pub nominal: Timestamp,
}

/// A type of event that a definition hears of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// The type.
    pub event_type: String,
    /// Its topic. Kept, because where it was placed is never computed again.
    pub topic: TopicId,
}
