//! The bulk job: one verb, done to every dead letter that a filter chooses.
//!
//! Owns: how far it is, which letters were chosen, and that each of them is told once.
//! Refuses to know: how letters are found (somebody looks at the tables, a page at a time), and what a run makes of the
//! verb.
//!
//! Invariant: a page is chosen when all letters of the page before have answered, so what is open is never more than a page,
//! and no event is larger than one.
//! Invariant: pages follow each other in the order of the letters' names, so no letter is chosen twice.

mod decide;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

pub use decide::BulkDecider;

use crate::{
    ids::{BulkId, CommandId, RunId, UserId, place},
    run::{Asked, DeadVerb},
    time::Timestamp,
};

/// The most letters of a page.
pub const PAGE: usize = 100;

impl BulkId {
    /// The bulk job that an order makes: the same order is the same job.
    #[must_use]
    pub fn of(order: CommandId, shard_count: u16) -> Self {
        let seed = order.child("bulk", 0);
        Self::on_shard(seed, place(seed, shard_count))
    }
}

/// Which letters are chosen: those that fit everything that is given.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Filter {
    /// State of the job: `dead`, or `failed` for those that wait for a retry.
    pub status: String,
    /// The queue it waits in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Its definition: a name, or `owner/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<String>,
    /// Class of its last failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_class: Option<String>,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The run it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// It came to this state before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Timestamp>,
    /// It came to this state after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Timestamp>,
}

/// A letter: a step whose last attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Letter {
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: String,
    /// The attempt that was its last when it was chosen.
    pub attempt: u32,
}

/// As tables call it, `run/step`.
impl fmt::Display for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.run, self.step)
    }
}

/// The first fact of a bulk job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Created {
    /// What is done.
    pub verb: DeadVerb,
    /// To which letters.
    pub filter: Filter,
    /// Whose job it is.
    pub user: UserId,
    /// Who asked, and why.
    pub by: Asked,
    /// How many letters fitted when it was asked for. Some may be gone when their page is chosen.
    pub expected: u64,
}

/// What can be asked of a bulk job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Begin.
    Create(Box<Created>),
    /// These are the letters of a page.
    Chosen {
        /// Which page, from 0.
        page: u32,
        /// The letters, in the order of their names.
        letters: Vec<Letter>,
        /// The next page begins behind this name; none when there is no other.
        next: Option<String>,
    },
    /// A letter's run has heard.
    Answered {
        /// Which letter, counted over all pages from 0.
        nth: u64,
        /// Why it did not do it; none when it did.
        refused: Option<String>,
    },
    /// Choose no more; letters that were told already are awaited.
    Cancel {
        /// Who asked, and why.
        by: Asked,
    },
}

/// What can happen to a bulk job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// It exists.
    Created(Box<Created>),
    /// A page was chosen; each of its letters is told.
    Chosen {
        /// Which page, from 0.
        page: u32,
        /// The letters.
        letters: Vec<Letter>,
        /// The next page begins behind this name; none when there is no other.
        next: Option<String>,
    },
    /// A letter's run has heard.
    Answered {
        /// Which letter, counted over all pages from 0.
        nth: u64,
        /// The letter.
        letter: Letter,
        /// Why it did not do it; none when it did.
        refused: Option<String>,
    },
    /// No more is chosen.
    CancelAsked {
        /// Who asked, and why.
        by: Asked,
    },
    /// All letters have answered.
    Completed {},
    /// It was stopped, and all letters that were told have answered.
    Cancelled {},
}

/// What is remembered of a bulk job.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing happened yet.
    #[default]
    Unborn,
    /// Letters are to be told, or to answer.
    Open(Bulk),
    /// It is over.
    Over(Bulk, End),
}

impl State {
    /// The job, once it exists.
    #[must_use]
    pub const fn bulk(&self) -> Option<&Bulk> {
        match self {
            Self::Unborn => None,
            Self::Open(bulk) | Self::Over(bulk, _) => Some(bulk),
        }
    }
}

/// How a bulk job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// All letters have answered.
    Completed,
    /// It was stopped.
    Cancelled,
}

impl End {
    /// The word in tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A bulk job that exists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bulk {
    /// Its first fact.
    pub created: Created,
    /// When that was: what came to its state later is not chosen.
    pub created_at: Timestamp,
    /// The page that is chosen next.
    pub page: u32,
    /// Behind which name it begins; none for the first.
    pub from: Option<String>,
    /// There is another page to choose.
    pub more: bool,
    /// How many letters were chosen.
    pub chosen: u64,
    /// Letters that have not answered, by their number.
    pub open: BTreeMap<u64, Letter>,
    /// Letters whose run did it.
    pub done: u64,
    /// Letters whose run did not.
    pub refused: u64,
    /// Who stopped it, and why.
    pub cancelled: Option<Asked>,
}

impl Bulk {
    /// A page is being chosen now.
    #[must_use]
    pub fn is_choosing(&self) -> bool {
        self.more && self.open.is_empty() && self.cancelled.is_none()
    }
}

/// Why a command is illegal here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Rejection {
    /// It exists already.
    #[error("the bulk job exists already")]
    Exists,
    /// There is no such job.
    #[error("there is no such bulk job")]
    Unknown,
    /// It is over.
    #[error("the bulk job is over: {end}")]
    Over {
        /// `completed` or `cancelled`.
        end: String,
    },
}
