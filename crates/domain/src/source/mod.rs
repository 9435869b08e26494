//! The source: what was observed of one folder, repository, feed or text of one user.
//!
//! Owns: which content is known, since which version of the stream, what a version retains, what expired.
//! Refuses to know: how a source is read. The texts are in the events, not in the state.
//!
//! Invariant: an item's version only grows, so "new since version v" is exact, whatever clocks say.

mod places;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    content::{Cursor, Digest, FailureClass, Item, Observation, Omission, SourceFailure, SourceSpec},
    decider::{Ctx, Decider, Delta},
    ids::{StreamId, StreamKind, UserId, VersionId},
    time::Timestamp,
};

pub use places::{PLACES_MAX, Places, Stretch};

/// The most items a source remembers; the oldest are forgotten first, which matters only to a source that still shows them.
pub const ITEMS_MAX: usize = 5_000;

/// What can be asked of a source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Somebody looked.
    Record {
        /// Whose source it is.
        user: UserId,
        /// What it is.
        spec: SourceSpec,
        /// What was found.
        found: Result<Observation, SourceFailure>,
    },
    /// A version was made of content in this range; keep it.
    Retain {
        /// Versions of this stream up to this one were in an earlier document.
        from_version: u64,
        /// Versions up to this one are in the document.
        upto_version: u64,
        /// The document.
        reference: VersionId,
    },
}

/// What can happen to a source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// It is known.
    Registered {
        /// Whose it is.
        user: UserId,
        /// What it is.
        spec: SourceSpec,
    },
    /// A look found new, changed or missing content.
    ContentObserved {
        /// New and changed items.
        items: Vec<Item>,
        /// Items that are gone.
        removed: Vec<String>,
        /// Parts that could not be read.
        omitted: Vec<Omission>,
        /// Where the next look starts.
        cursor: Cursor,
        /// When content that nothing retains expires.
        expires_at: Timestamp,
    },
    /// A look found nothing new.
    Checked {
        /// Parts that could not be read.
        omitted: Vec<Omission>,
        /// Where the next look starts.
        cursor: Cursor,
    },
    /// A look failed.
    ObservationFailed {
        /// What kind of failure.
        class: FailureClass,
        /// What was tried, what was found, what helps.
        message: String,
    },
    /// A document keeps content.
    ContentRetained {
        /// Content after this version of the stream.
        from_version: u64,
        /// Content up to this version.
        upto_version: u64,
        /// Always `deliverable_execution`.
        reason: String,
        /// The document.
        reference: VersionId,
    },
    /// Content that nothing retained is past its time.
    ContentExpired {
        /// The items.
        items: Vec<String>,
    },
}

/// The most bytes of an item's id: it ends in keys of tables, and feeds choose theirs freely.
const ITEM_ID_BYTES_MAX: usize = 1_024;
/// What is shown of an id that is longer.
const OMITTED_ID_BYTES: usize = 100;

/// What is remembered of a source.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Version of the stream: the number of events so far.
    pub version: u64,
    /// Whose it is and what it is, once known.
    pub known: Option<(UserId, SourceSpec)>,
    /// Content by item.
    pub items: BTreeMap<String, Known>,
    /// Items that are gone, and the version at which that was seen.
    pub removed: BTreeMap<String, u64>,
    /// Where the next look starts.
    pub cursor: Cursor,
    /// When it was last looked at with success.
    pub synced_at: Option<Timestamp>,
    /// Newest instant the source itself gave.
    pub latest_at: Option<Timestamp>,
    /// Why the last look failed; none when it did not.
    pub failing: Option<String>,
    /// Where the stream holds the content.
    pub places: Places,
}

/// What is remembered of one item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Its content.
    pub digest: Digest,
    /// Version of the stream at which that content was first seen.
    pub version: u64,
    /// When it expires; none when retained or expired already.
    pub expires_at: Option<Timestamp>,
    /// It expired: its text is gone, so it is no news to anybody; only a new content of the item is.
    pub expired: bool,
}

impl State {
    /// How many items are new, changed or gone since `version` of the stream. What expired unread does not count.
    #[must_use]
    pub fn fresh_since(&self, version: u64) -> u64 {
        let items = self.items.values().filter(|item| item.version > version && !item.expired).count();
        let removed = self.removed.values().filter(|at| **at > version).count();
        (items + removed) as u64
    }

    /// The digests a look compares with.
    #[must_use]
    pub fn digests(&self) -> BTreeMap<String, Digest> {
        self.items.iter().map(|(id, item)| (id.clone(), item.digest.clone())).collect()
    }
}

/// Why a command is illegal here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Rejection {
    /// Nothing was observed of it yet.
    #[error("nothing was observed of this source yet")]
    Unknown,
}

/// The source stream.
pub struct SourceDecider;

