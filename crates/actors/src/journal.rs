//! The journal: the only writer of the log.
//!
//! Owns: sequence numbers, the hybrid clock, group commit, and what to do when it is not known whether a group was
//! written. A lane is a tokio task with a bounded channel, so that no actor's end can interrupt a write.
//! Refuses to know: what events mean.
//!
//! Invariant: a shard belongs to exactly one lane, and a lane has at most one group in flight.
//! Invariant: an unknown outcome is resolved before anything else is written to that shard.

mod lane;
mod tail;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
};

use nightshift_domain::{
    codec::Encoded,
    decider::Obligation,
    ids::{CommandId, ShardId, StreamId},
    recorded::Meta,
    time::Timestamp,
};
use nightshift_ports::{
    clock::Clock,
    log::{CommandRecord, EventLog, Ownership},
};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

pub use self::tail::Tail;
use crate::observer::Gauges;

/// What one decision wants written.
pub struct Pending {
    /// The stream that decided.
    pub stream: StreamId,
    /// The version of the stream before the first event.
    pub expected_version: u64,
    /// The command as it is kept.
    pub command: Option<CommandRecord>,
    /// Its identity.
    pub command_id: CommandId,
    /// What happened.
    pub events: Vec<Encoded>,
    /// The instant of the decision.
    pub at: Timestamp,
    /// Who and what stood behind the command.
    pub meta: Meta,
    /// What is owed from now on.
    pub opens: Vec<Obligation>,
    /// What is not owed any more.
    pub closes: Vec<(StreamId, String)>,
}

/// A decision that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The shard.
    pub shard: ShardId,
    /// The head of the shard after it.
    pub seq: u64,
}

/// A decision that was not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAppended {
    /// The log has this command or this stream version already.
    #[error("it contradicts the log: {0}")]
    Contradiction(String),
    /// The shard has another owner now.
    #[error("shard {0} has another owner now")]
    Fenced(ShardId),
    /// The journal ended.
    #[error("the journal has ended")]
    Closed,
}

struct Entry {
    pending: Pending,
    reply: oneshot::Sender<Result<Appended, NotAppended>>,
}

/// What is known of a shard without asking the store.
#[derive(Debug, Default)]
pub struct ShardFacts {
    acquired: i64,
    epoch: AtomicI64,
    head: AtomicU64,
}

/// Cheap to clone; the way to the lanes.
#[derive(Clone)]
pub struct Journal {
    lanes: Arc<Vec<mpsc::Sender<Entry>>>,
    shards: Arc<HashMap<ShardId, Arc<ShardFacts>>>,
    tail: Arc<Tail>,
    lost: Arc<AtomicBool>,
}

/// Entries that wait in a lane before senders wait too.
const LANE_QUEUE_MAX: usize = 4_096;

/// What a journal is built from.
pub struct Parts {
    /// Where to write.
    pub log: Arc<dyn EventLog>,
    /// Instants for epochs and back-off.
    pub clock: Arc<dyn Clock>,
    /// What is measured.
    pub gauges: Arc<Gauges>,
    /// Who took them over.
    pub owner: Uuid,
    /// The shards that were taken over.
    pub shards: Vec<Ownership>,
    /// Writers side by side; 1 for a store with one writer.
    pub lanes: usize,
    /// Told after each commit: shards have new events.
    pub committed: Arc<dyn Fn() + Send + Sync>,
}

impl Journal {
    /// Starts the lanes. Each future must be polled until it ends; it ends when the last handle is gone or a shard is
    /// lost.
    #[must_use]
    pub fn start(parts: Parts) -> (Self, Vec<impl Future<Output = ()> + Send + 'static>) {
        let facts: HashMap<ShardId, Arc<ShardFacts>> = parts
            .shards
            .iter()
            .map(|owned| {
                let facts = ShardFacts {
                    acquired: owned.epoch,
                    epoch: AtomicI64::new(owned.epoch),
                    head: AtomicU64::new(owned.head),
                };
                (owned.shard, Arc::new(facts))
            })
            .collect();
        let shards = Arc::new(facts);
        let lost = Arc::new(AtomicBool::new(false));
        let tail = Arc::new(Tail::of(shards.keys().copied()));
        let lanes = parts.lanes.max(1);
        let mut senders = Vec::with_capacity(lanes);
        let mut running = Vec::with_capacity(lanes);
        for n in 0..lanes {
            let (sender, receiver) = mpsc::channel(LANE_QUEUE_MAX);
            senders.push(sender);
            let own = parts.shards.iter().filter(|owned| usize::from(owned.shard.0) % lanes == n);
            let lane = lane::Lane::new(&parts, own, (&shards, &tail), Arc::clone(&lost));
            running.push(lane.run(receiver));
        }
        (Self { lanes: Arc::new(senders), shards, tail, lost }, running)
    }

    /// Writes a decision; returns when it is durable or certainly not.
    ///
    /// # Errors
    /// See [`NotAppended`].
    pub async fn append(&self, pending: Pending) -> Result<Appended, NotAppended> {
        let shard = pending.stream.shard();
        let lane = &self.lanes[usize::from(shard.0) % self.lanes.len()];
        let (reply, answer) = oneshot::channel();
        lane.send(Entry { pending, reply }).await.map_err(|_| NotAppended::Closed)?;
        answer.await.unwrap_or(Err(NotAppended::Closed))
    }

    /// The epoch under which a shard is written now.
    #[must_use]
    pub fn epoch(&self, shard: ShardId) -> i64 {
        self.shards.get(&shard).map_or(0, |facts| facts.epoch.load(Ordering::Acquire))
    }

    /// The epoch under which this process took a shard over: what was begun under an older one was begun by another.
    #[must_use]
    pub fn acquired(&self, shard: ShardId) -> i64 {
        self.shards.get(&shard).map_or(0, |facts| facts.acquired)
    }

    /// The last sequence number of each shard.
    #[must_use]
    pub fn heads(&self) -> Vec<(ShardId, u64)> {
        self.shards.iter().map(|(shard, facts)| (*shard, facts.head.load(Ordering::Acquire))).collect()
    }

    /// What was written lately, for the one reader that takes it.
    #[must_use]
    pub fn tail(&self) -> &Tail {
        &self.tail
    }

    /// A shard was lost to another owner; this process must not go on.
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }
}
