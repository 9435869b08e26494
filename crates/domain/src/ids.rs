//! Identifiers and how they are derived.
//!
//! Owns: one newtype per kind of thing, the derivation of ids from their cause, and the shard embedded in an id.
//! Refuses to know: randomness, clocks, storage. A fresh id is drawn outside and arrives in a command.
//!
//! Invariant: the same cause gives the same id, so doing a thing twice is doing it once.
//! Invariant: the shard of a stream is read from its id (12 bits behind the version nibble), never recomputed.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

/// Name space of every derived id. A constant of the format: it can never change.
const NAMESPACE: Uuid = Uuid::from_u128(0x6e69_6768_7473_8001_8f74_0000_6465_7269);

/// The most shards an id can name (12 bits).
pub const SHARDS_MAX: u16 = 4096;

/// A slice of the log with exactly one writer at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShardId(pub u16);

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Derives 16 bytes from labelled parts. Parts are length-prefixed, so `("ab","c")` and `("a","bc")` differ.
#[must_use]
pub fn derive(label: &str, parts: &[&[u8]]) -> Uuid {
    let mut text = Vec::with_capacity(64);
    text.extend_from_slice(label.as_bytes());
    for part in parts {
        text.extend_from_slice(&(part.len() as u64).to_be_bytes());
        text.extend_from_slice(part);
    }
    let hashed = Uuid::new_v5(&NAMESPACE, &text);
    Builder::from_custom_bytes(*hashed.as_bytes()).into_uuid()
}

/// A deterministic 64-bit draw, for jitter and nonces: never a secret.
#[must_use]
pub fn derive_u64(label: &str, parts: &[&[u8]]) -> u64 {
    let drawn = derive(label, parts).as_u128();
    (drawn >> 64) as u64 ^ drawn as u64
}

/// Writes `shard` into the 12 bits behind the version nibble, giving a version-8 UUID.
fn with_shard(id: Uuid, shard: ShardId) -> Uuid {
    let mut bytes = *id.as_bytes();
    bytes[6] = 0x80 | ((shard.0 >> 8) as u8 & 0x0f);
    bytes[7] = shard.0 as u8;
    Uuid::from_bytes(bytes)
}

/// Reads the shard that [`with_shard`] wrote.
fn shard_of(id: Uuid) -> ShardId {
    let bytes = id.as_bytes();
    ShardId((u16::from(bytes[6] & 0x0f) << 8) | u16::from(bytes[7]))
}

/// Chooses the shard of a root stream from what it is about.
#[must_use]
pub fn place(seed: Uuid, shard_count: u16) -> ShardId {
    let draw = derive_u64("placement", &[seed.as_bytes()]);
    ShardId((draw % u64::from(shard_count.clamp(1, SHARDS_MAX))) as u16)
}

macro_rules! stream_ids {
    ($($(#[$doc:meta])* $name:ident => $kind:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// An id on `shard`, derived from `seed`.
            #[must_use]
            pub fn on_shard(seed: Uuid, shard: ShardId) -> Self {
                Self(with_shard(seed, shard))
            }
            /// Takes an id that was derived before (from the log, a URL, a command line).
            #[must_use]
            pub const fn from_uuid(id: Uuid) -> Self {
                Self(id)
            }
            /// The bare UUID.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
            /// The shard whose log holds this stream.
            #[must_use]
            pub fn shard(self) -> ShardId {
                shard_of(self.0)
            }
            /// The stream with this id.
            #[must_use]
            pub const fn stream(self) -> StreamId {
                StreamId { kind: StreamKind::$kind, id: self.0 }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )*};
}

stream_ids! {
    /// A standing order for a document.
    DeliverableId => Deliverable,
    /// One execution.
    RunId => Run,
    /// A trigger in time.
    ScheduleId => Schedule,
    /// Observed content of one source of one user.
    SourceId => Source,
    /// The versions of one workflow definition.
    DefinitionId => Definition,
    /// One type of event, and who waits for it.
    TopicId => Topic,
    /// Limits of the queue, and what of it is paused.
    QueueId => Queue,
    /// One verb, done to many dead letters.
    BulkId => Bulk,
}

/// What a stream is about. The text form is part of the log's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamKind {
    /// A standing order for a document.
    Deliverable,
    /// One execution and its steps.
    Run,
    /// A trigger in time.
    Schedule,
    /// Observed content of a source.
    Source,
    /// A workflow definition.
    Definition,
    /// A type of event.
    Topic,
    /// The queue of a cluster.
    Queue,
    /// A bulk job.
    Bulk,
}

impl StreamKind {
    /// Every kind; new ones are added at the end.
    pub const ALL: [Self; 8] = [
        Self::Deliverable,
        Self::Run,
        Self::Schedule,
        Self::Source,
        Self::Definition,
        Self::Topic,
        Self::Queue,
        Self::Bulk,
    ];

    /// The category in front of the dash in a stream's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deliverable => "deliverable",
            Self::Run => "run",
            Self::Schedule => "schedule",
            Self::Source => "source",
            Self::Definition => "definition",
            Self::Topic => "topic",
            Self::Queue => "queue",
            Self::Bulk => "bulk",
        }
    }

    /// Reads [`StreamKind::as_str`] back.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// One stream of the log: its kind and its id, written `kind-uuid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StreamId {
    /// What it is about.
    pub kind: StreamKind,
    /// Which one; the shard is inside.
    pub id: Uuid,
}

