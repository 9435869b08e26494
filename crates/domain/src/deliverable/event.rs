//! What can happen to a deliverable.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{EditMeasure, Order};
use crate::{
    content::{Digest, Draft, Failure, NoticeKind, Receipt, SourceSnapshot, Text},
    ids::{RunId, ScheduleId, SourceId, UserId, VersionId},
    time::Timestamp,
};

/// What can happen to a deliverable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The order was taken.
    Created {
        /// Whose it is.
        user: UserId,
        /// What is ordered.
        order: Box<Order>,
        /// Its schedule stream, when it has a schedule.
        schedule_id: Option<ScheduleId>,
        /// It starts paused.
        paused: bool,
    },
    /// The order was changed.
    Revised {
        /// What is ordered from now on.
        order: Box<Order>,
        /// Its schedule stream, when it has a schedule.
        schedule_id: Option<ScheduleId>,
    },
    /// It makes nothing until resumed.
    Paused {
        /// Why.
        note: String,
    },
    /// It goes on.
    Resumed {},
    /// It stopped for ever.
    Archived {},
    /// A slot came and is worked on.
    SlotDue {
        /// The slot.
        slot: Uuid,
        /// Its due instant, or the instant it was asked for.
        nominal: Timestamp,
        /// What started it.
        trigger: Trigger,
        /// A version is made even when nothing is new.
        force: bool,
        /// The due instant after it.
        next_due: Option<Timestamp>,
    },
    /// A slot came while another is worked on; it waits.
    SlotBuffered {
        /// The slot.
        slot: Uuid,
        /// Its due instant.
        nominal: Timestamp,
        /// The due instant after it.
        next_due: Option<Timestamp>,
    },
    /// The sources were looked at for a slot.
    SourcesAssessed {
        /// The slot.
        slot: Uuid,
        /// What was seen.
        sources: Vec<SourceAssessment>,
        /// Items that are new since the last version.
        fresh_items: u64,
    },
    /// A slot passes without a version.
    Skipped {
        /// The slot.
        slot: Uuid,
        /// Its due instant.
        nominal: Timestamp,
        /// Why.
        reason: Skipped,
        /// The due instant after it, when it is known here.
        next_due: Option<Timestamp>,
    },
    /// A run is to make a version.
    RunRequested {
        /// The slot.
        slot: Uuid,
        /// Its due instant.
        nominal: Timestamp,
        /// The run.
        run_id: RunId,
        /// Number of the version, from 1.
        number: u32,
        /// The version.
        version_id: VersionId,
        /// What started it.
        trigger: Trigger,
    },
    /// A version is ready to be read.
    VersionStaged {
        /// Version number.
        number: u32,
        /// The version.
        version_id: VersionId,
        /// The document and how it was made.
        draft: Draft,
        /// What the sources looked like.
        snapshots: Vec<SourceSnapshot>,
        /// Versions of the source streams up to which material was taken.
        consumed: BTreeMap<String, u64>,
    },
    /// A version could not be made.
    VersionFailed {
        /// Version number.
        number: u32,
        /// The version.
        version_id: VersionId,
        /// The step that failed.
        step: String,
        /// Why.
        failure: Failure,
    },
    /// Somebody began to read it.
    ReviewStarted {
        /// Version number.
        number: u32,
        /// Who.
        by: String,
    },
    /// Its text was changed.
    VersionEdited {
        /// Version number.
        number: u32,
        /// Who.
        by: String,
        /// The new text.
        text: Text,
        /// How far it is from the draft.
        measure: EditMeasure,
    },
    /// Somebody, or the governance of the order, agreed to it.
    VersionApproved {
        /// Version number.
        number: u32,
        /// Who; `governance:full_auto` or `governance:semi_auto` when it was the rule.
        by: String,
        /// What they said.
        note: Option<String>,
        /// The text they agreed to.
        digest: Digest,
    },
    /// Somebody refused it.
    VersionRejected {
        /// Version number.
        number: u32,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// It is on its way out.
    DeliveryRequested {
        /// Version number.
        number: u32,
        /// How many times it was sent out, with this, from 1.
        ordinal: u32,
        /// The run that delivers it.
        run_id: RunId,
        /// Who asked.
        by: String,
    },
    /// It arrived.
    Delivered {
        /// Version number.
        number: u32,
        /// Which delivery, from 1; 0 when it has no destination and stays here.
        ordinal: u32,
        /// Proof.
        receipt: Receipt,
    },
    /// It could not be delivered.
    DeliveryFailed {
        /// Version number.
        number: u32,
        /// Which delivery.
        ordinal: u32,
        /// Why.
        failure: Failure,
    },
    /// People are to be told.
    NoticeRaised {
        /// Version number.
        number: u32,
        /// Number of the notice of this version, from 1.
        ordinal: u32,
        /// Why they are told.
        kind: NoticeKind,
        /// Subject line.
        subject: String,
        /// Body.
        body: String,
        /// The run that mails it; none when nobody is to be mailed.
        run_id: Option<RunId>,
    },
    /// They were told by mail.
    NoticeSent {
        /// Version number.
        number: u32,
        /// Which notice.
        ordinal: u32,
        /// Proof.
        receipt: Receipt,
    },
    /// They could not be told by mail.
    NoticeFailed {
        /// Version number.
        number: u32,
        /// Which notice.
        ordinal: u32,
        /// Why.
        failure: Failure,
    },
}

/// What started a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// Its time came.
    Schedule,
    /// Somebody asked.
    Manual,
}

impl Trigger {
    /// The word in tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Manual => "manual",
        }
    }
}

/// Why a slot passed without a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Skipped {
    /// Nothing is new since the last version.
    NothingNew {
        /// Sources that were looked at.
        sources: u32,
        /// Sources that could not be read.
        failing: u32,
    },
    /// The slot before is still worked on.
    StillRunning {
        /// Since when.
        since: Timestamp,
    },
    /// The deliverable is paused.
    Paused {},
    /// A later slot was taken up before this one was told.
    Overtaken {
        /// The later slot's due instant.
        by: Timestamp,
    },
    /// The deliverable is archived.
    Archived {},
}

impl std::fmt::Display for Skipped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NothingNew { sources, failing: 0 } => {
                write!(f, "No new content since last run ({sources} source(s) checked)")
            }
            Self::NothingNew { sources, failing } => {
                write!(f, "No new content since last run ({sources} source(s) checked, {failing} could not be read)")
            }
            Self::StillRunning { since } => write!(f, "The run before is still going since {since}"),
            Self::Paused {} => f.write_str("The deliverable is paused"),
            Self::Overtaken { by } => write!(f, "The later slot {by} was taken up first"),
            Self::Archived {} => f.write_str("The deliverable is archived"),
        }
    }
}

/// What one source looked like when a slot was assessed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceAssessment {
    /// Which source.
    pub source_id: SourceId,
    /// Name for people.
    pub resource_name: String,
    /// Version of its stream now.
    pub upto_version: u64,
    /// Items new since the last version.
    pub fresh_items: u64,
    /// Whether freshness can be measured; what cannot is always fresh.
    pub measurable: bool,
    /// When it was last looked at with success.
    pub synced_at: Option<Timestamp>,
    /// Longer ago than the order asks for.
    pub stale: bool,
    /// Why it could not be read this time.
    pub error: Option<String>,
}
