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
        // Rows and checkpoint are lost together or not at all, and the log makes them again: no need to wait for the disk.
        // The next append does, and with what it wrote so is this.
        writer.relax().await.map_err(&fault)?;
        let mut tx = writer.conn.begin_with("BEGIN IMMEDIATE").await.map_err(&fault)?;
        if !advance(&mut tx, batches).await.map_err(&fault)? {
            tx.rollback().await.map_err(&fault)?;
            return Ok(false);
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

/// Moves live checkpoints; false when one was not as expected.
async fn advance(conn: &mut SqliteConnection, batches: &[RowBatch]) -> Result<bool, sqlx::Error> {
    let Some(moves) = rows::moves(batches) else { return Ok(false) };
    let want = |(shard, (from, upto)): (&ShardId, &(u64, u64))| (shard.0, number(*from), number(*upto));
    let wanted: Vec<_> = moves.iter().map(want).collect();
    let done = sqlx::query(include_str!("sql/checkpoints_advance.sql"))
        .bind(LIVE)
        .bind(serde_json::json!(wanted).to_string())
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == moves.len() as u64)
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

#[cfg(test)]
mod tests {
    use sqlx::Row as _;
    use uuid::Uuid;

    use super::*;
    use crate::sqlite::OpenOptions;

    /// `PRAGMA synchronous` of the writing connection: 1 is NORMAL, 2 is FULL.
    async fn synchronous(writer: &mut super::super::Writer) -> i64 {
        let row = sqlx::query("PRAGMA synchronous").fetch_one(&mut writer.conn).await.expect("asked");
        row.get(0)
    }

    #[tokio::test]
    async fn only_read_models_are_written_without_waiting_for_the_disk() {
        let folder = tempfile::tempdir().expect("a folder");
        let store =
            SqliteStore::open(OpenOptions::at(folder.path().join("sync.db"), Uuid::nil(), &[])).await.expect("opened");
        let batch =
            |from_seq, upto_seq| [RowBatch { shard: ShardId(3), from_seq, upto_seq, upserts: vec![], deletes: vec![] }];
        assert!(store.write(Generation::Live, &batch(0, 4)).await.expect("written"));
        assert!(!store.write(Generation::Live, &batch(0, 5)).await.expect("turned away"));
        // Whoever writes next, and whatever became of the write before, waits for the disk.
        let inner = store.inner.writer.as_ref().expect("it writes");
        assert_eq!(synchronous(&mut *inner.lock().await).await, 1);
        assert_eq!(synchronous(&mut store.writer().await.expect("the writer")).await, 2);
        assert_eq!(store.places(LIVE).await.expect("checkpoints"), [(ShardId(3), 4)]);
    }
}
