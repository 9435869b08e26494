//! Facts of a store for people: what `nightshift db info` prints.

use nightshift_domain::ids::ShardId;
use nightshift_ports::log::LogInfo;

use crate::migrations::SchemaState;

/// What a store is and holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreFacts {
    /// Identity, shards, engine.
    pub log: LogInfo,
    /// Where the schema stands.
    pub schema: SchemaState,
    /// Version of the database.
    pub server: String,
    /// Events in the log.
    pub events: u64,
    /// Commands kept.
    pub commands: u64,
    /// Obligations that are open.
    pub obligations: u64,
    /// Shards that have events, with their last one.
    pub heads: Vec<ShardHead>,
    /// Tables by size, the largest first.
    pub tables: Vec<TableSize>,
    /// Bytes of the whole store.
    pub bytes: u64,
}

/// A shard and its last event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardHead {
    /// The shard.
    pub shard: ShardId,
    /// Its epoch.
    pub epoch: i64,
    /// Sequence number of its last event; 0 when it is empty.
    pub head: u64,
}

/// A table and the bytes it takes, its indexes included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSize {
    /// Its name.
    pub name: String,
    /// Bytes.
    pub bytes: u64,
}
