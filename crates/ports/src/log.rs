//! The event log port: one fenced append, reads by stream and by shard, open obligations, snapshots.
//!
//! Owns: what a store promises, in types. The conformance suite says the same as tests.
//! Refuses to know: what events mean.
//!
//! Invariant: an append of a shard is all or nothing, happens at most once per command, and only under the shard's
//! current epoch with the expected head.

use async_trait::async_trait;
use nightshift_domain::{
    decider::{Class, Obligation},
    ids::{CommandId, ShardId, StreamId},
    recorded::{Meta, Recorded},
    time::Timestamp,
};
use uuid::Uuid;

/// A store that did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The database did not answer or answered with an error; nothing is known to have changed.
    #[error("the store did not {doing}: {why}")]
    Failed {
        /// What was asked, as a verb phrase.
        doing: &'static str,
        /// What the database said.
        why: String,
    },
    /// The store holds something that cannot be.
    #[error("the store holds something that cannot be: {what}")]
    Corrupt {
        /// Where and what.
        what: String,
    },
}

/// One event to append. Sequence number and clock are given by the journal, the single writer of the shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Place in the shard's log.
    pub seq: u64,
    /// Place in the stream.
    pub version: u64,
    /// `kind.fact`.
    pub event_type: String,
    /// Version of the payload.
    pub type_version: u16,
    /// Hybrid logical clock.
    pub hlc: u64,
    /// The payload.
    pub data: Vec<u8>,
}

/// What one command does to the log, all or nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit {
    /// The stream that decided.
    pub stream: StreamId,
    /// The command, recorded also when it was rejected and has no events. None for a bare discharge.
    pub command: Option<CommandRecord>,
    /// Its events, in order; seqs contiguous over the shard's batch.
    pub events: Vec<NewEvent>,
    /// The instant of the decision.
    pub at: Timestamp,
    /// The command that caused it.
    pub command_id: CommandId,
    /// Who and what stood behind it.
    pub meta: Meta,
    /// Obligations opened, filed under this stream; `opened_seq` is that of the commit's last event (or the head before
    /// it when there is none).
    pub opens: Vec<Obligation>,
    /// Obligations closed: stream on the same shard, and key. Closing what is not open is no error.
    pub closes: Vec<(StreamId, String)>,
}

/// A command as it is kept, so that a repetition gets the same reply and the decision can be made again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRecord {
    /// Identity.
    pub id: CommandId,
    /// The command, encoded.
    pub payload: Vec<u8>,
    /// The recorded context, encoded.
    pub ctx: Vec<u8>,
    /// It was taken (true) or rejected.
    pub accepted: bool,
    /// The rejection, encoded; empty when taken.
    pub reply: Vec<u8>,
    /// What was opened and closed on the own stream, encoded; empty when nothing.
    pub delta: Vec<u8>,
}

/// A command as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedCommand {
    /// The shard.
    pub shard: ShardId,
    /// The stream that decided.
    pub stream: StreamId,
    /// As it was given to the append.
    pub record: CommandRecord,
    /// Sequence number of its first event; of the head at that time plus one when it has none.
    pub first_seq: u64,
    /// Sequence number of its last event; `first_seq - 1` when it has none.
    pub last_seq: u64,
}

/// Everything that is appended to one shard at once.
#[derive(Debug, Clone, PartialEq)]
pub struct ShardBatch {
    /// The shard.
    pub shard: ShardId,
    /// The epoch the writer believes in.
    pub epoch: i64,
    /// The sequence number the writer believes to be the last; 0 for an empty shard.
    pub expected_head: u64,
    /// The commits, in order.
    pub commits: Vec<Commit>,
}

/// What became of a shard's batch in a group that was executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All of it is durable.
    Committed,
    /// Nothing was written: the epoch or the head is not what the writer believes.
    Fenced,
}

/// A group that was not executed, or of which it is not known whether it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Nothing was written for certain, and the same may work later: a deadlock, a full disk, too many connections.
    #[error("nothing was written: {why}")]
    NotWritten {
        /// What the database said.
        why: String,
    },
    /// Nothing was written for certain, and one of the commits will never be: a command id or a stream version exists.
    #[error("nothing was written; a commit contradicts the log: {why}")]
    Contradiction {
        /// What the database said.
        why: String,
    },
    /// The connection was lost in the middle: the group is durable or it is not. Resolve before going on.
    #[error("it is not known whether the group was written: {why}")]
    Unknown {
        /// What the client saw.
        why: String,
    },
}

