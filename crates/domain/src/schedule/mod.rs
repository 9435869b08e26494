//! The schedule: a trigger in time that tells its target about each due instant, once.
//!
//! Owns: which instants fired, which were skipped and why, and which comes next.
//! Refuses to know: what the target does with a slot.
//!
//! Invariant: every due instant that comes while it is not paused is covered by exactly one event: `fired` or `skipped`.
//! What people ask for beside (`triggered`) covers nothing and moves no timer.
//! Invariant: exactly one timer is open while it is live, not paused and not exhausted; otherwise none.

mod catch_up;
mod decide;
mod extra;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use decide::ScheduleDecider;

use crate::{
    calendar::{CalendarError, Schedule},
    ids::StreamId,
    time::Timestamp,
};

/// What can be asked of a schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Start telling `target`.
    Create {
        /// Rule, zone and policies.
        schedule: Schedule,
        /// Whom to tell.
        target: StreamId,
        /// Start paused.
        #[serde(default)]
        paused: bool,
    },
    /// The timer of this instant went off.
    Fire {
        /// The due instant the timer was for.
        nominal: Timestamp,
    },
    /// Stop telling until resumed.
    Pause {
        /// Why, for people.
        note: String,
    },
    /// Go on from now; instants that passed meanwhile are not made up for.
    Resume {},
    /// Another rule from now on.
    Retime {
        /// The new rule, zone and policies.
        schedule: Schedule,
    },
    /// Stop for ever.
    End {},
    /// Tell the target of a slot now, also while paused; each such command is another slot.
    TriggerNow {},
    /// Tell the target of each due instant in a range once more, by the rule of today; those that have a timer of their
    /// own or are still to come are left to it. The target knows the slots it had.
    Backfill {
        /// The first instant that counts.
        from: Timestamp,
        /// The last instant that counts.
        upto: Timestamp,
    },
}

/// What can happen to a schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// It exists.
    Created {
        /// Rule, zone and policies.
        schedule: Schedule,
        /// Whom it tells.
        target: StreamId,
        /// It starts paused.
        paused: bool,
        /// The first due instant.
        next_due: Option<Timestamp>,
        /// Edition of the zone data that gave it.
        tz_revision: String,
    },
    /// A due instant came; the target is told.
    Fired {
        /// Whom it tells.
        target: StreamId,
        /// The due instant.
        nominal: Timestamp,
        /// The next one.
        next_due: Option<Timestamp>,
        /// Edition of the zone data that gave it.
        tz_revision: String,
    },
    /// Due instants passed without telling the target.
    Skipped {
        /// Whom it would have told.
        target: StreamId,
        /// The first of them.
        from: Timestamp,
        /// The last of them.
        upto: Timestamp,
        /// How many; at least so many when `count_is_bound`.
        count: u32,
        /// Counting stopped at a limit.
        count_is_bound: bool,
        /// Why.
        reason: SkipReason,
        /// The next due instant.
        next_due: Option<Timestamp>,
        /// Edition of the zone data that gave it.
        tz_revision: String,
    },
    /// It stopped until resumed.
    Paused {
        /// Whom it tells.
        target: StreamId,
        /// Why, for people.
        note: String,
    },
    /// It goes on.
    Resumed {
        /// Whom it tells.
        target: StreamId,
        /// The next due instant.
        next_due: Option<Timestamp>,
        /// Edition of the zone data that gave it.
        tz_revision: String,
    },
    /// It follows another rule.
    ReTimed {
        /// Whom it tells.
        target: StreamId,
        /// The new rule, zone and policies.
        schedule: Schedule,
        /// The next due instant.
        next_due: Option<Timestamp>,
        /// Edition of the zone data that gave it.
        tz_revision: String,
    },
    /// It stopped for ever.
    Ended {
        /// Whom it told.
        target: StreamId,
    },
    /// Somebody asked for a slot; the target is told.
    Triggered {
        /// Whom it tells.
        target: StreamId,
        /// The instant of the slot.
        nominal: Timestamp,
        /// Who asked.
        cause: Cause,
    },
}

/// Who says that a slot is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Its timer.
    #[default]
    Timer,
    /// Somebody who did not want to wait.
    Hand,
    /// Somebody who wants instants of the past.
    Backfill,
}

impl Cause {
    /// The word in facts and tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timer => "timer",
            Self::Hand => "hand",
            Self::Backfill => "backfill",
        }
    }
}

/// Why due instants were passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// Missed while nobody looked, and the policy is not to make up for it.
    CatchUpSkip,
    /// Missed while nobody looked; a later one stands for it.
    CatchUpLatest,
    /// Missed while nobody looked; more than the policy makes up for.
    CatchUpMax,
    /// Older than the catch-up window.
    CatchUpWindow,
    /// Due, but not yet told when the schedule was paused.
    Paused,
}

impl SkipReason {
    /// A sentence for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CatchUpSkip => "missed while not running; catch_up is skip",
            Self::CatchUpLatest => "missed while not running; the latest missed slot stands for it",
            Self::CatchUpMax => "missed while not running; more than catch_up makes up for",
            Self::CatchUpWindow => "missed while not running; older than the catch-up window",
            Self::Paused => "due, but not yet told when the schedule was paused",
        }
    }
}

/// What is remembered of a schedule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing happened yet.
    #[default]
    Unborn,
    /// It tells, or waits to be resumed.
    Live {
        /// Rule, zone and policies.
        schedule: Schedule,
        /// Whom it tells.
        target: StreamId,
        /// It waits to be resumed.
        paused: bool,
        /// The instant whose timer is open; none while paused or exhausted.
        next_due: Option<Timestamp>,
        /// The last instant that was fired or skipped.
        last: Option<Timestamp>,
        /// The last slot that was triggered by hand.
        by_hand: Option<Timestamp>,
        /// How many slots were triggered; names what is owed for each.
        triggered: u64,
    },
    /// It stopped for ever.
    Ended,
}

/// Why a command is illegal here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Rejection {
    /// It exists already.
    #[error("the schedule exists already")]
    Exists,
    /// There is no such schedule.
    #[error("there is no such schedule")]
    Unknown,
    /// It stopped for ever.
    #[error("the schedule has ended")]
    Ended,
    /// The timer is not the one that is open.
    #[error("the timer for {nominal} is not the open one")]
    StaleTimer {
        /// The timer that went off.
        nominal: Timestamp,
        /// The one that is open.
        open: Option<Timestamp>,
    },
    /// No due instant can be computed.
    #[error(transparent)]
    Calendar(CalendarError),
    /// The range holds too much.
    #[error("more than {most} instants are due in that range; ask for it in parts, the first up to {last}")]
    TooMany {
        /// How many may be asked for at once.
        most: u32,
        /// The last instant of as many.
        last: Timestamp,
    },
    /// The target makes nothing of slots of the past.
    #[error("a deliverable takes the newest material, so there is nothing to make up for; run it now instead")]
    NoPast,
}
