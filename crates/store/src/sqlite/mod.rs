//! The store in one file: SQLite in WAL mode with `synchronous=FULL`, but for commits of read models.
//!
//! Owns: one connection that writes, some that read, the lock that keeps a second process away.
//! Refuses to know: who calls.
//!
//! Invariant: a write is one transaction begun IMMEDIATE on the writing connection, so nothing is ever upgraded.
//! Invariant: whoever takes the writing connection finds it with `synchronous=FULL`.

mod append;
mod cells;
mod facts;
mod lock;
mod log;
mod open;
mod pack;
mod page;
#[cfg(test)]
mod plans;
mod question;
mod read_models;
mod rebuild;
mod sides;
mod tables;

use std::{path::PathBuf, sync::Arc};

use nightshift_ports::log::{LogInfo, StoreError};
use sqlx::{Connection, SqliteConnection, SqlitePool};
use tokio::sync::{Mutex, MutexGuard};

pub use lock::{LockHolder, lock_holder};
pub use open::OpenOptions;

use crate::{error::failed, staging::StagingSlot, tables::SqlBook};

/// A store in one file. Clones share it.
#[derive(Clone)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

struct Inner {
    info: LogInfo,
    /// None when it was opened read-only.
    writer: Option<Mutex<Writer>>,
    readers: SqlitePool,
    /// The rebuild under way.
    staging: StagingSlot<SqliteConnection>,
    path: PathBuf,
    sql: SqlBook,
    lock: Option<lock::FileLock>,
}

/// The connection that writes.
struct Writer {
    conn: SqliteConnection,
    /// A transaction begun by [`append`] may be open: its caller went away in the middle.
    begun: bool,
    /// Commits may not wait for the disk.
    relaxed: bool,
}

/// A door for the fuzz targets: takes a page of events apart as reading the log does.
///
/// # Errors
/// It is no page.
#[cfg(feature = "fuzz")]
pub fn events_of(
    shard: nightshift_domain::ids::ShardId,
    bytes: &[u8],
) -> Result<Vec<nightshift_domain::recorded::Recorded>, StoreError> {
    let mut events = Vec::new();
    page::parse(shard, bytes, &mut events).map(|()| events)
}

impl SqliteStore {
    /// Writes the address of this process's HTTP interface where [`lock_holder`] finds it.
    ///
    /// # Errors
    /// The lock file cannot be written, or the store was opened read-only.
    pub fn announce(&self, address: &str) -> Result<(), StoreError> {
        let failed = |why: String| StoreError::Failed { doing: "announce the address", why };
        let lock = self.inner.lock.as_ref().ok_or_else(|| failed("it was opened read-only".to_owned()))?;
        lock.write(Some(address)).map_err(|error| failed(error.to_string()))
    }

    /// Ends reading for good, and moves what was written from the WAL into the file; the WAL is empty then. For the end
    /// of a process, which cannot always [`close`](Self::close) because others hold clones.
    ///
    /// # Errors
    /// Another process reads from the WAL, or the disk is full. Nothing is lost by it.
    pub async fn fold_wal(&self) -> Result<(), StoreError> {
        self.inner.readers.close().await;
        let mut writer = self.writer().await?;
        let (busy, _, _): (i64, i64, i64) = sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_one(&mut writer.conn)
            .await
            .map_err(failed("fold the WAL into the file"))?;
        if busy == 0 {
            return Ok(());
        }
        let why = "another process reads from it".to_owned();
        Err(StoreError::Failed { doing: "fold the WAL into the file", why })
    }

    /// Closes the file: what was written is moved from the WAL into it.
    pub async fn close(self) {
        self.inner.readers.close().await;
        let Some(inner) = Arc::into_inner(self.inner) else { return };
        if let Some(staging) = inner.staging.into_inner() {
            rebuild::end(staging, &inner.path).await;
        }
        if let Some(writer) = inner.writer {
            // Failing to tidy up loses nothing: the WAL is read at the next start.
            let _ = writer.into_inner().conn.close().await;
        }
    }

    /// The writing connection, with no transaction open.
    async fn writer(&self) -> Result<MutexGuard<'_, Writer>, StoreError> {
        let writer = self
            .inner
            .writer
            .as_ref()
            .ok_or_else(|| StoreError::Failed { doing: "write", why: "it was opened read-only".to_owned() })?;
        let mut writer = writer.lock().await;
        writer.settle().await;
        writer.strict().await.map_err(failed("wait for the disk again"))?;
        Ok(writer)
    }
}

impl Writer {
    /// Commits do not wait for the disk until [`SqliteStore::writer`] is asked again: what they wrote is synced with the next
    /// commit that does.
    async fn relax(&mut self) -> Result<(), sqlx::Error> {
        self.relaxed = true;
        sqlx::raw_sql("PRAGMA synchronous = NORMAL").execute(&mut self.conn).await?;
        Ok(())
    }

    async fn strict(&mut self) -> Result<(), sqlx::Error> {
        if self.relaxed {
            sqlx::raw_sql("PRAGMA synchronous = FULL").execute(&mut self.conn).await?;
            self.relaxed = false;
        }
        Ok(())
    }

    /// Ends a transaction that was left open.
    async fn settle(&mut self) {
        if self.begun {
            // "No transaction is active" is as good: then it had been committed.
            let _ = sqlx::raw_sql("ROLLBACK").execute(&mut self.conn).await;
            self.begun = false;
        }
    }
}