/// What [`EventLog::resolve`] found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// The batch is durable; the shard goes on under the new epoch.
    Written {
        /// The new epoch.
        epoch: i64,
    },
    /// The batch is not durable and never will be; the shard goes on under the new epoch.
    NotWritten {
        /// The new epoch.
        epoch: i64,
    },
    /// Somebody else owns the shard.
    Lost,
}

/// A shard that this writer owns from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ownership {
    /// The shard.
    pub shard: ShardId,
    /// Its new epoch.
    pub epoch: i64,
    /// Sequence number of its last event; 0 when it is empty.
    pub head: u64,
    /// Clock of its last event; 0 when it is empty.
    pub hlc: u64,
}

/// An open obligation as it is filed.
#[derive(Debug, Clone, PartialEq)]
pub struct Owed {
    /// The stream it is filed under.
    pub stream: StreamId,
    /// Sequence number of the event that opened it.
    pub opened_seq: u64,
    /// What is owed.
    pub obligation: Obligation,
}

/// Which obligations to read. Pages go by `(due_at, stream, key)`.
#[derive(Debug, Clone, PartialEq)]
pub struct OwedQuery {
    /// Classes wanted.
    pub classes: Vec<Class>,
    /// Only those due before this instant; none for all.
    pub due_before: Option<Timestamp>,
    /// Start after this one.
    pub after: Option<(Timestamp, StreamId, String)>,
    /// At most so many.
    pub limit: u32,
}

/// A state as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The stream.
    pub stream: StreamId,
    /// The version of the stream it stands for.
    pub version: u64,
    /// Revision of the state's form; another one is ignored.
    pub state_revision: u32,
    /// The state, encoded.
    pub data: Vec<u8>,
}

/// Facts of a log as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogInfo {
    /// Drawn when the log was made.
    pub cluster_id: Uuid,
    /// How many shards it has, fixed when it was made.
    pub shard_count: u16,
    /// Number of the newest migration that was applied.
    pub schema: u32,
    /// `memory`, `sqlite`, `postgres`.
    pub engine: &'static str,
}

