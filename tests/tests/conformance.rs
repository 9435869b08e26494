//! The three stores keep the same promises: the suite of `nightshift_ports::conformance` on each of them.
//!
//! Owns: making an unused store for each promise.

use std::sync::{
    Arc, LazyLock,
    atomic::{AtomicU32, Ordering},
};

use nightshift_domain::{ids::derive, time::Timestamp};
use nightshift_ports::{
    clock::ManualClock,
    conformance::{PROBES, SHARDS, run_all, trace},
    log::EventLog,
    memory::MemoryStore,
    read_models::Query,
    store::Store,
};
use nightshift_projections::{table::TableDef, tables::ALL};
use nightshift_store::{
    OpenError,
    postgres::{self, PostgresStore, create_database, drop_database},
    sqlite::{self, SqliteStore},
};
use nightshift_tests::postgres_url;

#[tokio::test]
async fn the_memory_store_keeps_its_promises() {
    run_all(async || {
        let clock = Arc::new(ManualClock::at(Timestamp::from_secs(1_790_000_000)));
        MemoryStore::new(derive("conformance", &[]), SHARDS, clock)
    })
    .await;
}

#[tokio::test]
async fn sqlite_keeps_its_promises() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = AtomicU32::new(0);
    run_all(async || {
        let path = folder.path().join(format!("{}.db", made.fetch_add(1, Ordering::Relaxed)));
        let options = sqlite::OpenOptions {
            shard_count: Some(SHARDS),
            ..sqlite::OpenOptions::at(path, derive("conformance", &[]), PROBES)
        };
        let store = SqliteStore::open(options).await.expect("opened");
        for table in PROBES {
            store.create_table(table).await.expect("made");
        }
        store
    })
    .await;
}

/// The address of another database on the same server.
fn database(base: &str, name: &str) -> String {
    let (server, query) = base.split_once('?').map_or((base, None), |(server, query)| (server, Some(query)));
    let authority = server.find("://").map_or(0, |at| at + 3);
    let end = server[authority..].find('/').map_or(server.len(), |at| authority + at);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}/{name}{query}", &server[..end])
}

#[tokio::test]
async fn postgres_keeps_its_promises() {
    let Some(base) = postgres_url() else { return };
    let made = AtomicU32::new(0);
    let name = |number: u32| format!("nightshift_conformance_{}_{number}", std::process::id());
    run_all(async || {
        let number = made.fetch_add(1, Ordering::Relaxed);
        if let Some(former) = number.checked_sub(1) {
            drop_database(&database(&base, &name(former))).await.expect("removed");
        }
        let url = database(&base, &name(number));
        create_database(&url).await.expect("made");
        let options = postgres::OpenOptions {
            shard_count: Some(SHARDS),
            ..postgres::OpenOptions::at(url, derive("conformance", &[]), PROBES)
        };
        let store = PostgresStore::open(options).await.expect("opened");
        for table in PROBES {
            store.create_table(table).await.expect("made");
        }
        store
    })
    .await;
    drop_database(&database(&base, &name(made.load(Ordering::Relaxed) - 1))).await.expect("removed");
}

/// Tables of the product whose schema has no rules beside types and keys: random rows fit. The columns of the others have
/// fixed words, of which the folds' own tests are full.
const FREE: [&str; 7] = [
    "sync_registry",
    "platform_items",
    "platform_content_items",
    "content_retentions",
    "activity_log",
    "intent_events",
    "queue_pauses",
];

static TRACED: LazyLock<Vec<&'static TableDef>> =
    LazyLock::new(|| ALL.iter().copied().filter(|table| FREE.contains(&table.name)).collect());

/// Seeds and steps of the random traces over the tables of the product. A failure says both, for these variables.
#[expect(clippy::disallowed_methods, reason = "a test may be told other seeds")]
fn traces() -> (Vec<u64>, u64) {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let seeds = match number("NIGHTSHIFT_TRACE_SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("NIGHTSHIFT_TRACE_SEEDS").unwrap_or(2)).collect(),
    };
    (seeds, number("NIGHTSHIFT_TRACE_STEPS").unwrap_or(400))
}

/// Everything a store does, and rows of tables of the product beside those of the suite.
#[tokio::test]
async fn random_traces_end_alike_in_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let (seeds, steps) = traces();
    for seed in seeds {
        let path = folder.path().join(format!("{seed}.db"));
        let options = sqlite::OpenOptions {
            shard_count: Some(SHARDS),
            ..sqlite::OpenOptions::at(path, derive("traces", &[]), ALL)
        };
        eprintln!("trace: SQLite, seed {seed}, {steps} steps");
        trace(&SqliteStore::open(options).await.expect("opened"), &TRACED, seed, steps).await;
    }
}

