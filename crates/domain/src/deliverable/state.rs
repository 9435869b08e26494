//! What is remembered of a deliverable.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Order, Trigger};
use crate::{
    content::{Digest, Text},
    ids::{RunId, ScheduleId, UserId},
    time::Timestamp,
};

/// What is remembered of a deliverable.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "unborn is the rare one: a state is kept for what exists")]
pub enum State {
    /// Nothing happened yet.
    #[default]
    Unborn,
    /// The order was taken.
    Taken(Deliverable),
}

impl State {
    /// The deliverable, once its order was taken.
    #[must_use]
    pub const fn taken(&self) -> Option<&Deliverable> {
        match self {
            Self::Unborn => None,
            Self::Taken(deliverable) => Some(deliverable),
        }
    }
}

/// A deliverable whose order was taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deliverable {
    /// Whose it is.
    pub user: UserId,
    /// What is ordered.
    pub order: Arc<Order>,
    /// Its schedule stream.
    pub schedule_id: Option<ScheduleId>,
    /// How many things the schedule was told since it was made; orders them.
    pub told: u32,
    /// Whether it works.
    pub standing: Standing,
    /// The slot that is worked on.
    pub current: Option<Current>,
    /// A slot that waits for it.
    pub buffered: Option<Slot>,
    /// Missed slots that are made up for and wait behind `buffered`, oldest first.
    pub waiting: Vec<Slot>,
    /// The last due instant that was taken up or passed over.
    pub last_nominal: Option<Timestamp>,
    /// When the last version was asked for.
    pub last_run_at: Option<Timestamp>,
    /// Versions by number.
    pub versions: BTreeMap<u32, Version>,
    /// Versions of the source streams that went into the last staged version, by source.
    pub consumed: BTreeMap<String, u64>,
    /// Errors of the sources as the last staged version recorded them, by source.
    pub failing: BTreeMap<String, String>,
    /// What people said about rejected and edited versions, newest first, at most ten.
    pub feedback: Vec<String>,
}

/// Notes on earlier versions that a new one is made with.
pub const FEEDBACK_MAX: usize = 10;

/// Whether a deliverable works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It works.
    Active {},
    /// It waits to be resumed.
    Paused {
        /// Why.
        note: String,
    },
    /// It stopped for ever.
    Archived {},
}

impl Standing {
    /// The word in tables.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Active {} => "active",
            Self::Paused { .. } => "paused",
            Self::Archived {} => "archived",
        }
    }
}

/// A slot: one due instant, or one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// Its identity.
    pub id: Uuid,
    /// Its due instant, or the instant it was asked for.
    pub nominal: Timestamp,
    /// What started it.
    pub trigger: Trigger,
    /// A version is made even when nothing is new.
    pub force: bool,
}

/// The slot that is worked on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Current {
    /// The slot.
    pub slot: Slot,
    /// Since when.
    pub since: Timestamp,
    /// How far it is.
    pub stage: Stage,
}

/// How far a slot is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The sources are looked at.
    Assessing {
        /// What was seen, once it was.
        seen: Vec<super::SourceAssessment>,
    },
    /// A run makes the version.
    Producing {
        /// The run.
        run: RunId,
        /// Version number.
        number: u32,
    },
}

/// A version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Its state.
    pub status: VersionStatus,
    /// The slot it is for.
    pub slot_id: Uuid,
    /// The due instant of that slot.
    pub nominal: Timestamp,
    /// When it was staged.
    pub staged_at: Option<Timestamp>,
    /// Digest of what was made.
    pub draft: Option<Digest>,
    /// The text as it stands, without its bytes: they are in the content store.
    pub text: Option<Text>,
    /// How it is being delivered.
    pub delivery: Delivery,
    /// How many times it was sent out.
    pub deliveries: u32,
    /// The notices raised about it by number, each with the run that mails it while that is going.
    pub notices: BTreeMap<u32, Option<RunId>>,
    /// It is delivered by itself unless somebody acts within the window.
    pub window_open: bool,
}

/// How a version is being delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// Not asked for.
    None {},
    /// On its way.
    Delivering {
        /// The run that delivers it.
        run: RunId,
    },
    /// Arrived.
    Delivered {},
    /// Could not be delivered.
    Failed {},
}

/// State of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VersionStatus {
    /// It is being made.
    Generating,
    /// It waits to be read.
    Staged,
    /// Somebody reads it.
    Reviewing,
    /// Somebody agreed.
    Approved,
    /// Somebody refused.
    Rejected,
    /// It arrived.
    Delivered,
    /// It could not be made.
    Failed,
}

impl VersionStatus {
    /// The word in tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Generating => "generating",
            Self::Staged => "staged",
            Self::Reviewing => "reviewing",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

impl Deliverable {
    /// The highest version number so far; 0 when there is none.
    #[must_use]
    pub fn newest(&self) -> u32 {
        self.versions.keys().next_back().copied().unwrap_or(0)
    }
}
