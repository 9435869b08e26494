//! The log in memory, watched and broken by tests.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use async_trait::async_trait;
use nightshift_domain::{
    ids::{CommandId, ShardId, StreamId, StreamKind},
    recorded::Recorded,
    time::Timestamp,
};
use nightshift_ports::{
    log::{
        AppendError, EventLog, LogInfo, Owed, OwedQuery, Ownership, RecordedCommand, Resolution, ShardBatch, Snapshot,
        StoreError, Verdict,
    },
    memory::MemoryStore,
};
use uuid::Uuid;

/// The log in memory; counts the events of sources that are read stream by stream, and fails to read runs as often as it
/// is told to. When it is told so, the next group of several shards arrives late: behind the first question what became of it.
pub struct Watched {
    pub log: Arc<MemoryStore>,
    pub read: AtomicUsize,
    pub failing: AtomicUsize,
    pub straggles: AtomicBool,
    late: Mutex<Option<Vec<ShardBatch>>>,
}

impl Watched {
    pub fn over(log: Arc<MemoryStore>) -> Arc<Self> {
        let (read, failing) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { log, read, failing, straggles: AtomicBool::new(false), late: Mutex::new(None) })
    }
}

#[async_trait]
impl EventLog for Watched {
    fn info(&self) -> &LogInfo {
        self.log.info()
    }
    async fn acquire(&self, owner: Uuid, shards: &[ShardId], now: Timestamp) -> Result<Vec<Ownership>, StoreError> {
        self.log.acquire(owner, shards, now).await
    }
    async fn append(&self, group: &[ShardBatch]) -> Result<Vec<Verdict>, AppendError> {
        if group.len() > 1 && self.straggles.swap(false, Ordering::SeqCst) {
            *self.late.lock().unwrap() = Some(group.to_vec());
            return Err(AppendError::Unknown { why: "the connection is gone".to_owned() });
        }
        self.log.append(group).await
    }
    async fn resolve(
        &self,
        owner: Uuid,
        shard: ShardId,
        epoch: i64,
        command: CommandId,
        now: Timestamp,
    ) -> Result<Resolution, StoreError> {
        let found = self.log.resolve(owner, shard, epoch, command, now).await;
        let late = self.late.lock().unwrap().take();
        if let Some(group) = late {
            self.log.append(&group).await.unwrap();
        }
        found
    }
    async fn read_stream(&self, stream: StreamId, after: u64, limit: u32) -> Result<Vec<Recorded>, StoreError> {
        let fails = stream.kind == StreamKind::Run
            && self.failing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if fails {
            return Err(StoreError::Failed { doing: "read a stream", why: "a test wanted it".to_owned() });
        }
        let page = self.log.read_stream(stream, after, limit).await?;
        if stream.kind == StreamKind::Source {
            self.read.fetch_add(page.len(), Ordering::SeqCst);
        }
        Ok(page)
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