/// The event log.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// Facts of the log.
    fn info(&self) -> &LogInfo;

    /// Takes shards over for `owner`: raises each epoch, so that whoever owned them writes nothing more.
    /// The new epoch is above the old one and at least `now` in milliseconds, so that it is new even after a restore.
    ///
    /// # Errors
    /// The store did not answer.
    async fn acquire(&self, owner: Uuid, shards: &[ShardId], now: Timestamp) -> Result<Vec<Ownership>, StoreError>;

    /// Appends a group; each shard's batch for itself is all or nothing. Verdicts come in the order of the batches.
    ///
    /// # Errors
    /// See [`AppendError`]; with any error no batch of the group was applied in part.
    async fn append(&self, group: &[ShardBatch]) -> Result<Vec<Verdict>, AppendError>;

    /// After [`AppendError::Unknown`]: raises the own epoch (which waits for the transaction in flight), then looks for
    /// `command` of the batch. `owner` is the one that acquired the shard; whoever asks again because this answer was
    /// lost too, still under `epoch`, is not told that the shard is lost.
    ///
    /// # Errors
    /// The store did not answer; ask again.
    async fn resolve(
        &self,
        owner: Uuid,
        shard: ShardId,
        epoch: i64,
        command: CommandId,
        now: Timestamp,
    ) -> Result<Resolution, StoreError>;

    /// Events of a stream after a version, in order, at most `limit`.
    ///
    /// # Errors
    /// The store did not answer.
    async fn read_stream(&self, stream: StreamId, after_version: u64, limit: u32) -> Result<Vec<Recorded>, StoreError>;

    /// Events of a shard after a sequence number, in order, at most `limit`.
    ///
    /// # Errors
    /// The store did not answer.
    async fn read_shard(&self, shard: ShardId, after_seq: u64, limit: u32) -> Result<Vec<Recorded>, StoreError>;

    /// Sequence number of the last event of each shard that has one.
    ///
    /// # Errors
    /// The store did not answer.
    async fn heads(&self) -> Result<Vec<(ShardId, u64)>, StoreError>;

    /// A command as it was kept, if it was.
    ///
    /// # Errors
    /// The store did not answer.
    async fn command(&self, shard: ShardId, id: CommandId) -> Result<Option<RecordedCommand>, StoreError>;

    /// Commands of a stream in order of `first_seq`, then of arrival, at most `limit`, with `first_seq > after_first_seq`
    /// or all when it is none. (A page ends at a `first_seq` boundary: commands that share one come together.)
    ///
    /// # Errors
    /// The store did not answer.
    async fn read_commands(
        &self,
        stream: StreamId,
        after_first_seq: Option<u64>,
        limit: u32,
    ) -> Result<Vec<RecordedCommand>, StoreError>;

    /// Open obligations of shards, ordered by `(due_at, stream, key)`.
    ///
    /// # Errors
    /// The store did not answer.
    async fn owed(&self, shards: &[ShardId], query: &OwedQuery) -> Result<Vec<Owed>, StoreError>;

    /// All open obligations of one stream.
    ///
    /// # Errors
    /// The store did not answer.
    async fn owed_by(&self, stream: StreamId) -> Result<Vec<Owed>, StoreError>;

    /// Keeps a snapshot; older ones of the stream are dropped.
    ///
    /// # Errors
    /// The store did not take it.
    async fn put_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError>;

    /// The newest snapshot of a stream.
    ///
    /// # Errors
    /// The store did not answer.
    async fn snapshot(&self, stream: StreamId) -> Result<Option<Snapshot>, StoreError>;
}

/// A command that another process left for a shard's owner: the transactional door for applications.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxItem {
    /// The stream it is for.
    pub stream: StreamId,
    /// Identity of the command.
    pub command_id: CommandId,
    /// The command, encoded as [`nightshift_domain::streams::AnyCommand`].
    pub payload: Vec<u8>,
    /// When it was left.
    pub arrived_at: Timestamp,
}

/// The inbox: any process inserts, the owner of the shard consumes; an append removes the row of its command.
#[async_trait]
pub trait Inbox: Send + Sync {
    /// Leaves a command. Leaving the same id again is a no-op.
    ///
    /// # Errors
    /// The store did not take it.
    async fn leave(&self, item: &InboxItem) -> Result<(), StoreError>;

    /// The oldest items of shards, at most `limit`.
    ///
    /// # Errors
    /// The store did not answer.
    async fn waiting(&self, shards: &[ShardId], limit: u32) -> Result<Vec<InboxItem>, StoreError>;

    /// Removes an item that no append will remove (its command was a repetition).
    ///
    /// # Errors
    /// The store did not answer.
    async fn discard(&self, shard: ShardId, id: CommandId) -> Result<(), StoreError>;
}

/// Who runs on a shared store. Time is the store's own; it decides liveness only, never safety.
#[async_trait]
pub trait Membership: Send + Sync {
    /// Registers a session that lives for `ttl_ms` unless renewed.
    ///
    /// # Errors
    /// The store did not answer.
    async fn join(&self, session: &Session, ttl_ms: i64) -> Result<(), StoreError>;

    /// Renews a session; false when it has expired: a session that expired is dead for ever.
    ///
    /// # Errors
    /// The store did not answer.
    async fn renew(&self, session: Uuid, ttl_ms: i64) -> Result<bool, StoreError>;

    /// Sessions that live.
    ///
    /// # Errors
    /// The store did not answer.
    async fn living(&self) -> Result<Vec<Session>, StoreError>;

    /// Ends a session.
    ///
    /// # Errors
    /// The store did not answer.
    async fn leave_session(&self, session: Uuid) -> Result<(), StoreError>;
}

/// A running process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Drawn at start.
    pub id: Uuid,
    /// Name of the node, for people.
    pub node: String,
    /// Address of its HTTP interface, when it has one.
    pub address: Option<String>,
    /// Version of the program.
    pub build: String,
}
