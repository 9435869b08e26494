//! A store in memory: the reference that the conformance suite compares the databases with, and what tests run on.
//!
//! Owns: all ports of a store behind one lock, so that every call is atomic.
//! Refuses to know: durability. What it holds ends with it.

mod log;
mod rows;
mod sides;
mod step_cache;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use nightshift_domain::{
    ids::{CommandId, ShardId, StreamId},
    recorded::Recorded,
    time::Timestamp,
};
use nightshift_projections::table::Row;
use uuid::Uuid;

pub use self::step_cache::MemoryStepCache;
use crate::{
    clock::Clock,
    log::{InboxItem, LogInfo, Owed, RecordedCommand, Session, Snapshot, StoreError},
};

/// A store in memory. Clones share their content, as connections to one database do.
#[derive(Clone)]
pub struct MemoryStore {
    info: LogInfo,
    clock: Arc<dyn Clock>,
    held: Arc<Mutex<Held>>,
    steps: Arc<MemoryStepCache>,
}

/// Everything it holds.
struct Held {
    shards: BTreeMap<ShardId, Shard>,
    snapshots: HashMap<Uuid, Snapshot>,
    sessions: BTreeMap<Uuid, (Session, Timestamp)>,
    blobs: HashMap<String, Vec<u8>>,
    live: Tables,
    /// None until a rebuild begins.
    rebuilt: Option<Tables>,
    cursors: BTreeMap<String, BTreeMap<ShardId, u64>>,
}

/// One generation of read models.
#[derive(Default)]
struct Tables {
    checkpoints: BTreeMap<ShardId, u64>,
    /// Table name, then key as text, to the row.
    rows: HashMap<&'static str, BTreeMap<String, Row>>,
}

#[derive(Default)]
struct Shard {
    epoch: i64,
    owner: Option<Uuid>,
    /// The log: the event with `seq` n is at n - 1.
    events: Vec<Recorded>,
    /// Places in `events` of each stream's events: version n is at n - 1.
    streams: HashMap<Uuid, Vec<usize>>,
    commands: HashMap<CommandId, RecordedCommand>,
    /// Commands of each stream in order of arrival, which is the order of `first_seq`.
    decided: HashMap<Uuid, Vec<CommandId>>,
    owed: BTreeMap<(Uuid, String), Owed>,
    inbox: BTreeMap<CommandId, InboxItem>,
}

impl MemoryStore {
    /// An empty store of `shard_count` shards. The clock decides which sessions live, and nothing else.
    #[must_use]
    pub fn new(cluster_id: Uuid, shard_count: u16, clock: Arc<dyn Clock>) -> Self {
        let shards = (0..shard_count).map(|shard| (ShardId(shard), Shard::default())).collect();
        let held = Held {
            shards,
            snapshots: HashMap::new(),
            sessions: BTreeMap::new(),
            blobs: HashMap::new(),
            live: Tables::default(),
            rebuilt: None,
            cursors: BTreeMap::new(),
        };
        let info = LogInfo { cluster_id, shard_count, schema: 0, engine: "memory" };
        Self { info, clock, held: Arc::new(Mutex::new(held)), steps: Arc::default() }
    }

    /// A panic while the lock was held cannot leave a half-done call behind: each checks first and changes after.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// The shard, if the store has it.
    fn shard_of(&self, stream: StreamId) -> Option<&Shard> {
        self.shards.get(&stream.shard())
    }

    fn shard_mut(&mut self, shard: ShardId) -> Result<&mut Shard, StoreError> {
        let count = self.shards.len();
        self.shards.get_mut(&shard).ok_or_else(|| StoreError::Failed {
            doing: "find the shard",
            why: format!("there is no shard {shard}; the store has {count}"),
        })
    }
}

impl Shard {
    fn head(&self) -> u64 {
        self.events.len() as u64
    }
}
