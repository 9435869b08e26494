//! The read models on SQLite.

use async_trait::async_trait;
use nightshift_domain::ids::ShardId;
use nightshift_ports::{
    log::StoreError,
    read_models::{Generation, Query, ReadModels, RowBatch},
    rows::{self, TableChange},
};
use nightshift_projections::table::{Row, RowKey, TableDef};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use super::{
    SqliteStore, cells,
    tables::{DIALECT, LOT},
};
use crate::{
    error::failed,
    record::{self, number},
    staging::{self, begun},
    tables::{GenerationSql, LIVE, keys_json, parse_counts, parse_row, rows_json},
};

#[async_trait]
impl ReadModels for SqliteStore {
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
        let by_key = sqlx::query_scalar(AssertSqlSafe(sql.of(generation).by_key.clone())).bind(keys_json(keys));
        let texts: Result<Vec<String>, _> = match generation {
            Generation::Live => by_key.fetch_all(&self.inner.readers).await,
            Generation::Rebuilt => by_key.fetch_all(&mut begun(&mut *self.inner.staging.lock().await)?.scratch).await,
        };
        texts.map_err(failed("read rows"))?.iter().map(|text| parse_row(table, text)).collect()
    }

    async fn write(&self, generation: Generation, batches: &[RowBatch]) -> Result<bool, StoreError> {
        if generation == Generation::Rebuilt {
            return self.write_staged(batches).await;
        }
        let fault = failed("write read models");
        let mut writer = self.writer().await?;
        let mut tx = writer.conn.begin_with("BEGIN IMMEDIATE").await.map_err(&fault)?;
        for batch in batches {
            if !advance(&mut tx, batch).await.map_err(&fault)? {
                tx.rollback().await.map_err(&fault)?;
                return Ok(false);
            }
        }
        for change in rows::net(batches) {
            apply(&mut tx, &self.inner.sql.of(change.table).live, &change).await.map_err(&fault)?;
        }
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
        let texts: Vec<String> = asked.fetch_all(&self.inner.readers).await.map_err(failed("answer the question"))?;
        texts.iter().map(|text| parse_row(table, text)).collect()
    }

    async fn count(&self, table: &'static TableDef, query: &Query) -> Result<u64, StoreError> {
        let question = DIALECT.count(table, query)?;
        let mut asked = sqlx::query_scalar(AssertSqlSafe(question.sql));
        for parameter in question.parameters {
            asked = asked.bind(parameter);
        }
        let count: i64 = asked.fetch_one(&self.inner.readers).await.map_err(failed("count rows"))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    async fn count_by(&self, table: &'static TableDef, column: &'static str) -> Result<Vec<(Value, u64)>, StoreError> {
        let texts: Vec<String> = sqlx::query_scalar(AssertSqlSafe(DIALECT.count_by(table, column)?))
            .fetch_all(&self.inner.readers)
            .await
            .map_err(failed("count rows"))?;
        parse_counts(table, column, &texts)
    }
}

/// Moves a live checkpoint; false when it was not as expected.
async fn advance(conn: &mut SqliteConnection, batch: &RowBatch) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(include_str!("sql/checkpoints_advance.sql"))
        .bind(LIVE)
        .bind(batch.shard.0)
        .bind(number(batch.from_seq))
        .bind(number(batch.upto_seq))
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes the change of one table: what is gone, then what is there.
pub(super) async fn apply(
    conn: &mut SqliteConnection,
    sql: &GenerationSql,
    change: &TableChange<'_>,
) -> Result<(), sqlx::Error> {
    if !change.deletes.is_empty() {
        let keys = keys_json(change.deletes.iter().copied());
        sqlx::query(AssertSqlSafe(sql.delete.clone())).bind(keys).execute(&mut *conn).await?;
    }
    let mut lots = change.upserts.chunks_exact(LOT);
    let mut next = lots.next().map(|rows| cells::arguments(change.table, rows)).transpose()?;
    while let Some(arguments) = next {
        let statements = sqlx::query_with(AssertSqlSafe(sql.upsert_lot.clone()), arguments);
        // The connection's thread writes one lot while the next is made ready.
        let ahead = async { lots.next().map(|rows| cells::arguments(change.table, rows)).transpose() };
        let (written, ready) = tokio::join!(statements.execute(&mut *conn), ahead);
        written?;
        next = ready?;
    }
    // The few that are left are not worth the parameters.
    let rest = lots.remainder();
    if !rest.is_empty() {
        let rows = rows_json(rest).map_err(|error| sqlx::Error::Encode(error.into()))?;
        sqlx::query(AssertSqlSafe(sql.upsert.clone())).bind(rows).execute(&mut *conn).await?;
    }
    Ok(())
}

impl SqliteStore {
    /// Places of a reader of the log, by the name they are kept under.
    pub(super) async fn places(&self, name: &str) -> Result<Vec<(ShardId, u64)>, StoreError> {
        let rows = sqlx::query_as("SELECT shard_id, seq FROM projection WHERE name = $1 ORDER BY shard_id")
            .bind(name)
            .fetch_all(&self.inner.readers)
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
        let mut writer = self.writer().await?;
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut writer.conn).await.map_err(failed("make a table"))?;
        Ok(())
    }
}