impl StreamId {
    /// The shard whose log holds this stream.
    #[must_use]
    pub fn shard(self) -> ShardId {
        shard_of(self.id)
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.kind.as_str(), self.id)
    }
}

/// Identity of one command: the same id twice is the same command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommandId(pub Uuid);

impl CommandId {
    /// The command that the closing of `key` on `stream` gives rise to.
    #[must_use]
    pub fn of_obligation(stream: StreamId, key: &str, outcome: &str) -> Self {
        Self(derive("command", &[stream.id.as_bytes(), key.as_bytes(), outcome.as_bytes()]))
    }

    /// The command a client names by its own idempotency key.
    #[must_use]
    pub fn of_client(user: &str, route: &str, key: &str) -> Self {
        Self(derive("client", &[user.as_bytes(), route.as_bytes(), key.as_bytes()]))
    }

    /// The `n`-th id that this command gives to something it creates.
    #[must_use]
    pub fn child(self, label: &str, n: u64) -> Uuid {
        derive(label, &[self.0.as_bytes(), &n.to_be_bytes()])
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A version of a deliverable, addressed across the system; derived from the deliverable and the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VersionId(pub Uuid);

impl VersionId {
    /// Version `number` (from 1) of `deliverable`.
    #[must_use]
    pub fn of(deliverable: DeliverableId, number: u32) -> Self {
        Self(derive("version", &[deliverable.uuid().as_bytes(), &number.to_be_bytes()]))
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who owns a thing. Free text chosen by the operator; `local` on a machine with one person.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserId(pub String);

impl UserId {
    /// Whether it is the one of whoever runs the program. What belongs to that user is meant for everybody: events, and
    /// definitions that serve all users.
    #[must_use]
    pub fn is_everybody(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for UserId {
    fn default() -> Self {
        Self("local".to_owned())
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_carries_its_shard_and_keeps_it_through_text() {
        for shard in [0, 1, 63, 64, 4095] {
            let id = RunId::on_shard(derive("test", &[b"a"]), ShardId(shard));
            assert_eq!(id.shard(), ShardId(shard));
            assert_eq!(id.to_string().parse::<RunId>().unwrap().shard(), ShardId(shard));
            assert_eq!(id.uuid().get_version_num(), 8);
        }
    }

    #[test]
    fn derivation_separates_parts_and_labels() {
        assert_eq!(derive("x", &[b"ab", b"c"]), derive("x", &[b"ab", b"c"]));
        assert_ne!(derive("x", &[b"ab", b"c"]), derive("x", &[b"a", b"bc"]));
        assert_ne!(derive("x", &[b"a"]), derive("y", &[b"a"]));
    }

    /// The derivation is part of the log's format: these values can never change.
    #[test]
    fn derivation_is_pinned() {
        assert_eq!(derive("pin", &[b"1"]).to_string(), "4ab55f9d-90c2-8e91-840f-bd7ce57c9a0c");
    }
}
