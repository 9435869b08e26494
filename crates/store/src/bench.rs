//! The raw baseline that appends are compared with: the same rows, inserted in batches, and nothing else. Beside it those
//! of reading (`read`), of read models (`tables`) and of waking somebody up (`wake`).
//!
//! Owns: the plainest fast way of inserting rows into the tables of the log, without fence, obligations or inbox.
//! Refuses to know: time, and what the figures say. Nothing that runs for people uses this.
//!
//! Invariant: one transaction for each group, as durable as an append is.

mod read;
mod tables;
mod wake;

use std::{collections::BTreeMap, path::Path};

use nightshift_ports::{
    batch::{Placed, placed},
    log::{NewEvent, ShardBatch, StoreError},
};
use sqlx::{
    Connection, PgConnection, QueryBuilder, Sqlite, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

pub use read::RawReader;
pub use tables::RawTables;
pub use wake::RawWake;

use crate::{
    OpenError,
    error::failed,
    record::{encoded, number},
};

/// Rows of one INSERT: more parameters than this make SQLite slower.
const ROWS: usize = 100;

const SQLITE_EVENTS: &str = "INSERT INTO event (shard_id, seq, stream_kind, stream_id, stream_version, event_type, \
                             type_version, hlc, epoch, at, command_id, meta, data) ";
const SQLITE_COMMANDS: &str = "INSERT INTO command (shard_id, command_id, stream_kind, stream_id, first_seq, last_seq, \
                               accepted, payload, ctx, reply, delta) ";
const POSTGRES: &str = "WITH e AS (INSERT INTO event (shard_id, seq, stream_kind, stream_id, stream_version, event_type, \
    type_version, hlc, epoch, at, command_id, meta, data) \
    SELECT * FROM unnest($1::int[], $2::bigint[], $3::text[], $4::uuid[], $5::bigint[], $6::text[], $7::smallint[], \
    $8::bigint[], $9::bigint[], $10::bigint[], $11::uuid[], $12::bytea[], $13::bytea[])) \
    INSERT INTO command (shard_id, command_id, stream_kind, stream_id, first_seq, last_seq, ord, accepted, payload, ctx, \
    reply, delta) \
    SELECT * FROM unnest($14::int[], $15::uuid[], $16::text[], $17::uuid[], $18::bigint[], $19::bigint[], $20::bigint[], \
    $21::boolean[], $22::bytea[], $23::bytea[], $24::bytea[], $25::bytea[])";

/// A connection that inserts rows of the log.
pub struct RawWriter(Raw);

enum Raw {
    Sqlite(Box<SqliteConnection>),
    Postgres(Box<PgConnection>),
}

/// What a server promises about what it confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durability {
    /// Version of the server.
    pub version: String,
    /// `fsync`.
    pub fsync: String,
    /// `synchronous_commit`.
    pub synchronous_commit: String,
    /// `full_page_writes`.
    pub full_page_writes: String,
}

async fn connect(url: &str) -> Result<PgConnection, OpenError> {
    PgConnection::connect(url).await.map_err(OpenError::database("reach the server"))
}

/// Asks a server what it promises.
///
/// # Errors
/// It is not reached.
pub async fn durability(url: &str) -> Result<Durability, OpenError> {
    let mut conn = connect(url).await?;
    let (version, fsync, synchronous_commit, full_page_writes): (String, String, String, String) = sqlx::query_as(
        "SELECT current_setting('server_version'), current_setting('fsync'), current_setting('synchronous_commit'), \
         current_setting('full_page_writes')",
    )
    .fetch_one(&mut conn)
    .await
    .map_err(OpenError::database("read the settings of the server"))?;
    // The answer is there; a failing good-bye changes nothing.
    let _ = conn.close().await;
    Ok(Durability { version, fsync, synchronous_commit, full_page_writes })
}

/// Settings of a server that its figures depend on.
const SETTINGS: &str = "SELECT name, current_setting(name) FROM unnest(ARRAY['fsync', 'synchronous_commit', \
    'full_page_writes', 'wal_sync_method', 'wal_level', 'shared_buffers', 'max_wal_size', 'commit_delay', \
    'track_io_timing']) AS name";

