//! Schedules as data, and the calendar a decision may ask.
//!
//! Owns: what a schedule says (rule, zone, policies) and the questions a decider asks of a calendar.
//! Refuses to know: time-zone data and calendar arithmetic. `spec` answers; its answers are stored in events, so
//! folding the log never computes a calendar.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// When something is due, in its own zone, and what happens to instants that were missed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// The rule that gives the due instants.
    pub rule: Rule,
    /// IANA zone name the rule is read in, e.g. `Europe/Berlin`; `UTC` when none was given.
    pub timezone: String,
    /// What to do with instants that passed while nobody looked.
    #[serde(default)]
    pub catch_up: CatchUp,
    /// Instants older than this many seconds when they are found are skipped whatever `catch_up` says. None: no limit.
    #[serde(default)]
    pub catch_up_window_s: Option<u64>,
    /// What to do when the instant comes while the former run is still going.
    #[serde(default)]
    pub overlap: Overlap,
    /// Spread of the start, in seconds: each instant starts up to this much later, by an amount derived from its id.
    #[serde(default)]
    pub jitter_s: u32,
}

/// An instant found later than this counts as missed, not as late.
const MISSED_AFTER_MS: i64 = 60_000;

impl Schedule {
    /// Age of an instant, counted from when its slot starts at the latest.
    #[must_use]
    pub fn age_ms(&self, nominal: Timestamp, now: Timestamp) -> i64 {
        now.micros_since(nominal) / 1_000 - i64::from(self.jitter_s) * 1_000
    }

    /// Age beyond which an instant is too old to be made up for.
    #[must_use]
    pub fn catch_up_window_ms(&self) -> i64 {
        let window_s = self.catch_up_window_s.unwrap_or(u64::MAX);
        i64::try_from(window_s.saturating_mul(1_000)).unwrap_or(i64::MAX)
    }

    /// Whether an instant that is found `now` was missed: it is a matter for `catch_up`, not merely late.
    #[must_use]
    pub fn is_missed(&self, nominal: Timestamp, now: Timestamp) -> bool {
        self.age_ms(nominal, now) > MISSED_AFTER_MS.min(self.catch_up_window_ms())
    }
}

/// The rule of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Five cron fields with names (`0 18 * * SUN`); 0 and 7 are Sunday; day of month *or* day of week when both are given.
    Cron {
        /// The five fields.
        expression: String,
    },
    /// Every so many seconds of elapsed time, counted from `anchor`, without drift.
    Interval {
        /// Period in seconds, at least 1.
        every_s: u64,
        /// The instant the grid is counted from.
        anchor: Timestamp,
    },
    /// The calendar words of the deliverable form.
    Calendar {
        /// How often.
        frequency: Frequency,
        /// Day of the week, for all but daily.
        #[serde(default)]
        day: Option<Weekday>,
        /// Local time as minutes after midnight.
        minute_of_day: u16,
    },
    /// Exactly once.
    Once {
        /// The instant.
        at: Timestamp,
    },
}

/// How often a calendar rule falls due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Frequency {
    /// Every day at the time.
    Daily,
    /// Monday to Friday at the time.
    Weekdays,
    /// Every week on the day.
    Weekly,
    /// Every second week on the day, counted from the week of 1970-01-05 so that it does not depend on the last run.
    Biweekly,
    /// On the first such day of each month.
    Monthly,
}

/// Day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weekday {
    /// Monday.
    Monday,
    /// Tuesday.
    Tuesday,
    /// Wednesday.
    Wednesday,
    /// Thursday.
    Thursday,
    /// Friday.
    Friday,
    /// Saturday.
    Saturday,
    /// Sunday.
    Sunday,
}

/// What to do with due instants that passed while the process was down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// Skip them all.
    Skip,
    /// Run once, for the latest of them.
    #[default]
    Latest,
    /// Run for each, at most `max` (and never more than 1,000 at once), oldest first; the rest are skipped.
    All {
        /// Upper bound of missed instants made up for; an instant that is merely late does not count.
        max: u32,
    },
}

/// What to do when an instant comes while the former run is still going.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// Record the instant as skipped.
    #[default]
    Skip,
    /// Keep one instant and run it when the former run ended; a second one is skipped.
    BufferOne,
    /// Keep each instant and run them one after another. For workflows only.
    BufferAll,
    /// Stop the former run; the instant runs when that has ended. For workflows only.
    CancelOther,
    /// Run beside it. For workflows only.
    Allow,
}

/// Answers about due instants. Pure: equal questions get equal answers for one `tz_revision`.
pub trait Calendar: Send + Sync {
    /// The first due instant strictly after `after`; none when the schedule is exhausted (a past `Once`).
    ///
    /// # Errors
    /// A schedule that validation should have refused: unknown zone, a cron that never fires.
    fn next_after(&self, schedule: &Schedule, after: Timestamp) -> Result<Option<Timestamp>, CalendarError>;

    /// The latest due instant at or before `at` and strictly after `after`; none when there is none.
    ///
    /// # Errors
    /// As [`Calendar::next_after`].
    fn latest_at(
        &self,
        schedule: &Schedule,
        after: Timestamp,
        at: Timestamp,
    ) -> Result<Option<Timestamp>, CalendarError>;

    /// Which edition of the zone data answers, e.g. `2026f`. Recorded beside each answer.
    fn tz_revision(&self) -> &str;
}

/// A schedule that no instant can be computed from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("no due instant can be computed for {what}: {why}")]
pub struct CalendarError {
    /// The part of the schedule that is at fault, as written.
    pub what: String,
    /// Why, with the remedy.
    pub why: String,
}
