//! What is remembered of a definition.
//!
//! Owns: the shape of the memory and questions about it. Refuses to know: events and commands.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Document, Heard, Registered, Rejection, Standing, Taken};
use crate::{
    calendar::Schedule,
    ids::{RunId, ScheduleId, UserId},
    json::Json,
    schedule::Cause,
    time::Timestamp,
};

/// What is remembered of a definition.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// How many events there were. Names what is owed, so that two things told to one stream differ and keep their order.
    pub version: u64,
    /// Its versions, by name.
    pub versions: BTreeMap<String, Registered>,
    /// The one in force.
    pub active: Option<String>,
    /// Whose runs the triggers of the version in force start.
    pub user: UserId,
    /// The schedules of the version in force, in the order of its schedule triggers.
    pub schedules: Vec<ScheduleId>,
    /// How many schedules there ever were.
    pub schedules_made: u32,
    /// What the version in force hears of.
    pub topics: Vec<Heard>,
    /// What each schedule in force has under way and behind it.
    pub busy: BTreeMap<ScheduleId, Busy>,
}

/// What a schedule of a definition has under way and behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Busy {
    /// The run that goes on, whose end is told here. Runs of a schedule whose overlap is `allow` are not counted.
    pub run: Option<RunId>,
    /// Slots that wait for its end, in the order in which they go.
    pub waiting: Vec<Waiting>,
    /// Slots that were given a run.
    pub taken: Taken,
}

/// A slot that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The due instant.
    pub nominal: Timestamp,
    /// Who said that it is due.
    pub cause: Cause,
    /// It is made up for.
    pub made_up: bool,
}

impl State {
    /// The version in force.
    #[must_use]
    pub fn in_force(&self) -> Option<&Registered> {
        self.versions.get(self.active.as_ref()?)
    }

    /// The version that a run can be started of; none asked for: the one in force.
    ///
    /// # Errors
    /// There is none, or it is archived.
    pub fn startable(&self, version: Option<&str>) -> Result<&Registered, Rejection> {
        if self.versions.is_empty() {
            return Err(Rejection::Unknown);
        }
        let Some(version) = version else {
            return self.in_force().ok_or_else(|| Rejection::NoneActive { versions: self.names() });
        };
        let found = self.version(version)?;
        if found.standing == Standing::Archived {
            let standing = found.standing.as_str().to_owned();
            return Err(Rejection::NotStartable { version: version.to_owned(), standing });
        }
        Ok(found)
    }

    /// A version, whatever its standing.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn version(&self, version: &str) -> Result<&Registered, Rejection> {
        let unknown = || match self.versions.is_empty() {
            true => Rejection::Unknown,
            false => Rejection::NoSuchVersion { version: version.to_owned(), versions: self.names() },
        };
        self.versions.get(version).ok_or_else(unknown)
    }

    fn names(&self) -> Vec<String> {
        self.versions.keys().cloned().collect()
    }

    /// The document in force and the schedule trigger of it that a schedule is of; none when it is of none any more.
    #[must_use]
    pub fn trigger_of(&self, schedule: ScheduleId) -> Option<(&Arc<Document>, &Schedule, &Json)> {
        let nth = self.schedules.iter().position(|id| *id == schedule)?;
        let document = &self.in_force()?.document;
        let (rule, parameters) = document.schedules().nth(nth)?;
        Some((document, rule, parameters))
    }

    /// The schedules that go when a version with `left` schedule triggers is in force next.
    pub(super) fn going(&self, left: usize) -> &[ScheduleId] {
        self.schedules.get(left..).unwrap_or_default()
    }
}

impl Busy {
    /// Whether something came of a slot already, or will.
    #[must_use]
    pub fn knows(&self, nominal: Timestamp) -> bool {
        self.taken.has(nominal) || self.waiting.iter().any(|waiting| waiting.nominal == nominal)
    }
}
