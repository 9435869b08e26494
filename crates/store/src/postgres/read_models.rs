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

use super::{PostgresStore, tables::DIALECT};
use crate::{
    error::failed,
    record::{self, number},
    tables::{LIVE, REBUILT, SqlBook, checkpoint_name, key_objects_json, objects_json, parse_counts, parse_row},
};

#[async_trait]
impl ReadModels for PostgresStore {
    async fn checkpoints(&self, generation: Generation) -> Result<Vec<(ShardId, u64)>, StoreError> {
        self.places(checkpoint_name(generation)).await
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
        let texts: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql.of(generation).by_key.clone()))
            .bind(key_objects_json(table, keys))
            .fetch_all(&self.inner.pool)
            .await
            .map_err(failed("read rows"))?;
        texts.iter().map(|text| parse_row(table, text)).collect()
    }

    async fn write(&self, generation: Generation, batches: &[RowBatch]) -> Result<bool, StoreError> {
        let fault = failed("write read models");
        let mut tx = self.inner.pool.begin().await.map_err(&fault)?;
        // Rows and checkpoint are lost together or not at all, and the log makes them again: no need to wait for the disk.
        sqlx::query("SET LOCAL synchronous_commit = off").execute(&mut *tx).await.map_err(&fault)?;
        for batch in batches {
            if !advance(&mut tx, checkpoint_name(generation), batch).await.map_err(&fault)? {
                tx.rollback().await.map_err(&fault)?;
                return Ok(false);
            }
        }
        for change in rows::net(batches) {
            apply(&mut tx, &self.inner.sql, generation, &change).await.map_err(&fault)?;
        }
        tx.commit().await.map_err(&fault)?;
        Ok(true)
    }

    async fn begin_rebuild(&self) -> Result<(), StoreError> {
        let fault = failed("begin a rebuild");
        let mut tx = self.inner.pool.begin().await.map_err(&fault)?;
        for table in self.inner.sql.tables {
            let stage = self.inner.sql.of(table).stage.clone();
            sqlx::raw_sql(AssertSqlSafe(stage)).execute(&mut *tx).await.map_err(&fault)?;
        }
        forget(&mut tx, REBUILT).await.map_err(&fault)?;
        tx.commit().await.map_err(&fault)
    }

    async fn swap_rebuilt(&self) -> Result<(), StoreError> {
        let fault = failed("put the rebuilt tables in place");
        let mut tx = self.inner.pool.begin().await.map_err(&fault)?;
        for table in self.inner.sql.tables {
            let publish = self.inner.sql.of(table).publish.clone();
            sqlx::raw_sql(AssertSqlSafe(publish)).execute(&mut *tx).await.map_err(&fault)?;
        }
        forget(&mut tx, LIVE).await.map_err(&fault)?;
        sqlx::query("UPDATE projection SET name = $1 WHERE name = $2")
            .bind(LIVE)
            .bind(REBUILT)
            .execute(&mut *tx)
            .await
            .map_err(&fault)?;
        tx.commit().await.map_err(&fault)
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

    async fn count_by(&self, table: &'static TableDef, column: &'static str) -> Result<Vec<(Value, u64)>, StoreError> {
        let texts: Vec<String> = sqlx::query_scalar(AssertSqlSafe(DIALECT.count_by(table, column)?))
            .fetch_all(&self.inner.pool)
            .await
            .map_err(failed("count rows"))?;
        parse_counts(table, column, &texts)
    }
}

/// Moves a checkpoint; false when it was not as expected.
async fn advance(conn: &mut PgConnection, name: &str, batch: &RowBatch) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(include_str!("sql/checkpoints_advance.sql"))
        .bind(name)
        .bind(i32::from(batch.shard.0))
        .bind(number(batch.from_seq))
        .bind(number(batch.upto_seq))
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes the change of one table: one statement for what is gone, one for what is there.
async fn apply(
    conn: &mut PgConnection,
    book: &SqlBook,
    generation: Generation,
    change: &TableChange<'_>,
) -> Result<(), sqlx::Error> {
    let sql = book.of(change.table);
    let sql = sql.of(generation);
    if !change.deletes.is_empty() {
        let keys = key_objects_json(change.table, change.deletes.iter().copied());
        sqlx::query(AssertSqlSafe(sql.delete.clone())).bind(keys).execute(&mut *conn).await?;
    }
    if !change.upserts.is_empty() {
        let rows = objects_json(change.table, &change.upserts);
        sqlx::query(AssertSqlSafe(sql.upsert.clone())).bind(rows).execute(&mut *conn).await?;
    }
    Ok(())
}

async fn forget(conn: &mut PgConnection, name: &str) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM projection WHERE name = $1").bind(name).execute(conn).await.map(drop)
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