/// What a server's figures depend on, by name.
///
/// # Errors
/// It is not reached.
pub async fn server_settings(url: &str) -> Result<BTreeMap<String, String>, OpenError> {
    let mut conn = connect(url).await?;
    let found: Vec<(String, String)> = sqlx::query_as(SETTINGS)
        .fetch_all(&mut conn)
        .await
        .map_err(OpenError::database("read the settings of the server"))?;
    // The answer is there; a failing good-bye changes nothing.
    let _ = conn.close().await;
    Ok(found.into_iter().collect())
}

/// Opens a file that is there, as durable as a store does.
async fn plain_sqlite(path: &Path) -> Result<SqliteConnection, StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .statement_cache_capacity(500)
        .pragma("cache_size", "-65536")
        .pragma("wal_autocheckpoint", "4000");
    SqliteConnection::connect_with(&options).await.map_err(failed("open the file"))
}

/// Version of the embedded SQLite.
///
/// # Errors
/// It does not answer.
pub async fn sqlite_version() -> Result<String, StoreError> {
    let fault = failed("ask SQLite for its version");
    let mut conn = SqliteConnection::connect("sqlite::memory:").await.map_err(&fault)?;
    sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut conn).await.map_err(&fault)
}

impl RawWriter {
    /// Writes into a file that a store made before and does not have open now.
    ///
    /// # Errors
    /// The file does not open.
    pub async fn sqlite(path: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .statement_cache_capacity(500)
            .pragma("wal_autocheckpoint", "4000");
        let conn = SqliteConnection::connect_with(&options).await.map_err(failed("open the file"))?;
        Ok(Self(Raw::Sqlite(Box::new(conn))))
    }

    /// Writes into a database that a store made before.
    ///
    /// # Errors
    /// The server is not reached.
    pub async fn postgres(url: &str) -> Result<Self, OpenError> {
        Ok(Self(Raw::Postgres(Box::new(connect(url).await?))))
    }

    /// Inserts the events and command rows of a group, in one transaction.
    ///
    /// # Errors
    /// The database did not take them; nothing was written.
    pub async fn insert(&mut self, group: &[ShardBatch]) -> Result<(), StoreError> {
        let fault = failed("insert rows");
        let rows = RawRows::of(group)?;
        match &mut self.0 {
            Raw::Sqlite(conn) => rows.into_sqlite(conn).await,
            Raw::Postgres(conn) => rows.into_postgres(conn).await,
        }
        .map_err(fault)
    }

    /// Ends the connection.
    pub async fn close(self) {
        // Every row is durable already.
        let _ = match self.0 {
            Raw::Sqlite(conn) => conn.close().await,
            Raw::Postgres(conn) => conn.close().await,
        };
    }
}

/// A commit, and its meta data as bytes.
struct RawCommand<'a> {
    batch: &'a ShardBatch,
    placed: Placed<'a>,
    meta: Vec<u8>,
}

/// The rows of a group.
struct RawRows<'a>(Vec<RawCommand<'a>>);

impl<'a> RawRows<'a> {
    fn of(group: &'a [ShardBatch]) -> Result<Self, StoreError> {
        let mut commands = Vec::new();
        for batch in group {
            for placed in placed(batch) {
                let meta = encoded(&placed.commit.meta)
                    .map_err(|error| StoreError::Failed { doing: "encode a row", why: error.to_string() })?;
                commands.push(RawCommand { batch, placed, meta });
            }
        }
        Ok(Self(commands))
    }

    fn events(&self) -> Vec<(&RawCommand<'a>, &'a NewEvent)> {
        self.0.iter().flat_map(|row| row.placed.commit.events.iter().map(move |event| (row, event))).collect()
    }

