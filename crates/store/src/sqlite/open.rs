//! Opening a file: lock, pragmas, migrations, identity.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use nightshift_domain::ids::SHARDS_MAX;
use nightshift_ports::{Boxed, log::LogInfo};
use nightshift_projections::table::TableDef;
use sqlx::{
    ConnectOptions, Connection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::{Inner, SqliteStore, Writer, lock::FileLock, tables};
use crate::{
    DEFAULT_SHARDS, OpenError, Opening, SchemaState,
    identity::{check_identity, info_of},
    migrations,
    tables::SqlBook,
};

/// SQLITE_NOTADB.
const NOT_A_DATABASE: i32 = 26;

/// Kibibytes, negated as SQLite wants it. Ids land at random in the indexes: with the usual 2 MiB most appends read.
const WRITER_CACHE: &str = "-65536";
/// The same of each reading connection, which mostly reads forward.
const READER_CACHE: &str = "-8192";

/// How a file is opened.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// The file.
    pub path: PathBuf,
    /// Make it, and its folder, when it is missing.
    pub create: bool,
    /// Only read: takes no lock, so that it works beside a running daemon. Never migrates.
    pub read_only: bool,
    /// The store must have so many shards; a new one is made with them.
    pub shard_count: Option<u16>,
    /// Number of shards of a new store when `shard_count` says nothing. An existing one keeps its own.
    pub initial_shards: u16,
    /// Identity of a new store. An existing one keeps its own.
    pub cluster_id: Uuid,
    /// Refuse a store with another identity.
    pub expect_cluster: Option<Uuid>,
    /// Connections for reading.
    pub readers: u32,
    /// The read-model tables that a rebuild makes anew.
    pub tables: &'static [&'static TableDef],
}

impl OpenOptions {
    /// The store at `path`, made when it is missing.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>, cluster_id: Uuid, tables: &'static [&'static TableDef]) -> Self {
        Self {
            path: path.into(),
            create: true,
            read_only: false,
            shard_count: None,
            initial_shards: DEFAULT_SHARDS,
            cluster_id,
            expect_cluster: None,
            readers: 4,
            tables,
        }
    }
}

impl SqliteStore {
    /// Opens a store; makes and migrates it first where the options allow.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(options: OpenOptions) -> Opening<Self> {
        Box::pin(Self::opened(options))
    }

    async fn opened(options: OpenOptions) -> Result<Self, OpenError> {
        prepare_path(&options)?;
        let lock = if options.read_only { None } else { Some(FileLock::take(&options.path)?) };
        let mut conn = connect(&options).await?;
        if !options.read_only {
            refuse_read_only(&mut conn, &options.path).await?;
        }
        let state = schema_state(&mut conn, &options.path).await?.check(!options.read_only)?;
        if !options.read_only {
            migrations::SQLITE.run(&mut conn).await.map_err(migrations::failed(&migrations::SQLITE))?;
            found_cluster(&mut conn, &options).await?;
        }
        let info = read_info(&mut conn, state.known).await?;
        check_identity(&info, options.shard_count, options.expect_cluster)?;
        let readers = SqlitePoolOptions::new()
            .max_connections(options.readers.max(1))
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(connect_options(&options.path).pragma("cache_size", READER_CACHE).read_only(true))
            .await
            .map_err(OpenError::database("open the file for reading"))?;
        let writer = (!options.read_only).then(|| Mutex::new(Writer { conn, begun: false, relaxed: false }));
        let sql = SqlBook::new(options.tables, tables::sql_of);
        let (staging, path) = (Mutex::new(None), options.path);
        Ok(Self { inner: Arc::new(Inner { info, writer, readers, staging, path, sql, lock }) })
    }

    /// Where the schema of a file stands; it is only read.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn schema_state(path: &Path) -> Boxed<'_, Result<SchemaState, OpenError>> {
        Box::pin(async move {
            let options = OpenOptions { create: false, read_only: true, ..OpenOptions::at(path, Uuid::nil(), &[]) };
            prepare_path(&options)?;
            let mut conn = connect(&options).await?;
            schema_state(&mut conn, path).await
        })
    }
}

