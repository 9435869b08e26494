//! Writes batches for the checks: knows heads, versions and epochs, as a journal does.

use std::collections::{BTreeMap, HashMap};

use nightshift_domain::{
    decider::{Duty, Obligation},
    ids::{CommandId, RunId, ScheduleId, ShardId, StreamId, derive},
    recorded::Meta,
    schedule,
    streams::AnyCommand,
    time::Timestamp,
};
use uuid::Uuid;

use crate::{
    log::{CommandRecord, Commit, NewEvent, ShardBatch, Verdict},
    store::Store,
};

/// An instant of no meaning.
pub(super) const NOON: Timestamp = Timestamp(1_790_000_000_123_456);

/// The `n`-th run stream on a shard.
pub(super) fn stream(shard: u16, n: u64) -> StreamId {
    RunId::on_shard(derive("conformance stream", &[&n.to_be_bytes()]), ShardId(shard)).stream()
}

/// The `n`-th command.
pub(super) fn command_id(n: u64) -> CommandId {
    CommandId(derive("conformance command", &[&n.to_be_bytes()]))
}

/// An owner.
pub(super) fn owner(n: u64) -> Uuid {
    derive("conformance owner", &[&n.to_be_bytes()])
}

/// A job of a run.
pub(super) fn job(key: &str, due: Timestamp) -> Obligation {
    let duty = Duty::Lease { step: key.to_owned(), attempt: 1 };
    Obligation { key: key.to_owned(), due_at: due, priority: 100, duty }
}

/// A timer of any stream.
pub(super) fn timer(key: &str, due: Timestamp) -> Obligation {
    let to = ScheduleId::on_shard(derive("conformance timer", &[]), ShardId(1)).stream();
    let command = Box::new(AnyCommand::Schedule(schedule::Command::Fire { nominal: due }));
    Obligation { key: key.to_owned(), due_at: due, priority: -5, duty: Duty::Wake { to, command } }
}

/// What a commit shall hold.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) stream: StreamId,
    pub(super) command: u64,
    pub(super) payloads: Vec<Vec<u8>>,
    pub(super) accepted: bool,
    /// No command is recorded.
    pub(super) bare: bool,
    pub(super) opens: Vec<Obligation>,
    pub(super) closes: Vec<(StreamId, String)>,
}

impl Plan {
    /// Command `command` gives `events` events on `stream`.
    pub(super) fn of(stream: StreamId, command: u64, events: u64) -> Self {
        let payloads = (0..events).map(|n| format!("payload {command}/{n}").into_bytes()).collect();
        Self { stream, command, payloads, accepted: true, bare: false, opens: Vec::new(), closes: Vec::new() }
    }

    pub(super) fn rejected(stream: StreamId, command: u64) -> Self {
        Self { accepted: false, ..Self::of(stream, command, 0) }
    }

    pub(super) fn open(mut self, obligation: Obligation) -> Self {
        self.opens.push(obligation);
        self
    }

    pub(super) fn close(mut self, stream: StreamId, key: &str) -> Self {
        self.closes.push((stream, key.to_owned()));
        self
    }
}

/// The writer of some shards.
pub(super) struct Pen<'a> {
    store: &'a dyn Store,
    pub(super) epochs: BTreeMap<ShardId, i64>,
    pub(super) heads: BTreeMap<ShardId, u64>,
    versions: HashMap<Uuid, u64>,
}

impl<'a> Pen<'a> {
    /// Takes all shards of an unused store over.
    pub(super) async fn take(store: &'a dyn Store) -> Self {
        let mut pen = Self { store, epochs: BTreeMap::new(), heads: BTreeMap::new(), versions: HashMap::new() };
        let shards: Vec<ShardId> = (0..super::SHARDS).map(ShardId).collect();
        pen.acquire(&shards, 1).await;
        pen
    }

    /// Takes shards over for owner `n`.
    pub(super) async fn acquire(&mut self, shards: &[ShardId], n: u64) {
        for owned in self.store.acquire(owner(n), shards, NOON).await.expect("acquired") {
            self.epochs.insert(owned.shard, owned.epoch);
            self.heads.insert(owned.shard, owned.head);
        }
    }

    /// A batch as it would be written now.
    pub(super) fn batch(&self, shard: u16, plans: &[Plan]) -> ShardBatch {
        let shard = ShardId(shard);
        let expected_head = self.heads[&shard];
        let mut seq = expected_head;
        let mut versions = self.versions.clone();
        let commits = plans.iter().map(|plan| commit_of(plan, &mut seq, &mut versions)).collect();
        ShardBatch { shard, epoch: self.epochs[&shard], expected_head, commits }
    }

    /// Notes that a batch was committed.
    pub(super) fn note(&mut self, batch: &ShardBatch) {
        for commit in &batch.commits {
            for event in &commit.events {
                self.heads.insert(batch.shard, event.seq);
                self.versions.insert(commit.stream.id, event.version);
            }
        }
    }

    /// Writes, and expects it to be committed.
    pub(super) async fn write(&mut self, shard: u16, plans: &[Plan]) -> ShardBatch {
        let batch = self.batch(shard, plans);
        let verdicts = self.store.append(std::slice::from_ref(&batch)).await;
        assert_eq!(verdicts, Ok(vec![Verdict::Committed]));
        self.note(&batch);
        batch
    }
}

fn commit_of(plan: &Plan, seq: &mut u64, versions: &mut HashMap<Uuid, u64>) -> Commit {
    let version = versions.entry(plan.stream.id).or_insert(0);
    let mut event = |data: &Vec<u8>| {
        *seq += 1;
        *version += 1;
        NewEvent {
            seq: *seq,
            version: *version,
            event_type: format!("{}.happened", plan.stream.kind.as_str()),
            type_version: 1,
            hlc: (1 << 60) + *seq,
            data: data.clone(),
        }
    };
    let events = plan.payloads.iter().map(&mut event).collect();
    let id = command_id(plan.command);
    let record = CommandRecord {
        id,
        payload: format!("command {}", plan.command).into_bytes(),
        ctx: vec![0, 1, 255],
        accepted: plan.accepted,
        reply: if plan.accepted { Vec::new() } else { b"no".to_vec() },
        delta: vec![plan.opens.len() as u8],
    };
    Commit {
        stream: plan.stream,
        command: (!plan.bare).then_some(record),
        events,
        at: NOON.plus_ms(i64::try_from(plan.command).unwrap_or(0)),
        command_id: id,
        meta: Meta {
            actor: format!("actor {}", plan.command % 3),
            cause: Some((ShardId(3), 7)),
            traceparent: None,
            request: None,
        },
        opens: plan.opens.clone(),
        closes: plan.closes.clone(),
    }
}
