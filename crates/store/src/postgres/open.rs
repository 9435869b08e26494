//! Opening a store on a server: reach it, refuse what is unsafe, migrate, identify.

use std::time::Duration;

use nightshift_domain::ids::SHARDS_MAX;
use nightshift_ports::Boxed;
use nightshift_projections::table::TableDef;
use sqlx::{
    Connection, PgConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use uuid::Uuid;

use super::{Inner, PostgresStore, admin::options_of, tables};
use crate::{
    DEFAULT_SHARDS, OpenError, Opening, SchemaState,
    identity::{check_identity, info_of},
    migrations,
    tables::SqlBook,
};

/// A server that has not answered by then is not reachable.
const PATIENCE: Duration = Duration::from_secs(5);

/// How a store on a server is opened.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// Address of the database.
    pub url: String,
    /// Run missing migrations; otherwise an older schema is refused.
    pub migrate: bool,
    /// Only read: works on a standby, never migrates, does not look at the server's safety.
    pub read_only: bool,
    /// The store must have so many shards; a new one is made with them.
    pub shard_count: Option<u16>,
    /// Number of shards of a new store when `shard_count` says nothing. An existing one keeps its own.
    pub initial_shards: u16,
    /// Identity of a new store. An existing one keeps its own.
    pub cluster_id: Uuid,
    /// Refuse a store with another identity.
    pub expect_cluster: Option<Uuid>,
    /// Connections that append, each with one statement under way at most.
    pub lanes: u32,
    /// Connections for everything else.
    pub connections: u32,
    /// The read-model tables that a rebuild makes anew.
    pub tables: &'static [&'static TableDef],
}

impl OpenOptions {
    /// The store at `url`, migrated when that is needed.
    #[must_use]
    pub fn at(url: impl Into<String>, cluster_id: Uuid, tables: &'static [&'static TableDef]) -> Self {
        Self {
            url: url.into(),
            migrate: true,
            read_only: false,
            shard_count: None,
            initial_shards: DEFAULT_SHARDS,
            cluster_id,
            expect_cluster: None,
            lanes: 2,
            connections: 8,
            tables,
        }
    }
}

impl PostgresStore {
    /// Opens a store; migrates it first where the options allow.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(options: OpenOptions) -> Opening<Self> {
        Box::pin(Self::opened(options))
    }

    async fn opened(options: OpenOptions) -> Result<Self, OpenError> {
        let base = parse(&options.url)?.application_name("nightshift").statement_cache_capacity(256);
        let mut conn = connect(&base).await?;
        if !options.read_only {
            refuse_unsafe(&mut conn, &base).await?;
        }
        let may_migrate = options.migrate && !options.read_only;
        let state = schema_state(&mut conn).await?.check(may_migrate)?;
        if may_migrate {
            migrations::POSTGRES.run(&mut conn).await.map_err(migrations::failed(&migrations::POSTGRES))?;
            found_cluster(&mut conn, &options).await?;
        }
        let rows: Vec<(String, String)> = sqlx::query_as("SELECT k, v FROM meta")
            .fetch_all(&mut conn)
            .await
            .map_err(OpenError::database("read the identity of the store"))?;
        let info = info_of(&rows, state.known, "postgres")?;
        check_identity(&info, options.shard_count, options.expect_cluster)?;
        // The answer is there; a failing good-bye changes nothing.
        let _ = conn.close().await;
        let pool = |connections: u32, with: PgConnectOptions| {
            PgPoolOptions::new().max_connections(connections.max(1)).acquire_timeout(PATIENCE).connect_lazy_with(with)
        };
        let lanes = PgPoolOptions::new()
            .max_connections(options.lanes.max(1))
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(PATIENCE)
            .connect_lazy_with(for_appends(base.clone()));
        let inner = Inner {
            info,
            lanes,
            pool: pool(options.connections, base.clone()),
            connect: base,
            staging: tokio::sync::Mutex::new(None),
            sql: SqlBook::new(options.tables, tables::sql_of),
        };
        Ok(Self { inner: std::sync::Arc::new(inner) })
    }

    /// Where the schema of a database stands; it is only read.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn schema_state(url: &str) -> Boxed<'_, Result<SchemaState, OpenError>> {
        Box::pin(async move { schema_state(&mut connect(&parse(url)?).await?).await })
    }
}

/// Connections that append: planned once, never by scanning a table, and bounded in what they wait for.
fn for_appends(options: PgConnectOptions) -> PgConnectOptions {
    options.options([
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
        ("enable_mergejoin", "off"),
        ("jit", "off"),
        ("lock_timeout", "2s"),
        ("statement_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "10s"),
    ])
}

pub(super) fn parse(url: &str) -> Result<PgConnectOptions, OpenError> {
    options_of(url).map_err(|error| OpenError::Address { why: error.to_string() })
}

/// One connection, or a clear word why not.
pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, OpenError> {
    let unreachable = |why: String| OpenError::Unreachable { host: host(options), why };
    match tokio::time::timeout(PATIENCE, PgConnection::connect_with(options)).await {
        Ok(Ok(conn)) => Ok(conn),
        Ok(Err(error)) => Err(unreachable(error.to_string())),
        Err(_) => Err(unreachable(format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}

fn host(options: &PgConnectOptions) -> String {
    match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    }
}

async fn refuse_unsafe(conn: &mut PgConnection, options: &PgConnectOptions) -> Result<(), OpenError> {
    let (fsync, synchronous, pages, standby): (String, String, String, bool) =
        sqlx::query_as(include_str!("sql/safety.sql"))
            .fetch_one(conn)
            .await
            .map_err(OpenError::database("read the settings of the server"))?;
    if standby {
        return Err(OpenError::Standby { host: host(options) });
    }
    let settings = [("fsync", fsync), ("synchronous_commit", synchronous), ("full_page_writes", pages)];
    match settings.into_iter().find(|(_, found)| found == "off") {
        Some((setting, found)) => Err(OpenError::Unsafe { host: host(options), setting, found, needed: "on" }),
        None => Ok(()),
    }
}

async fn schema_state(conn: &mut PgConnection) -> Result<SchemaState, OpenError> {
    let has_book: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(&mut *conn)
        .await
        .map_err(OpenError::database("look for the schema"))?;
    migrations::state(conn, &migrations::POSTGRES, has_book).await
}

/// Writes identity and shards of a new store; leaves those of an existing one.
async fn found_cluster(conn: &mut PgConnection, options: &OpenOptions) -> Result<(), OpenError> {
    let asked = options.shard_count.unwrap_or(options.initial_shards);
    if !(1..=SHARDS_MAX).contains(&asked) {
        return Err(OpenError::ShardCountRange { asked });
    }
    let failed = OpenError::database("write the identity of the store");
    let mut tx = conn.begin().await.map_err(&failed)?;
    for (key, value) in [("cluster_id", options.cluster_id.to_string()), ("shard_count", asked.to_string())] {
        sqlx::query("INSERT INTO meta (k, v) VALUES ($1, $2) ON CONFLICT (k) DO NOTHING")
            .bind(key)
            .bind(value)
            .execute(&mut *tx)
            .await
            .map_err(&failed)?;
    }
    sqlx::query(include_str!("sql/found.sql")).execute(&mut *tx).await.map_err(&failed)?;
    tx.commit().await.map_err(&failed)
}
