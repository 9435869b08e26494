//! What is read, written and delivered: sources, observations, documents, destinations, receipts.
//!
//! Owns: the shapes that cross the border between deciders and performers.
//! Refuses to know: how a folder is walked, a feed parsed, a mail sent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    ids::{ShardId, SourceId, UserId, derive, place},
    time::Timestamp,
};

/// Texts up to this size travel inside events; larger ones go to the content-addressed store.
pub const INLINE_BYTES_MAX: usize = 32 * 1024;

/// SHA-256 of a text or of canonical bytes, in lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(pub String);

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A text whose identity is its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// SHA-256 of the UTF-8 bytes.
    pub digest: Digest,
    /// Length in bytes.
    pub bytes: u64,
    /// The text itself when it is at most [`INLINE_BYTES_MAX`]; otherwise it is in the content store under `digest`.
    pub inline: Option<String>,
}

/// Where material comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SourceSpec {
    /// Text and Markdown files below a folder.
    Folder {
        /// Absolute path of the folder.
        path: String,
        /// Globs of files to read, relative to `path`. Empty: `**/*.md`, `**/*.markdown`, `**/*.txt`.
        #[serde(default)]
        include: Vec<String>,
        /// Globs of files to leave out.
        #[serde(default)]
        exclude: Vec<String>,
    },
    /// Commits of a git repository on this machine.
    Git {
        /// Absolute path of the work tree or of the bare repository.
        path: String,
        /// Branch, tag or commit to read. None: what `HEAD` names.
        #[serde(default)]
        branch: Option<String>,
    },
    /// Entries of an RSS, Atom or JSON feed.
    Feed {
        /// `http` or `https` address.
        url: String,
    },
    /// A fixed text that belongs to the order itself. It cannot be measured for freshness, so it is always fresh.
    Description {
        /// The text.
        value: String,
    },
}

impl SourceSpec {
    /// The platform name in `platform_content` and `sync_registry`.
    #[must_use]
    pub const fn platform(&self) -> &'static str {
        match self {
            Self::Folder { .. } => "folder",
            Self::Git { .. } => "git",
            Self::Feed { .. } => "feed",
            Self::Description { .. } => "description",
        }
    }

    /// Canonical name of what is observed: equal for two orders that read the same thing in the same way.
    #[must_use]
    pub fn resource_id(&self) -> String {
        match self {
            Self::Folder { path, include, exclude } if include.is_empty() && exclude.is_empty() => path.clone(),
            Self::Folder { path, include, exclude } => {
                format!("{path}?include={}&exclude={}", include.join(","), exclude.join(","))
            }
            Self::Git { path, branch: None } => path.clone(),
            Self::Git { path, branch: Some(branch) } => format!("{path}#{branch}"),
            Self::Feed { url } => url.clone(),
            Self::Description { value } => format!("text:{}", derive("description", &[value.as_bytes()])),
        }
    }

    /// Short name for people.
    #[must_use]
    pub fn resource_name(&self) -> String {
        match self {
            Self::Folder { path, .. } | Self::Git { path, .. } => {
                path.rsplit('/').find(|part| !part.is_empty()).unwrap_or(path).to_owned()
            }
            Self::Feed { url } => url.split("://").last().unwrap_or(url).to_owned(),
            Self::Description { .. } => "description".to_owned(),
        }
    }

    /// The stream that holds what was observed of this source for `user`.
    #[must_use]
    pub fn source_id(&self, user: &UserId, shard_count: u16) -> SourceId {
        let seed = self.source_seed(user);
        let shard: ShardId = place(seed, shard_count);
        SourceId::on_shard(seed, shard)
    }

    /// Whether `id` is this source of `user`, on whatever shard it was placed.
    #[must_use]
    pub fn is_source(&self, user: &UserId, id: SourceId) -> bool {
        SourceId::on_shard(self.source_seed(user), id.shard()) == id
    }

    fn source_seed(&self, user: &UserId) -> Uuid {
        derive("source", &[user.0.as_bytes(), self.platform().as_bytes(), self.resource_id().as_bytes()])
    }

    /// Hours after which content that no version retains expires.
    #[must_use]
    pub const fn ttl_hours(&self) -> u32 {
        match self {
            Self::Feed { .. } => 168,
            Self::Folder { .. } | Self::Git { .. } | Self::Description { .. } => 720,
        }
    }
}

