//! What a file holds, how it is kept, and whether it is sound.

use std::collections::BTreeMap;

use nightshift_ports::log::{EventLog, StoreError};

use sqlx::Row;

use super::SqliteStore;
use crate::{
    SchemaState, ShardHead, StoreFacts, TableSize,
    error::failed,
    migrations,
    record::{counted, shard_of},
};

impl SqliteStore {
    /// Facts of the store for people. Counts the tables: some milliseconds for each million rows.
    ///
    /// # Errors
    /// The file could not be read.
    pub async fn facts(&self) -> Result<StoreFacts, StoreError> {
        let fault = failed("read the facts of the store");
        let readers = &self.inner.readers;
        let (server, bytes): (String, i64) = sqlx::query_as(
            "SELECT sqlite_version(), page_count * page_size FROM pragma_page_count(), pragma_page_size()",
        )
        .fetch_one(readers)
        .await
        .map_err(&fault)?;
        let (events, commands, obligations): (i64, i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM command), (SELECT count(*) FROM obligation)",
        )
        .fetch_one(readers)
        .await
        .map_err(&fault)?;
        let heads: Vec<(i64, i64, i64)> =
            sqlx::query_as(include_str!("sql/shard_heads.sql")).fetch_all(readers).await.map_err(&fault)?;
        let tables: Vec<(String, i64)> =
            sqlx::query_as(include_str!("sql/table_sizes.sql")).fetch_all(readers).await.map_err(&fault)?;
        let head = |(shard, epoch, head)| Ok(ShardHead { shard: shard_of(shard)?, epoch, head: counted(head)? });
        let size = |(name, bytes)| Ok(TableSize { name, bytes: counted(bytes)? });
        Ok(StoreFacts {
            log: self.info().clone(),
            schema: SchemaState { found: self.info().schema, known: migrations::known(&migrations::SQLITE) },
            server: format!("SQLite {server}"),
            events: counted(events)?,
            commands: counted(commands)?,
            obligations: counted(obligations)?,
            heads: heads.into_iter().map(head).collect::<Result<_, StoreError>>()?,
            tables: tables.into_iter().map(size).collect::<Result<_, StoreError>>()?,
            bytes: counted(bytes)?,
        })
    }

    /// Settings of the connection that appends, by the names of their pragmas: what figures depend on.
    ///
    /// # Errors
    /// The file could not be read, or the store was opened for reading.
    pub async fn settings(&self) -> Result<BTreeMap<String, String>, StoreError> {
        let fault = failed("read the settings of the file");
        let mut writer = self.writer().await?;
        let mut settings = BTreeMap::new();
        for (name, pragma) in [
            ("journal_mode", "PRAGMA journal_mode"),
            ("synchronous", "PRAGMA synchronous"),
            ("wal_autocheckpoint", "PRAGMA wal_autocheckpoint"),
            ("cache_size", "PRAGMA cache_size"),
            ("page_size", "PRAGMA page_size"),
        ] {
            let row = sqlx::query(pragma).fetch_one(&mut writer.conn).await.map_err(&fault)?;
            let text =
                row.try_get::<String, _>(0).or_else(|_| row.try_get::<i64, _>(0).map(|number| number.to_string()));
            settings.insert(name.to_owned(), text.map_err(&fault)?);
        }
        Ok(settings)
    }

    /// Lets SQLite check the file: its pages, and unless `quick` the agreement of tables and indexes too. Empty when it
    /// is sound, otherwise what is wrong, one line each.
    ///
    /// # Errors
    /// The file could not be read.
    pub async fn check_file(&self, quick: bool) -> Result<Vec<String>, StoreError> {
        let pragma = if quick { "PRAGMA quick_check" } else { "PRAGMA integrity_check" };
        let lines: Vec<String> =
            sqlx::query_scalar(pragma).fetch_all(&self.inner.readers).await.map_err(failed("check the file"))?;
        Ok(lines.into_iter().filter(|line| line != "ok").collect())
    }
}
