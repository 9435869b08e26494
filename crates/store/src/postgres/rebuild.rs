//! The rows of a rebuild on PostgreSQL: in temporary tables of a connection of their own.
//!
//! Owns: that connection. Its tables are not logged, and the server drops them when it ends, however it ends.
//! Refuses to know: what a row says.

use nightshift_ports::{
    log::StoreError,
    read_models::{Generation, RowBatch},
    rows::{advanced, net},
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::{PostgresStore, read_models::apply};
use crate::{
    error::failed,
    record::number,
    staging::{Staging, begun},
    tables::LIVE,
};

/// Memory of the server for temporary tables, in its words: taken as it is needed.
const TEMP_BUFFERS: &str = "64MB";

impl PostgresStore {
    /// Begins a rebuild anew, with empty tables.
    pub(super) async fn stage(&self) -> Result<(), StoreError> {
        let fault = failed("begin a rebuild");
        let mut slot = self.inner.staging.lock().await;
        if let Some(former) = slot.take() {
            // Its tables go with it, whether it says good-bye or not.
            let _ = former.conn.close().await;
        }
        let options = self.inner.connect.clone().application_name("nightshift rebuild");
        let options = options.options([("temp_buffers", TEMP_BUFFERS)]);
        let mut conn = PgConnection::connect_with(&options).await.map_err(&fault)?;
        let stages: String = self.inner.sql.tables.iter().map(|table| self.inner.sql.of(table).stage.to_string()).collect();
        sqlx::raw_sql(AssertSqlSafe(stages)).execute(&mut conn).await.map_err(&fault)?;
        *slot = Some(Staging::on(conn));
        Ok(())
    }

    /// Writes rows of the rebuild; false when a checkpoint was not as expected.
    pub(super) async fn write_staged(&self, batches: &[RowBatch]) -> Result<bool, StoreError> {
        let fault = failed("write rebuilt rows");
        let mut slot = self.inner.staging.lock().await;
        let staging = begun(&mut slot)?;
        let Some(after) = advanced(&staging.checkpoints, batches) else { return Ok(false) };
        let mut tx = staging.conn.begin().await.map_err(&fault)?;
        apply(&mut tx, &self.inner.sql, Generation::Rebuilt, &net(batches)).await.map_err(&fault)?;
        tx.commit().await.map_err(&fault)?;
        staging.checkpoints = after;
        Ok(true)
    }

    /// Puts the rows of the rebuild in place of the live ones and ends it.
    pub(super) async fn publish(&self) -> Result<(), StoreError> {
        let fault = failed("put the rebuilt tables in place");
        let mut slot = self.inner.staging.lock().await;
        let staging = begun(&mut slot)?;
        let mut tx = staging.conn.begin().await.map_err(&fault)?;
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
            let _ = done.conn.close().await;
        }
        Ok(())
    }
}