fn prepare_path(options: &OpenOptions) -> Result<(), OpenError> {
    let path = &options.path;
    if path.exists() {
        return Ok(());
    }
    if !options.create || options.read_only {
        return Err(OpenError::Missing { path: path.clone() });
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder
        .map_or(Ok(()), std::fs::create_dir_all)
        .map_err(|error| OpenError::NotWritable { path: path.clone(), why: error.to_string() })
}

/// What every connection has.
fn connect_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(Duration::from_secs(5))
        .foreign_keys(false)
        .statement_cache_capacity(256)
        .disable_statement_logging()
}

/// What every connection has that writes.
fn writing(path: &Path) -> SqliteConnectOptions {
    connect_options(path)
        .pragma("cache_size", WRITER_CACHE)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", "4000")
}

/// One more connection to a file that is there, as durable as the first.
pub(super) async fn connect_for_writing(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    SqliteConnection::connect_with(&writing(path)).await
}

/// One more connection to a file that is there; it cannot write.
pub(super) async fn connect_for_reading(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    SqliteConnection::connect_with(&connect_options(path).read_only(true)).await
}

async fn connect(options: &OpenOptions) -> Result<SqliteConnection, OpenError> {
    let connect = if options.read_only {
        connect_options(&options.path).read_only(true)
    } else {
        writing(&options.path).create_if_missing(options.create)
    };
    SqliteConnection::connect_with(&connect).await.map_err(|error| open_error(&options.path, &error))
}

/// Gives the usual mistakes their names.
fn open_error(path: &Path, error: &sqlx::Error) -> OpenError {
    let why = error.to_string();
    match super::append::primary_code(error) {
        Some(NOT_A_DATABASE) => OpenError::NotADatabase { path: path.to_owned() },
        Some(8 | 14) => OpenError::NotWritable { path: path.to_owned(), why },
        _ => OpenError::Database { doing: "open the file", why },
    }
}

/// SQLite opens a file that it may not write for reading, begins a transaction that would write, and says so at the
/// first write only.
async fn refuse_read_only(conn: &mut SqliteConnection, path: &Path) -> Result<(), OpenError> {
    let first_write = sqlx::raw_sql("BEGIN IMMEDIATE; CREATE TABLE may_write (x); ROLLBACK").execute(conn).await;
    first_write.map(drop).map_err(|error| open_error(path, &error))
}

async fn schema_state(conn: &mut SqliteConnection, path: &Path) -> Result<SchemaState, OpenError> {
    let has_book: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = '_sqlx_migrations')")
            .fetch_one(&mut *conn)
            .await
            .map_err(|error| open_error(path, &error))?;
    migrations::state(conn, &migrations::SQLITE, has_book).await
}

/// Writes identity and shards of a new store; leaves those of an existing one.
async fn found_cluster(conn: &mut SqliteConnection, options: &OpenOptions) -> Result<(), OpenError> {
    let asked = options.shard_count.unwrap_or(options.initial_shards);
    if !(1..=SHARDS_MAX).contains(&asked) {
        return Err(OpenError::ShardCountRange { asked });
    }
    let failed = OpenError::database("write the identity of the store");
    let mut tx = conn.begin_with("BEGIN IMMEDIATE").await.map_err(&failed)?;
    sqlx::query(include_str!("sql/found.sql"))
        .bind(options.cluster_id.to_string())
        .bind(i64::from(asked))
        .execute(&mut *tx)
        .await
        .map_err(&failed)?;
    tx.commit().await.map_err(&failed)
}

async fn read_info(conn: &mut SqliteConnection, schema: u32) -> Result<LogInfo, OpenError> {
    let rows: Vec<(String, String)> = sqlx::query_as("SELECT k, v FROM meta")
        .fetch_all(conn)
        .await
        .map_err(OpenError::database("read the identity of the store"))?;
    info_of(&rows, schema, "sqlite")
}
