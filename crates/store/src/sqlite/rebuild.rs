//! The rows of a rebuild on SQLite: in a file of their own beside the store, on a connection of their own.
//!
//! Owns: that file, which is removed with the rebuild and never waited for: it is worth nothing after a crash.
//! Refuses to know: what a row says.
//!
//! Invariant: the store itself stays `synchronous=FULL` on every connection; only the scratch file is not synced.

use std::path::{Path, PathBuf};

use nightshift_ports::{
    log::StoreError,
    read_models::RowBatch,
    rows::{advanced, net},
};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use super::{SqliteStore, open::connect_for_writing, read_models::apply, tables::SCRATCH};
use crate::{
    error::failed,
    record::number,
    staging::{Staging, begun},
    tables::LIVE,
};

/// What the scratch file is worth. A failed write is still undone: its journal is in memory.
const SCRATCH_PRAGMAS: &str = "PRAGMA rebuilt.journal_mode = MEMORY; PRAGMA rebuilt.synchronous = OFF;
PRAGMA rebuilt.locking_mode = EXCLUSIVE; PRAGMA rebuilt.cache_size = -65536;";

/// The scratch file of a store.
pub(super) fn scratch_path(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push("-rebuild");
    PathBuf::from(name)
}

/// Makes the scratch file, empty whatever a rebuild left there that was cut short.
fn make_scratch(store: &Path) -> Result<(), StoreError> {
    let refused =
        |error: std::io::Error| StoreError::Failed { doing: "make the file of a rebuild", why: error.to_string() };
    std::fs::File::create(scratch_path(store)).map(drop).map_err(refused)
}

/// Ends a rebuild, done or not. A scratch file that stays is emptied by the next one.
pub(super) async fn end(staging: Staging<SqliteConnection>, store: &Path) {
    let _ = staging.scratch.close().await;
    let _ = std::fs::remove_file(scratch_path(store));
}

impl SqliteStore {
    /// Begins a rebuild anew, with empty tables.
    pub(super) async fn stage(&self) -> Result<(), StoreError> {
        let fault = failed("begin a rebuild");
        drop(self.writer().await?);
        let mut slot = self.inner.staging.lock().await;
        if let Some(former) = slot.take() {
            end(former, &self.inner.path).await;
        }
        make_scratch(&self.inner.path)?;
        let mut conn = connect_for_writing(&self.inner.path).await.map_err(&fault)?;
        attach(&mut conn, &self.inner.path).await.map_err(&fault)?;
        let mut tx = conn.begin().await.map_err(&fault)?;
        for table in self.inner.sql.tables {
            let stage = self.inner.sql.of(table).stage.clone();
            sqlx::raw_sql(AssertSqlSafe(stage)).execute(&mut *tx).await.map_err(&fault)?;
        }
        tx.commit().await.map_err(&fault)?;
        *slot = Some(Staging::on(conn));
        Ok(())
    }

    /// Writes rows of the rebuild; false when a checkpoint was not as expected.
    pub(super) async fn write_staged(&self, batches: &[RowBatch]) -> Result<bool, StoreError> {
        let fault = failed("write rebuilt rows");
        let mut slot = self.inner.staging.lock().await;
        let staging = begun(&mut slot)?;
        let Some(after) = advanced(&staging.checkpoints, batches) else { return Ok(false) };
        let mut tx = staging.scratch.begin().await.map_err(&fault)?;
        for change in net(batches) {
            apply(&mut tx, &self.inner.sql.of(change.table).rebuilt, &change).await.map_err(&fault)?;
        }
        tx.commit().await.map_err(&fault)?;
        staging.checkpoints = after;
        Ok(true)
    }

