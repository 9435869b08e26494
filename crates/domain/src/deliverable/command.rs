//! What can be asked of a deliverable, and why not.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Order, SourceAssessment};
use crate::{
    calendar::CalendarError,
    content::{Digest, Text},
    ids::{RunId, UserId},
    run,
    time::Timestamp,
};

/// What can be asked of a deliverable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Take the order.
    Create {
        /// Whose it is.
        user: UserId,
        /// What is ordered.
        order: Box<Order>,
        /// Start paused.
        #[serde(default)]
        paused: bool,
    },
    /// Change the order; versions made so far stay as they are.
    Revise {
        /// What is ordered from now on.
        order: Box<Order>,
    },
    /// Make nothing until resumed.
    Pause {
        /// Why, for people.
        note: String,
    },
    /// Go on.
    Resume {},
    /// Stop for ever.
    Archive {},
    /// Make a version now.
    RunNow {
        /// Also when nothing is new.
        force: bool,
    },
    /// The schedule says that a slot is due.
    SlotDue {
        /// The due instant.
        nominal: Timestamp,
        /// The one after it.
        next_due: Option<Timestamp>,
    },
    /// The sources were looked at.
    Assessed {
        /// The slot they were looked at for.
        slot: Uuid,
        /// What was seen, in the order of the sources.
        sources: Vec<SourceAssessment>,
    },
    /// A run that this deliverable asked for is over.
    RunEnded {
        /// Which.
        run: RunId,
        /// How.
        end: run::End,
    },
    /// Somebody begins to read a staged version.
    StartReview {
        /// Version number.
        number: u32,
        /// Who.
        by: String,
    },
    /// Somebody agrees to a version.
    Approve {
        /// Version number.
        number: u32,
        /// Who.
        by: String,
        /// What they say about it.
        note: Option<String>,
        /// Digest of the text they read; the approval is void when it is another one.
        digest: Option<Digest>,
    },
    /// Somebody refuses a version.
    Reject {
        /// Version number.
        number: u32,
        /// Who.
        by: String,
        /// Why; the next version is made with it in mind.
        reason: String,
    },
    /// Somebody changes the text of a version under review.
    Edit {
        /// Version number.
        number: u32,
        /// Who.
        by: String,
        /// Digest of the text that was changed.
        base: Digest,
        /// The new text.
        text: Text,
        /// How far it is from what was made.
        measure: EditMeasure,
    },
    /// Deliver an approved or delivered version once more.
    Deliver {
        /// Version number.
        number: u32,
        /// Who asks.
        by: String,
    },
    /// Nobody objected within the window.
    WindowElapsed {
        /// Version number.
        number: u32,
    },
}

/// How far an edited text is from the draft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditMeasure {
    /// Thousandths: 0 unchanged, 1000 rewritten.
    pub distance_permille: u16,
    /// Unified diff from the draft.
    pub diff: Text,
    /// Kinds of change, e.g. `shortened`, `headings`.
    pub categories: Vec<String>,
}

/// Why a command is illegal here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Rejection {
    /// There is no such deliverable.
    #[error("there is no such deliverable")]
    Unknown,
    /// It exists already, with another order.
    #[error("the deliverable exists already")]
    Exists,
    /// It is archived.
    #[error("the deliverable is archived; an archived deliverable makes nothing more")]
    Archived,
    /// It is paused.
    #[error("the deliverable is paused ({note}); resume it first")]
    Paused {
        /// Why it was paused.
        note: String,
    },
    /// A slot is being worked on.
    #[error("a version is being made since {since} (run {run}); wait for it or cancel it")]
    Busy {
        /// Since when.
        since: Timestamp,
        /// The run, or the look at the sources before it.
        run: String,
    },
    /// The slot is not the one that is worked on.
    #[error("slot {slot} is not the one being worked on")]
    OtherSlot {
        /// As named.
        slot: Uuid,
    },
    /// The run is not one that this deliverable waits for.
    #[error("run {run} is not one this deliverable waits for")]
    OtherRun {
        /// As named.
        run: RunId,
    },
    /// There is no such version.
    #[error("there is no version {number}; the newest is {newest}")]
    NoSuchVersion {
        /// As named.
        number: u32,
        /// The highest number so far; 0 when there is none.
        newest: u32,
    },
    /// The version is in another state.
    #[error("version {number} is {status}; {verb} needs it to be {allowed}")]
    VersionIs {
        /// Version number.
        number: u32,
        /// Its state.
        status: String,
        /// What was asked.
        verb: String,
        /// States in which it can be.
        allowed: String,
    },
    /// The text is not the one that was read.
    #[error("version {number} now reads {actual}, not {named}: read it again")]
    OtherText {
        /// Version number.
        number: u32,
        /// The digest that was named.
        named: Digest,
        /// The digest it has.
        actual: Digest,
    },
    /// There is nowhere to deliver to.
    #[error("the deliverable has no destination; give it one and try again")]
    NoDestination,
    /// A delivery of this version is under way.
    #[error("version {number} is being delivered (run {run})")]
    BeingDelivered {
        /// Version number.
        number: u32,
        /// The run that delivers it.
        run: RunId,
    },
    /// The order has no source.
    #[error("the order names no source")]
    NoSources,
    /// No due instant can be computed.
    #[error(transparent)]
    Calendar(CalendarError),
}
