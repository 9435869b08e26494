//! The queue of a cluster as people set it: limits that count instead of those of the file, and what is paused.
//!
//! Owns: which limits are set, which queues are paused, by whom and why.
//! Refuses to know: limits of files, who waits, who holds a place, how many tokens there are.
//!
//! Invariant: a limit that is set can be passed: it leaves a place, or a token, to somebody.

mod decide;
mod memory;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

pub use decide::QueueDecider;

use crate::{
    ids::{QueueId, ShardId, derive},
    run::Asked,
    time::Timestamp,
};

impl QueueId {
    /// The queue: a cluster has one.
    #[must_use]
    pub fn the() -> Self {
        Self::on_shard(derive("queue", &[]), ShardId(0))
    }
}

/// What a limit is about. Written as people write it: `concurrency`, `queue:<name>`, `key:<key>`,
/// `user:<user>:agent:<agent>`, `global:agent:<agent>`; stars in place of user and agent stand for each of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum LimitKey {
    /// Steps at once, of all queues.
    Concurrency,
    /// Steps at once of a queue.
    Queue(String),
    /// Steps at once with a concurrency key.
    Key(String),
    /// Tokens of a bucket, by its whole key.
    Bucket(String),
}

impl LimitKey {
    /// Reads a key as people write it; none when it has no such form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let named = |prefix: &str| text.strip_prefix(prefix).filter(|name| !name.is_empty()).map(str::to_owned);
        // Explanations say `rate:` in front of a bucket's key.
        let bucket = text.strip_prefix("rate:").unwrap_or(text);
        let is_bucket = match bucket.split_once(":agent:") {
            Some((_, "")) | None => bucket.strip_prefix("global:agent:").is_some_and(|agent| !agent.is_empty()),
            Some((who, _)) => who == "global" || who.strip_prefix("user:").is_some_and(|user| !user.is_empty()),
        };
        match text {
            "concurrency" => Some(Self::Concurrency),
            _ if is_bucket => Some(Self::Bucket(bucket.to_owned())),
            _ => named("queue:").map(Self::Queue).or_else(|| named("key:").map(Self::Key)),
        }
    }

    /// Whether it limits places; otherwise it limits tokens.
    #[must_use]
    pub const fn is_of_places(&self) -> bool {
        !matches!(self, Self::Bucket(_))
    }
}

impl fmt::Display for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Concurrency => f.write_str("concurrency"),
            Self::Queue(queue) => write!(f, "queue:{queue}"),
            Self::Key(key) => write!(f, "key:{key}"),
            Self::Bucket(key) => f.write_str(key),
        }
    }
}

impl From<LimitKey> for String {
    fn from(key: LimitKey) -> Self {
        key.to_string()
    }
}

impl TryFrom<String> for LimitKey {
    type Error = Rejection;

    fn try_from(key: String) -> Result<Self, Rejection> {
        Self::parse(&key).ok_or(Rejection::UnknownKey { key })
    }
}

/// How much.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// So many at once, at least one.
    Places {
        /// How many.
        places: u32,
    },
    /// A token for each attempt, out of a bucket.
    Rate {
        /// The most tokens it holds, at least one.
        capacity: f64,
        /// Tokens that come back each second; 0: none do.
        refill_per_s: f64,
    },
}

/// What can be asked of the queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// This limit counts from now on, instead of one of the file.
    SetLimit {
        /// What it is about, as [`LimitKey`] is written.
        key: String,
        /// How much.
        limit: Limit,
        /// Who asks, and why.
        by: Asked,
    },
    /// What was set counts no more; what the file says does.
    ClearLimit {
        /// What it is about, as [`LimitKey`] is written.
        key: String,
        /// Who asks, and why.
        by: Asked,
    },
    /// Give no place to steps of a queue until it is resumed; what runs goes on.
    Pause {
        /// Its name; none: all queues.
        queue: Option<String>,
        /// Who asks, and why.
        by: Asked,
    },
    /// Go on.
    Resume {
        /// Its name; none: what was paused as a whole. Queues that were paused by name stay so.
        queue: Option<String>,
        /// Who asks, and why.
        by: Asked,
    },
}

/// What can happen to the queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A limit counts from now on, instead of one of the file.
    LimitSet {
        /// What it is about.
        key: LimitKey,
        /// How much.
        limit: Limit,
        /// Who asked, and why.
        by: Asked,
    },
    /// A limit that was set counts no more; what the file says does.
    LimitCleared {
        /// What it is about.
        key: LimitKey,
        /// Who asked, and why.
        by: Asked,
    },
    /// No step of a queue is given a place until it is resumed.
    Paused {
        /// Its name; none: all queues.
        queue: Option<String>,
        /// Who asked, and why.
        by: Asked,
    },
    /// A queue goes on.
    Resumed {
        /// Its name; none: what was paused as a whole.
        queue: Option<String>,
        /// Who asked, and why.
        by: Asked,
    },
}

/// What is remembered of the queue.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Limits that are set.
    pub limits: BTreeMap<LimitKey, Set>,
    /// All queues are paused.
    pub paused: Option<Paused>,
    /// Queues that are paused, by name.
    pub queues: BTreeMap<String, Paused>,
}

/// A limit that is set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Set {
    /// How much.
    pub limit: Limit,
    /// Who asked, and why.
    pub by: Asked,
    /// Since when it counts.
    pub since: Timestamp,
}

/// Why nothing is given a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// Who asked, and why.
    pub by: Asked,
    /// Since when.
    pub since: Timestamp,
}

/// Why a command is illegal here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Rejection {
    /// No limit is written like that.
    #[error(
        "{key:?} names no limit: write `concurrency`, `queue:<name>`, `key:<key>`, `user:<user>:agent:<agent>` or \
         `global:agent:<agent>`"
    )]
    UnknownKey {
        /// As asked.
        key: String,
    },
    /// Places for a bucket, or tokens for places.
    #[error("{key} is a limit of {wants}")]
    OtherKind {
        /// What it is about.
        key: LimitKey,
        /// What it takes: `places`, or `capacity and refill`.
        wants: String,
    },
    /// Nothing would ever pass.
    #[error("{key}: {asked} leaves nothing to anybody, at least 1 is needed; to hold a queue back, pause it")]
    TooSmall {
        /// What it is about.
        key: LimitKey,
        /// Places or capacity, as asked.
        asked: f64,
    },
    /// A bucket that leaks, or a number that is none.
    #[error("{key}: a refill of {asked} tokens a second is not 0 or more")]
    BadRefill {
        /// What it is about.
        key: LimitKey,
        /// As asked, in words: it may be no number.
        asked: String,
    },
    /// Nothing was set.
    #[error("{key} is not set here; what counts is the file, if it names it")]
    NotSet {
        /// What it is about.
        key: LimitKey,
    },
    /// A queue needs a name.
    #[error("a queue has a name; leave it out to mean all queues")]
    NoName,
    /// It goes already.
    #[error("{} is not paused{}", queue_words(.queue.as_deref()), if *.all { ", but all queues are: resume them" } else { "" })]
    NotPaused {
        /// Its name; none: all queues.
        queue: Option<String>,
        /// All queues are paused.
        all: bool,
    },
}

/// A queue in words.
fn queue_words(queue: Option<&str>) -> String {
    queue.map_or_else(|| "the whole".to_owned(), |queue| format!("queue {queue:?}"))
}