/// How far a source was read, in the source's own terms (ETag, Last-Modified, commit). Kept between observations.
pub type Cursor = BTreeMap<String, String>;

/// One thing a source holds: a file, a commit, a feed entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Stable within the source: relative path, commit hash, entry id.
    pub item_id: String,
    /// Title for people.
    pub title: String,
    /// Where a reader finds the original: `file://` path, web address, `git:` commit reference.
    pub link: Option<String>,
    /// Who wrote it, when the source says so.
    pub author: Option<String>,
    /// When the source says it was made or changed.
    pub source_at: Option<Timestamp>,
    /// The text.
    pub text: Text,
    /// Further facts, e.g. `files_changed` and `areas` of a commit.
    #[serde(default)]
    pub facts: BTreeMap<String, String>,
}

/// A part of a source that could not be read, and why; it never fails the rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Omission {
    /// The file, commit or entry.
    pub item_id: String,
    /// Why it was left out, with sizes or errors in it.
    pub reason: String,
}

/// What one look at a source found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// New or changed items, in the order a reader would want them.
    pub items: Vec<Item>,
    /// Items that were known and are gone.
    pub removed: Vec<String>,
    /// Parts that could not be read.
    pub omitted: Vec<Omission>,
    /// Where the next look starts.
    pub cursor: Cursor,
}

/// A failure to look at a source at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct SourceFailure {
    /// What kind of failure.
    pub class: FailureClass,
    /// What was tried, what was found, what helps.
    pub message: String,
}

/// How a failure is to be treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// May go away by itself: a refused connection, a 503.
    Transient,
    /// Will not go away by itself: a missing folder, a 404, a wrong key.
    Permanent,
    /// No answer in time.
    Timeout,
    /// The other side asked to come back later.
    RateLimited,
    /// Somebody asked to stop.
    Cancelled,
    /// Nobody knows whether it was done: the lease ran out, its holder died, or the connection broke before the answer.
    Lost,
}

impl FailureClass {
    /// The word in tables and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Permanent => "permanent",
            Self::Timeout => "timeout",
            Self::RateLimited => "rate_limited",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
        }
    }
}

/// An attempt that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{} ({})", message, class.as_str())]
pub struct Failure {
    /// How to treat it.
    pub class: FailureClass,
    /// What happened, for people.
    pub message: String,
    /// Status code of the other side, when it has one.
    #[serde(default)]
    pub status_code: Option<u16>,
    /// How long the other side asked to wait, in milliseconds.
    #[serde(default)]
    pub retry_after_ms: Option<u64>,
}

/// What a source looked like when a version was made of it. Immutable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceSnapshot {
    /// Which source.
    pub source_id: SourceId,
    /// `folder`, `git`, `feed`, `description`.
    pub platform: String,
    /// Canonical name of what was read.
    pub resource_id: String,
    /// Name for people.
    pub resource_name: String,
    /// When it was last looked at.
    pub synced_at: Timestamp,
    /// Version of the source's stream up to which material was taken.
    pub upto_version: u64,
    /// How far it had been read, as one text.
    pub platform_cursor: Option<String>,
    /// Items that went into the material.
    pub item_count: u32,
    /// Newest instant the source itself gave.
    pub source_latest_at: Option<Timestamp>,
    /// SHA-256 over the digests of the items that went in, in order.
    pub digest: Digest,
    /// Why nothing or not all could be read, when so.
    #[serde(default)]
    pub error: Option<String>,
}

