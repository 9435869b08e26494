//! Read models: row images written with their checkpoint, and the questions people ask of them.
//!
//! Owns: how rows get in, and how they are looked up.
//! Refuses to know: how events become rows (`projections`), which SQL does it (`store`).
//!
//! Invariant: rows and checkpoint of a shard change in one transaction, and only if the checkpoint was as expected.

use async_trait::async_trait;
use nightshift_domain::ids::ShardId;
use nightshift_projections::{
    Image,
    table::{Row, RowKey, TableDef},
};
use serde_json::Value;

use crate::log::StoreError;

/// Rows of one shard's events up to a checkpoint. No other shard's events make or change any of them.
#[derive(Debug, Clone, PartialEq)]
pub struct RowBatch {
    /// The shard the events are of.
    pub shard: ShardId,
    /// The checkpoint the writer believes in.
    pub from_seq: u64,
    /// The checkpoint after it.
    pub upto_seq: u64,
    /// Final image of each row that changed; at most one for each key.
    pub upserts: Vec<(&'static TableDef, Image)>,
    /// Rows that are gone.
    pub deletes: Vec<(&'static TableDef, RowKey)>,
}

/// Which generation of tables is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// The tables that people query.
    Live,
    /// The tables that a rebuild fills.
    Rebuilt,
}

/// Values that a row has, all of them.
pub type Equals = Vec<(&'static str, Value)>;

/// A word in any of some columns, whatever the case of its letters A to Z.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// The columns; of texts and of ids.
    pub columns: &'static [&'static str],
    /// The word. The empty word is in everything but null.
    pub word: String,
}

/// A question to a table: conditions on columns, an order, a page. A row answers it when all conditions hold.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Query {
    /// Column = value, all of them; a null value asks for null.
    pub equals: Equals,
    /// Column > value (keyset and time windows).
    pub above: Vec<(&'static str, Value)>,
    /// Column < value.
    pub below: Vec<(&'static str, Value)>,
    /// At least one of the alternatives of each of these holds; where there are none, no row answers.
    pub any_of: Vec<Vec<Equals>>,
    /// A word is in one of some columns.
    pub search: Option<Search>,
    /// Columns in order; true for descending.
    pub order: Vec<(&'static str, bool)>,
    /// At most so many; 0 for the default of 100.
    pub limit: u32,
    /// Leave out the first so many.
    pub offset: u32,
}

/// The read models.
#[async_trait]
pub trait ReadModels: Send + Sync {
    /// Checkpoint of each shard that has one.
    ///
    /// # Errors
    /// The store did not answer.
    async fn checkpoints(&self, generation: Generation) -> Result<Vec<(ShardId, u64)>, StoreError>;

    /// The rows under keys, for those that exist.
    ///
    /// # Errors
    /// The store did not answer.
    async fn rows(
        &self,
        generation: Generation,
        table: &'static TableDef,
        keys: &[RowKey],
    ) -> Result<Vec<Row>, StoreError>;

    /// Writes batches of several shards, all in one transaction. False when a checkpoint was not as expected: another
    /// writer was here, and nothing was written.
    ///
    /// # Errors
    /// The store did not take it; nothing was written.
    async fn write(&self, generation: Generation, batches: &[RowBatch]) -> Result<bool, StoreError>;

    /// Empties the tables of the rebuilt generation. They end with this store at the latest, or with its connection: what a
    /// crash leaves of a rebuild is never put in place.
    ///
    /// # Errors
    /// The store did not answer.
    async fn begin_rebuild(&self) -> Result<(), StoreError>;

    /// Puts the rebuilt generation in place of the live one, in one transaction.
    ///
    /// # Errors
    /// The store did not answer; the live generation is as it was.
    async fn swap_rebuilt(&self) -> Result<(), StoreError>;

    /// Answers a question from the live tables.
    ///
    /// # Errors
    /// The store did not answer, or a column is not in the table.
    async fn query(&self, table: &'static TableDef, query: &Query) -> Result<Vec<Row>, StoreError>;

    /// How many rows of the live tables answer a question, whatever its page.
    ///
    /// # Errors
    /// As [`ReadModels::query`].
    async fn count(&self, table: &'static TableDef, query: &Query) -> Result<u64, StoreError>;

    /// Counts rows by the values of one column.
    ///
    /// # Errors
    /// As [`ReadModels::query`].
    async fn count_by(&self, table: &'static TableDef, column: &'static str) -> Result<Vec<(Value, u64)>, StoreError>;
}

/// Places in the log up to which a reader other than the read models has come, e.g. the exporter of traces.
#[async_trait]
pub trait Cursors: Send + Sync {
    /// Where the reader `name` is in each shard it has begun.
    ///
    /// # Errors
    /// The store did not answer.
    async fn cursors(&self, name: &str) -> Result<Vec<(ShardId, u64)>, StoreError>;

    /// Notes where it is now.
    ///
    /// # Errors
    /// The store did not take it.
    async fn set_cursors(&self, name: &str, at: &[(ShardId, u64)]) -> Result<(), StoreError>;
}
