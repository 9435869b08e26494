//! The three stores keep the same promises: the suite of `nightshift_ports::conformance` on each of them.
//!
//! Owns: making an unused store for each promise.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use nightshift_domain::{ids::derive, time::Timestamp};
use nightshift_ports::{
    clock::ManualClock,
    conformance::{PROBES, SHARDS, run_all},
    memory::MemoryStore,
};
use nightshift_store::{
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