#[tokio::test]
async fn random_traces_end_alike_in_postgres() {
    let Some(base) = postgres_url() else { return };
    let (seeds, steps) = traces();
    for seed in seeds {
        let url = database(&base, &format!("nightshift_traces_{}_{seed}", std::process::id()));
        create_database(&url).await.expect("made");
        let options = postgres::OpenOptions {
            shard_count: Some(SHARDS),
            ..postgres::OpenOptions::at(&url, derive("traces", &[]), ALL)
        };
        eprintln!("trace: PostgreSQL, seed {seed}, {steps} steps");
        trace(&PostgresStore::open(options).await.expect("opened"), &TRACED, seed, steps).await;
        drop_database(&url).await.expect("removed");
    }
}

/// Every table of the product as described and as migrated: each column is read, ordered by, counted by and rebuilt.
async fn assert_tables_agree(store: &dyn Store) {
    for table in ALL {
        for column in table.columns {
            let by_column = Query { order: vec![(column.name, true)], ..Query::default() };
            assert_eq!(store.query(table, &by_column).await, Ok(vec![]), "{}.{}", table.name, column.name);
            assert_eq!(store.count_by(table, column.name).await, Ok(vec![]), "{}.{}", table.name, column.name);
        }
    }
    store.begin_rebuild().await.expect("staging tables are made");
    store.swap_rebuilt().await.expect("staging tables fit the live ones");
}

#[tokio::test]
async fn descriptions_of_tables_agree_with_the_sqlite_schema() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = sqlite::OpenOptions::at(folder.path().join("tables.db"), derive("tables", &[]), ALL);
    assert_tables_agree(&SqliteStore::open(options).await.expect("opened")).await;
}

#[tokio::test]
async fn descriptions_of_tables_agree_with_the_postgres_schema() {
    let Some(base) = postgres_url() else { return };
    let url = database(&base, &format!("nightshift_tables_{}", std::process::id()));
    create_database(&url).await.expect("made");
    let options = postgres::OpenOptions::at(&url, derive("tables", &[]), ALL);
    assert_tables_agree(&PostgresStore::open(options).await.expect("opened")).await;
    drop_database(&url).await.expect("removed");
}

#[tokio::test]
async fn a_postgres_store_that_is_not_the_right_one_is_refused() {
    let Some(base) = postgres_url() else { return };
    let url = database(&base, &format!("nightshift_opening_{}", std::process::id()));
    create_database(&url).await.expect("made");
    let right =
        postgres::OpenOptions { shard_count: Some(4), ..postgres::OpenOptions::at(&url, derive("one", &[]), &[]) };
    let open =
        async |options: postgres::OpenOptions| PostgresStore::open(options).await.map(|store| store.info().clone());

    let unmigrated = open(postgres::OpenOptions { migrate: false, ..right.clone() }).await;
    assert!(matches!(unmigrated, Err(OpenError::SchemaOlder { found: 0, .. })), "{unmigrated:?}");
    let first = open(right.clone()).await.expect("opened");
    assert_eq!((first.shard_count, first.cluster_id), (4, derive("one", &[])));
    let other_id =
        open(postgres::OpenOptions { shard_count: None, cluster_id: derive("two", &[]), ..right.clone() }).await;
    assert_eq!(other_id.expect("opened"), first, "an existing store keeps what it is");
    let count = open(postgres::OpenOptions { shard_count: Some(8), ..right.clone() }).await;
    assert!(matches!(count, Err(OpenError::ShardCount { stored: 4, asked: 8 })), "{count:?}");
    let expected = open(postgres::OpenOptions { expect_cluster: Some(derive("two", &[])), ..right.clone() }).await;
    assert!(matches!(expected, Err(OpenError::WrongCluster { .. })), "{expected:?}");
    let unsafe_url = format!("{url}{}options=-c%20synchronous_commit%3Doff", if url.contains('?') { '&' } else { '?' });
    let lossy = open(postgres::OpenOptions { url: unsafe_url, ..right.clone() }).await;
    assert!(matches!(lossy, Err(OpenError::Unsafe { setting: "synchronous_commit", .. })), "{lossy:?}");
    let read_only = open(postgres::OpenOptions { read_only: true, ..right.clone() }).await;
    assert_eq!(read_only.expect("opened"), first);
    drop_database(&url).await.expect("removed");

    let gone = open(right).await;
    assert!(matches!(gone, Err(OpenError::Unreachable { .. })), "{gone:?}");
    let nobody = open(postgres::OpenOptions::at("postgres://a@127.0.0.1:1/b", derive("one", &[]), &[])).await;
    assert!(nobody.as_ref().is_err_and(|error| error.to_string().contains("127.0.0.1:1")), "{nobody:?}");
    let nonsense = open(postgres::OpenOptions::at("nonsense", derive("one", &[]), &[])).await;
    assert!(matches!(nonsense, Err(OpenError::Address { .. })), "{nonsense:?}");
}
