//! What a database holds.

use nightshift_ports::log::{EventLog, StoreError};

use super::PostgresStore;
use crate::{
    SchemaState, ShardHead, StoreFacts, TableSize,
    error::failed,
    migrations,
    record::{counted, shard_of},
};

impl PostgresStore {
    /// Facts of the store for people. Counts the tables: some milliseconds for each million rows.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn facts(&self) -> Result<StoreFacts, StoreError> {
        let fault = failed("read the facts of the store");
        let pool = &self.inner.pool;
        let (server, bytes): (String, i64) =
            sqlx::query_as("SELECT current_setting('server_version'), pg_database_size(current_database())")
                .fetch_one(pool)
                .await
                .map_err(&fault)?;
        let (events, commands, obligations): (i64, i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM command), (SELECT count(*) FROM obligation)",
        )
        .fetch_one(pool)
        .await
        .map_err(&fault)?;
        let heads: Vec<(i64, i64, i64)> =
            sqlx::query_as(include_str!("sql/shard_heads.sql")).fetch_all(pool).await.map_err(&fault)?;
        let tables: Vec<(String, i64)> =
            sqlx::query_as(include_str!("sql/table_sizes.sql")).fetch_all(pool).await.map_err(&fault)?;
        let head = |(shard, epoch, head)| Ok(ShardHead { shard: shard_of(shard)?, epoch, head: counted(head)? });
        let size = |(name, bytes)| Ok(TableSize { name, bytes: counted(bytes)? });
        Ok(StoreFacts {
            log: self.info().clone(),
            schema: SchemaState { found: self.info().schema, known: migrations::known(&migrations::POSTGRES) },
            server: format!("PostgreSQL {server}"),
            events: counted(events)?,
            commands: counted(commands)?,
            obligations: counted(obligations)?,
            heads: heads.into_iter().map(head).collect::<Result<_, StoreError>>()?,
            tables: tables.into_iter().map(size).collect::<Result<_, StoreError>>()?,
            bytes: counted(bytes)?,
        })
    }
}