    async fn into_sqlite(self, conn: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let mut tx = conn.begin_with("BEGIN IMMEDIATE").await?;
        for chunk in self.events().chunks(ROWS) {
            let mut insert = QueryBuilder::<Sqlite>::new(SQLITE_EVENTS);
            insert.push_values(chunk, |mut values, (row, event)| {
                let commit = row.placed.commit;
                values.push_bind(row.batch.shard.0).push_bind(number(event.seq)).push_bind(commit.stream.kind.as_str());
                values.push_bind(commit.stream.id).push_bind(number(event.version)).push_bind(&event.event_type);
                values.push_bind(event.type_version).push_bind(number(event.hlc)).push_bind(row.batch.epoch);
                values.push_bind(commit.at.micros()).push_bind(commit.command_id.0);
                values.push_bind(&row.meta).push_bind(&event.data);
            });
            insert.build().execute(&mut *tx).await?;
        }
        for chunk in self.0.chunks(ROWS) {
            let mut insert = QueryBuilder::<Sqlite>::new(SQLITE_COMMANDS);
            let records = chunk.iter().filter_map(|row| Some((row, row.placed.commit.command.as_ref()?)));
            insert.push_values(records, |mut values, (row, record)| {
                let stream = row.placed.commit.stream;
                values.push_bind(row.batch.shard.0).push_bind(record.id.0).push_bind(stream.kind.as_str());
                values
                    .push_bind(stream.id)
                    .push_bind(number(row.placed.first_seq))
                    .push_bind(number(row.placed.last_seq));
                values.push_bind(record.accepted).push_bind(&record.payload).push_bind(&record.ctx);
                values.push_bind(&record.reply).push_bind(&record.delta);
            });
            insert.build().execute(&mut *tx).await?;
        }
        tx.commit().await
    }

    async fn into_postgres(self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        let events = self.events();
        let records: Vec<_> =
            self.0.iter().filter_map(|row| Some((row, row.placed.commit.command.as_ref()?))).collect();
        let query = sqlx::query(POSTGRES)
            .bind(events.iter().map(|(row, _)| i32::from(row.batch.shard.0)).collect::<Vec<_>>())
            .bind(events.iter().map(|(_, event)| number(event.seq)).collect::<Vec<_>>())
            .bind(events.iter().map(|(row, _)| row.placed.commit.stream.kind.as_str()).collect::<Vec<_>>())
            .bind(events.iter().map(|(row, _)| row.placed.commit.stream.id).collect::<Vec<_>>())
            .bind(events.iter().map(|(_, event)| number(event.version)).collect::<Vec<_>>())
            .bind(events.iter().map(|(_, event)| event.event_type.as_str()).collect::<Vec<_>>())
            .bind(vec![1_i16; events.len()])
            .bind(events.iter().map(|(_, event)| number(event.hlc)).collect::<Vec<_>>())
            .bind(events.iter().map(|(row, _)| row.batch.epoch).collect::<Vec<_>>())
            .bind(events.iter().map(|(row, _)| row.placed.commit.at.micros()).collect::<Vec<_>>())
            .bind(events.iter().map(|(row, _)| row.placed.commit.command_id.0).collect::<Vec<_>>())
            .bind(events.iter().map(|(row, _)| row.meta.as_slice()).collect::<Vec<_>>())
            .bind(events.iter().map(|(_, event)| event.data.as_slice()).collect::<Vec<_>>());
        query
            .bind(records.iter().map(|(row, _)| i32::from(row.batch.shard.0)).collect::<Vec<_>>())
            .bind(records.iter().map(|(_, record)| record.id.0).collect::<Vec<_>>())
            .bind(records.iter().map(|(row, _)| row.placed.commit.stream.kind.as_str()).collect::<Vec<_>>())
            .bind(records.iter().map(|(row, _)| row.placed.commit.stream.id).collect::<Vec<_>>())
            .bind(records.iter().map(|(row, _)| number(row.placed.first_seq)).collect::<Vec<_>>())
            .bind(records.iter().map(|(row, _)| number(row.placed.last_seq)).collect::<Vec<_>>())
            .bind(vec![0_i64; records.len()])
            .bind(records.iter().map(|(_, record)| record.accepted).collect::<Vec<_>>())
            .bind(records.iter().map(|(_, record)| record.payload.as_slice()).collect::<Vec<_>>())
            .bind(records.iter().map(|(_, record)| record.ctx.as_slice()).collect::<Vec<_>>())
            .bind(records.iter().map(|(_, record)| record.reply.as_slice()).collect::<Vec<_>>())
            .bind(records.iter().map(|(_, record)| record.delta.as_slice()).collect::<Vec<_>>())
            .execute(conn)
            .await
            .map(drop)
    }
}