    /// Puts the rows of the rebuild in place of the live ones and ends it.
    pub(super) async fn publish(&self) -> Result<(), StoreError> {
        let fault = failed("put the rebuilt tables in place");
        let mut slot = self.inner.staging.lock().await;
        let staging = begun(&mut slot)?;
        // Held so that nobody in this process waits for the file in vain.
        let writer = self.writer().await?;
        let mut tx = staging.scratch.begin_with("BEGIN IMMEDIATE").await.map_err(&fault)?;
        for table in self.inner.sql.tables {
            let publish = self.inner.sql.of(table).publish.clone();
            sqlx::raw_sql(AssertSqlSafe(publish)).execute(&mut *tx).await.map_err(&fault)?;
        }
        sqlx::query("DELETE FROM projection WHERE name = $1").bind(LIVE).execute(&mut *tx).await.map_err(&fault)?;
        for (shard, seq) in &staging.checkpoints {
            sqlx::query("INSERT INTO projection (name, shard_id, seq) VALUES ($1, $2, $3)")
                .bind(LIVE)
                .bind(shard.0)
                .bind(number(*seq))
                .execute(&mut *tx)
                .await
                .map_err(&fault)?;
        }
        tx.commit().await.map_err(&fault)?;
        drop(writer);
        if let Some(done) = slot.take() {
            end(done, &self.inner.path).await;
        }
        Ok(())
    }
}

async fn attach(conn: &mut SqliteConnection, store: &Path) -> Result<(), sqlx::Error> {
    let scratch = scratch_path(store);
    let path = scratch.to_str().ok_or_else(|| sqlx::Error::Configuration("the path is not UTF-8".into()))?;
    sqlx::query(AssertSqlSafe(format!("ATTACH DATABASE $1 AS {SCRATCH}"))).bind(path).execute(&mut *conn).await?;
    sqlx::raw_sql(SCRATCH_PRAGMAS).execute(conn).await.map(drop)
}

#[cfg(test)]
mod tests {
    use nightshift_ports::read_models::{Generation, ReadModels};
    use nightshift_projections::tables::ALL;
    use uuid::Uuid;

    use super::*;
    use crate::sqlite::OpenOptions;

    /// `PRAGMA synchronous`: 0 is OFF, 2 is FULL.
    async fn synchronous(conn: &mut SqliteConnection, schema: &str) -> i64 {
        let pragma = AssertSqlSafe(format!("PRAGMA {schema}.synchronous"));
        sqlx::query_scalar(pragma).fetch_one(conn).await.expect("read")
    }

    #[tokio::test]
    async fn a_rebuild_leaves_the_store_as_durable_as_it_was_and_no_file_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store.db");
        // As a rebuild leaves it that was killed.
        std::fs::write(scratch_path(&path), "not a database").expect("written");
        let store = SqliteStore::open(OpenOptions::at(&path, Uuid::nil(), ALL)).await.expect("opened");
        store.begin_rebuild().await.expect("begun");
        let batch = RowBatch {
            shard: nightshift_domain::ids::ShardId(1),
            from_seq: 0,
            upto_seq: 3,
            upserts: Vec::new(),
            deletes: Vec::new(),
        };
        assert_eq!(store.write(Generation::Rebuilt, &[batch]).await, Ok(true));
        {
            let mut writer = store.writer().await.expect("free");
            assert_eq!(synchronous(&mut writer.conn, "main").await, 2, "appends");
            let mut slot = store.inner.staging.lock().await;
            let conn = &mut begun(&mut slot).expect("begun").scratch;
            assert_eq!(synchronous(conn, "main").await, 2, "putting the rows in place");
            assert_eq!(synchronous(conn, SCRATCH).await, 0, "filling the scratch file");
        }
        assert!(scratch_path(&path).exists());
        store.swap_rebuilt().await.expect("swapped");
        assert_eq!(store.checkpoints(Generation::Live).await, Ok(vec![(nightshift_domain::ids::ShardId(1), 3)]));
        assert!(!scratch_path(&path).exists());
        store.begin_rebuild().await.expect("begun again");
        store.close().await;
    }
}
