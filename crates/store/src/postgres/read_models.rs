//! The read models on PostgreSQL.

use async_trait::async_trait;
use nightshift_domain::ids::ShardId;
use nightshift_ports::{
    log::StoreError,
    read_models::{Generation, Query, ReadModels, RowBatch},
    rows::{self, TableChange},
};
use nightshift_projections::table::{Row, RowKey, TableDef};
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection};

use super::{PostgresStore, cells, tables::DIALECT};
use crate::{
    error::failed,
    record::{self, number},
    staging::{self, begun},
    tables::{LIVE, SqlBook, key_objects_json, parse_counts, parse_row},
};

#[async_trait]
impl ReadModels for PostgresStore {
    async fn checkpoints(&self, generation: Generation) -> Result<Vec<(ShardId, u64)>, StoreError> {
        match generation {
            Generation::Live => self.places(LIVE).await,
            Generation::Rebuilt => Ok(staging::checkpoints(&self.inner.staging).await),
        }
    }

    async fn rows(
        &self,
        generation: Generation,
        table: &'static TableDef,
        keys: &[RowKey],
    ) -> Result<Vec<Row>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let sql = self.inner.sql.of(table);
        let by_key = sqlx::query_scalar(AssertSqlSafe(sql.of(generation).by_key.clone()));
        let by_key = by_key.bind(key_objects_json(table, keys));
        let texts: Result<Vec<String>, _> = match generation {
            Generation::Live => by_key.fetch_all(&self.inner.pool).await,
            Generation::Rebuilt => {
                by_key.fetch_all(&mut begun(&mut *self.inner.staging.lock().await)?.scratch.conn).await
            }
        };
        texts.map_err(failed("read rows"))?.iter().map(|text| parse_row(table, text)).collect()
    }

    async fn write(&self, generation: Generation, batches: &[RowBatch]) -> Result<bool, StoreError> {
        if generation == Generation::Rebuilt {
            return self.write_staged(batches).await;
        }
        let fault = failed("write read models");
        let mut tx = self.inner.pool.begin().await.map_err(&fault)?;
        // Rows and checkpoint are lost together or not at all, and the log makes them again: no need to wait for the disk.
        sqlx::query("SET LOCAL synchronous_commit = off").execute(&mut *tx).await.map_err(&fault)?;
        if !advance(&mut tx, batches).await.map_err(&fault)? {
            tx.rollback().await.map_err(&fault)?;
            return Ok(false);
        }
        apply(&mut tx, &self.inner.sql, &rows::net(batches)).await.map_err(&fault)?;
        tx.commit().await.map_err(&fault)?;
        Ok(true)
    }

    async fn begin_rebuild(&self) -> Result<(), StoreError> {
        self.stage().await
    }

    async fn swap_rebuilt(&self) -> Result<(), StoreError> {
        self.publish().await
    }

    async fn query(&self, table: &'static TableDef, query: &Query) -> Result<Vec<Row>, StoreError> {
        let question = DIALECT.question(table, query)?;
        let mut asked = sqlx::query_scalar(AssertSqlSafe(question.sql));
        for parameter in question.parameters {
            asked = asked.bind(parameter);
        }
        let texts: Vec<String> = asked.fetch_all(&self.inner.pool).await.map_err(failed("answer the question"))?;
        texts.iter().map(|text| parse_row(table, text)).collect()
    }

    async fn count(&self, table: &'static TableDef, query: &Query) -> Result<u64, StoreError> {
        let question = DIALECT.count(table, query)?;
        let mut asked = sqlx::query_scalar(AssertSqlSafe(question.sql));
        for parameter in question.parameters {
            asked = asked.bind(parameter);
        }
        let count: i64 = asked.fetch_one(&self.inner.pool).await.map_err(failed("count rows"))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    async fn count_by(&self, table: &'static TableDef, column: &'static str) -> Result<Vec<(Value, u64)>, StoreError> {
        let texts: Vec<String> = sqlx::query_scalar(AssertSqlSafe(DIALECT.count_by(table, column)?))
            .fetch_all(&self.inner.pool)
            .await
            .map_err(failed("count rows"))?;
        parse_counts(table, column, &texts)
    }
}

/// Moves live checkpoints; false when one was not as expected.
async fn advance(conn: &mut PgConnection, batches: &[RowBatch]) -> Result<bool, sqlx::Error> {
    let Some(moves) = rows::moves(batches) else { return Ok(false) };
    let moved: i64 = sqlx::query_scalar(include_str!("sql/checkpoints_advance.sql"))
        .bind(LIVE)
        .bind(moves.keys().map(|shard| i32::from(shard.0)).collect::<Vec<_>>())
        .bind(moves.values().map(|(from, _)| number(*from)).collect::<Vec<_>>())
        .bind(moves.values().map(|(_, upto)| number(*upto)).collect::<Vec<_>>())
        .fetch_one(conn)
        .await?;
    Ok(usize::try_from(moved).is_ok_and(|moved| moved == moves.len()))
}

/// Writes changes: of each table one statement for what is gone, and one for what is there.
async fn apply(conn: &mut PgConnection, book: &SqlBook, changes: &[TableChange<'_>]) -> Result<(), sqlx::Error> {
    for change in changes.iter().filter(|change| !change.deletes.is_empty()) {
        let delete = book.of(change.table).live.delete.clone();
        let keys = key_objects_json(change.table, change.deletes.iter().copied());
        sqlx::query(AssertSqlSafe(delete)).bind(keys).execute(&mut *conn).await?;
    }
    let mut upserts = changes.iter().filter(|change| !change.upserts.is_empty());
    let ready = |change: &TableChange<'_>| {
        let upsert = book.of(change.table).live.upsert.clone();
        Ok::<_, sqlx::Error>((upsert, cells::arguments(change.table, &change.upserts)?))
    };
    let mut next = upserts.next().map(ready).transpose()?;
    while let Some((upsert, arguments)) = next {
        // The server writes one table while the rows of the next are made ready.
        let ahead = async { upserts.next().map(ready).transpose() };
        let (written, made) =
            tokio::join!(sqlx::query_with(AssertSqlSafe(upsert), arguments).execute(&mut *conn), ahead);
        written?;
        next = made?;
    }
    Ok(())
}

impl PostgresStore {
    /// Places of a reader of the log, by the name they are kept under.
    pub(super) async fn places(&self, name: &str) -> Result<Vec<(ShardId, u64)>, StoreError> {
        let rows = sqlx::query_as("SELECT shard_id::bigint, seq FROM projection WHERE name = $1 ORDER BY shard_id")
            .bind(name)
            .fetch_all(&self.inner.pool)
            .await
            .map_err(failed("read checkpoints"))?;
        record::places(rows)
    }

    /// Makes a table from its description alone, for checks that bring tables of their own.
    ///
    /// # Errors
    /// The database refused it.
    #[cfg(feature = "conformance")]
    pub async fn create_table(&self, table: &'static TableDef) -> Result<(), StoreError> {
        let sql = super::tables::create(table, &crate::tables::quote(table.name));
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.inner.pool).await.map_err(failed("make a table"))?;
        Ok(())
    }
}
