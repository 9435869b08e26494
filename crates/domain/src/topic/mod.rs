//! The topic: one type of event, who wants to hear of it, and what was published.
//!
//! Owns: subscriptions, and that each of them hears of each event once.
//! Refuses to know: what a subscriber does with an event.
//!
//! Invariant: an event that is published again while it is kept changes nothing.
//! Invariant: a step hears of one event at most.
//!
//! Whose events somebody hears: an event belongs to a user. One of the user `local`, who runs the program, is for
//! everybody; one of anybody else is private. A step hears of the private events of its run's user only. A definition is
//! told of each, and keeps to what its own user may hear (`definition`): its own events and those for everybody, or all
//! when it belongs to `local`; then the run that an event starts is the event's user's.

mod decide;
mod memory;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

pub use decide::TopicDecider;

use crate::{
    ids::{StreamId, TopicId, UserId, derive, place},
    json::Json,
    time::Timestamp,
};

/// The most bytes of an event's id, type, user, correlation and foreign id: they end in keys of tables, and a row of an
/// index has room for about 2,700. As many as the 200 characters of a type in a document may have.
pub const TEXT_BYTES_MAX: usize = 800;

/// The most events that are kept.
pub const KEPT_MAX: usize = 1_000;

/// How long an event is kept at most, in milliseconds.
pub const KEPT_MS: i64 = 24 * 3_600 * 1_000;

impl TopicId {
    /// The topic of a type of event.
    #[must_use]
    pub fn of(event_type: &str, shard_count: u16) -> Self {
        let seed = derive("topic", &[event_type.as_bytes()]);
        Self::on_shard(seed, place(seed, shard_count))
    }
}

/// Who wants to hear.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subscriber {
    /// A definition, of every event.
    Definition {
        /// Its stream.
        stream: StreamId,
        /// Which of its events says so. What it said before counts no more, though it arrive later.
        ordinal: u64,
    },
    /// A step of a run, of the next event that fits, once.
    Step {
        /// The run's stream.
        stream: StreamId,
        /// The step.
        step: String,
        /// The attempt that waits.
        attempt: u32,
        /// Whose run it is; none, as steps of the first releases said it: of any user.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<UserId>,
    },
}

impl Subscriber {
    /// Who it is, as one text: the stream, and for a step its attempt and name.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Definition { stream, .. } => stream.to_string(),
            Self::Step { stream, step, attempt, .. } => format!("{stream}:{attempt}:{step}"),
        }
    }

    /// Whether it may hear of an event of `user`.
    #[must_use]
    pub fn may_hear(&self, user: &UserId) -> bool {
        match self {
            Self::Definition { .. } | Self::Step { user: None, .. } => true,
            Self::Step { user: Some(own), .. } => own == user || user.is_everybody(),
        }
    }

    /// The stream that is told.
    #[must_use]
    pub const fn stream(&self) -> StreamId {
        match self {
            Self::Definition { stream, .. } | Self::Step { stream, .. } => *stream,
        }
    }
}

/// What was published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Published {
    /// Identity; the same one again changes nothing.
    pub id: String,
    /// Whose event it is.
    pub user: UserId,
    /// What it is about, for those who wait for one of many.
    pub correlation: Option<String>,
    /// An id of the outside (`intent_id`), kept for people.
    #[serde(default)]
    pub intent_id: Option<String>,
    /// The rest.
    pub payload: Json,
}

impl Published {
    /// The event as subscribers are told of it: `{type, id, user, correlation, intent_id, payload, at}`.
    #[must_use]
    pub fn told(&self, event_type: &str, at: Timestamp) -> Json {
        serde_json::json!({
            "type": event_type,
            "id": self.id,
            "user": self.user.0,
            "correlation": self.correlation,
            "intent_id": self.intent_id,
            "payload": self.payload,
            "at": at.to_string(),
        })
    }

    /// Whether somebody who wants `correlation`, or any, wants to hear of it and may.
    #[must_use]
    pub fn is_for(&self, subscriber: &Subscriber, correlation: Option<&str>) -> bool {
        correlation.is_none_or(|wanted| self.correlation.as_deref() == Some(wanted)) && subscriber.may_hear(&self.user)
    }
}

/// What can be asked of a topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Tell somebody of events.
    Subscribe {
        /// The type of event; the topic is named by it.
        event_type: String,
        /// Whom.
        subscriber: Subscriber,
        /// Only of those with this correlation.
        correlation: Option<String>,
        /// Also of those kept events that were published since then; a step only of the first of them.
        since: Option<Timestamp>,
        /// Of none of these kept events, by their ids: other waits of the same run had them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        heard: Vec<String>,
    },
    /// Tell somebody no more.
    Unsubscribe {
        /// Whom.
        subscriber: Subscriber,
    },
    /// An event happened.
    Publish {
        /// The type of event.
        event_type: String,
        /// What happened.
        event: Box<Published>,
    },
}

/// What can happen to a topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Somebody is told from now on.
    Subscribed {
        /// The type of event.
        event_type: String,
        /// Whom.
        subscriber: Subscriber,
        /// Only of those with this correlation.
        correlation: Option<String>,
    },
    /// Somebody is told no more.
    Unsubscribed {
        /// Whom.
        subscriber: Subscriber,
    },
    /// An event happened; these are told.
    Published {
        /// The type of event.
        event_type: String,
        /// What happened.
        event: Box<Published>,
        /// Who is told.
        told: Vec<Subscriber>,
    },
    /// A kept event is told to somebody who subscribed after it.
    ToldLater {
        /// The type of event.
        event_type: String,
        /// What happened.
        event: Box<Published>,
        /// When that was.
        at: Timestamp,
        /// Who is told.
        subscriber: Subscriber,
    },
}

/// What is remembered of a topic.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// How many events there were. Names what is owed.
    pub version: u64,
    /// The type of event; empty before the first command.
    pub event_type: String,
    /// Who is told, by [`Subscriber::key`].
    pub subscribers: BTreeMap<String, Subscription>,
    /// The last thing each definition said, by [`Subscriber::key`]: what it said before counts no more.
    pub ordinals: BTreeMap<String, u64>,
    /// The last events, oldest first, for those who subscribe a moment too late and for repetitions.
    pub kept: Vec<Kept>,
}

/// Somebody who is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Whom.
    pub subscriber: Subscriber,
    /// Only of events with this correlation.
    pub correlation: Option<String>,
}

/// An event that is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// When it was published.
    pub at: Timestamp,
    /// What happened.
    pub event: Arc<Published>,
}

/// Why a command is illegal here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Rejection {
    /// The event has no identity.
    #[error("an event needs an id: the same id again is the same event")]
    NoId,
    /// A text is too long for the keys of tables.
    #[error("the {what} of an event has at most {TEXT_BYTES_MAX} bytes, not {bytes}")]
    TooLong {
        /// `id`, `type`, `correlation`, `intent_id` or `user`.
        what: String,
        /// How many bytes it has.
        bytes: usize,
    },
    /// Everybody who hears of it would be told more than a value may be.
    #[error("the payload {why}")]
    TooLarge {
        /// How much that is.
        why: String,
    },
    /// The topic is of another type.
    #[error("this topic is {known:?}, not {asked:?}")]
    AnotherType {
        /// Its type.
        known: String,
        /// As asked.
        asked: String,
    },
}