/// Everything one version is made of; input of the composer. Stored under its digest, never inside an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Material {
    /// What the order asks for.
    pub brief: Brief,
    /// What was gathered, a group for each source in the order's own order.
    pub groups: Vec<MaterialGroup>,
    /// Notes on earlier versions (feedback, edits), newest first.
    #[serde(default)]
    pub feedback: Vec<String>,
}

/// The part of an order that shapes the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brief {
    /// Title of the document.
    pub title: String,
    /// What it is for, in the order's words.
    pub description: String,
    /// Kind of document, e.g. `weekly_status`.
    pub deliverable_type: String,
    /// `platform_bound`, `cross_platform`, `research`, `hybrid`.
    pub strategy: String,
    /// Who reads it.
    pub recipient: Option<String>,
    /// Headings asked for, in order. Empty: the composer chooses.
    #[serde(default)]
    pub sections: Vec<String>,
    /// The slot this document is for.
    pub nominal: Timestamp,
    /// IANA zone in which dates in the text are written.
    pub timezone: String,
    /// Number of the version to be made, from 1.
    pub version_number: u32,
    /// When the version before it was staged.
    pub previous_at: Option<Timestamp>,
}

/// What one source gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaterialGroup {
    /// What the source looked like.
    pub snapshot: SourceSnapshot,
    /// New and changed items since the last version, oldest first.
    pub items: Vec<Item>,
    /// Items that are gone since the last version.
    #[serde(default)]
    pub removed: Vec<String>,
    /// Parts that could not be read.
    #[serde(default)]
    pub omitted: Vec<Omission>,
}

/// A document as a composer made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// Markdown.
    pub text: Text,
    /// How it was made.
    pub composer: Composer,
    /// What validation noted; warnings only.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// How a document was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Composer {
    /// Sentences and changes taken from the material by rule; the same material gives the same bytes.
    Extractive {
        /// Revision of the rules.
        revision: u32,
    },
    /// A language model wrote it.
    Model {
        /// Name the endpoint was asked for.
        model: String,
        /// Tokens of the prompt, as the endpoint counted them.
        prompt_tokens: u64,
        /// Tokens of the answer, as the endpoint counted them.
        completion_tokens: u64,
        /// The endpoint's id of the answer.
        #[serde(default)]
        response_id: Option<String>,
    },
}

/// Where a version goes when it is approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "platform", rename_all = "snake_case")]
pub enum Destination {
    /// A file in a folder; the name is derived from the title and the version, so doing it twice writes one file.
    File {
        /// Absolute path of the folder.
        folder: String,
    },
    /// A mail.
    Email {
        /// Addresses.
        to: Vec<String>,
    },
    /// A signed POST (Standard Webhooks).
    Webhook {
        /// `http` or `https` address.
        url: String,
        /// Reference to the signing secret: `env:NAME` or `file:/path`. Never the secret.
        #[serde(default)]
        secret: Option<String>,
    },
}

impl Destination {
    /// The word in tables.
    #[must_use]
    pub const fn platform(&self) -> &'static str {
        match self {
            Self::File { .. } => "file",
            Self::Email { .. } => "email",
            Self::Webhook { .. } => "webhook",
        }
    }

    /// Where exactly, for people.
    #[must_use]
    pub fn target(&self) -> String {
        match self {
            Self::File { folder } => folder.clone(),
            Self::Email { to } => to.join(", "),
            Self::Webhook { url, .. } => url.clone(),
        }
    }
}

/// Proof of a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The other side's id: a message id, a delivery id, a digest.
    pub external_id: String,
    /// Where the result can be seen: a `file://` path, an address.
    pub external_url: Option<String>,
    /// What the other side said, shortened.
    #[serde(default)]
    pub detail: Option<String>,
}

/// What a person is told about a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Why they are told.
    pub kind: NoticeKind,
    /// Subject line.
    pub subject: String,
    /// Body.
    pub body: String,
}

/// Why a person is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// A version waits for review.
    ReadyForReview,
    /// A version was delivered.
    Delivered,
    /// A version could not be made.
    Failed,
    /// A version could not be delivered.
    DeliveryFailed,
}
