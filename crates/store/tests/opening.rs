//! Files that are not the right one, files in use, and what a reader may do beside a writer.

use std::path::Path;

use nightshift_domain::{ids::ShardId, time::Timestamp};
use nightshift_ports::log::{EventLog, StoreError};
use nightshift_store::{
    DEFAULT_SHARDS, OpenError,
    sqlite::{LockHolder, OpenOptions, SqliteStore, lock_holder},
};
use uuid::Uuid;

const ONE: Uuid = Uuid::from_u128(1);

fn at(path: &Path) -> OpenOptions {
    OpenOptions::at(path, ONE, &[])
}

async fn refused(options: OpenOptions) -> OpenError {
    SqliteStore::open(options).await.map(drop).expect_err("refused")
}

#[tokio::test]
async fn a_store_keeps_what_it_was_made_with() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("below/store.db");
    let missing = refused(OpenOptions { create: false, ..at(&path) }).await;
    assert!(matches!(missing, OpenError::Missing { .. }), "{missing}");
    let zero = refused(OpenOptions { shard_count: Some(0), ..at(&folder.path().join("zero.db")) }).await;
    assert!(matches!(zero, OpenError::ShardCountRange { asked: 0 }), "{zero}");

    let store = SqliteStore::open(at(&path)).await.expect("opened");
    let info = store.info().clone();
    assert_eq!((info.cluster_id, info.shard_count, info.engine), (ONE, DEFAULT_SHARDS, "sqlite"));
    let facts = store.facts().await.expect("read");
    assert_eq!((facts.events, facts.heads.len(), facts.schema.current()), (0, 64, true));
    assert!(facts.bytes > 0 && facts.tables.iter().any(|table| table.name == "event"));
    assert_eq!(store.check_file(false).await, Ok(vec![]));
    store.close().await;

    let again = OpenOptions { cluster_id: Uuid::from_u128(2), create: false, ..at(&path) };
    assert_eq!(SqliteStore::open(again.clone()).await.expect("opened").info(), &info);
    let count = refused(OpenOptions { shard_count: Some(8), ..again.clone() }).await;
    assert!(matches!(count, OpenError::ShardCount { stored: 64, asked: 8 }), "{count}");
    let other = refused(OpenOptions { expect_cluster: Some(Uuid::from_u128(2)), ..again }).await;
    assert!(matches!(other, OpenError::WrongCluster { found: ONE, .. }), "{other}");
}

#[tokio::test]
async fn one_process_writes_and_others_may_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.db");
    assert_eq!(lock_holder(&path), None);
    let store = SqliteStore::open(at(&path)).await.expect("opened");
    let pid = std::process::id();
    assert_eq!(lock_holder(&path), Some(LockHolder { pid, address: None }));
    store.announce("http://127.0.0.1:7780").expect("announced");
    let address = Some("http://127.0.0.1:7780".to_owned());
    assert_eq!(lock_holder(&path), Some(LockHolder { pid, address }));

    let second = refused(at(&path)).await;
    assert!(matches!(second, OpenError::InUse { .. }), "{second}");
    assert!(second.to_string().contains(&format!("process {pid} at http://127.0.0.1:7780")), "{second}");

    let reader = SqliteStore::open(OpenOptions { read_only: true, ..at(&path) }).await.expect("opened beside it");
    let taken = store.acquire(ONE, &[ShardId(0)], Timestamp(0)).await.expect("acquired");
    assert_eq!(reader.info(), store.info());
    assert_eq!(reader.facts().await.expect("read").heads[0].epoch, taken[0].epoch);
    let written = reader.acquire(ONE, &[ShardId(0)], Timestamp(0)).await;
    assert!(matches!(written, Err(StoreError::Failed { .. })), "{written:?}");
    reader.announce("x").expect_err("a reader holds no lock");

    drop(reader);
    store.close().await;
    assert_eq!(lock_holder(&path), None);
    let reader =
        SqliteStore::open(OpenOptions { read_only: true, ..at(&path) }).await.expect("opened without a writer");
    SqliteStore::open(at(&path)).await.expect("opened again");
    drop(reader);
}

#[tokio::test]
async fn the_text_of_a_killed_process_is_not_believed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.db");
    std::fs::write(folder.path().join("store.db.lock"), r#"{"pid":1,"address":"http://x"}"#).expect("written");
    assert_eq!(lock_holder(&path), None);
    SqliteStore::open(at(&path)).await.expect("opened");
}

#[tokio::test]
async fn what_is_no_store_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "no database, and long enough to be looked at: ".repeat(100)).expect("written");
    for read_only in [false, true] {
        let error = refused(OpenOptions { read_only, ..at(&text) }).await;
        assert!(matches!(error, OpenError::NotADatabase { .. }), "{error}");
    }
    let below_a_file = refused(at(&text.join("store.db"))).await;
    assert!(matches!(below_a_file, OpenError::NotWritable { .. }), "{below_a_file}");
    let unmigrated = folder.path().join("empty.db");
    std::fs::write(&unmigrated, "").expect("written");
    let older = refused(OpenOptions { read_only: true, ..at(&unmigrated) }).await;
    assert!(matches!(older, OpenError::SchemaOlder { found: 0, .. }), "{older}");
}

#[tokio::test]
async fn a_schema_of_a_newer_program_is_refused() {
    use sqlx::Connection;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.db");
    SqliteStore::open(at(&path)).await.expect("opened").close().await;
    let known = SqliteStore::schema_state(&path).await.expect("read").known;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let mut conn = sqlx::SqliteConnection::connect_with(&options).await.expect("connected");
    sqlx::query(
        "INSERT INTO _sqlx_migrations SELECT 9999, 'later', installed_on, success, checksum, execution_time \
                 FROM _sqlx_migrations WHERE version = 1",
    )
    .execute(&mut conn)
    .await
    .expect("written");
    conn.close().await.expect("closed");
    for read_only in [false, true] {
        let newer = refused(OpenOptions { read_only, ..at(&path) }).await;
        assert!(matches!(newer, OpenError::SchemaNewer { found: 9999, known: k } if k == known), "{newer}");
    }
}
