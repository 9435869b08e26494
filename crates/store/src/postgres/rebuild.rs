//! The rows of a rebuild on PostgreSQL: in temporary tables of a connection of their own.
//!
//! Owns: that connection. Its tables are not logged, and the server drops them when it ends, however it ends.
//! Refuses to know: what a row says.

use std::collections::HashMap;

use nightshift_ports::{
    log::StoreError,
    read_models::RowBatch,
    rows::{TableChange, advanced, net},
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::{
    PostgresStore,
    records::{Records, RowType},
};
use crate::{
    error::failed,
    record::number,
    staging::{Staging, begun},
    tables::{LIVE, SqlBook, key_objects_json},
};

/// Memory of the server for temporary tables, in its words: taken as it is needed.
const TEMP_BUFFERS: &str = "64MB";

/// The numbers of the row type of a table and of an array of it.
const ROW_TYPE: &str = "SELECT oid, typarray FROM pg_type WHERE typrelid = CAST($1 AS regclass)";

/// The connection of a rebuild.
pub(super) struct Scratch {
    pub(super) conn: PgConnection,
    /// Row types of its tables, by the names of the tables they stand for.
    types: HashMap<&'static str, RowType>,
}

impl PostgresStore {
    /// Begins a rebuild anew, with empty tables.
    pub(super) async fn stage(&self) -> Result<(), StoreError> {
        let fault = failed("begin a rebuild");
        let mut slot = self.inner.staging.lock().await;
        if let Some(former) = slot.take() {
            // Its tables go with it, whether it says good-bye or not.
            let _ = former.scratch.conn.close().await;
        }
        let options = self.inner.connect.clone().application_name("nightshift rebuild");
        let options = options.options([("temp_buffers", TEMP_BUFFERS)]);
        let mut conn = PgConnection::connect_with(&options).await.map_err(&fault)?;
        let stages: String =
            self.inner.sql.tables.iter().map(|table| self.inner.sql.of(table).stage.to_string()).collect();
        sqlx::raw_sql(AssertSqlSafe(stages)).execute(&mut conn).await.map_err(&fault)?;
        let mut types = HashMap::new();
        for table in self.inner.sql.tables {
            let (row, array) = sqlx::query_as(ROW_TYPE)
                .bind(&self.inner.sql.of(table).fill.name)
                .fetch_one(&mut conn)
                .await
                .map_err(&fault)?;
            types.insert(table.name, RowType { row, array });
        }
        *slot = Some(Staging::on(Scratch { conn, types }));
        Ok(())
    }

    /// Writes rows of the rebuild; false when a checkpoint was not as expected.
    pub(super) async fn write_staged(&self, batches: &[RowBatch]) -> Result<bool, StoreError> {
        let fault = failed("write rebuilt rows");
        let mut slot = self.inner.staging.lock().await;
        let staging = begun(&mut slot)?;
        let Some(after) = advanced(&staging.checkpoints, batches) else { return Ok(false) };
        // A shard's rows come from its own events only: with its first page they cannot be there yet.
        let fresh = batches.iter().all(|batch| batch.from_seq == 0);
        fill(&mut staging.scratch, &self.inner.sql, &net(batches), fresh).await.map_err(&fault)?;
        staging.checkpoints = after;
        Ok(true)
    }

    /// Puts the rows of the rebuild in place of the live ones and ends it.
    pub(super) async fn publish(&self) -> Result<(), StoreError> {
        let fault = failed("put the rebuilt tables in place");
        let mut slot = self.inner.staging.lock().await;
        let staging = begun(&mut slot)?;
        let mut tx = staging.scratch.conn.begin().await.map_err(&fault)?;
        for table in self.inner.sql.tables {
            let publish = self.inner.sql.of(table).publish.clone();
            sqlx::raw_sql(AssertSqlSafe(publish)).execute(&mut *tx).await.map_err(&fault)?;
        }
        let (shards, places): (Vec<i32>, Vec<i64>) =
            staging.checkpoints.iter().map(|(shard, seq)| (i32::from(shard.0), number(*seq))).unzip();
        sqlx::query("DELETE FROM projection WHERE name = $1").bind(LIVE).execute(&mut *tx).await.map_err(&fault)?;
        sqlx::query("INSERT INTO projection (name, shard_id, seq) SELECT $1, * FROM unnest($2::int[], $3::bigint[])")
            .bind(LIVE)
            .bind(shards)
            .bind(places)
            .execute(&mut *tx)
            .await
            .map_err(&fault)?;
        tx.commit().await.map_err(&fault)?;
        if let Some(done) = slot.take() {
            // The rows are in place; the server drops the tables when the connection is gone.
            let _ = done.scratch.conn.close().await;
        }
        Ok(())
    }
}

/// Writes rows into the temporary tables. Fresh ones are taken as they come, others go over those that are there.
async fn fill(
    scratch: &mut Scratch,
    book: &SqlBook,
    changes: &[TableChange<'_>],
    fresh: bool,
) -> Result<(), sqlx::Error> {
    let mut tx = scratch.conn.begin().await?;
    for change in changes.iter().filter(|change| !fresh && !change.deletes.is_empty()) {
        let delete = book.of(change.table).rebuilt.delete.clone();
        let keys = key_objects_json(change.table, change.deletes.iter().copied());
        sqlx::query(AssertSqlSafe(delete)).bind(keys).execute(&mut *tx).await?;
    }
    let mut upserts = changes.iter().filter(|change| !change.upserts.is_empty());
    let ready = |change: &TableChange<'_>| {
        let missing = || sqlx::Error::TypeNotFound { type_name: change.table.name.to_owned() };
        let row_type = scratch.types.get(change.table.name).copied().ok_or_else(missing)?;
        let sql = book.of(change.table);
        let statement = if fresh { sql.fill.take.clone() } else { sql.fill.merge.clone() };
        Ok::<_, sqlx::Error>((statement, Records::of(change.table, &change.upserts, row_type)?))
    };
    let mut next = upserts.next().map(ready).transpose()?;
    while let Some((statement, records)) = next {
        // The server takes one table while the rows of the next are made ready.
        let ahead = async { upserts.next().map(ready).transpose() };
        let taken = sqlx::query(AssertSqlSafe(statement)).bind(records).execute(&mut *tx);
        let (taken, made) = tokio::join!(taken, ahead);
        taken?;
        next = made?;
    }
    tx.commit().await
}
