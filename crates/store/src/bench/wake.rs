//! The raw baseline of a latency: one small commit, and one wake-up of somebody who waits for it.
//!
//! Owns: a table of its own in a store made for the purpose, and the wake-up through the server. A file wakes nobody:
//! there the caller has to.
//! Refuses to know: time.

use std::path::Path;

use nightshift_ports::log::StoreError;
use sqlx::{Connection, PgConnection, SqliteConnection, postgres::PgListener};

use super::{connect, plain_sqlite};
use crate::{OpenError, error::failed};

const TABLE_SQLITE: &str = "CREATE TABLE bench_wake (id INTEGER PRIMARY KEY, data BLOB NOT NULL)";
const TABLE_POSTGRES: &str = "CREATE TABLE bench_wake (id bigserial PRIMARY KEY, data bytea NOT NULL)";
const COMMIT_SQLITE: &str = "INSERT INTO bench_wake (data) VALUES ($1)";
const COMMIT_POSTGRES: &str = "WITH kept AS (INSERT INTO bench_wake (data) VALUES ($1) RETURNING id) \
                               SELECT pg_notify('bench_wake', CAST(id AS text)) FROM kept";
const CHANNEL: &str = "bench_wake";

/// A connection that commits, and on a server one that is woken.
pub struct RawWake(Raw);

enum Raw {
    Sqlite(Box<SqliteConnection>),
    Postgres(Box<(PgConnection, PgListener)>),
}

impl RawWake {
    /// On a file that a store made before.
    ///
    /// # Errors
    /// The file does not open, or was used for this before.
    pub async fn sqlite(path: &Path) -> Result<Self, StoreError> {
        let mut conn = plain_sqlite(path).await?;
        sqlx::query(TABLE_SQLITE).execute(&mut conn).await.map_err(failed("make a table"))?;
        Ok(Self(Raw::Sqlite(Box::new(conn))))
    }

    /// On a database that a store made before.
    ///
    /// # Errors
    /// The server is not reached, or the database was used for this before.
    pub async fn postgres(url: &str) -> Result<Self, OpenError> {
        let mut conn = connect(url).await?;
        sqlx::query(TABLE_POSTGRES).execute(&mut conn).await.map_err(OpenError::database("make a table"))?;
        let listen = async {
            let mut listener = PgListener::connect(url).await?;
            listener.listen(CHANNEL).await?;
            Ok(listener)
        };
        let listener = listen.await.map_err(OpenError::database("listen"))?;
        Ok(Self(Raw::Postgres(Box::new((conn, listener)))))
    }

    /// Commits one row of so many bytes; on a server, returns when the other connection was woken by it. Whether somebody
    /// was woken.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn commit(&mut self, bytes: usize) -> Result<bool, StoreError> {
        let (fault, data) = (failed("commit a row"), vec![7_u8; bytes]);
        match &mut self.0 {
            Raw::Sqlite(conn) => {
                sqlx::query(COMMIT_SQLITE).bind(data).execute(&mut **conn).await.map_err(fault)?;
                Ok(false)
            }
            Raw::Postgres(both) => {
                let (conn, listener) = &mut **both;
                sqlx::query(COMMIT_POSTGRES).bind(data).execute(conn).await.map_err(&fault)?;
                listener.recv().await.map_err(fault)?;
                Ok(true)
            }
        }
    }

    /// Ends the connections.
    pub async fn close(self) {
        // Every row is durable already.
        let _ = match self.0 {
            Raw::Sqlite(conn) => conn.close().await,
            Raw::Postgres(both) => both.0.close().await,
        };
    }
}