impl Decider for SourceDecider {
    const KIND: StreamKind = StreamKind::Source;
    const STATE_REVISION: u32 = 2;
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(state: &State, command: &Command, ctx: &Ctx<'_>) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::Record { user, spec, found } => Ok(record(state, user, spec, found, ctx.now)),
            Command::Retain { .. } if state.known.is_none() => Err(Rejection::Unknown),
            Command::Retain { from_version, upto_version, reference } => Ok(vec![Event::ContentRetained {
                from_version: *from_version,
                upto_version: *upto_version,
                reason: "deliverable_execution".to_owned(),
                reference: *reference,
            }]),
        }
    }

    fn evolve(state: &mut State, event: &Event, at: Timestamp) {
        state.version += 1;
        match event {
            Event::Registered { user, spec } => state.known = Some((user.clone(), spec.clone())),
            Event::ContentObserved { items, removed, cursor, expires_at, .. } => {
                observed(state, items, removed, *expires_at);
                looked(state, cursor, at);
            }
            Event::Checked { cursor, .. } => looked(state, cursor, at),
            Event::ObservationFailed { message, .. } => state.failing = Some(message.clone()),
            Event::ContentRetained { from_version, upto_version, .. } => {
                let kept = |item: &&mut Known| item.version > *from_version && item.version <= *upto_version;
                state.items.values_mut().filter(kept).for_each(|item| item.expires_at = None);
            }
            Event::ContentExpired { items } => {
                for id in items {
                    if let Some(item) = state.items.get_mut(id) {
                        (item.expires_at, item.expired) = (None, true);
                    }
                }
            }
        }
    }

    fn obligations(_stream: StreamId, _before: &State, _event: &Event, _at: Timestamp) -> Delta {
        Delta::none()
    }

    fn ended(_state: &State) -> bool {
        false
    }
}

fn record(
    state: &State,
    user: &UserId,
    spec: &SourceSpec,
    found: &Result<Observation, SourceFailure>,
    now: Timestamp,
) -> Vec<Event> {
    let mut events = Vec::new();
    if state.known.is_none() {
        events.push(Event::Registered { user: user.clone(), spec: spec.clone() });
    }
    let expired: Vec<String> = state
        .items
        .iter()
        .filter(|(_, item)| item.expires_at.is_some_and(|at| at <= now))
        .map(|(id, _)| id.clone())
        .collect();
    if !expired.is_empty() {
        events.push(Event::ContentExpired { items: expired });
    }
    events.push(match found {
        Err(failure) => Event::ObservationFailed { class: failure.class, message: failure.message.clone() },
        Ok(observation) => news(state, spec, observation, now),
    });
    events
}

/// Content that differs from what is known; items that come back with the same digest are no news.
fn news(state: &State, spec: &SourceSpec, found: &Observation, now: Timestamp) -> Event {
    let (fit, long): (Vec<&Item>, Vec<&Item>) =
        found.items.iter().partition(|item| item.item_id.len() <= ITEM_ID_BYTES_MAX);
    let differs = |item: &&&Item| state.items.get(&item.item_id).is_none_or(|known| known.digest != item.text.digest);
    let items: Vec<Item> = fit.iter().filter(differs).map(|item| (**item).clone()).collect();
    let removed: Vec<String> = found.removed.iter().filter(|id| state.items.contains_key(*id)).cloned().collect();
    let unnamed = |item: &&Item| Omission {
        item_id: item.item_id[..item.item_id.floor_char_boundary(OMITTED_ID_BYTES)].to_owned(),
        reason: format!("its id has {} bytes; at most {ITEM_ID_BYTES_MAX} are kept", item.item_id.len()),
    };
    let omitted = found.omitted.iter().cloned().chain(long.iter().map(unnamed)).collect();
    let cursor = found.cursor.clone();
    if items.is_empty() && removed.is_empty() {
        return Event::Checked { omitted, cursor };
    }
    let expires_at = now.plus_ms(i64::from(spec.ttl_hours()) * 3_600_000);
    Event::ContentObserved { items, removed, omitted, cursor, expires_at }
}

fn observed(state: &mut State, items: &[Item], removed: &[String], expires_at: Timestamp) {
    let version = state.version;
    state.places.content(version);
    for item in items {
        state.removed.remove(&item.item_id);
        let known = Known { digest: item.text.digest.clone(), version, expires_at: Some(expires_at), expired: false };
        state.items.insert(item.item_id.clone(), known);
        state.latest_at = state.latest_at.max(item.source_at);
    }
    for id in removed {
        state.items.remove(id);
        state.removed.insert(id.clone(), version);
    }
    forget_oldest(&mut state.items, |item| item.version);
    forget_oldest(&mut state.removed, |version| *version);
}

fn forget_oldest<T>(map: &mut BTreeMap<String, T>, version: impl Fn(&T) -> u64) {
    let excess = map.len().saturating_sub(ITEMS_MAX);
    if excess == 0 {
        return;
    }
    let mut by_age: Vec<(u64, String)> = map.iter().map(|(id, value)| (version(value), id.clone())).collect();
    by_age.sort_unstable();
    for (_, id) in by_age.into_iter().take(excess) {
        map.remove(&id);
    }
}

fn looked(state: &mut State, cursor: &Cursor, at: Timestamp) {
    state.places.looked(state.version);
    state.cursor = cursor.clone();
    state.synced_at = Some(at);
    state.failing = None;
}
