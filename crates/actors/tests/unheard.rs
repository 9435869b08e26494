//! An append of which nobody heard, over two shards, that reaches the store before, between or behind the questions what
//! became of it.
//!
//! Owns: a log that lets a group arrive late. Refuses to know: actors; the journal is asked directly.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use nightshift_actors::{
    journal::{Journal, Parts, Pending},
    observer::{Gauges, NoObserver},
};
use nightshift_domain::{
    codec::Encoded,
    ids::{CommandId, RunId, ShardId, StreamId, derive},
    recorded::{Meta, Recorded},
    time::Timestamp,
};
use nightshift_ports::{
    clock::ManualClock,
    log::{
        AppendError, CommandRecord, EventLog, LogInfo, Owed, OwedQuery, Ownership, RecordedCommand, Resolution,
        ShardBatch, Snapshot, StoreError, Verdict,
    },
    memory::MemoryStore,
};
use uuid::Uuid;

const NOW: Timestamp = Timestamp(1_000);
const SHARDS: [ShardId; 2] = [ShardId(0), ShardId(1)];

/// The first group is not answered; it arrives behind so many questions.
struct Late {
    log: MemoryStore,
    arrives_behind: usize,
    under_way: Mutex<Option<Vec<ShardBatch>>>,
    asked: Mutex<usize>,
    lost: Mutex<bool>,
}

impl Late {
    async fn arrive(&self) {
        if *self.asked.lock().unwrap() != self.arrives_behind {
            return;
        }
        let group = self.under_way.lock().unwrap().take();
        if let Some(group) = group {
            drop(self.log.append(&group).await);
        }
    }
}

#[async_trait]
impl EventLog for Late {
    fn info(&self) -> &LogInfo {
        self.log.info()
    }
    async fn acquire(&self, owner: Uuid, shards: &[ShardId], now: Timestamp) -> Result<Vec<Ownership>, StoreError> {
        self.log.acquire(owner, shards, now).await
    }
    async fn append(&self, group: &[ShardBatch]) -> Result<Vec<Verdict>, AppendError> {
        if std::mem::replace(&mut *self.lost.lock().unwrap(), true) {
            return self.log.append(group).await;
        }
        *self.under_way.lock().unwrap() = Some(group.to_vec());
        self.arrive().await;
        Err(AppendError::Unknown { why: "a test wanted it".to_owned() })
    }
    async fn resolve(
        &self,
        owner: Uuid,
        shard: ShardId,
        epoch: i64,
        command: CommandId,
        now: Timestamp,
    ) -> Result<Resolution, StoreError> {
        let answer = self.log.resolve(owner, shard, epoch, command, now).await;
        *self.asked.lock().unwrap() += 1;
        self.arrive().await;
        answer
    }
    async fn read_stream(&self, stream: StreamId, after: u64, limit: u32) -> Result<Vec<Recorded>, StoreError> {
        self.log.read_stream(stream, after, limit).await
    }
    async fn read_shard(&self, shard: ShardId, after_seq: u64, limit: u32) -> Result<Vec<Recorded>, StoreError> {
        self.log.read_shard(shard, after_seq, limit).await
    }
    async fn heads(&self) -> Result<Vec<(ShardId, u64)>, StoreError> {
        self.log.heads().await
    }
    async fn command(&self, shard: ShardId, id: CommandId) -> Result<Option<RecordedCommand>, StoreError> {
        self.log.command(shard, id).await
    }
    async fn read_commands(
        &self,
        stream: StreamId,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<RecordedCommand>, StoreError> {
        self.log.read_commands(stream, after, limit).await
    }
    async fn owed(&self, shards: &[ShardId], query: &OwedQuery) -> Result<Vec<Owed>, StoreError> {
        self.log.owed(shards, query).await
    }
    async fn owed_by(&self, stream: StreamId) -> Result<Vec<Owed>, StoreError> {
        self.log.owed_by(stream).await
    }
    async fn put_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        self.log.put_snapshot(snapshot).await
    }
    async fn snapshot(&self, stream: StreamId) -> Result<Option<Snapshot>, StoreError> {
        self.log.snapshot(stream).await
    }
}

fn stream(shard: ShardId) -> StreamId {
    RunId::on_shard(derive("unheard", &[&shard.0.to_be_bytes()]), shard).stream()
}

/// The `nth` command of the stream on a shard, with one event.
fn pending(shard: ShardId, nth: u64) -> Pending {
    let id = CommandId(derive("unheard command", &[&shard.0.to_be_bytes(), &nth.to_be_bytes()]));
    let (payload, ctx, reply, delta) = (vec![1], vec![], vec![], vec![]);
    Pending {
        stream: stream(shard),
        expected_version: nth,
        command: Some(CommandRecord { id, payload, ctx, accepted: true, reply, delta }),
        command_id: id,
        events: vec![Encoded { event_type: "run.created".to_owned(), type_version: 1, data: vec![2] }],
        at: NOW,
        meta: Meta::default(),
        opens: vec![],
        closes: vec![],
    }
}

#[tokio::test]
async fn each_shard_of_a_group_counts_for_itself() {
    for arrives_behind in 0..4 {
        let clock = Arc::new(ManualClock::at(NOW));
        let log = MemoryStore::new(derive("unheard", &[]), 2, clock.clone());
        let owner = derive("unheard owner", &[]);
        let shards = log.acquire(owner, &SHARDS, NOW).await.unwrap();
        let late = Arc::new(Late {
            log: log.clone(),
            arrives_behind,
            under_way: Mutex::default(),
            asked: Mutex::default(),
            lost: Mutex::default(),
        });
        let (gauges, committed) = (Gauges::new(Arc::new(NoObserver)), Arc::new(|| {}));
        let parts = Parts { log: late, clock, gauges, owner, shards, lanes: 1, committed };
        let (journal, lanes) = Journal::start(parts);
        // Both wait before the lane looks, so both are in one group.
        let lanes = async { lanes.into_iter().for_each(|lane| drop(tokio::spawn(lane))) };
        let (one, other, ()) =
            tokio::join!(journal.append(pending(SHARDS[0], 0)), journal.append(pending(SHARDS[1], 0)), lanes);
        assert!(one.is_ok() && other.is_ok(), "behind {arrives_behind}: {one:?}, {other:?}");
        for shard in SHARDS {
            let next = journal.append(pending(shard, 1)).await;
            assert!(next.is_ok(), "behind {arrives_behind}: the lane knows the head of {shard}: {next:?}");
            let seqs: Vec<u64> = log.read_shard(shard, 0, 9).await.unwrap().iter().map(|event| event.seq).collect();
            assert_eq!(seqs, [1, 2], "behind {arrives_behind}: what was acknowledged on {shard} is durable, once");
        }
        assert!(!journal.is_fenced());
    }
}
