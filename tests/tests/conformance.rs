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
use nightshift_store::sqlite::{self, SqliteStore};

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
