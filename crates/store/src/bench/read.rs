//! The raw baselines of reading: the same rows, fetched and thrown away.
//!
//! Owns: the product's own statements, read on one connection, and nothing done with what comes.
//! Refuses to know: what an event or an obligation says.

use std::path::Path;

use nightshift_domain::ids::ShardId;
use nightshift_ports::log::StoreError;
use sqlx::{Connection, PgConnection, Row, SqliteConnection};

use super::{connect, plain_sqlite};
use crate::{OpenError, error::failed, record::number};

/// Every open obligation, as recovery reads them: all columns.
const OWED: &str =
    "SELECT shard_id, stream_id, key, stream_kind, class, due_at, priority, opened_seq, body FROM obligation";

/// A connection that reads and decodes nothing.
pub struct RawReader(Raw);

enum Raw {
    Sqlite(Box<SqliteConnection>),
    Postgres(Box<PgConnection>),
}

impl RawReader {
    /// Reads a file that a store made before.
    ///
    /// # Errors
    /// The file does not open.
    pub async fn sqlite(path: &Path) -> Result<Self, StoreError> {
        Ok(Self(Raw::Sqlite(Box::new(plain_sqlite(path).await?))))
    }

    /// Reads a database that a store made before.
    ///
    /// # Errors
    /// The server is not reached.
    pub async fn postgres(url: &str) -> Result<Self, OpenError> {
        Ok(Self(Raw::Postgres(Box::new(connect(url).await?))))
    }

    /// Fetches all events, shard by shard in pages, as the store's own reads do. `heads` says how far each shard goes.
    /// How many they are.
    ///
    /// # Errors
    /// The database did not answer.
    pub async fn events(&mut self, heads: &[(ShardId, u64)], page: u32) -> Result<u64, StoreError> {
        let fault = failed("read rows");
        for (shard, head) in heads {
            let mut after = 0;
            while after < *head {
                self.page(*shard, after, page).await.map_err(&fault)?;
                after += u64::from(page);
            }
        }
        Ok(heads.iter().map(|(_, head)| head).sum())
    }

    async fn page(&mut self, shard: ShardId, after: u64, page: u32) -> Result<(), sqlx::Error> {
        match &mut self.0 {
            Raw::Sqlite(conn) => {
                let sql = include_str!("../sqlite/sql/read_shard.sql");
                let row = sqlx::query(sql).bind(shard.0).bind(number(after)).bind(page).fetch_one(&mut **conn).await?;
                std::hint::black_box(row.len());
            }
            Raw::Postgres(conn) => {
                let sql = include_str!("../postgres/sql/read_shard.sql");
                let query = sqlx::query(sql).bind(i32::from(shard.0)).bind(number(after)).bind(i64::from(page));
                std::hint::black_box(query.fetch_all(&mut **conn).await?.len());
            }
        }
        Ok(())
    }

    /// Fetches all open obligations. How many they are.
    ///
    /// # Errors
    /// The database did not answer.
    pub async fn owed(&mut self) -> Result<usize, StoreError> {
        let read = match &mut self.0 {
            Raw::Sqlite(conn) => sqlx::query(OWED).fetch_all(&mut **conn).await.map(|rows| rows.len()),
            Raw::Postgres(conn) => sqlx::query(OWED).fetch_all(&mut **conn).await.map(|rows| rows.len()),
        };
        read.map_err(failed("read rows"))
    }

    /// Ends the connection.
    pub async fn close(self) {
        // Nothing was written.
        let _ = match self.0 {
            Raw::Sqlite(conn) => conn.close().await,
            Raw::Postgres(conn) => conn.close().await,
        };
    }
}
